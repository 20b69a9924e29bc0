"""Where the macaroon of an lnd comes from, and what the doctor says about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kitestring.backend.lnd.macaroon import HOLDING_CALLS, NEEDED, SIGNING, SIGNING_CALL, USED, judge, read_macaroon
from kitestring.base.errors import KitestringError
from kitestring.base.node import Finding, FindingState
from tests.kit.backend.sides import open_url
from tests.kit.crypto.macaroons import macaroon

SMALLEST = macaroon(sorted(USED))


@pytest.mark.parametrize(
    ("words", "state", "said"),
    [
        (sorted(USED), "ok", "nothing else"),
        (sorted(NEEDED), "ok", "nothing else; without message:write the node signs no texts (sign_message)"),
        ([*sorted(NEEDED), "onchain:write", "macaroon:generate"], "warn", "(macaroon:generate, onchain:write)"),
        ([*sorted(NEEDED), *(f"{letter}:read" for letter in "abcde")], "warn", "(a:read, b:read, c:read, d:read, …)"),
        (["info:read", "onchain:write"], "fail", "lacks invoices:read, invoices:write, offchain:read, offchain:write"),
    ],
)
async def test_the_doctor_hears_whether_it_allows_too_much_or_too_little(
    tmp_path: Path, words: list[str], state: str, said: str
) -> None:
    """From a backend that was never opened: nobody listens at its address."""
    (tmp_path / "m").write_bytes(macaroon(words))
    (found,) = await open_url(f"lnd+https://127.0.0.1:1?macaroon={tmp_path / 'm'}", tmp_path).findings()
    assert (found.name, found.state) == ("macaroon", state)
    assert said in found.sentence
    assert ("`lncli bakemacaroon info:read invoices:read" in found.sentence) is (state != "ok")


@pytest.mark.parametrize(
    ("data", "holds"),
    [
        (macaroon(sorted(NEEDED)), True),
        (macaroon(["info:read", "invoices:read", "offchain:read"]), False),
        (macaroon(["uri:/lnrpc.Lightning/AddInvoice", "info:read"]), False),
        (macaroon(sorted(HOLDING_CALLS)), True),
        (macaroon(sorted(HOLDING_CALLS)[1:]), False),
        (b"\x02\x01fake", True),  # nobody can look into it: lnd itself will say
    ],
)
def test_hold_invoices_are_declared_only_where_it_allows_them(tmp_path: Path, data: bytes, holds: bool) -> None:
    (tmp_path / "m").write_bytes(data)
    backend = open_url(f"lnd+https://127.0.0.1:1?macaroon={tmp_path / 'm'}", tmp_path)
    assert backend.capabilities.hold is holds
    assert backend.capabilities.payment_index


@pytest.mark.parametrize(
    ("data", "signs"),
    [
        (macaroon(sorted(USED)), True),
        (macaroon(sorted(NEEDED)), False),
        (macaroon([SIGNING_CALL]), True),
        (macaroon([SIGNING]), True),
        (macaroon(["message:read"]), False),
        (b"\x02\x01fake", True),  # nobody can look into it: lnd itself will say
    ],
)
def test_texts_are_signed_only_where_it_allows_that(tmp_path: Path, data: bytes, signs: bool) -> None:
    (tmp_path / "m").write_bytes(data)
    assert open_url(f"lnd+https://127.0.0.1:1?macaroon={tmp_path / 'm'}", tmp_path).capabilities.sign_message is signs


@pytest.mark.parametrize("text", ["{}", "{}\n", " {}\r\n"])
def test_a_file_or_a_variable_may_hold_it_in_hex(tmp_path: Path, text: str) -> None:
    (tmp_path / "m").write_text(text.format(SMALLEST.hex()))
    for found in (
        read_macaroon(str(tmp_path / "m"), {}),
        read_macaroon("env:LND", {"LND": text.format(SMALLEST.hex())}),
    ):
        assert found.data == SMALLEST
        assert judge(found).state == "ok"


@pytest.mark.parametrize("data", [b"", b"zz", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----"])
def test_a_file_or_variable_without_one_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m").write_bytes(data)
    for where in (str(tmp_path / "m"), "env:LND"):
        with pytest.raises(KitestringError, match="give lnd's file, or its bytes in hex"):
            read_macaroon(where, {"LND": data.decode("latin-1")})


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    for where, words in (
        ("", "lacks macaroon=PATH or macaroon=env:NAME"),
        ("env:LND", "macaroon=env:LND leads to no macaroon: LND is not set here"),
        (f"{tmp_path}/m", f"the macaroon {tmp_path}/m cannot be read: no such file"),
    ):
        with pytest.raises(KitestringError, match=words):
            read_macaroon(where, {"OTHER": SMALLEST.hex()})


def test_bytes_that_no_lnd_has_baked_are_named_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("0301")
    assert judge(read_macaroon(str(tmp_path / "m"), {})) == Finding(
        "macaroon", FindingState.WARN, f"{tmp_path}/m cannot be looked at: this is not an lnd macaroon"
    )


def test_it_is_in_no_repr(tmp_path: Path) -> None:
    assert SMALLEST.hex() not in repr(read_macaroon("env:LND", {"LND": SMALLEST.hex()}))
    assert repr(SMALLEST)[2:20] not in repr(read_macaroon("env:LND", {"LND": SMALLEST.hex()}))


def test_one_that_stands_in_the_url_itself_is_refused_and_not_repeated() -> None:
    baked = macaroon(sorted(NEEDED)).hex()
    with pytest.raises(KitestringError, match="does not belong into a URL") as refused:
        read_macaroon(baked, {})
    assert baked not in str(refused.value)
