"""CLINK Debits (kind 21002), the requestor's side: what is asked, which answers are read, and what they prove."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, assert_never

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import MAX_SATS
from kitestring.base.outcomes import Refused
from kitestring.base.payments import preimage_fits
from kitestring.base.text import clean
from kitestring.codec.json import dumps, loads_reply
from kitestring.codec.pointers import Ndebit
from kitestring.wire.ask.members import MAX_HEX_CHARS, Members, number_in, text_in
from kitestring.wire.ask.offers import FIRST_ABSOLUTE_TIME
from kitestring.wire.envelope import MAX_REPLY_BYTES
from kitestring.wire.text import MAX_OFFER_WORDS_UNITS, MAX_PEER_MESSAGE, clean_words

RepeatUnit = Literal["day", "week", "month"]
#: Seconds of each unit of a budget; a month has 30 days, as services count it.
PERIODS_S: Final[dict[RepeatUnit, int]] = {"day": 86_400, "week": 604_800, "month": 2_592_000}
#: Longest ``reason`` taken over from a reply, in characters; those in use have at most 22.
MAX_TOKEN_CHARS: Final = 64

K1_USED: Final = "k1_already_processed"
#: Tokens of a refusal which say that the invoice is held by a payment, perhaps by an earlier request of our own.
_HELD: Final = frozenset({"invoice_in_progress", "invoice_already_paid"})
#: Codes after which the request has paid nothing. Services use 1 and 2 for payments as well that may still settle.
_NOTHING_PAID: Final = frozenset({3, 4, 5, 6})


@dataclass(frozen=True, slots=True)
class Repeat:
    """The period of a recurring budget: ``number`` units."""

    number: int
    unit: RepeatUnit

    @property
    def seconds(self) -> int:
        """The length of the period."""
        return self.number * PERIODS_S[self.unit]


@dataclass(frozen=True, slots=True)
class PayWish:
    """Pay ``bolt11`` now. ``amount_sats`` is that of the invoice rounded up, or the one to pay where it has none.

    ``want_preimage`` asks for the proof of a payment inside the service as well; most services do not know the member.
    """

    bolt11: str
    amount_sats: int
    description: str = ""
    want_preimage: bool = False


@dataclass(frozen=True, slots=True)
class BudgetWish:
    """Let us pay up to ``amount_sats`` in each period without asking; ``every`` None = once and for all."""

    amount_sats: int
    every: Repeat | None


@dataclass(frozen=True, slots=True)
class AccessWish:
    """Let us pay without limits."""


DebitWish = PayWish | BudgetWish | AccessWish


@dataclass(frozen=True, slots=True)
class DebitOk:
    """The service says that it did what it was asked. ``preimage`` is what it gave as proof ("" = nothing), unchecked:
    see :func:`judge_preimage`. ``budget`` is what it gave where it says so: less than was asked for, perhaps."""

    preimage: str = ""
    budget: BudgetWish | None = None


@dataclass(frozen=True, slots=True)
class DebitRefusal:
    """The service refused. Sats, Unix seconds; None and empty where the service did not say (or not readably).

    ``token`` is the ``reason`` that newer services send beside the code. ``work_bits`` of proof of work (NIP-13) would
    have served the request, although there are too many.
    """

    code: int | None
    text: str = ""
    range_sats: tuple[int | None, int | None] | None = None
    retry_at: int | None = None
    retry_in_s: int | None = None
    max_delta_ms: int | None = None
    actual_delta_ms: int | None = None
    token: str = ""
    work_bits: int | None = None

    @property
    def is_stale(self) -> bool:
        """Whether the request came too late, or is dated too far from the service's time."""
        return self.code == 3 and self.actual_delta_ms is not None

    @property
    def proves_unpaid(self) -> bool:
        """Whether *this* request has paid nothing. It is no word about an earlier one for the same invoice."""
        return self.code in _NOTHING_PAID and self.token not in _HELD

    @property
    def refused(self) -> Refused:
        """The same as an outcome."""
        shown = {
            "code": self.code,
            "range": self.range_sats and {"min": self.range_sats[0], "max": self.range_sats[1]},
            "retry_at": self.retry_at,
            "retry_in_s": self.retry_in_s,
            "token": self.token,
        }
        return Refused(self._reason, self.text, {name: value for name, value in shown.items() if value})

    @property
    def _reason(self) -> Reason:
        by_token = _TOKENS.get(self.token)
        if by_token is not None:
            return by_token
        if self.code == 3 and not self.is_stale:  # how some services say that a grant is over
            return Reason.CONNECTION_ENDED
        return _REASONS.get(self.code or 0, Reason.MALFORMED)


DebitReply = DebitOk | DebitRefusal

_REASONS: Final = {
    1: Reason.NOT_PERMITTED,
    2: Reason.UNAVAILABLE,
    3: Reason.STALE_REQUEST,
    4: Reason.RATE_LIMITED,
    5: Reason.AMOUNT_OUT_OF_RANGE,
}
_TOKENS: Final = {
    K1_USED: Reason.ALREADY_USED,
    "invoice_in_progress": Reason.INVOICE_TAKEN,
    "invoice_already_paid": Reason.INVOICE_TAKEN,
    "invoice_already_failed": Reason.PAYMENT_FAILED,
    "payment_failed": Reason.PAYMENT_FAILED,
    "fee_limit": Reason.FEE_LIMIT,
    "too_late": Reason.PAYMENT_FAILED,
}


# ---------------------------------------------------------------- requests


def encode_request(ndebit: Ndebit, wish: DebitWish) -> str:
    """The plaintext that asks the service of ``ndebit``. Raises KitestringError for an amount that no wire carries, and
    for a budget of a session, which is for one payment."""
    members: dict[str, Any] = {"pointer": ndebit.pointer}
    match wish:
        case PayWish():
            members |= {
                "amount_sats": _amount(wish.amount_sats),
                "bolt11": wish.bolt11,
                "k1": ndebit.k1,
                "description": clean_words(wish.description, MAX_OFFER_WORDS_UNITS),
                "want_preimage": wish.want_preimage or None,
            }
        case BudgetWish():
            _need_no_session(ndebit)
            every = wish.every
            members["amount_sats"] = _amount(wish.amount_sats)
            members["frequency"] = None if every is None else {"number": every.number, "unit": every.unit}
        case AccessWish():
            _need_no_session(ndebit)
        case _:
            assert_never(wish)
    return dumps({name: value for name, value in members.items() if value})


def _amount(sats: int) -> int:
    if not 1 <= sats <= MAX_SATS:
        raise KitestringError(Reason.AMOUNT_OUT_OF_RANGE, "a debit is over whole sats, at least one")
    return sats


def _need_no_session(ndebit: Ndebit) -> None:
    if ndebit.k1 is not None:
        raise KitestringError(
            Reason.UNSUPPORTED, "this code is a session, for one payment: a budget needs a code that is shown for good"
        )


# ---------------------------------------------------------------- replies


def decode_reply(plaintext: str) -> DebitReply:
    """A decrypted reply. Raises CodecError when it is none, or says yes and no at once: such a reply proves nothing,
    is ignored, and the wait goes on."""
    members = loads_reply(plaintext, MAX_REPLY_BYTES)
    is_refusal = members.get("code") is not None or bool(members.get("error"))
    if members.get("res") == "ok":
        if is_refusal:
            raise CodecError("the reply says yes and no at once")
        return DebitOk(_read_preimage(members), _read_budget(members))
    if members.get("res") == "GFY" or is_refusal:
        return _read_refusal(members)
    raise CodecError("this is no reply to a debit request")


def _read_preimage(members: Members) -> str:
    """As it is written, "" where there is none. What is no text is no proof, and not the same as none."""
    value = members.get("preimage")
    if value is None or isinstance(value, str):
        return clean(value or "", MAX_HEX_CHARS).lower()
    return "unreadable"


def _read_budget(members: Members) -> BudgetWish | None:
    """The budget that was given, in the words of a request; None where nothing is said, or nothing readable."""
    amount_sats, frequency = number_in(members, "amount_sats", low=1), members.get("frequency")
    if amount_sats is None or amount_sats > MAX_SATS:
        return None
    if frequency is None:
        return BudgetWish(amount_sats, None)
    number = number_in(frequency, "number", low=1) if isinstance(frequency, dict) else None
    unit = next((unit for unit in PERIODS_S if isinstance(frequency, dict) and frequency.get("unit") == unit), None)
    return None if number is None or unit is None else BudgetWish(amount_sats, Repeat(number, unit))


def _read_refusal(members: Members) -> DebitRefusal:
    bounds, delta = members.get("range"), members.get("delta")
    # Some peers write the two deltas beside the code.
    deltas = delta if isinstance(delta, dict) else members
    retry_after = number_in(members, "retry_after")
    absolute = retry_after is not None and retry_after >= FIRST_ABSOLUTE_TIME
    code, text = number_in(members, "code"), text_in(members, "error", MAX_PEER_MESSAGE)
    token = text_in(members, "reason", MAX_TOKEN_CHARS)
    if not token and code == 1 and text.casefold() == "k1 already processed":  # without a token in older services
        token = K1_USED
    return DebitRefusal(
        code,
        text,
        (number_in(bounds, "min"), number_in(bounds, "max")) if isinstance(bounds, dict) else None,
        retry_after if absolute else None,
        None if absolute else retry_after,
        number_in(deltas, "max_delta_ms"),
        number_in(deltas, "actual_delta_ms"),
        token,
        number_in(members, "work_bits"),
    )


def judge_preimage(preimage: str, payment_hash: str) -> Literal["proven", "claimed", "false"]:
    """``proven`` when it hashes to the invoice, merely ``claimed`` without one (a payment inside the service has none),
    or ``false``: to be reported, never trusted."""
    if not preimage:
        return "claimed"
    return "proven" if preimage_fits(preimage, payment_hash) else "false"


def one_time_hint(wish: DebitWish, refusal: DebitRefusal) -> str:
    """Part of a sentence: what may be asked in place of a budget that its service does not know; "" otherwise."""
    if isinstance(wish, BudgetWish) and wish.every is None and refusal.code == 6:
        return "; it may not know budgets for once: ask for a recurring one, or for each payment directly"
    return ""
