"""One outgoing payment of the sandbox node, and the behaviour that the outside world was told to show to it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, assert_never

from msgspec.structs import replace

from kitestring.backend.sandbox.file import NETWORK, advance
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.errors import CodecError
from kitestring.base.money import Msat
from kitestring.base.node import NodePaymentState, NodeUnreachableError, PayOrder
from kitestring.base.payments import (
    Failed,
    FailureReason,
    InFlight,
    LookupAnswer,
    NeverSeen,
    Settled,
    Unknown,
    preimage_fits,
)
from kitestring.codec.bolt11 import DecodedInvoice, check_payable, decode

#: One hop of a cheap network: half a sat and 100 millionths of the amount, rounded up.
FEE_BASE_MSAT: Final = 500
FEE_PPM: Final = 100
#: How late "late" is unless it is said.
LATE_MS: Final = 2000


class Behaviour(StrEnum):
    """The fate of a payment to an outsider. All but the two that hang end by themselves."""

    SETTLE = "settle"
    FAIL = "fail"
    HANG = "hang"  # in flight until released
    HANG_LOST = "hang-lost"  # in flight until released, and the connection breaks before the answer
    LATE = "late"  # settles after a while
    LOST = "lost"  # settles, but the connection breaks before the answer
    LOST_FAIL = "lost-fail"  # fails, and the connection breaks before the answer
    ERROR = "error"  # settles, and the node answers with an error 500
    LIE = "lie"  # settles, and the node answers with a preimage that does not belong to the hash


class Effect(NamedTuple):
    """``outcome``: settled or failed. ``answer``: given, lost, error or lie."""

    outcome: str
    answer: str


EFFECTS: Final[dict[Behaviour, Effect]] = {
    Behaviour.SETTLE: Effect("settled", "given"),
    Behaviour.FAIL: Effect("failed", "given"),
    Behaviour.HANG: Effect("settled", "given"),
    Behaviour.HANG_LOST: Effect("settled", "lost"),
    Behaviour.LATE: Effect("settled", "given"),
    Behaviour.LOST: Effect("settled", "lost"),
    Behaviour.LOST_FAIL: Effect("failed", "lost"),
    Behaviour.ERROR: Effect("settled", "error"),
    Behaviour.LIE: Effect("settled", "lie"),
}

#: Why an outsider can let a payment fail, and the node's own words about it.
REASONS: Final[dict[FailureReason, str]] = {
    FailureReason.NO_ROUTE: "no route to the payee",
    FailureReason.REFUSED: "the payee refused the payment",
    FailureReason.EXPIRED: "the invoice has expired",
    FailureReason.FEE_LIMIT: "every route costs more than is allowed",
    FailureReason.INSUFFICIENT_FUNDS: "no channel can send this amount",
    FailureReason.OTHER: "the payment failed",
}
_HANGING: Final = frozenset({Behaviour.HANG, Behaviour.HANG_LOST})


@dataclass(frozen=True, slots=True)
class Sent:
    """The payment is in the file. ``fresh``: this very call put it there, so its answer may be tampered with."""

    fresh: bool
    answer: str


def routing_fee_msat(amount_msat: Msat) -> Msat:
    return Msat(FEE_BASE_MSAT - (-int(amount_msat) * FEE_PPM // 1_000_000))


def attempt(
    connection: sqlite3.Connection,
    order: PayOrder,
    invoice: DecodedInvoice | None,
    now_ms: Callable[[], int],
    latency_ms: int,
) -> Sent | Failed:
    """Inside a transaction: commit how the payment will end, or refuse it. A hash that is not failed is never sent
    again. ``invoice`` is None when it could not be read. Raises NodeUnreachableError when the node is offline."""
    now = advance(connection, now_ms)
    node = connection.execute("SELECT balance_msat, offline FROM node").fetchone()
    if node["offline"]:
        raise NodeUnreachableError("the sandbox node is offline, as it was told")
    before = connection.execute("SELECT * FROM payments WHERE payment_hash = ?", (order.payment_hash,)).fetchone()
    if before is not None and not isinstance(read_answer(before, now), Failed):
        return Sent(fresh=False, answer="given")
    target = _target(connection, order)
    refusal = _refusal(order, invoice, target, now, Msat(node["balance_msat"]))
    if refusal is not None:
        return refusal
    return _send(connection, order, target, now, latency_ms)


def _target(connection: sqlite3.Connection, order: PayOrder) -> sqlite3.Row | None:
    """The invoice or the node of the outside world that is to be paid."""
    if isinstance(order.destination, Keysend):
        found = connection.execute("SELECT * FROM outside_nodes WHERE node_key = ?", (order.destination.node_key,))
    else:
        found = connection.execute("SELECT * FROM outside_invoices WHERE payment_hash = ?", (order.payment_hash,))
    row: sqlite3.Row | None = found.fetchone()
    return row


_Check = tuple[bool, FailureReason, str]


def _refusal(
    order: PayOrder, invoice: DecodedInvoice | None, target: sqlite3.Row | None, now: int, balance_msat: Msat
) -> Failed | None:
    fee_msat = routing_fee_msat(order.amount_msat)
    checks: tuple[_Check, ...] = (
        (order.amount_msat < 1, FailureReason.REFUSED, "the amount must be positive"),
        *_checks(order, invoice, target, now),
        (fee_msat > order.fee_cap_msat, FailureReason.FEE_LIMIT, f"the route costs {int(fee_msat)} msat"),
        (order.amount_msat + fee_msat > balance_msat, FailureReason.INSUFFICIENT_FUNDS, "the balance is too small"),
    )
    failed = next((Failed(f"sandbox: {text}", reason) for refused, reason, text in checks if refused), None)
    if failed is not None and failed.reason is FailureReason.FEE_LIMIT:
        return replace(failed, route_fee_msat=fee_msat)
    return failed


def _checks(
    order: PayOrder, invoice: DecodedInvoice | None, target: sqlite3.Row | None, now: int
) -> tuple[_Check, ...]:
    match order.destination:
        case Keysend(preimage=preimage):
            fits = preimage_fits(preimage, order.payment_hash)
            return (
                (not fits, FailureReason.REFUSED, "the preimage is not that of the payment hash"),
                (target is None, FailureReason.NO_ROUTE, "nobody in this sandbox has this key"),
            )
        case Bolt11(amountless=amountless):
            if invoice is None or invoice.payment_hash != order.payment_hash:
                return ((True, FailureReason.REFUSED, "the node could not read the invoice"),)
            return _checks_of_invoice(order, invoice, target, now, is_amountless=amountless)
        case _:
            assert_never(order.destination)


def _checks_of_invoice(
    order: PayOrder, invoice: DecodedInvoice, target: sqlite3.Row | None, now: int, *, is_amountless: bool
) -> tuple[_Check, ...]:
    known = target is not None and target["bolt11"] == invoice.text
    return (
        (
            invoice.network != NETWORK,
            FailureReason.REFUSED,
            f"the invoice is for {invoice.network}, this node is on {NETWORK}",
        ),
        (
            check_payable(invoice, now=now // 1000, network=NETWORK) is not None,
            FailureReason.EXPIRED,
            "the invoice has expired",
        ),
        (
            is_amountless is not (invoice.amount_msat is None),
            FailureReason.REFUSED,
            "the amount is given twice or not at all",
        ),
        (
            invoice.amount_msat not in (None, order.amount_msat),
            FailureReason.REFUSED,
            "the amount is not that of the invoice",
        ),
        (
            not (known or _is_signed(invoice)),
            FailureReason.REFUSED,
            "no key can be recovered from the signature of the invoice",
        ),
        (
            not known,
            FailureReason.NO_ROUTE,
            "this invoice is of another sandbox world: nobody in this one made it",
        ),
    )


def _is_signed(invoice: DecodedInvoice) -> bool:
    """Whether any key made the signature. What the outside world has written is: only other texts are looked at."""
    try:
        decode(invoice.text)
    except CodecError:
        return False
    return True


def _send(
    connection: sqlite3.Connection, order: PayOrder, target: sqlite3.Row | None, now: int, latency_ms: int
) -> Sent:
    assert target is not None, "without a target it was refused"  # noqa: S101 - by this very file
    key = order.destination if isinstance(order.destination, Keysend) else None
    effect = EFFECTS[Behaviour(target["behaviour"])]
    fee_msat = routing_fee_msat(order.amount_msat)
    connection.execute("UPDATE node SET balance_msat = balance_msat - ?", (int(order.amount_msat + fee_msat),))
    connection.execute(
        "INSERT OR REPLACE INTO payments"
        " (payment_hash, amount_msat, fee_msat, outcome, answer, reason, preimage, node_key, records, sent_at_ms,"
        " resolve_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            order.payment_hash,
            int(order.amount_msat),
            int(fee_msat),
            effect.outcome,
            effect.answer,
            target["reason"],
            target["preimage"] if key is None else key.preimage,
            "" if key is None else key.node_key,
            "" if key is None else json.dumps(key.records),
            now,
            resolve_at_ms(Behaviour(target["behaviour"]), target["delay_ms"], now, latency_ms),
        ),
    )
    return Sent(fresh=True, answer=effect.answer)


def resolve_at_ms(behaviour: Behaviour, delay_ms: int | None, now: int, latency_ms: int) -> int | None:
    """The moment at which a payment sent now ends; None while it hangs."""
    if behaviour in _HANGING:
        return None
    if delay_ms is not None:
        return now + delay_ms
    return now + (LATE_MS if behaviour is Behaviour.LATE else latency_ms)


def state_of(answer: LookupAnswer) -> NodePaymentState:
    """The state of a payment that is in the file, as the node lists it."""
    match answer:
        case Settled():
            return NodePaymentState.SETTLED
        case Failed():
            return NodePaymentState.FAILED
        case InFlight() | Unknown() | NeverSeen():
            return NodePaymentState.OPEN
        case _:
            assert_never(answer)


def read_answer(row: sqlite3.Row | None, now: int) -> LookupAnswer:
    """The state of a payment at ``now`` (milliseconds)."""
    if row is None:
        return NeverSeen(as_of=now // 1000)
    if row["resolve_at_ms"] is None or row["resolve_at_ms"] > now:
        return InFlight()
    if row["outcome"] == "failed":
        reason = FailureReason(row["reason"])
        return Failed(f"sandbox: {REASONS[reason]}", reason, row["sent_at_ms"] // 1000)
    return Settled(row["preimage"], Msat(row["fee_msat"]))
