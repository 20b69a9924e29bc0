"""Messages signed by a node: the form of other implementations, and whose the signature is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitestring.base.errors import CodecError
from kitestring.codec import zbase32
from kitestring.codec.signed_message import SIGNATURE_CHARS, sign, signer
from kitestring.crypto import secp

SECRET = b"\x05" * 32
NODE = secp.compressed_public(SECRET).hex()
#: A signature that lnd 0.20 has made, and its key.
KEY = "03a1d2069b1fe638387a09e8bd186c80672cd8e03cf833290f7b7c74e502546460"
SIGNATURE = "d995uqrk8smis9qwxhxotugeanrkek3srdqrahzxaqxc36c7woxp4j6azjg7fxrj5dosxb6a1okb5fu95o4s35hnihij36ye7afyidxk"


@given(st.text(max_size=300))
def test_a_signature_names_the_node_that_has_made_it(message: str) -> None:
    signature = sign(message, SECRET)
    assert len(signature) == SIGNATURE_CHARS
    assert signer(message, signature) == NODE
    assert sign(message, SECRET) == signature


def test_what_another_implementation_has_signed_is_read() -> None:
    assert signer("tea", SIGNATURE) == KEY


def test_of_another_message_it_is_nobodys_that_is_known() -> None:
    try:
        found = signer("tea?", sign("tea", SECRET))
    except CodecError:
        found = ""
    assert found != NODE


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        ("", "104 letters"),
        (sign("tea", SECRET)[:-1], "104 letters"),
        ("l" * SIGNATURE_CHARS, "no z-base-32"),
        (zbase32.encode(bytes([30]) + bytes(64)), "which key"),
        (zbase32.encode(bytes([35]) + bytes(64)), "which key"),
        (zbase32.encode(bytes([31]) + b"\xff" * 64), "recoverable"),
    ],
)
def test_what_is_no_signature_is_refused(signature: str, words: str) -> None:
    with pytest.raises(CodecError, match=words):
        signer("tea", signature)
