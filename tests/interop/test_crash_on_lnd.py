"""The service is killed with payments under way at a real node: nothing is lost, nothing is paid twice."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import nostr_sdk
import pytest

from kitestring.engine.node import ANSWER_LIMIT_S
from tests.interop.test_nostr_sdk import order
from tests.kit.interop.program import Json, Kitestring, Witness, eventually
from tests.rig.network import LightningRig

KILLS = 6
# The client must outlive a kill and a start.
CLIENT_PATIENCE = timedelta(seconds=60)
SEED = 20261121
#: A failure is told only when no order can be on its way to the node any more.
PATIENCE_S = ANSWER_LIMIT_S + 60.0


@dataclass(frozen=True)
class Bill:
    """An invoice of lnd C. A held one stays in flight until it is taken or given back."""

    bolt11: str
    payment_hash: str
    amount_msat: int
    preimage: str = ""
    given_back: bool = False


class Street:
    """lnd C, where everything is bought, and what was bought there."""

    def __init__(self, rig: LightningRig) -> None:
        self._c = rig.c
        self._chance = random.Random(SEED)
        self.bills: list[Bill] = []

    async def bill(self, *, held: bool = False, given_back: bool = False) -> Bill:
        amount_msat = self._chance.randrange(1_000_000, 9_000_000)
        if held:
            preimage = secrets.token_bytes(32)
            payment_hash = sha256(preimage).hexdigest()
            code = await self._c.hold_invoice(payment_hash, amount_msat)
            made = Bill(code, payment_hash, amount_msat, preimage.hex(), given_back)
        else:
            invoice = await self._c.invoice(amount_msat)
            made = Bill(invoice.bolt11, invoice.payment_hash, amount_msat)
        self.bills.append(made)
        return made

    async def state(self, bill: Bill) -> str:
        return str((await self._c.lookup(bill.payment_hash))["state"])

    async def end(self, bill: Bill) -> None:
        """Once the money of a held bill has arrived: take it, or give it back."""

        async def arrived() -> bool:
            return await self.state(bill) == "ACCEPTED"

        await eventually(arrived, f"the money of {bill.payment_hash} is at C")
        await (self._c.cancel(bill.payment_hash) if bill.given_back else self._c.settle(bill.preimage))

    async def all_arrived(self, bills: list[Bill]) -> bool:
        return all([await self.state(bill) == "ACCEPTED" for bill in bills])


class Shopper:
    """nostr-sdk's wallet client, and what of its traffic is seen on the relay."""

    def __init__(self, uri: str, witness: Witness) -> None:
        link = nostr_sdk.NostrWalletConnectUri.parse(uri)
        self._client = nostr_sdk.NostrWalletConnectBuilder(link).timeout(CLIENT_PATIENCE).build()
        self._service = link.public_key().to_hex()
        self._witness = witness
        self.sent = 0

    def buy(self, bill: Bill) -> "asyncio.Task[nostr_sdk.PayInvoiceResponse]":
        self.sent += 1
        return asyncio.create_task(self._client.pay_invoice(order(bill.bolt11)))

    async def requests(self) -> list[Json]:
        """Everything that was asked so far, as soon as the relay has shown it."""
        await self._witness.until(
            lambda: len(self._witness.of(23194, to=self._service)) == self.sent, "every request is on the relay"
        )
        return self._witness.of(23194, to=self._service)

    async def send_again(self, request: Json) -> None:
        await self._witness.publish(request)

    def replies(self) -> list[Json]:
        return self._witness.of(23195, author=self._service)

    async def all_answered(self, requests: list[Json]) -> None:
        def answered() -> bool:
            return {event["id"] for event in requests} <= {dict(e["tags"])["e"] for e in self.replies()}

        await self._witness.until(answered, "every request is answered", PATIENCE_S)


@pytest.fixture
async def service(rig: LightningRig, foreign_relay: str, tmp_path: Path) -> AsyncIterator[Kitestring]:
    one = Kitestring(tmp_path / "mortal", "--node", rig.a.backend_url, "--relay", foreign_relay)
    one.start()
    yield one
    assert one.stop() == 0


def claimed(service: Kitestring, *, unanswered: bool = False) -> set[str]:
    sql = "SELECT request_id FROM requests WHERE wire = 'nwc'" + (" AND finished_at IS NULL" if unanswered else "")
    return {row["request_id"] for row in service.rows(sql)}


def dispatched(service: Kitestring, bills: list[Bill]) -> bool:
    rows = service.rows("SELECT payment_hash FROM payments WHERE state = 'dispatched'")
    return bool({bill.payment_hash for bill in bills} & {row["payment_hash"] for row in rows})


async def moment(number: int, service: Kitestring, street: Street, held: list[Bill], shopper: Shopper) -> None:
    """Three kinds of a bad moment for a kill, each with a payment claimed and not answered."""
    had = len(shopper.replies())

    async def come() -> bool:
        if number % 3 == 0:
            return await street.all_arrived(held)
        return dispatched(service, held) and (number % 3 == 1 or len(shopper.replies()) > had)

    await eventually(come, "a payment is under way")


async def buy_and_die(number: int, service: Kitestring, street: Street, shopper: Shopper) -> None:
    # Money that comes back after a kill before lnd had the order is told after five quiet minutes: too long for here.
    comes_back = number % 3 == 0
    held = [await street.bill(held=True, given_back=given_back) for given_back in (False, comes_back, False)]
    plain = [await street.bill() for _ in range(4)]
    bills = [bill for pair in zip(held, plain, strict=False) for bill in pair] + plain[-1:]
    calls = [shopper.buy(bill) for bill in bills[:-1]]
    await moment(number, service, street, held, shopper)
    service.kill()
    before = claimed(service)
    assert claimed(service, unanswered=True), "the kill came too late to prove anything"
    calls.append(shopper.buy(bills[-1]))
    requests = await shopper.requests()
    if number % 3 == 0:
        await asyncio.gather(*(street.end(bill) for bill in held[:2]))
    await asyncio.to_thread(service.start)
    lost = [event for event in requests if event["id"] not in before]
    assert lost
    for event in lost:  # as a client does that has lost patience; the claimed ones are answered without it
        await shopper.send_again(event)
    await asyncio.gather(*(street.end(bill) for bill in (held if number % 3 else held[2:])))
    await shopper.all_answered(requests)
    for bill, result in zip(bills, await asyncio.gather(*calls, return_exceptions=True), strict=True):
        if bill.given_back:
            assert isinstance(result, nostr_sdk.NostrSdkError), result
        else:
            assert isinstance(result, nostr_sdk.PayInvoiceResponse), result
            assert sha256(bytes.fromhex(result.preimage)).hexdigest() == bill.payment_hash


async def check_against_lnd(service: Kitestring, street: Street, rig: LightningRig) -> None:
    """lnd A paid each bill once or not at all, C got as much, and the ledger says the same to the millisatoshi."""
    at_lnd = {payment["payment_hash"]: payment for payment in await rig.a.payment_records()}
    for bill in street.bills:
        payment, booked = at_lnd[bill.payment_hash], service.booked(bill.payment_hash)
        sent = [int(h["route"]["total_amt_msat"]) for h in payment["htlcs"] if h["status"] == "SUCCEEDED"]
        arrived = (await rig.c.lookup(bill.payment_hash))["htlcs"]
        taken = [int(htlc["amt_msat"]) for htlc in arrived if htlc["state"] == "SETTLED"]
        if bill.given_back:
            assert (payment["status"], booked["state"], sent, taken) == ("FAILED", "failed", [], [])
        else:
            assert (payment["status"], booked["state"]) == ("SUCCEEDED", "settled")
            fee_msat = int(payment["fee_msat"])
            assert fee_msat > 1_000
            assert (sent, taken) == ([bill.amount_msat + fee_msat], [bill.amount_msat])
            assert service.entries(bill.payment_hash)["owner"] == -sent[0]
    assert len(service.rows("SELECT 1 FROM payments")) == len(street.bills)


@pytest.mark.timeout(360)
async def test_kills_with_payments_under_way_lose_nothing_and_pay_nothing_twice(
    service: Kitestring, rig: LightningRig, witness: Witness
) -> None:
    street, shopper = Street(rig), Shopper(service.connect("shopper"), witness)
    for number in range(KILLS):
        await buy_and_die(number, service, street, shopper)
    assert service.listening() == []
    await check_against_lnd(service, street, rig)
    assert service.ask("audit", "--node")["violations"] == []
