"""Reading the rights out of an lnd macaroon."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.app.doctor import credential
from kitestring.backend.lnd.macaroon import NEEDED, macaroon_of
from kitestring.base.errors import CodecError
from kitestring.crypto.macaroon import rights


def field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2, len(value)]) + value


def macaroon(words: list[str]) -> bytes:
    """As macaroon-bakery 3 writes it: nonce, storage id, then one operation per entity."""
    entities: dict[str, list[str]] = {}
    for word in words:
        entity, _, action = word.partition(":")
        entities.setdefault(entity, []).append(action)
    operations = b"".join(
        field(3, field(1, entity.encode()) + b"".join(field(2, action.encode()) for action in actions))
        for entity, actions in entities.items()
    )
    identifier = b"\x03" + field(1, b"n" * 16) + field(2, b"0") + operations
    size = len(identifier)
    length = bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])
    return b"\x02" + b"\x01\x03lnd" + b"\x02" + length + identifier + b"\x00\x00" + b"\x06\x20" + bytes(32)


def test_rights_are_read() -> None:
    assert rights(macaroon(["info:read", "offchain:read", "offchain:write"])) == {
        "info:read",
        "offchain:read",
        "offchain:write",
    }


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_other_bytes_are_refused_or_read(data: bytes) -> None:
    for candidate in (data, b"\x02" + data, b"\x02\x02" + bytes([min(len(data) + 1, 127)]) + b"\x03" + data):
        with suppress(CodecError):
            assert all(isinstance(word, str) for word in rights(candidate))


@pytest.mark.parametrize(
    ("words", "state", "said"),
    [
        (sorted(NEEDED), "ok", "nothing else"),
        ([*sorted(NEEDED), "onchain:write", "macaroon:generate"], "warn", "macaroon:generate, onchain:write"),
        (["info:read"], "fail", "lacks invoices:read"),
    ],
)
def test_the_doctor_judges_the_credential(tmp_path: Path, words: list[str], state: str, said: str) -> None:
    (tmp_path / "m").write_bytes(macaroon(words))
    (check,) = credential(macaroon_of(f"lnd+https://host?cert=c&macaroon={tmp_path / 'm'}"))
    assert check.state == state
    assert said in check.sentence


def test_a_sandbox_has_no_credential() -> None:
    assert list(credential(macaroon_of("sandbox://"))) == []


def test_a_credential_in_the_environment_is_not_taken_for_a_file() -> None:
    (check,) = credential(macaroon_of("lnd+https://host?macaroon=env:LND"))
    assert (check.state, "env:LND" in check.sentence) == ("info", True)


@pytest.mark.parametrize("text", ["{}", "{}\n", " {}\r\n"])
def test_a_file_in_hex_is_read_as_the_backend_reads_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "m").write_text(text.format(macaroon(sorted(NEEDED)).hex()))
    (check,) = credential(macaroon_of(f"lnd+https://host?macaroon={tmp_path / 'm'}"))
    assert check.state == "ok"


@pytest.mark.parametrize("data", [b"", b"zz", b"\xff\xfe", b"0301", b"-----BEGIN CERTIFICATE-----"])
def test_a_file_that_is_no_macaroon_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m").write_bytes(data)
    (check,) = credential(macaroon_of(f"lnd+https://host?macaroon={tmp_path / 'm'}"))
    assert check.state == "warn"
    assert check.sentence.endswith("cannot be looked at: this file is not an lnd macaroon")
