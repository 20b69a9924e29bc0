"""Paying on the command line: a wrong code is wrong whether or not a service runs, and a key is kept by it alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

import click
import pytest
from click.testing import Result

from kitestring.app.cli.pay import command
from kitestring.app.cli.values import when
from kitestring.app.owner.params import DEFAULT_WAIT_S
from kitestring.backend.sandbox.world import World
from kitestring.base.errors import CodecError, KitestringError
from kitestring.base.money import sat
from kitestring.codec import bech32, nip19, pointers, tlv
from kitestring.codec.pointers import Noffer, PriceType
from kitestring.nostr.event import Event
from tests.kit.app.console import Service, kitestring, run
from tests.kit.client.hostile import SERVICE, HostileRelay, Request, Script, hostile_relay
from tests.kit.codec.invoices import invoice

CODE = invoice()
KEY = "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e"
PAID = {"amount_msat": 21_000, "fee_msat": 1_005, "preimage": "11" * 32, "internal": False}


def test_what_is_not_said_is_left_to_the_service() -> None:
    said = run(command, CODE, "--yes", "--idempotency-key", "k", answer=PAID)
    assert said.asked == [("pay", {"target": CODE, "description": "", "wait_s": DEFAULT_WAIT_S}, "k")]
    assert said.lines == ["paid 21 sat, fee 1.005 sat", f"preimage {'11' * 32}"]


def test_amount_and_fee_are_typed_in_sats_and_a_fee_may_be_nothing() -> None:
    ((_, params, _),) = run(
        command, CODE, "21", "--yes", "--max-fee", "0", "--description", "thanks", answer=PAID
    ).asked
    assert (params["amount_msat"], params["max_fee_msat"], params["description"]) == (21_000, 0, "thanks")


def test_what_an_offer_is_told_is_typed_by_name() -> None:
    told = ("--data", "name=Bob = me", "--data", "email=b@x.example", "--max", "30", "--nip69")
    ((_, params, _),) = run(command, CODE, "--yes", *told, answer=PAID).asked
    assert params["payer_data"] == {"name": "Bob = me", "email": "b@x.example"}
    assert (params["max_amount_msat"], params["nip69"]) == (30_000, True)


@pytest.mark.parametrize("typed", [("name",), ("=Bob",), ("name=",), ("name=Bob", "name=Eve")])
def test_data_without_a_name_or_a_text_or_with_two_is_refused(typed: tuple[str, ...]) -> None:
    with pytest.raises(click.BadParameter, match="write name=Bob, and each name once"):
        run(command, CODE, *(word for one in typed for word in ("--data", one)))


def test_a_payment_inside_the_service_is_said_to_be_one() -> None:
    assert "fee 0 sat (inside this service)" in run(
        command, CODE, "--yes", answer={**PAID, "fee_msat": 0, "internal": True}
    ).out  # fmt: skip


def test_what_was_paid_before_is_said_to_be_and_to_have_cost_nothing_now() -> None:
    said = run(command, CODE, "--yes", answer={**PAID, "already_paid": True, "created_at": 1_795_996_800})
    on = when(1_795_996_800)
    assert said.lines[0] == f"already paid on {on}, nothing was paid now: 21 sat, fee 1.005 sat"
    unknown = run(command, CODE, "--yes", answer={**PAID, "already_paid": True, "created_at": None})
    assert unknown.lines[0] == "already paid, nothing was paid now: 21 sat, fee 1.005 sat"


@pytest.mark.parametrize("target", ["gibberish", "npub1xxx", CODE[:-1]])
def test_a_wrong_code_is_told_before_anybody_is_asked(target: str) -> None:
    with pytest.raises((KitestringError, CodecError)):
        run(command, target)


def test_a_relay_of_the_code_that_is_none_is_named_and_the_others_are_used() -> None:
    entries = [(3, b"\x02"), (2, b"tips"), (1, b"http://a\x1b[2K"), (1, b"wss://a.example"), (0, bytes.fromhex(KEY))]
    said = run(command, bech32.encode("noffer", tlv.encode(entries), limit=5_000), "21", "--yes", answer=PAID)
    assert said.err == "left out, because it is no relay address or one too many: http://a [2K\n"


def test_a_key_is_not_promised_for_a_wallet_that_keeps_none() -> None:
    with pytest.raises(KitestringError, match="leave it out with --wallet"):
        run(command, CODE, "--wallet", "env:NO_SUCH", "--idempotency-key", "order-17")


def test_the_encryption_is_that_of_a_wallet_connection() -> None:
    with pytest.raises(KitestringError, match="name it with --wallet"):
        run(command, CODE, "--encryption", "legacy")


def test_an_outside_invoice_is_paid_with_a_fee_and_once_per_key(service: Service) -> None:
    invoice = service.ok("sandbox", "invoice", "50")["bolt11"]
    before = service.ok("balance")["balance_msat"]
    paid = service.ok("pay", invoice, "--idempotency-key", "order-17")
    assert paid["amount_msat"] == 50_000
    assert paid["fee_msat"] > 0
    assert service.ok("pay", invoice, "--idempotency-key", "order-17") == paid
    assert service.ok("balance")["balance_msat"] == before - 50_000 - paid["fee_msat"]
    other = service.run("pay", service.ok("sandbox", "invoice", "50")["bolt11"], "--idempotency-key", "order-17")
    assert other.exit_code == 2
    assert "idempotency key" in other.stderr


def test_an_address_leads_the_service_into_no_private_network(service: Service) -> None:
    result = service.run("pay", "me@nas.local", "21")
    assert (result.exit_code, result.stdout) == (5, "")
    assert "me@nas.local cannot be looked up: nas.local is not on a public address" in result.stderr


def test_somebody_whose_profile_no_relay_of_ours_knows_is_not_paid(service: Service) -> None:
    result = service.run("pay", nip19.encode(nip19.PublicKey(KEY)), "21")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "take the nprofile1… of it" in result.stderr


def test_a_payment_beyond_the_balance_exits_3(service: Service) -> None:
    result = service.run("pay", service.ok("sandbox", "invoice", "5000000")["bolt11"])
    assert (result.exit_code, result.stdout) == (3, "")


# ------------------------------------------------------------ an offer that only its service knows the price of


@pytest.fixture
def world(tmp_path: Path) -> Path:
    return tmp_path / "world.db"


async def pay_variable(relay: HostileRelay, world: Path, *options: str) -> Result:
    """Pay it from a sandbox, as any program would: without a terminal."""
    code = pointers.encode(Noffer(SERVICE.public_hex, (relay.url,), "tea", PriceType.VARIABLE))
    wallet = ("--wallet", f"sandbox://{world}?latency_ms=1")
    (world.parent / "kitestring.toml").write_text("[network]\nallow_private_relays = true\n", encoding="utf-8")
    here = ("--data-dir", str(world.parent))
    return await asyncio.to_thread(kitestring, *here, "pay", code, *wallet, *options)


def selling(world: Path, sats: int = 50) -> Script:
    def script(request: Request) -> Iterable[Event]:
        if "name" not in request.members.get("payer_data", {}):
            refusal = {"code": "1", "error": "Missing payer_data", "payer_data": ["name"]}
            return [request.reply(refusal, at=int(time.time()))]
        with World(world) as outside:
            return [request.reply({"bolt11": outside.invoice(sat(sats))}, at=int(time.time()))]

    return script


async def test_a_price_is_paid_up_to_the_most_that_was_typed_and_no_further(world: Path) -> None:
    bob = ("--data", "name=Bob")
    async with hostile_relay(selling(world)) as relay:
        unsaid = await pay_variable(relay, world)
        assert (unsaid.exit_code, unsaid.stdout) == (2, "")
        assert "asks for name" in unsaid.stderr
        assert "add --data 'name=…'" in unsaid.stderr
        unseen = await pay_variable(relay, world, *bob)
        assert (unseen.exit_code, unseen.stdout) == (2, "")
        assert "this offer costs 50 sat now: add --max 50 to pay up to that; nothing was paid" in unseen.stderr
        beyond = await pay_variable(relay, world, *bob, "--max", "49")
        assert (beyond.exit_code, beyond.stdout) == (2, "")
        assert "this costs 50 sat, and at most 49 sat may be paid: nothing was paid" in beyond.stderr
        with World(world) as outside:
            assert outside.payments() == []
        paid = await pay_variable(relay, world, *bob, "--max", "50")
        assert (paid.exit_code, paid.stdout.splitlines()[0].split(",")[0]) == (0, "paid 50 sat")
        assert relay.requests[-1].members["payer_data"] == {"name": "Bob"}
