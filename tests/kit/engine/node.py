"""A node that does what it is told: pays, fails, hangs, and answers late, never, wrongly or not at all.

It keeps its own books. Nothing in it looks at what the service believes.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from kitestring.base.destinations import Keysend
from kitestring.base.money import ZERO, Msat
from kitestring.base.node import (
    Capabilities,
    Finding,
    HashTakenError,
    HoldOrder,
    InvoiceOrder,
    InvoiceStatus,
    NodeBalance,
    NodeInfo,
    NodeInvoice,
    NodeInvoiceState,
    NodePayment,
    NodePaymentState,
    NodeUnreachableError,
    PayOrder,
    Settlement,
)
from kitestring.base.payments import Failed, FailureReason, InFlight, LookupAnswer, NeverSeen, PayAnswer, Settled
from kitestring.base.ports import Clock
from kitestring.codec.signed_message import sign
from kitestring.crypto import secp
from tests.kit.changed import replace
from tests.kit.codec.invoices import invoice

ABILITIES = Capabilities(
    own_preimage=True,
    idempotent_by_hash=True,
    authoritative_lookup=True,
    fee_cap=True,
    amountless=True,
    description_hash=True,
    keysend=True,
    hold=True,
    cancel=True,
    payment_index=True,
    sign_message=True,
)
#: With this key the node signs texts.
NODE_SECRET = b"\x05" * 32
#: Seconds between two blocks.
BLOCK_S = 600
#: How long track waits before it says that a payment is still in flight.
TRACK_S = 60.0
OPENING = Msat(1_000_000_000)
_LISTED = {Settled: NodePaymentState.SETTLED, Failed: NodePaymentState.FAILED}


@dataclass(slots=True)
class Script:
    """What becomes of one hash. ``settles_after_s`` None: it hangs until :meth:`FaultyBackend.release`.

    ``answers``, used up one per call of pay, the last one forever:
    ``true`` when it has ended · ``inflight`` at once · ``lost`` sent, then the connection breaks · ``dropped`` the
    connection breaks and nothing was sent · ``unreachable`` · ``lie`` a wrong preimage · ``never`` no answer at all.
    """

    fails: str = ""
    settles_after_s: float | None = 0.0
    fee: int = 1_000
    answers: list[str] = field(default_factory=lambda: ["true"])


@dataclass(slots=True)
class Sent:
    amount: int
    fee: int
    fails: str
    preimage: str
    due: float | None
    at: int = 0


@dataclass(slots=True)
class Made:
    invoice: NodeInvoice
    preimage: str
    amount: int | None
    state: NodeInvoiceState = NodeInvoiceState.OPEN
    received: int = 0
    index: int = 0
    blocks: int = 0  # above 0 it is a hold invoice
    deadline: int = 0


class FaultyBackend:
    """:class:`kitestring.base.node.Backend`. Survives the service: give the same one to the next engine."""

    def __init__(self, clock: Clock, capabilities: Capabilities = ABILITIES, opening: Msat = OPENING) -> None:
        self.capabilities = capabilities
        self.scripts: dict[str, Script] = {}
        self.sends: list[str] = []  # hashes that reached the node
        self.keysends: dict[str, Keysend] = {}  # by hash, what it was to send without an invoice
        self.fee_caps: dict[str, int] = {}  # the most that each order allowed
        self.calls: list[str] = []  # method names, in order
        self.offline = False
        self.there = "02" + "ab" * 32  # who answers
        self.node_id = ""  # whom the backend spoke to last
        self.deaf = False  # look-ups fail, everything else works
        self.block_s = BLOCK_S
        self.earlier = 100  # payments in its list that were made before the test
        self.has_peers = True  # otherwise no channel is active
        self.is_patient = False  # it takes payments of invoices that have expired
        self._clock = clock
        self._opening = opening
        self._preimages: dict[str, str] = {}
        self._sent: dict[str, Sent] = {}
        self._forgotten: list[Sent] = []
        self._books: dict[str, tuple[dict[str, Sent], dict[str, Made]]] = {}
        self._made: dict[str, Made] = {}
        self._indexes = itertools.count(1)
        self._numbers = itertools.count(1)
        self._news = asyncio.Event()
        self._breaks = 0

    # ------------------------------------------------------------ the outside world

    def outside_invoice(self, script: Script | None = None) -> tuple[str, str]:
        """(bolt11, payment_hash) of somebody out there."""
        preimage = sha256(b"outside %d" % next(self._numbers)).hexdigest()
        payment_hash = sha256(bytes.fromhex(preimage)).hexdigest()
        self._preimages[payment_hash] = preimage
        self.scripts[payment_hash] = script or Script()
        return f"lnbcrt-{payment_hash}", payment_hash

    def outside_key(self, script: Script | None = None) -> str:
        """A node out there that takes what it has not asked for."""
        node_key = secp.compressed_public(sha256(b"key %d" % next(self._numbers)).digest()).hex()
        self.scripts[node_key] = script or Script()
        return node_key

    def outside_bolt11(self, amount_msat: int | None = 50_000, script: Script | None = None, **more: Any) -> str:
        """The same as a text that can be read."""
        _, payment_hash = self.outside_invoice(script)
        return invoice(amount_msat, payment_hash=payment_hash, at=self._clock.now(), **more)

    def pay_in(self, payment_hash: str, amount: int | None = None) -> bool:
        """Somebody pays an invoice of the node; False when that is not possible (any more)."""
        made = self._made.get(payment_hash)  # another node may have come in the place of its maker
        if made is None or self._invoice_state(made) is not NodeInvoiceState.OPEN:
            return False
        made.received = made.amount or 0 if amount is None else amount
        if made.blocks:
            made.state, made.deadline = NodeInvoiceState.ACCEPTED, self.height + made.blocks
        else:
            made.state, made.index = NodeInvoiceState.SETTLED, next(self._indexes)
        self._ring()
        return True

    @property
    def height(self) -> int:
        """The height of the chain, which grows by the true time, whatever the clocks show."""
        return 1_000 + int(self._clock.monotonic()) // self.block_s

    def held(self) -> dict[str, int]:
        """hash → amount of every payment that it holds."""
        return {h: made.received for h, made in self._made.items() if self._invoice_state(made) == "accepted"}

    def exchange(self, node_id: str) -> None:
        """Another node takes the place of this one, with books of its own; exchanged again, the first one is back."""
        self._books[self.there] = self._sent, self._made
        self.there = node_id
        self._sent, self._made = self._books.get(node_id, ({}, {}))
        self.break_streams()

    def forget_invoices(self) -> None:
        """The database of invoices is a new one, as after a recovery of the node: numbers begin again."""
        self._made, self._indexes = {}, itertools.count(1)
        self.break_streams()

    def forget_payments(self) -> None:
        """As ``lncli deletepayments --all``: whatever has ended is in no list any more. The money stays where it is."""
        for payment_hash in [h for h in self._sent if not isinstance(self._state(h), InFlight)]:
            sent = self._sent.pop(payment_hash)
            self._forgotten.append(sent)
        self.earlier = 0

    def release(self, payment_hash: str) -> None:
        """End a payment that hangs."""
        self._sent[payment_hash].due = self._clock.monotonic()

    def break_streams(self) -> None:
        self._breaks += 1
        self._ring()

    def _ring(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def replace(self, name: str, call: Callable[..., Awaitable[object]]) -> None:
        """From now on the method ``name`` of the port is ``call``."""
        assert hasattr(self, name), name
        setattr(self, name, call)

    # ------------------------------------------------------------ its books

    def paid_out(self) -> dict[str, int]:
        """hash → amount + fee of everything that has settled."""
        return {h: sent.amount + sent.fee for h, sent in self._sent.items() if isinstance(self._state(h), Settled)}

    def received(self) -> dict[str, int]:
        return {h: made.received for h, made in self._made.items() if made.state is NodeInvoiceState.SETTLED}

    def _balance(self) -> int:
        gone = sum(s.amount + s.fee for h, s in self._sent.items() if not isinstance(self._state(h), Failed))
        gone += sum(sent.amount + sent.fee for sent in self._forgotten if not sent.fails)
        return int(self._opening) - gone + sum(self.received().values())

    def _state(self, payment_hash: str) -> LookupAnswer:
        sent = self._sent.get(payment_hash)
        if sent is None:
            return NeverSeen(self._clock.now())
        if sent.due is None or sent.due > self._clock.monotonic():
            return InFlight()
        if sent.fails:
            return Failed(f"the node says: {sent.fails}", FailureReason(sent.fails), sent.at)
        return Settled(sent.preimage, Msat(sent.fee))

    def _now(self) -> int:
        """The time by the node's own clock, which nobody sets."""
        return self._clock.now() - int(getattr(self._clock, "skew_s", 0))

    def _invoice_state(self, made: Made) -> NodeInvoiceState:
        has_expired = made.invoice.expires_at <= self._now() and not self.is_patient
        is_over = {NodeInvoiceState.OPEN: has_expired, NodeInvoiceState.ACCEPTED: self.height >= made.deadline}
        return NodeInvoiceState.CANCELED if is_over.get(made.state) else made.state

    # ------------------------------------------------------------ the port

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.offline:
            raise NodeUnreachableError("the node is switched off")
        if name != "open":
            self.node_id = self.there

    async def open(self) -> None:
        self._called("open")

    async def close(self) -> None:
        pass

    async def findings(self) -> tuple[Finding, ...]:
        return ()

    async def own_books(self) -> tuple[str, ...]:
        return ()

    async def info(self) -> NodeInfo:
        self._called("info")
        return NodeInfo(self.there, "faulty", "#000000", "regtest", self.height, "00" * 32, self._clock.now())

    async def balance(self) -> NodeBalance:
        self._called("balance")
        owned, room = Msat(self._balance()), Msat(10 * int(self._opening))
        return NodeBalance(owned, room, owned) if self.has_peers else NodeBalance(ZERO, ZERO, owned)

    async def sign_message(self, message: str) -> str:
        self._called("sign_message")
        return sign(message, NODE_SECRET)

    async def payment_index(self) -> int:
        self._called("payment_index")
        return self.earlier + len(self._sent)

    async def pay(self, order: PayOrder) -> PayAnswer:
        self._called("pay")
        script = self._script(order)
        answer = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
        if answer == "unreachable":
            raise NodeUnreachableError("the node refuses connections")
        if answer == "dropped":
            raise ConnectionResetError("the connection broke while the request was written")
        self._send(order, script)
        if answer == "lost":
            raise ConnectionResetError("the connection broke before the answer")
        if answer == "never":
            await asyncio.Event().wait()
        if answer == "inflight":
            return InFlight()
        said = await self._until_known(order.payment_hash, order.timeout_s)
        if answer == "lie" and isinstance(said, Settled):
            return replace(said, preimage="ff" * 32)
        return said  # type: ignore[return-value]  # it was sent, so it is not NeverSeen

    def _script(self, order: PayOrder) -> Script:
        """That of a key is the beginning of one for each hash that goes there."""
        if isinstance(order.destination, Keysend) and order.payment_hash not in self.scripts:
            self.keysends[order.payment_hash] = order.destination
            self._preimages[order.payment_hash] = order.destination.preimage
            self.scripts[order.payment_hash] = copy.deepcopy(self.scripts[order.destination.node_key])
        return self.scripts[order.payment_hash]

    def _send(self, order: PayOrder, script: Script) -> None:
        self.sends.append(order.payment_hash)
        self.fee_caps[order.payment_hash] = int(order.fee_cap_msat)
        if isinstance(self._state(order.payment_hash), Settled | InFlight):
            return  # idempotent by hash
        due = None if script.settles_after_s is None else self._clock.monotonic() + script.settles_after_s
        preimage = self._preimages[order.payment_hash]
        self._sent[order.payment_hash] = Sent(
            int(order.amount_msat), script.fee, script.fails, preimage, due, self._clock.now()
        )

    async def lookup_payment(self, payment_hash: str) -> LookupAnswer:
        self._called("lookup_payment")
        if self.deaf:
            raise TimeoutError("no answer to the look-up")
        return self._state(payment_hash)

    async def track(self, payment_hash: str) -> LookupAnswer:
        self._called("track")
        if self.deaf:
            raise TimeoutError("no answer to the look-up")
        return await self._until_known(payment_hash, TRACK_S)

    async def _until_known(self, payment_hash: str, limit_s: float) -> LookupAnswer:
        until = self._clock.monotonic() + limit_s
        while isinstance(said := self._state(payment_hash), InFlight) and self._clock.monotonic() < until:
            due = self._sent[payment_hash].due
            left = until - self._clock.monotonic()
            await self._clock.sleep(min(left, 1.0 if due is None else due - self._clock.monotonic()))
        return said

    async def make_invoice(self, order: InvoiceOrder) -> NodeInvoice:
        self._called("make_invoice")
        preimage = order.preimage or sha256(b"node %d" % next(self._numbers)).hexdigest()
        payment_hash = sha256(bytes.fromhex(preimage)).hexdigest()
        if payment_hash not in self._made:
            text = f"lnbcrt-ours-{next(self._numbers)}-{payment_hash}"
            invoice = NodeInvoice(text, payment_hash, self._now() + order.expiry_s)
            self._made[payment_hash] = Made(invoice, preimage, order.amount_msat)
        return self._made[payment_hash].invoice

    async def cancel_invoice(self, payment_hash: str) -> InvoiceStatus:
        self._called("cancel_invoice")
        made = self._made.get(payment_hash)
        if made is not None and made.state in {NodeInvoiceState.OPEN, NodeInvoiceState.ACCEPTED}:
            made.state, made.received = NodeInvoiceState.CANCELED, 0
            self._ring()
        return self._status(payment_hash)

    async def make_hold_invoice(self, order: HoldOrder) -> NodeInvoice:
        self._called("make_hold_invoice")
        payment_hash = order.payment_hash
        if payment_hash in self._made:
            raise HashTakenError("there is an invoice of this hash")
        text = f"lnbcrt-ours-{next(self._numbers)}-{payment_hash}"
        invoice = NodeInvoice(text, payment_hash, self._now() + order.expiry_s)
        self._made[payment_hash] = Made(invoice, "", order.amount_msat, blocks=order.min_cltv_delta or 80)
        return invoice

    async def settle_invoice(self, preimage: str) -> InvoiceStatus:
        self._called("settle_invoice")
        payment_hash = sha256(bytes.fromhex(preimage)).hexdigest()
        made = self._made.get(payment_hash)
        if made is not None and self._invoice_state(made) is NodeInvoiceState.ACCEPTED:
            made.state, made.preimage, made.index = NodeInvoiceState.SETTLED, preimage, next(self._indexes)
            self._ring()
        return self._status(payment_hash)

    async def track_invoice(self, payment_hash: str, seen: NodeInvoiceState) -> InvoiceStatus:
        self._called("track_invoice")
        until = self._clock.monotonic() + TRACK_S
        breaks = self._breaks
        while (found := self._status(payment_hash)).state is seen and self._clock.monotonic() < until:
            with suppress(TimeoutError):
                async with asyncio.timeout(10.0):  # time alone may have ended it
                    await self._news.wait()
            if self.offline or breaks != self._breaks:
                raise ConnectionResetError("the stream broke")
        return found

    async def lookup_invoice(self, payment_hash: str) -> InvoiceStatus:
        self._called("lookup_invoice")
        return self._status(payment_hash)

    def _status(self, payment_hash: str) -> InvoiceStatus:
        made = self._made.get(payment_hash)
        if made is None:
            return InvoiceStatus(NodeInvoiceState.UNKNOWN)
        preimage = made.preimage if made.state is NodeInvoiceState.SETTLED else ""
        settled_at = self._clock.now() if made.state is NodeInvoiceState.SETTLED else 0
        bolt11, expires_at = made.invoice.bolt11, made.invoice.expires_at
        state = self._invoice_state(made)
        deadline = made.deadline if state is NodeInvoiceState.ACCEPTED else 0
        received = Msat(made.received if state is not NodeInvoiceState.CANCELED else 0)
        return InvoiceStatus(state, bolt11, received, settled_at, preimage, expires_at, deadline)

    async def settlements(self, cursor: bytes) -> AsyncIterator[Settlement]:
        self._called("settlements")
        known = {self._place(made): made.index for made in self._made.values()}
        index, breaks = known.get(cursor, 0), self._breaks
        while True:
            news = self._news
            for made in sorted(self._made.values(), key=lambda made: made.index):
                if made.index > index:
                    index = made.index
                    yield Settlement(
                        made.invoice.payment_hash, Msat(made.received), self._clock.now(), made.preimage,
                        self._place(made),
                    )  # fmt: skip
            if breaks != self._breaks:
                raise ConnectionResetError("the stream broke")
            if news is self._news:
                await news.wait()

    def _place(self, made: Made) -> bytes:
        return f"{made.index} {made.invoice.payment_hash}".encode()

    async def list_payments(self) -> AsyncIterator[NodePayment]:
        for payment_hash, sent in self._sent.items():
            state = _LISTED.get(type(self._state(payment_hash)), NodePaymentState.OPEN)
            preimage = sent.preimage if state is NodePaymentState.SETTLED else ""
            yield NodePayment(payment_hash, state, Msat(sent.amount), Msat(sent.fee), preimage)

    async def list_invoices(self) -> AsyncIterator[tuple[str, InvoiceStatus]]:
        for payment_hash in self._made:
            yield payment_hash, self._status(payment_hash)
