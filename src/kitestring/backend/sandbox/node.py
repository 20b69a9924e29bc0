"""``sandbox://``: a Lightning node in a simulated network, with real signed invoices on regtest.

``pay`` commits how and when a payment will end before it answers, and the state follows from the clock: payments
settle and outsiders (:mod:`kitestring.backend.sandbox.world`) pay while the service is dead.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from msgspec.structs import replace

from kitestring.backend.registry import BackendContext, BackendUrl
from kitestring.backend.sandbox.file import INBOUND_MSAT, NETWORK, OPENING_BALANCE_MSAT, advance, moment_ms, open_file
from kitestring.backend.sandbox.incoming import (
    CLTV_DELTA,
    cancel,
    height,
    insert_held,
    room_msat,
    settle,
    status,
)
from kitestring.backend.sandbox.payments import Sent, attempt, read_answer, state_of
from kitestring.backend.sandbox.world import World, WorldBooks
from kitestring.backend.sandbox.writer import WorldWriter
from kitestring.base.destinations import invoice_text
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import MAX_MSAT, ZERO, Msat
from kitestring.base.node import (
    Backend,
    Capabilities,
    Finding,
    HoldOrder,
    InvoiceOrder,
    InvoiceStatus,
    NodeBalance,
    NodeInfo,
    NodeInvoice,
    NodeInvoiceState,
    NodePayment,
    NodeUnreachableError,
    OtherNodeError,
    PayOrder,
    Settlement,
)
from kitestring.base.payments import Failed, InFlight, LookupAnswer, PayAnswer, Settled
from kitestring.codec import bolt11
from kitestring.codec.bolt11_write import encode
from kitestring.codec.signed_message import sign
from kitestring.crypto import secp

#: A payment on the real network takes half a second; this is long enough to be seen and short enough to wait for.
LATENCY_MS: Final = 20
MAX_LATENCY_MS: Final = 3_600_000
#: How often another process may have changed something: a person does not notice it, and it costs 20 glances a second.
POLL_S: Final = 0.05
#: How long :meth:`SandboxNode.track` waits before it says that the payment is still in flight.
TRACK_LIMIT_S: Final = 60.0
#: Rows read at once, so that a long list does not hold the event loop.
PAGE: Final = 256
_GENESIS: Final = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
_CAPABILITIES: Final = Capabilities(
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


class SandboxFaultError(Exception):
    """The answer got lost or was an error, because the outside world was told so. The payment may have settled."""


class WorldPlace(NamedTuple):
    """The file of a world, what its node owns when it is made, and how long a payment takes there."""

    path: Path
    opening_msat: Msat
    latency_ms: int


def place_of(url: BackendUrl, data_dir: Path) -> WorldPlace:
    """The world that a URL of this backend names. Raises KitestringError(MALFORMED)."""
    url.only("balance_sat", "latency_ms")
    if url.host or url.port:
        raise KitestringError(Reason.MALFORMED, "write sandbox:// or sandbox:///absolute/path.db")
    opening_msat = url.integer("balance_sat", OPENING_BALANCE_MSAT.sats_down()) * 1000
    latency_ms = url.integer("latency_ms", LATENCY_MS)
    if opening_msat + INBOUND_MSAT > MAX_MSAT or latency_ms > MAX_LATENCY_MS:
        raise KitestringError(Reason.MALFORMED, f"balance_sat is too large or latency_ms above {MAX_LATENCY_MS}")
    path = Path(url.path) if url.path.strip("/") else data_dir / "sandbox.db"
    return WorldPlace(path, Msat(opening_msat), latency_ms)


def from_url(url: BackendUrl, context: BackendContext) -> Backend:
    """``sandbox://`` (``sandbox.db`` in the data directory) or ``sandbox:///path.db``, with ``?balance_sat=`` for a new
    file and ``?latency_ms=`` of a payment. Raises KitestringError."""
    place = place_of(url, context.data_dir)
    return SandboxNode(place.path, context, opening_msat=place.opening_msat, latency_ms=place.latency_ms)


class SandboxNode:
    """The node. Reads are answered from a connection of their own on the caller's thread (they never wait for a
    writer); writes share commits on the writer's thread. Raises sqlite3.Error when the disk fails."""

    capabilities: Capabilities = _CAPABILITIES

    def __init__(
        self,
        path: Path,
        context: BackendContext,
        *,
        opening_msat: Msat = OPENING_BALANCE_MSAT,
        latency_ms: int = LATENCY_MS,
    ) -> None:
        self.path: Final = path
        self._clock: Final = context.clock
        self._entropy: Final = context.entropy
        self._now_ms: Final = context.now_ms
        self._opening_msat: Final = opening_msat
        self._latency_ms: Final = latency_ms
        self._opened: tuple[sqlite3.Connection, WorldWriter] | None = None
        self._secret = self._first = b""
        self.node_id = ""

    def __repr__(self) -> str:
        return f"SandboxNode({str(self.path)!r})"

    async def open(self) -> None:
        reader = open_file(self.path, entropy=self._entropy, opening_msat=self._opening_msat)
        reader.execute("PRAGMA query_only = ON")
        self._meet(reader.execute("SELECT node_secret FROM node").fetchone()[0])
        self._opened = reader, WorldWriter(open_file(self.path, shared=True))

    async def close(self) -> None:
        if self._opened is not None:
            reader, writer = self._opened
            self._opened = None
            await writer.close()
            reader.close()

    async def findings(self) -> tuple[Finding, ...]:
        return ()

    async def own_books(self) -> tuple[str, ...]:
        """Opening + in − out − fees − held = balance, in the file of this world."""
        self._moment()
        books = await asyncio.to_thread(self._add_up)
        if books.balanced:
            return ()
        return (f"the sandbox node holds {int(books.balance_msat)} msat, which its own payments do not explain",)

    def _add_up(self) -> WorldBooks:
        with World(self.path, now_ms=self._now_ms) as world:
            return world.books()

    async def info(self) -> NodeInfo:
        now = self._moment(of_any=True)
        ahead_ms: int = self._reader.execute("SELECT ahead_ms FROM node").fetchone()[0]
        at = (self._now_ms() + ahead_ms) // 1000
        return NodeInfo(self.node_id, "sandbox", "#3399ff", NETWORK, height(now), _GENESIS, at)

    async def balance(self) -> NodeBalance:
        now = self._moment()
        node = self._reader.execute(
            "SELECT balance_msat, (SELECT coalesce(sum(amount_msat + fee_msat), 0) FROM payments"
            " WHERE outcome = 'failed' AND refunded = 0 AND resolve_at_ms <= ?) AS refunds FROM node",
            (now,),
        ).fetchone()
        spendable = Msat(node["balance_msat"] + node["refunds"])
        return NodeBalance(spendable, max(ZERO, room_msat(self._reader, now) - Msat(node["refunds"])), spendable)

    async def payment_index(self) -> int:
        """The newest number of a payment, and one for the beginning of this world, whose list was empty for certain.
        Nothing is ever deleted here, so it falls only when an older copy of the file is put back."""
        self._moment()
        newest: int = self._reader.execute("SELECT coalesce(max(seq), 0) FROM payments").fetchone()[0]
        return newest + 1

    async def pay(self, order: PayOrder) -> PayAnswer:
        """Waits ``order.timeout_s`` for the end, then says InFlight. Raises NodeUnreachableError when nothing was sent,
        SandboxFaultError as told and when the node goes away while the payment is under way."""
        try:
            invoice = bolt11.decode(invoice_text(order.destination), recover=False)
        except CodecError:
            invoice = None
        self._moment()
        work = partial(attempt, order=order, invoice=invoice, now_ms=self._now_ms, latency_ms=self._latency_ms)
        sent = await self._writer.run(work)
        if not isinstance(sent, Sent):
            return sent
        if sent.answer == "lost":
            raise SandboxFaultError("the connection to the sandbox broke before the answer, as it was told")
        try:
            answer = await self._until_resolved(order.payment_hash, order.timeout_s)
        except NodeUnreachableError as error:
            # The order was committed: this exception must not leave pay().
            raise SandboxFaultError(f"the sandbox went away before the answer: {error}") from error
        if sent.answer == "error":
            raise SandboxFaultError("the sandbox answered with error 500, as it was told")
        if sent.answer == "lie" and isinstance(answer, Settled):
            return Settled(sha256(answer.preimage.encode()).hexdigest(), answer.fee_msat)
        if isinstance(answer, Failed) and not sent.fresh:
            return replace(answer, attempt_at=None)  # the end of another order: this one was never taken
        return answer  # type: ignore[return-value]  # committed before: the row is there, so it is not NeverSeen

    async def lookup_payment(self, payment_hash: str) -> LookupAnswer:
        now = self._moment()  # first, so that NeverSeen is never dated after the look
        return read_answer(self._payment(payment_hash), now)

    async def track(self, payment_hash: str) -> LookupAnswer:
        return await self._until_resolved(payment_hash, TRACK_LIMIT_S)

    async def make_invoice(self, order: InvoiceOrder) -> NodeInvoice:
        """Raises CodecError when the order cannot be written as an invoice, NodeUnreachableError."""
        created_at = self._moment() // 1000
        preimage = order.preimage or self._entropy(32).hex()
        payment_hash = sha256(bytes.fromhex(preimage)).hexdigest()
        text = encode(
            network=NETWORK,
            timestamp=created_at,
            payment_hash=payment_hash,
            payment_secret=self._entropy(32).hex(),
            secret32=self._secret,
            amount_msat=order.amount_msat,
            description=None if order.description_hash else order.description,
            description_hash=order.description_hash or None,
            expiry_s=order.expiry_s,
        )
        row = (payment_hash, text, preimage, order.amount_msat, created_at + order.expiry_s)
        return await self._writer.run(partial(_insert_invoice, row=row))

    async def cancel_invoice(self, payment_hash: str) -> InvoiceStatus:
        self._moment()
        await self._writer.run(partial(cancel, payment_hash=payment_hash))
        return await self.lookup_invoice(payment_hash)

    async def make_hold_invoice(self, order: HoldOrder) -> NodeInvoice:
        """Raises as :meth:`make_invoice`, and HashTakenError."""
        created_at = self._moment() // 1000
        cltv_delta = order.min_cltv_delta or CLTV_DELTA
        text = encode(
            network=NETWORK,
            timestamp=created_at,
            payment_hash=order.payment_hash,
            payment_secret=self._entropy(32).hex(),
            secret32=self._secret,
            amount_msat=order.amount_msat,
            description=None if order.description_hash else order.description,
            description_hash=order.description_hash or None,
            expiry_s=order.expiry_s,
            min_final_cltv=cltv_delta,
        )
        made = NodeInvoice(text, order.payment_hash, created_at + order.expiry_s)
        work = partial(insert_held, made=made, amount_msat=order.amount_msat, cltv_delta=cltv_delta)
        return await self._writer.run(work)

    async def settle_invoice(self, preimage: str) -> InvoiceStatus:
        self._moment()
        await self._writer.run(lambda connection: settle(connection, preimage, advance(connection, self._now_ms)))
        return await self.lookup_invoice(sha256(bytes.fromhex(preimage)).hexdigest())

    async def track_invoice(self, payment_hash: str, seen: NodeInvoiceState) -> InvoiceStatus:
        deadline = self._clock.monotonic() + TRACK_LIMIT_S
        while True:
            found = await self.lookup_invoice(payment_hash)
            left_s = deadline - self._clock.monotonic()
            if found.state is not seen or left_s <= 0:
                return found
            await self._clock.sleep(min(POLL_S, left_s))

    async def lookup_invoice(self, payment_hash: str) -> InvoiceStatus:
        now = self._moment()
        row = self._reader.execute("SELECT * FROM invoices WHERE payment_hash = ?", (payment_hash,)).fetchone()
        return InvoiceStatus(NodeInvoiceState.UNKNOWN) if row is None else status(row, now)

    async def sign_message(self, message: str) -> str:
        self._moment()
        return sign(message, self._secret)

    async def settlements(self, cursor: bytes) -> AsyncIterator[Settlement]:
        """``cursor`` is a settle index in decimal and the payment hash of the invoice that has it; b"" is the beginning
        of this world, and so is a cursor of another one."""
        self._moment()
        index, version = self._resumed(cursor), -1
        while True:
            self._moment()
            seen: int = self._reader.execute("PRAGMA data_version").fetchone()[0]
            if seen == version:
                await self._clock.sleep(POLL_S)
                continue
            rows = self._page("SELECT * FROM invoices WHERE settle_index > ? ORDER BY settle_index LIMIT ?", index)
            for row in rows:
                index = row["settle_index"]
                yield Settlement(
                    row["payment_hash"],
                    Msat(row["received_msat"]),
                    row["settled_at"],
                    row["preimage"],
                    f"{index} {row['payment_hash']}".encode(),
                )
            version = seen if len(rows) < PAGE else -1

    def _resumed(self, cursor: bytes) -> int:
        index, _, payment_hash = cursor.decode().partition(" ")
        sql = "SELECT settle_index FROM invoices WHERE settle_index = ? AND payment_hash = ?"
        row = self._reader.execute(sql, (int(index or 0), payment_hash)).fetchone()
        return 0 if row is None else int(row[0])

    async def list_payments(self) -> AsyncIterator[NodePayment]:
        seq = 0
        while rows := self._page("SELECT * FROM payments WHERE seq > ? ORDER BY seq LIMIT ?", seq):
            seq, now = rows[-1]["seq"], self._moment()
            for row in rows:
                yield _node_payment(row, now)

    async def list_invoices(self) -> AsyncIterator[tuple[str, InvoiceStatus]]:
        seq = 0
        while rows := self._page("SELECT * FROM invoices WHERE seq > ? ORDER BY seq LIMIT ?", seq):
            seq, now = rows[-1]["seq"], self._moment()
            for row in rows:
                yield row["payment_hash"], status(row, now)

    @property
    def _reader(self) -> sqlite3.Connection:
        return self._both()[0]

    @property
    def _writer(self) -> WorldWriter:
        return self._both()[1]

    def _both(self) -> tuple[sqlite3.Connection, WorldWriter]:
        if self._opened is None:
            raise NodeUnreachableError("the sandbox is not open")
        return self._opened

    def _moment(self, *, of_any: bool = False) -> int:
        """The time of this world in milliseconds. Raises NodeUnreachableError when the node is offline, OtherNodeError
        when another one lives in the file now, unless ``of_any`` node is asked."""
        offline, secret = self._reader.execute("SELECT offline, node_secret FROM node").fetchone()
        if offline:
            raise NodeUnreachableError("the sandbox node is offline, as it was told")
        self._meet(secret)
        if secret != self._first and not of_any:
            raise OtherNodeError(f"another node lives in the sandbox now: {self.node_id[:16]}…")
        return moment_ms(self._reader, self._now_ms)

    def _meet(self, secret: bytes) -> None:
        if secret != self._secret:
            self._secret, self.node_id = secret, secp.compressed_public(secret).hex()
            self._first = self._first or secret

    def _payment(self, payment_hash: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._reader.execute(
            "SELECT * FROM payments WHERE payment_hash = ?", (payment_hash,)
        ).fetchone()
        return row

    def _page(self, sql: str, after: int) -> list[sqlite3.Row]:
        return self._reader.execute(sql, (after, PAGE)).fetchall()

    async def _until_resolved(self, payment_hash: str, limit_s: float) -> LookupAnswer:
        deadline = self._clock.monotonic() + limit_s
        while True:
            now, row = self._moment(), self._payment(payment_hash)
            answer = read_answer(row, now)
            left_s = deadline - self._clock.monotonic()
            if not isinstance(answer, InFlight) or left_s <= 0:
                return answer
            due_ms = row["resolve_at_ms"] if row is not None else None
            until_due_s = POLL_S if due_ms is None else (due_ms - now) / 1000
            await self._clock.sleep(min(POLL_S, left_s, until_due_s))


def _insert_invoice(connection: sqlite3.Connection, row: tuple[object, ...]) -> NodeInvoice:
    """The same preimage gives the invoice that was made with it first."""
    connection.execute(
        "INSERT INTO invoices (payment_hash, bolt11, preimage, amount_msat, expires_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (payment_hash) DO NOTHING",
        row,
    )
    made = connection.execute(
        "SELECT bolt11, payment_hash, expires_at FROM invoices WHERE payment_hash = ?", row[:1]
    ).fetchone()
    return NodeInvoice(*made)


def _node_payment(row: sqlite3.Row, now: int) -> NodePayment:
    answer = read_answer(row, now)
    settled = isinstance(answer, Settled)
    return NodePayment(
        payment_hash=row["payment_hash"],
        state=state_of(answer),
        amount_msat=Msat(row["amount_msat"]),
        fee_msat=Msat(row["fee_msat"] if settled else 0),
        preimage=row["preimage"] if settled else "",
    )
