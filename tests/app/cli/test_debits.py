"""What the commands that ask for debits share: amounts per period, the wallet that is paid, and the key."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from kitestring.app.cli.debits import Recurring, RecurringType, ServiceTill, client_net, open_debit
from kitestring.app.cli.shell import Shell
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import sat
from kitestring.codec import bech32, bolt11, pointers, tlv
from tests.kit.app.console import Service
from tests.kit.client.hostile import SERVICE, ndebit, noffer

CODE = pointers.encode(ndebit("wss://relay.example.com"))


def shell(home: str = "/nowhere") -> Shell:
    found = Shell()
    found.data_dir = home
    return found


@pytest.mark.parametrize("every", ["day", "week", "month"])
def test_an_amount_per_period_is_read(every: str) -> None:
    assert RecurringType(once=False).convert(f"500/{every}", None, None) == Recurring(500, every)
    assert RecurringType(once=True).convert("500", None, None) == Recurring(500, "")


@pytest.mark.parametrize(
    "text",
    [
        "500",
        "0/day",
        "-1/day",
        "1.5/day",
        "500/",
        "500/year",
        "500/DAY",
        "/day",
        "5_0/day",
        "٢/day",
        f"{10**17}/day",
        "",
    ],
)
def test_everything_else_is_refused_rather_than_guessed(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write 500/day"):
        RecurringType(once=False).convert(text, None, None)


@pytest.mark.parametrize("text", ["", "x", pointers.encode(noffer("wss://relay.example.com"))])
async def test_a_wrong_code_is_told_before_any_wallet_is_looked_for(text: str) -> None:
    with pytest.raises(KitestringError, match="debit code"):
        async with open_debit(shell(), text, "env:NO_SUCH"):
            pass


async def test_the_encryption_is_that_of_a_wallet_connection() -> None:
    with pytest.raises(KitestringError, match="name it with --wallet"):
        async with open_debit(shell(), CODE, None, "legacy"):
            pass


async def test_a_relay_of_the_code_that_is_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    parts = [(2, b"main"), (1, b"http://a"), (1, b"wss://a.example"), (0, bytes.fromhex(SERVICE.public_hex))]
    async with open_debit(shell(), bech32.encode("ndebit", tlv.encode(parts), limit=5_000)) as debit:
        assert debit.pointer.relays == ("wss://a.example",)
    assert "left out, because it is no relay address or one too many: http://a" in capsys.readouterr().err


async def test_the_running_service_makes_invoices_and_says_what_became_of_them(service: Service) -> None:
    till = ServiceTill(shell(str(service.home)))
    made = await till.make_invoice(sat(5), "tea", 90)
    invoice = bolt11.decode(made.bolt11)
    assert (invoice.amount_msat, invoice.description, invoice.expiry_s) == (sat(5), "tea", 90)
    assert await till.network() == invoice.network == "regtest"
    found = await till.lookup(made.payment_hash)
    assert (found.type, found.state, found.preimage) == ("incoming", "pending", "")
    with pytest.raises(KitestringError) as caught:
        await till.lookup("00" * 32)
    assert caught.value.reason is Reason.UNKNOWN_TARGET
    with pytest.raises(KitestringError, match="with an amount only"):
        await till.make_invoice(None, "", 90)


async def test_without_a_service_nothing_can_be_paid_into_it() -> None:
    with pytest.raises(KitestringError, match="no service is running") as caught:
        await ServiceTill(shell()).make_invoice(sat(5), "", 90)
    assert caught.value.reason is Reason.UNAVAILABLE


def test_the_relays_of_a_clink_wallet_in_the_settings_are_dialled_wherever_they_are(tmp_path: Path) -> None:
    near = "ws://127.0.0.1:7777"
    node = f"clink://?noffer={pointers.encode(noffer(near))}&ndebit={pointers.encode(ndebit(near))}"
    (tmp_path / "kitestring.toml").write_text(f'node = "{node}"\n', encoding="utf-8")
    assert client_net(shell(str(tmp_path))).own_relays == (near,)
    (tmp_path / "kitestring.toml").write_text("", encoding="utf-8")
    assert client_net(shell(str(tmp_path))).own_relays == ()
