"""Everybody else in the sandbox: pays the node's invoices, is paid by it, and plays the faults of a real network.

A :class:`World` is another connection to the node's file, so it works from another process and without the service.
Its methods are short blocking transactions.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Final, Self, assert_never

from kitestring.backend.registry import wall_clock_ms
from kitestring.backend.sandbox.file import NETWORK, advance, due_refunds, moment_ms, open_file, transaction
from kitestring.backend.sandbox.incoming import hold, receive, state_at
from kitestring.backend.sandbox.payments import Behaviour, read_answer, state_of
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import ZERO, Msat
from kitestring.base.node import NodeInvoiceState, NodePaymentState
from kitestring.base.payments import FailureReason, InFlight, Settled
from kitestring.base.ports import Entropy
from kitestring.codec import bolt11
from kitestring.codec.bolt11_write import encode
from kitestring.crypto import secp

#: How far the clock of a world can be put ahead: ten years, more than any invoice or budget lasts.
MAX_AHEAD_S: Final = 10 * 366 * 86_400


@dataclass(frozen=True, slots=True)
class WorldPayment:
    """One payment as the outside saw it. ``direction``: ``out`` of the node or ``in`` to it. ``node_key`` and
    ``records`` are those of one that went to a key without an invoice."""

    direction: str
    payment_hash: str
    state: NodePaymentState
    amount_msat: Msat
    fee_msat: Msat
    preimage: str
    node_key: str = ""
    records: tuple[tuple[int, str], ...] = ()


class WorldState(StrEnum):
    """The end, or the state so far, of an invoice of an outsider."""

    UNPAID = "unpaid"
    EXPIRED = "expired"  # and nobody has paid it
    IN_FLIGHT = "in_flight"  # ends by itself
    HELD = "held"  # in flight until somebody decides
    SETTLED = "settled"
    FAILED = "failed"  # may be paid again


@dataclass(frozen=True, slots=True)
class WorldInvoice:
    """One invoice of an outsider. ``amount_msat`` is what was paid or tried, before that what it asks for, None where
    it asks for no amount; ``preimage`` is "" unless it is settled."""

    payment_hash: str
    bolt11: str
    state: WorldState
    amount_msat: Msat | None
    fee_msat: Msat
    preimage: str


@dataclass(frozen=True, slots=True)
class WorldBooks:
    """The node's money: ``opening + received − sent − fees − held = balance``, always."""

    opening_msat: Msat
    received_msat: Msat
    sent_msat: Msat
    fees_msat: Msat
    held_msat: Msat
    balance_msat: Msat

    @property
    def balanced(self) -> bool:
        after = self.opening_msat + self.received_msat - self.sent_msat - self.fees_msat - self.held_msat
        return after == self.balance_msat


class World:
    """The outside of the sandbox at ``path``, which its node has made. Raises KitestringError."""

    def __init__(
        self, path: Path, *, entropy: Entropy = secrets.token_bytes, now_ms: Callable[[], int] = wall_clock_ms
    ) -> None:
        self._connection = open_file(path)
        self._entropy = entropy
        self._now_ms = now_ms

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def pay(self, text: str, amount_msat: Msat | None = None) -> str:
        """Pay an invoice of the node, once, and return the preimage; "" where the node holds the payment.
        ``amount_msat`` is needed where the invoice has none, and may be more than it asks for. Raises KitestringError
        saying why not."""
        try:
            payment_hash = bolt11.decode(text, recover=False).payment_hash
        except CodecError as error:
            raise KitestringError(Reason.MALFORMED, str(error)) from error
        with transaction(self._connection) as connection:
            now = advance(connection, self._now_ms)
            row = connection.execute("SELECT * FROM invoices WHERE payment_hash = ?", (payment_hash,)).fetchone()
            paid_msat = _amount_to_pay(row, amount_msat, now)
            (receive if row["cltv_delta"] is None else hold)(connection, row, paid_msat, now)
        preimage: str = row["preimage"]
        return preimage

    def invoice(
        self,
        amount_msat: Msat | None,
        description: str = "",
        *,
        behaviour: Behaviour = Behaviour.SETTLE,
        delay_ms: int | None = None,
        reason: FailureReason = FailureReason.NO_ROUTE,
        expiry_s: int = 3600,
    ) -> str:
        """An invoice of an outsider. ``behaviour`` is what happens when the node pays it; ``delay_ms`` after how long
        (default: the node's latency); ``reason``, one of ``REASONS``, why where it fails. Raises CodecError when it
        cannot be written."""
        now = moment_ms(self._connection, self._now_ms)
        preimage = self._entropy(32)
        payment_hash = sha256(preimage).hexdigest()
        secret = self._connection.execute("SELECT outside_secret FROM node").fetchone()[0]
        text = encode(
            network=NETWORK,
            timestamp=now // 1000,
            payment_hash=payment_hash,
            payment_secret=self._entropy(32).hex(),
            secret32=secret,
            amount_msat=amount_msat,
            description=description,
            expiry_s=expiry_s,
        )
        row = (
            payment_hash, text, preimage.hex(), amount_msat, now // 1000 + expiry_s, behaviour.value, delay_ms,
            reason.value,
        )  # fmt: skip
        with transaction(self._connection) as connection:
            connection.execute("INSERT INTO outside_invoices VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        return text

    def node(self, behaviour: Behaviour = Behaviour.SETTLE, delay_ms: int | None = None) -> str:
        """The key of a new node of an outsider, which is paid without an invoice (keysend) and does as it is told."""
        while not secp.is_valid_secret(secret := self._entropy(32)):
            pass
        node_key = secp.compressed_public(secret).hex()
        with transaction(self._connection) as connection:
            row = (node_key, behaviour.value, delay_ms, FailureReason.NO_ROUTE.value)
            connection.execute("INSERT INTO outside_nodes VALUES (?, ?, ?, ?)", row)
        return node_key

    def behave(self, payment_hash: str, behaviour: Behaviour, delay_ms: int | None = None) -> None:
        """Change what happens when an outsider's invoice is paid the next time."""
        with transaction(self._connection) as connection:
            connection.execute(
                "UPDATE outside_invoices SET behaviour = ?, delay_ms = ? WHERE payment_hash = ?",
                (behaviour.value, delay_ms, payment_hash),
            )

    def release(self, payment_hash: str, *, settle: bool = True) -> None:
        """End a payment that is in flight now; without ``settle`` its payee refuses it. Raises KitestringError:
        UNKNOWN_TARGET for a hash that nobody has paid yet, CONFLICT for a payment that has ended."""
        with transaction(self._connection) as connection:
            now = advance(connection, self._now_ms)
            ended = connection.execute(
                "UPDATE payments SET resolve_at_ms = ?, outcome = ?, reason = ?"
                " WHERE payment_hash = ? AND (resolve_at_ms IS NULL OR resolve_at_ms > ?)",
                (now, "settled" if settle else "failed", FailureReason.REFUSED.value, payment_hash, now),
            )
            if ended.rowcount != 1:
                raise _not_in_flight(connection, payment_hash, now)

    def put_ahead(self, seconds: int) -> None:
        """Put the clock of this world ``seconds`` further ahead of the machine's: invoices expire, what is slow or held
        until a height ends. Nobody else's clock moves. Raises KitestringError(AMOUNT_OUT_OF_RANGE)."""
        with transaction(self._connection) as connection:
            ahead_ms: int = connection.execute("SELECT ahead_ms FROM node").fetchone()[0] + seconds * 1_000
            if seconds < 0 or ahead_ms > MAX_AHEAD_S * 1_000:
                sentence = f"the clock of a sandbox goes ahead only, and at most {MAX_AHEAD_S} seconds in all"
                raise KitestringError(Reason.AMOUNT_OUT_OF_RANGE, sentence)
            connection.execute("UPDATE node SET ahead_ms = ?", (ahead_ms,))
            advance(connection, self._now_ms)

    def set_offline(self, offline: bool) -> None:
        """Whether the node refuses every connection."""
        with transaction(self._connection) as connection:
            connection.execute("UPDATE node SET offline = ?", (int(offline),))

    def payments(self) -> list[WorldPayment]:
        """Everything that was ever paid, in both directions, oldest first in each: what tests compare with."""
        now = moment_ms(self._connection, self._now_ms)
        sent = self._connection.execute("SELECT * FROM payments ORDER BY seq").fetchall()
        received = self._connection.execute(
            "SELECT * FROM invoices WHERE state = 'settled' ORDER BY settle_index"
        ).fetchall()
        return [*(_outgoing(row, now) for row in sent), *(_incoming(row) for row in received)]

    def invoices(self, limit: int, payment_hash: str = "") -> list[WorldInvoice]:
        """The invoices of outsiders, the newest ``limit`` of them, the newest first; or the one of a hash."""
        rows = self._connection.execute(
            "SELECT payment_hash, bolt11, outside_invoices.amount_msat AS asked_msat, expires_at, payments.*"
            " FROM outside_invoices LEFT JOIN payments USING (payment_hash)"
            " WHERE ? IN ('', payment_hash) ORDER BY outside_invoices.seq DESC LIMIT ?",
            (payment_hash, limit),
        ).fetchall()
        now = moment_ms(self._connection, self._now_ms)
        return [_outside_invoice(row, now) for row in rows]

    def books(self) -> WorldBooks:
        """The sums of :meth:`payments` beside the balance that the node keeps."""
        with transaction(self._connection) as connection:
            now = moment_ms(connection, self._now_ms)
            node = connection.execute("SELECT opening_msat, balance_msat FROM node").fetchone()
            balance_msat = Msat(node["balance_msat"] + due_refunds(connection, now))
            payments = self.payments()
        sent = [
            payment for payment in payments if payment.direction == "out" and payment.state is NodePaymentState.SETTLED
        ]
        held = [payment for payment in payments if payment.state is NodePaymentState.OPEN]
        return WorldBooks(
            opening_msat=Msat(node["opening_msat"]),
            received_msat=Msat(sum(payment.amount_msat for payment in payments if payment.direction == "in")),
            sent_msat=Msat(sum(payment.amount_msat for payment in sent)),
            fees_msat=Msat(sum(payment.fee_msat for payment in sent)),
            held_msat=Msat(sum(payment.amount_msat + payment.fee_msat for payment in held)),
            balance_msat=balance_msat,
        )


def _not_in_flight(connection: sqlite3.Connection, payment_hash: str, now: int) -> KitestringError:
    """The reason why a payment cannot be ended now."""
    row = connection.execute("SELECT * FROM payments WHERE payment_hash = ?", (payment_hash,)).fetchone()
    if row is None:
        return KitestringError(Reason.UNKNOWN_TARGET, "no payment with this hash is in flight: nobody has paid it yet")
    ended = "settled" if isinstance(read_answer(row, now), Settled) else "failed"
    return KitestringError(Reason.CONFLICT, f"this payment has {ended} already")


def _amount_to_pay(row: sqlite3.Row | None, amount_msat: Msat | None, now: int) -> Msat:
    """Raises KitestringError unless the node's invoice may be paid with this amount now."""
    if row is None:
        sentence = "this invoice is of another sandbox world: the node of this one did not make it"
        raise KitestringError(Reason.UNKNOWN_TARGET, sentence)
    if row["state"] == NodeInvoiceState.OPEN and row["expires_at"] * 1000 <= now:
        raise KitestringError(Reason.PAYMENT_FAILED, "this invoice has expired")
    state = state_at(row, now)
    if state in {NodeInvoiceState.SETTLED, NodeInvoiceState.ACCEPTED}:
        raise KitestringError(Reason.ALREADY_USED, "this invoice was paid already")
    if state is NodeInvoiceState.CANCELED:
        raise KitestringError(Reason.PAYMENT_FAILED, "this invoice was cancelled")
    paid_msat = amount_msat if amount_msat is not None else row["amount_msat"]
    if paid_msat is None:
        raise KitestringError(Reason.AMOUNT_OUT_OF_RANGE, "this invoice has no amount: say how much to pay")
    if paid_msat < max(1, row["amount_msat"] or 1):
        raise KitestringError(Reason.AMOUNT_OUT_OF_RANGE, "this is less than the invoice asks for")
    return Msat(paid_msat)


def _outside_invoice(row: sqlite3.Row, now: int) -> WorldInvoice:
    asked_msat, paid = row["asked_msat"], row["outcome"] is not None
    state = _state_of_paid(row, now) if paid else WorldState.UNPAID
    if not paid and row["expires_at"] * 1000 <= now:
        state = WorldState.EXPIRED
    amount_msat = row["amount_msat"] if paid else asked_msat
    return WorldInvoice(
        row["payment_hash"],
        row["bolt11"],
        state,
        None if amount_msat is None else Msat(amount_msat),
        Msat(row["fee_msat"]) if paid and state is not WorldState.FAILED else ZERO,
        row["preimage"] if state is WorldState.SETTLED else "",
    )


def _state_of_paid(row: sqlite3.Row, now: int) -> WorldState:
    state = state_of(read_answer(row, now))
    match state:
        case NodePaymentState.SETTLED:
            return WorldState.SETTLED
        case NodePaymentState.FAILED:
            return WorldState.FAILED
        case NodePaymentState.OPEN:
            return WorldState.HELD if row["resolve_at_ms"] is None else WorldState.IN_FLIGHT
        case _:
            assert_never(state)


def _incoming(row: sqlite3.Row) -> WorldPayment:
    received = Msat(row["received_msat"])
    return WorldPayment("in", row["payment_hash"], NodePaymentState.SETTLED, received, ZERO, row["preimage"])


def _outgoing(row: sqlite3.Row, now: int) -> WorldPayment:
    answer = read_answer(row, now)
    settled = isinstance(answer, Settled)
    return WorldPayment(
        "out",
        row["payment_hash"],
        state_of(answer),
        Msat(row["amount_msat"]),
        Msat(row["fee_msat"]) if settled or isinstance(answer, InFlight) else ZERO,
        row["preimage"] if settled else "",
        row["node_key"],
        tuple((number, value) for number, value in json.loads(row["records"] or "[]")),
    )
