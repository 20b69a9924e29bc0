"""A ledger as a service would have left it: connections, offers, payments of the past, invoices that nobody has paid.

Everything is written through the store's own transactions, as the engine writes them, many at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Final

from bench import world
from bench.node import EXPIRY_S
from kitestring.app.home.marker import write_marker
from kitestring.app.service.notices import CONSUMER
from kitestring.base.budgets import DAY_S
from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.destinations import Bolt11
from kitestring.base.money import ZERO, Msat, sat
from kitestring.base.payments import Settled, State
from kitestring.base.records import Charge, Message, Node, NodeView, OwnInvoice, Payment, Request
from kitestring.base.store import Store
from kitestring.base.transactions.answers import Claimed, Recorded
from kitestring.base.transactions.feed import Committed, MarkSent, Tell
from kitestring.base.transactions.invoices import RecordInvoice
from kitestring.base.transactions.owner import Execute, SaveGrant, SaveOffer, Write
from kitestring.base.transactions.payments import ClaimPayment, RecordPayment
from kitestring.base.transactions.service import SaveNode
from kitestring.ledger.sqlite.store import SqliteStore

LEDGER: Final = "kitestring.db"
#: Cycles under way at once: as many as share a commit.
AT_ONCE: Final = 256
#: Memory for pages while a ledger is filled.
FILL_CACHE_KIB: Final = 262_144
#: Payments of the past are spread over so many seconds: less than the time after which requests are forgotten.
PAST_S: Final = 400_000
_VIEW: Final = NodeView(sat(1_000_000_000), ZERO)

Cycle = tuple[ClaimPayment, RecordPayment]


@asynccontextmanager
async def ledger(directory: Path) -> AsyncIterator[SqliteStore]:
    """The ledger in ``directory``, made if there is none, to be filled. When it is closed everybody has been told."""
    store = await SqliteStore.open(directory / LEDGER, world.keyring().service_id, cache_kib=FILL_CACHE_KIB)
    last, last_event = await store.sent_position(), await store.last_event()

    def hear(news: Committed) -> None:
        nonlocal last, last_event
        last = news.outgoing[-1].number if news.outgoing else last
        last_event = news.events[-1].number if news.events else last_event

    store.subscribe(hear)
    try:
        await store.apply(SaveNode(Node(world.NODE_ID, 1, "bench", world.NETWORK)))
        yield store
        await store.apply(Tell(CONSUMER, last_event, int(time.time())))
        await store.apply(MarkSent(last))
        marker = (directory / LEDGER).with_suffix(".marker")
        write_marker(marker, await store.generation())  # as the service that wrote it would have
    finally:
        await store.close()


async def connections(store: Store, numbers: range, *, fresh: bool = False) -> None:
    grants = (world.grant(number, fresh=fresh) for number in numbers)
    await _execute(store, ((f"grant {grant.grant_id}", SaveGrant(grant)) for grant in grants))


async def debits(store: Store, numbers: range) -> None:
    """A pointer, and a grant there for each of these requestors."""
    grants = (world.pointer(), *map(world.debit_grant, numbers)) if numbers else ()
    await _execute(store, ((f"grant {grant.grant_id}", SaveGrant(grant)) for grant in grants))


async def offers(store: Store, number: int = world.OFFERS) -> None:
    made = map(world.offer, range(number))
    await _execute(store, ((f"offer {offer.offer_id}", SaveOffer(offer)) for offer in made))


async def _execute(store: Store, writes: Iterable[tuple[str, Write]]) -> None:
    async def one(request_id: str, write: Write) -> None:
        now = int(time.time())
        request = Request(request_id, "control", "owner", b"", b"control", now, now)
        message = Message(request_id, "reply", b"{}", b"", now, b"control")
        answer = await store.apply(Execute(request, (write,), message))
        assert isinstance(answer, Claimed), answer

    await asyncio.gather(*(one(request_id, write) for request_id, write in writes))


# ------------------------------------------------------------ payments


class Cycles:
    """Payments from claim to reply; the values are made before the clock runs. The first was made ``past_s`` ago, each
    of the ``amount`` a little later."""

    def __init__(self, store: Store, *, past_s: int = 0, amount: int = 1) -> None:
        self._store = store
        self._numbers = count()
        self._began = int(time.time()) - past_s
        self._seconds_each = past_s / amount

    def _next(self) -> Cycle:
        number = next(self._numbers)
        now, preimage = self._began + int(number * self._seconds_each), sha256(b"past" + number.to_bytes(4)).digest()
        grant_id = world.grant_id(number % world.CLIENTS)
        payment_hash, request_id = sha256(preimage).hexdigest(), sha256(b"request" + preimage).hexdigest()
        payment_id = f"{now:08x}{payment_hash[:24]}"
        payment = Payment(
            payment_id=payment_id, node_id=world.NODE_ID, epoch=1, account_id=OWNER_ACCOUNT, grant_id=grant_id,
            payment_hash=payment_hash, destination=Bolt11("lnbcrt" + 261 * "q"), amount_msat=sat(1_000),
            fee_cap_msat=sat(10), created_at=now, send_until=now + 120,
            state=State.DISPATCHED, description=f"order {number}",
        )  # fmt: skip
        day = now - now % DAY_S
        charge = Charge(grant_id, payment.amount_msat + payment.fee_cap_msat, world.BUDGET.limit_msat, day, day)
        # As long as those of the other parts are.
        request = Request(request_id, "nwc", grant_id, bytes(440), bytes(184), now, now, payment_id)
        reply = Message(request_id, "reply", bytes(148), bytes(795), now, bytes(184))
        settled = RecordPayment(payment_id, Settled(preimage.hex(), Msat(1_000)), now, (reply,))
        return ClaimPayment(request, 1, payment, (charge,), _VIEW), settled

    async def _write(self, cycles: list[Cycle]) -> None:
        for claim, settled in cycles:
            claimed, recorded = await self._store.apply(claim), await self._store.apply(settled)
            assert isinstance(claimed, Claimed), claimed
            assert isinstance(recorded, Recorded), recorded

    async def write(self, amount: int, at_once: int) -> float:
        """Carry out ``amount`` of them, ``at_once`` at a time; the seconds it took."""
        shares = [[self._next() for _ in range(start, amount, at_once)] for start in range(at_once)]
        began = time.perf_counter()
        await asyncio.gather(*map(self._write, shares))
        return time.perf_counter() - began


async def payments(store: Store, amount: int, slice_: int = 20_000) -> None:
    """``amount`` settled payments of the past days, in the order of their time."""
    cycles = Cycles(store, past_s=PAST_S, amount=amount)
    for start in range(0, amount, slice_):
        await cycles.write(min(slice_, amount - start), AT_ONCE)


# ------------------------------------------------------------ invoices


async def open_invoices(store: Store, numbers: range) -> None:
    """One unpaid invoice per number, shared out among the connections, asked for over the last half an hour."""
    await asyncio.gather(
        *(
            _invoice(store, number, world.invoice(number), grant_id=world.grant_id(number % world.CLIENTS))
            for number in numbers
        )
    )


async def given_out(store: Store, numbers: range, offers: int, slice_: int = 20_000) -> None:
    """One unpaid invoice per number that a stranger has asked one of so many offers for. Nobody reads their texts,
    which are as long as those of others."""
    for start in range(0, len(numbers), slice_):
        await asyncio.gather(
            *(
                _invoice(
                    store, number, f"lnbcrt10u{number:0252}", offer_id=world.offer(number % offers).offer_id,
                    payer=f"{number:016x}",
                )
                for number in numbers[start : start + slice_]
            )
        )  # fmt: skip


async def _invoice(
    store: Store, number: int, bolt11: str, *, grant_id: str = "", offer_id: str = "", payer: str = ""
) -> None:
    made_at = int(time.time()) - 1_800 + number % 1_800
    request_id = sha256(b"invoice" + number.to_bytes(4)).hexdigest()
    invoice = OwnInvoice(
        invoice_id=f"{made_at:08x}{request_id[:24]}", node_id=world.NODE_ID, epoch=1, account_id=OWNER_ACCOUNT,
        grant_id=grant_id, payment_hash=world.payment_hash(number), bolt11=bolt11, amount_msat=sat(1_000),
        created_at=made_at, expires_at=made_at + EXPIRY_S, description="tea", offer_id=offer_id, payer=payer,
        request_id=request_id,
    )  # fmt: skip
    request = Request(request_id, "offers" if offer_id else "nwc", grant_id, bytes(63), bytes(185), made_at, made_at)
    reply = Message(request_id, "reply", bytes(552), bytes(1_435), made_at, bytes(185))
    recorded = await store.apply(RecordInvoice(request, 1, invoice, (reply,), made_at))
    assert isinstance(recorded, Claimed), recorded
