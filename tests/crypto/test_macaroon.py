"""Reading the rights out of an lnd macaroon."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.errors import CodecError
from kitestring.crypto.macaroon import MAX_BYTES, rights
from tests.kit.crypto.macaroons import macaroon


def test_rights_are_read() -> None:
    words = {"info:read", "offchain:read", "offchain:write"}
    assert rights(macaroon(sorted(words))) == words


@pytest.mark.parametrize("data", [b"", b"\x03\x01", b"-----BEGIN CERTIFICATE-----", b"\x02" + b"\x00" * MAX_BYTES])
def test_what_is_no_macaroon_is_refused(data: bytes) -> None:
    with pytest.raises(CodecError, match="not an lnd macaroon"):
        rights(data)


@pytest.mark.parametrize("length", range(1, 60))
def test_a_macaroon_that_is_cut_off_is_refused_and_never_read_as_one_with_fewer_rights(length: int) -> None:
    whole = macaroon(["info:read", "offchain:read"])
    with pytest.raises(CodecError):
        rights(whole[:length])


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_other_bytes_are_refused_or_read(data: bytes) -> None:
    for candidate in (data, b"\x02" + data, b"\x02\x02" + bytes([min(len(data) + 1, 127)]) + b"\x03" + data):
        with suppress(CodecError):
            assert all(isinstance(word, str) for word in rights(candidate))
