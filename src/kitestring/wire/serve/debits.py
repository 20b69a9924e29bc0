"""CLINK Debits (kind 21002), the service's side: payments and budgets asked for in, answers and refusals out.

State of the text: 2026-06. Amounts on this wire are whole satoshis. Whether somebody may take anything is not the
wire's to know; neither is whether an invoice has expired, since one that is already paid still gets its answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from kitestring.base.budgets import DAY_S, Budget
from kitestring.base.commands import DEBITS_WIRE, Debit, PayInvoice
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import MAX_SATS, Msat, sat
from kitestring.base.outcomes import Granted, Outcome, Paid, Refused
from kitestring.codec.json import dumps, int_member, loads_object, text_member
from kitestring.nostr import kinds
from kitestring.nostr.event import Event
from kitestring.nostr.inbox import HOUR_S, Window
from kitestring.wire.clink import CLINK_CODES, CLINK_VERSION, always_nip44, read_version, refuser
from kitestring.wire.grammar import Asked, Facts, Speakers, Wire
from kitestring.wire.invoices import payment_of, read_invoice
from kitestring.wire.refusal import WireRefusalError, refusal
from kitestring.wire.reply_to import ReplyTo
from kitestring.wire.text import MAX_DEBIT_WORDS_UNITS, clean_words

#: Pointer ids in codes have at most 255 bytes.
MAX_POINTER: Final = 255
#: Seconds of a period; a month has 30 days here, as other services count it.
UNITS: Final = {"day": DAY_S, "week": 7 * DAY_S, "month": 30 * DAY_S}
#: Seconds beyond which a period is taken to never end: ten years.
LONGEST_S: Final = 3_650 * DAY_S
#: Extension: with this member the preimage of a payment inside this service is told too, as buyers of some credentials
#: need it. The specification reads an answer without one as such a payment.
WANT_PREIMAGE: Final = "want_preimage"

_K1: Final = re.compile("[0-9a-f]{64}", re.ASCII).fullmatch
#: Calendar periods in the words of this wire, to which a year has twelve months.
_CALENDAR_S: Final = {"day": DAY_S, "week": 7 * DAY_S, "month": 30 * DAY_S, "year": 360 * DAY_S}

#: The beginning of an error text.
CODE_NAMES: Final = {
    1: "Request Denied",
    2: "Temporary Failure",
    3: "Expired Request",
    4: "Rate Limited",
    5: "Invalid Amount",
    6: "Invalid Request",
}
#: Payers read 3 to 6 as "nothing was paid", 1 and 2 as "not known before the invoice has expired".
CODES: Final[Mapping[Reason, int | None]] = {
    **CLINK_CODES,
    Reason.OVER_BUDGET: 5,
    Reason.INSUFFICIENT_FUNDS: 5,
}
#: Those that an amount may be right for; to a balance that is too small none is told.
_RANGES: Final = frozenset({Reason.AMOUNT_OUT_OF_RANGE, Reason.OVER_BUDGET})
#: Told in one and the same way: nobody finds out by asking which pointers there are.
DENIED: Final = frozenset({Reason.UNKNOWN_TARGET, Reason.NOT_PERMITTED, Reason.UNKNOWN_CALLER})
#: The member ``reason`` where whoever has refused gave none; more of these words stand in its details.
TOKENS: Final[Mapping[Reason, str]] = {
    Reason.ALREADY_USED: "k1_already_processed",
    Reason.PAYMENT_FAILED: "payment_failed",
    Reason.FEE_LIMIT: "fee_limit",
}


# ---------------------------------------------------------------- requests


def read(text: str, event: Event, to: ReplyTo, facts: Facts) -> Asked:
    """The ``read`` of this wire. Refused are a version, MALFORMED texts, WRONG_NETWORK, and another amount than that of
    the invoice (AMOUNT_OUT_OF_RANGE)."""
    try:
        read_version(event)
        members = loads_object(text)
        command = _decode(members, facts.network)
    except (CodecError, KitestringError) as failure:
        raise WireRefusalError(to, refusal(failure)) from None
    asked_to = to.named(WANT_PREIMAGE) if members.get(WANT_PREIMAGE) is True else to
    return Asked(command, asked_to, command.pointer_id)


def _decode(members: dict[str, object], network: str) -> Debit:
    """A payment has an invoice, a budget an amount, and a request for full access neither."""
    pointer_id = text_member(members, "pointer", max_length=MAX_POINTER) or ""
    description = clean_words(text_member(members, "description") or "", MAX_DEBIT_WORDS_UNITS)
    amount_sats = int_member(members, "amount_sats", low=1, high=MAX_SATS, decimal_text=True)
    invoice, k1, frequency = (members.get(name) for name in ("bolt11", "k1", "frequency"))
    if k1 is not None and (not isinstance(k1, str) or _K1(k1) is None):
        raise CodecError("k1 must be 64 lower-case hexadecimal digits")
    if k1 is not None and invoice is None:
        raise CodecError("k1 belongs to a payment")
    length_s = None if frequency is None else _length_s(frequency)
    if length_s is not None and (invoice is not None or amount_sats is None):
        raise CodecError("a frequency belongs to a budget, which has an amount and no invoice")
    if invoice is not None:
        payment = _payment(text_member(members, "bolt11") or "", amount_sats, network)
        return Debit(pointer_id=pointer_id, payment=payment, k1=k1 or "", description=description)
    budget = None if amount_sats is None else _budget(sat(amount_sats), length_s)
    return Debit(pointer_id=pointer_id, budget=budget, description=description)


def _length_s(frequency: object) -> int:
    number = int_member(frequency, "number", low=1) if isinstance(frequency, dict) else None
    if not isinstance(frequency, dict) or number is None:
        raise CodecError("a frequency has a number and a unit")
    unit = frequency.get("unit")
    if not isinstance(unit, str) or unit not in UNITS:
        raise CodecError(f"the unit of a frequency is one of {', '.join(UNITS)}")
    return number * UNITS[unit]


def _budget(limit_msat: Msat, length_s: int | None) -> Budget:
    if length_s is None or length_s > LONGEST_S:
        return Budget.total(limit_msat)
    return Budget.rolling(limit_msat, length_s)


def _payment(text: str, amount_sats: int | None, network: str) -> PayInvoice:
    invoice = read_invoice(text, network)
    if invoice.amount_msat is not None:
        _check_amount(invoice.amount_msat, amount_sats)
        return payment_of(invoice, invoice.amount_msat)
    if amount_sats is None:
        raise CodecError("the invoice has no amount: the request must name one")
    return payment_of(invoice, sat(amount_sats))


def _check_amount(amount_msat: Msat, amount_sats: int | None) -> None:
    """Either rounding of an invoice in parts of a sat is its amount."""
    low, high = max(1, amount_msat.sats_down()), amount_msat.sats_up()
    if amount_sats not in {None, low, high}:
        sentence = "the amount differs from that of the invoice"
        raise KitestringError(Reason.AMOUNT_OUT_OF_RANGE, sentence, range={"min": low, "max": high})


# ---------------------------------------------------------------- replies


def encode(outcome: Outcome, to: ReplyTo) -> bytes | None:
    """The ``encode`` of this wire. A preimage that is not told is absent: peers read "" as another thing."""
    if isinstance(outcome, Paid):
        is_told = outcome.preimage and (not outcome.internal or to.method == WANT_PREIMAGE)
        return dumps({"res": "ok"} | ({"preimage": outcome.preimage} if is_told else {})).encode()
    if isinstance(outcome, Granted):
        return dumps({"res": "ok"} | ({} if outcome.budget is None else _budget_members(outcome.budget))).encode()
    return None


def _budget_members(budget: Budget) -> dict[str, Any]:
    """Extension: the budget that was given, where it is less than was asked for, in the words of a request. Days are
    whole there: the period is rounded up, and the amount down, so that nobody counts on more than there is."""
    members: dict[str, Any] = {"amount_sats": budget.limit_msat.sats_down()}
    if budget.period == "never":
        return members
    length_s = budget.length_s if budget.period == "rolling" else _CALENDAR_S[budget.period]
    days = -(-length_s // DAY_S)
    unit = next(name for name in ("month", "week", "day") if days * DAY_S % UNITS[name] == 0)
    return members | {"frequency": {"number": days * DAY_S // UNITS[unit], "unit": unit}}


def _members_of(refused: Refused, code: int) -> Mapping[str, Any]:
    """The members that belong to the code."""
    details = refused.details
    found: dict[str, Any] = {}
    if code == CODES[Reason.STALE_REQUEST]:
        found = {"delta": details.get("delta")}
    elif code == CODES[Reason.RATE_LIMITED]:
        found = {"retry_after": details.get("retry_after"), "work_bits": details.get("work_bits")}
    elif code == CODES[Reason.AMOUNT_OUT_OF_RANGE]:
        found = {"range": details.get("range") if refused.reason in _RANGES else None}
    else:
        found = {"reason": details.get("reason") or TOKENS.get(refused.reason)}
    return {name: value for name, value in found.items() if value is not None}


_refuse: Final = refuser(CODE_NAMES, CODES, members_of=_members_of)


def refuse(refused: Refused, to: ReplyTo) -> bytes | None:
    """The ``refuse`` of this wire."""
    if refused.reason in DENIED:
        refused = Refused(Reason.NOT_PERMITTED, details=refused.details)
    return _refuse(refused, to)


WIRE: Final = Wire(
    name=DEBITS_WIRE,
    title="debits",
    speakers=Speakers.STRANGERS,
    windows={kinds.DEBIT: Window(back_s=30, ahead_s=30, answer_s=HOUR_S)},
    reply_kind=kinds.DEBIT,
    reply_tags=(CLINK_VERSION,),
    codes=CODES,
    cipher=always_nip44,
    unreadable=Reason.UNSUPPORTED_ENCRYPTION,
    read=read,
    encode=encode,
    refuse=refuse,
)
