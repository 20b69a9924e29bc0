"""Where the secret of a wallet comes from, and paying with it."""

from __future__ import annotations

import asyncio
import re
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.cli import wallet as wallet_module
from kitestring.app.cli.shell import Shell
from kitestring.app.cli.wallet import pay_from, read_secret
from kitestring.app.cli.wish import Wish
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.client.in_flight import in_flight
from tests.kit.app.console import Service
from tests.kit.codec.invoices import invoice

KEY = "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e"


def pay(source: str, target: str = "") -> dict[str, Any]:
    return pay_from(shell(), source, read_secret(shell(), source), Wish(target or invoice()))


def shell() -> Shell:
    found = Shell()
    found.data_dir = "/nowhere"
    return found


def test_a_secret_comes_from_the_environment_a_file_or_standard_input(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WALLET", " link \n")
    (tmp_path / "wallet").write_text("\ufefflin\r\nk\u200b\n", encoding="utf-8")
    monkeypatch.setattr("sys.stdin", StringIO("link\n"))
    sources = ("env:WALLET", f"file:{tmp_path / 'wallet'}", "-")
    assert [read_secret(shell(), source) for source in sources] == ["link"] * 3


def test_a_literal_is_taken_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_secret(shell(), "nostr+walletconnect://x") == "nostr+walletconnect://x"
    assert "can be seen by other programs; use env:NAME, file:PATH or -" in capsys.readouterr().err


def test_a_sandbox_has_no_secret_to_warn_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_secret(shell(), "sandbox:///tmp/a.db") == "sandbox:///tmp/a.db"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("env:NO_SUCH", "the environment variable NO_SUCH is not set"),
        ("file:/nowhere/w", "/nowhere/w is not a file with a wallet link"),
        ("file:/", "/ is not a file"),
        ("-", "there is nothing on standard input"),
        ("", "the wallet is empty"),
        ("WALLET", "for a link in a variable write env:NAME, in a file file:PATH, on standard input -"),
        ("/home/me/wallet", "in a file file:PATH"),
        ("env:", "write env:NAME"),
        ("file:", "file:PATH"),
    ],
)
def test_a_secret_that_is_not_there_is_named_by_its_place_and_no_secret_is_warned_of(
    source: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(""))
    with pytest.raises(KitestringError, match=re.escape(words)) as caught:
        read_secret(shell(), source)
    assert caught.value.reason is Reason.MALFORMED
    assert source == "" or capsys.readouterr().err == ""


def test_a_file_of_bytes_or_of_blanks_is_no_wallet(tmp_path: Path) -> None:
    for content, words in ((b"\xff\xfe", "is not a file with a wallet link"), (b" \n", "is empty")):
        (tmp_path / "wallet").write_bytes(content)
        with pytest.raises(KitestringError, match=words):
            read_secret(shell(), f"file:{tmp_path / 'wallet'}")


def test_a_wrong_target_is_told_before_the_wallet_is_opened() -> None:
    with pytest.raises((KitestringError, CodecError), match="no invoice"):
        pay("sandbox:///nowhere/world.db", "gibberish")


def test_a_relay_of_the_link_that_is_none_is_named_before_the_wallet_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    link = f"nostr+walletconnect://{KEY}?relay=http://a&relay=wss://a.invalid&secret={'01' * 32}"
    monkeypatch.setenv("WALLET", link)
    monkeypatch.setattr(wallet_module, "_pay", lambda *_: asyncio.sleep(0, {}))
    assert pay("env:WALLET") == {}
    assert capsys.readouterr().err == "left out, because it is no relay address or one too many: http://a\n"


@pytest.mark.parametrize(("source", "named"), [("env:WALLET", "env:WALLET"), ("-", "URI"), ("link", "URI")])
def test_how_a_payment_of_unknown_end_is_looked_up_is_said_without_the_secret(
    source: str, named: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    link = f"nostr+walletconnect://{KEY}?relay=wss://a.invalid&secret={'01' * 32}"
    monkeypatch.setenv("WALLET", link)
    monkeypatch.setattr("sys.stdin", StringIO(link))

    async def unknown(*_: object) -> None:
        raise in_flight("ab" * 32, "it did not answer")

    monkeypatch.setattr(wallet_module, "_pay", unknown)
    with pytest.raises(KitestringError, match="may have paid"):
        pay(link if source == "link" else source)
    told = capsys.readouterr().err.splitlines()[-1]
    assert told == f"to look it up: kitestring lookup {'ab' * 32} --wallet {named}"


def test_a_connection_pays_within_its_budget_and_no_further(service: Service) -> None:
    made = service.ok("connect", "spender", "--budget", "100/day", "--methods", "pay_invoice")
    wallet = ("--yes", "--wallet", "-")
    paid = service.ok("pay", service.ok("sandbox", "invoice", "40")["bolt11"], *wallet, stdin=made["nwc_uri"])
    assert (paid["amount_msat"], paid["fee_msat"] > 0, paid["internal"]) == (40_000, True, False)
    beyond = service.run("pay", service.ok("sandbox", "invoice", "90")["bolt11"], *wallet, stdin=made["nwc_uri"])
    assert (beyond.exit_code, beyond.stdout) == (5, "")
    literal = service.run("pay", "x", "--wallet", made["nwc_uri"])
    assert literal.stderr.startswith("warning: ")


def test_a_wallet_that_knows_nip04_only_is_paid_from_where_its_owner_says_so(service: Service) -> None:
    uri = service.ok("connect", "old", "--encryption", "legacy")["nwc_uri"]
    invoice = service.ok("sandbox", "invoice", "40")["bolt11"]
    told = service.run("pay", invoice, "--yes", "--wallet", "-", "--encryption", "nip44", stdin=uri)
    assert told.exit_code == 2
    assert "encryption" in told.stderr
    assert (
        service.ok("pay", invoice, "--yes", "--wallet", "-", "--encryption", "legacy", stdin=uri)["amount_msat"]
        == 40_000
    )


def test_the_payee_of_an_offer_is_told_what_the_wallet_pays_for(service: Service) -> None:
    uri = service.ok("connect", "shopper")["nwc_uri"]
    told = ("--yes", "--wallet", "-", "--description", "two cups of tea", "--max-fee", "5")
    service.ok("pay", service.card["noffer"], "7", *told, stdin=uri)
    newest = service.ok("transactions", "--in", "--limit", "1")["transactions"][0]
    assert (newest["amount_msat"], newest["description"]) == (7_000, "two cups of tea")


def test_ctrl_c_while_the_wallet_is_asked_proves_nothing_about_the_payment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("WALLET", "sandbox://")
    monkeypatch.setattr(wallet_module, "_pay", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pay("env:WALLET")
    assert "the wallet may have been asked, and may still pay" in capsys.readouterr().err


def test_a_wallet_shows_its_balance_and_its_budget_as_far_as_it_tells_them(service: Service) -> None:
    def look(*terms: str) -> dict[str, Any]:
        uri = service.ok("connect", f"app {terms}", *terms)["nwc_uri"]
        return service.ok("balance", "--wallet", "-", stdin=uri)

    both = look("--budget", "100/day")
    assert (both["balance_msat"], both["unknown_because"], both["budget_unknown_because"]) == (100_000, None, None)
    standing = {"limit_msat": 100_000, "used_msat": 0, "left_msat": 100_000, "period": "day"}
    assert both["budget"].items() >= standing.items()
    assert both["budget"]["renews_at"] > time.time()
    free = look("--methods", "get_balance,get_budget")
    assert (free["balance_msat"] > 100_000, free["budget"], free["budget_unknown_because"]) == (True, None, None)
    poor = look("--budget", "50/total", "--methods", "get_budget")
    assert (poor["balance_msat"], poor["budget"]["left_msat"], poor["budget"]["renews_at"]) == (None, 50_000, None)
    assert "get_balance" in poor["unknown_because"]
    plain = look("--budget", "50/week", "--methods", "get_balance")
    assert (plain["balance_msat"], plain["budget"]) == (50_000, None)
    assert "does not announce get_budget" in plain["budget_unknown_because"]
    mute = service.ok("connect", "mute", "--methods", "pay_invoice")["nwc_uri"]
    told = service.run("balance", "--wallet", "-", stdin=mute)
    assert (told.exit_code, "get_balance" in told.stderr) == (5, True)
