from __future__ import annotations

import pytest

from kitestring.base import grants
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from kitestring.wire.encryption import Choice, allowed_ciphers, choose_cipher
from kitestring.wire.envelope import encrypt, shared_secret
from kitestring.wire.reply_to import Cipher
from tests.wire.samples import CLIENT, NOW, SERVICE, counting_entropy


def request(tag: str | None, shape: Cipher | None) -> Event:
    content = "garbage"
    if shape is not None:
        content = encrypt("{}", shape, shared_secret(CLIENT, SERVICE.public_hex, shape), counting_entropy())
    tags = [] if tag is None else [["encryption", tag]]
    return sign_event(CLIENT, kind=kinds.NWC_REQUEST, tags=tags, content=content, created_at=NOW)


@pytest.mark.parametrize(
    ("tag", "shape", "setting", "seen", "expected"),
    [
        ("nip44_v2", "nip44", "auto", False, Choice("nip44", True)),
        (None, "nip04", "auto", False, Choice("nip04", True)),
        (None, "nip04", "legacy", True, Choice("nip04", True)),
        (None, "nip04", "auto", True, Choice("nip04", False)),
        (None, "nip04", "nip44", False, Choice("nip04", False)),
        ("nip44_v2", "nip44", "legacy", False, Choice("nip44", False)),
        # the shape wins over the tag where the connection allows it
        (None, "nip44", "auto", True, Choice("nip44", True)),
        ("nip44_v2", "nip04", "auto", False, Choice("nip04", True)),
        ("nip44_v2", "nip04", "nip44", False, Choice("nip44", True)),
        ("nip04", "nip44", "nip44", False, Choice("nip44", True)),
        ("nip04", "nip44", "legacy", False, Choice("nip04", True)),
        # a tag nobody knows, a text of no shape
        ("nip99", "nip44", "auto", False, Choice("nip44", True)),
        ("nip99", None, "auto", False, Choice("nip44", False)),
        ("nip44_v2", None, "auto", False, Choice("nip44", True)),
        (None, None, "auto", True, Choice("nip04", False)),
    ],
)
def test_the_cipher_of_a_request(
    tag: str | None, shape: Cipher | None, setting: grants.Cipher, seen: bool, expected: Choice
) -> None:
    assert choose_cipher(request(tag, shape), setting, seen) == expected


def test_nip_44_once_seen_is_never_lowered() -> None:
    assert allowed_ciphers("auto", nip44_seen=False) == ("nip44", "nip04")
    assert allowed_ciphers("auto", nip44_seen=True) == ("nip44",)
