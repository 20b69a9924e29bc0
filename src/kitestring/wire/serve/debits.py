"""CLINK Debits (kind 21002), the service's side: requests are read in full, and refused until debits are served.

An app that asks gets an answer instead of a silence. Amounts on this wire are whole satoshis.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NoReturn

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import MAX_SATS, Msat
from kitestring.base.outcomes import Outcome, Refused
from kitestring.codec import bolt11
from kitestring.codec.json import int_member, loads_object, text_member
from kitestring.nostr import kinds
from kitestring.nostr.event import Event
from kitestring.nostr.inbox import HOUR_S, Window
from kitestring.wire.clink import CLINK_VERSION, always_nip44, read_version, refuser
from kitestring.wire.grammar import Facts, Speakers, Wire
from kitestring.wire.refusal import WireRefusalError, refusal
from kitestring.wire.reply_to import ReplyTo

#: Pointer ids in codes have at most 255 bytes.
MAX_POINTER: Final = 255
UNITS: Final = ("day", "week", "month")

_K1: Final = re.compile("[0-9a-f]{64}", re.ASCII).fullmatch

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
    Reason.MALFORMED: 6,
    Reason.UNKNOWN_TARGET: 1,
    Reason.MOVED_OR_EXPIRED_OFFER: 1,
    Reason.STALE_REQUEST: 3,
    Reason.ALREADY_USED: 6,
    Reason.CONFLICT: 6,
    Reason.INVOICE_TAKEN: 6,
    Reason.AMOUNT_OUT_OF_RANGE: 5,
    Reason.OVER_BUDGET: 5,
    Reason.NOT_PERMITTED: 1,
    Reason.UNDECIDED: 2,
    Reason.CONNECTION_ENDED: 1,
    Reason.UNKNOWN_CALLER: 1,
    Reason.RATE_LIMITED: 4,
    Reason.UNSUPPORTED: 6,
    Reason.UNSUPPORTED_VERSION: 6,
    Reason.UNSUPPORTED_ENCRYPTION: None,
    Reason.WRONG_NETWORK: 6,
    Reason.EXPIRED_INVOICE: 6,
    Reason.INSUFFICIENT_FUNDS: 5,
    Reason.FEE_LIMIT: 2,
    Reason.PAYMENT_FAILED: 2,
    Reason.PAYMENT_IN_FLIGHT: None,
    Reason.UNAVAILABLE: 2,
    Reason.SPENDING_STOPPED: 2,
    Reason.BUSY: 2,
    Reason.INTERNAL: 2,
}


def read(text: str, event: Event, to: ReplyTo, facts: Facts) -> NoReturn:
    """The ``read`` of this wire. Whatever is well-formed is NOT_PERMITTED."""
    try:
        read_version(event)
        _check(loads_object(text), facts.network)
    except (CodecError, KitestringError) as failure:
        raise WireRefusalError(to, refusal(failure)) from None
    raise WireRefusalError(to, Refused(Reason.NOT_PERMITTED, "nobody may debit this service"))


def _check(members: dict[str, object], network: str) -> None:
    """A payment has an invoice, a budget an amount, and a request for full access neither."""
    text_member(members, "pointer", max_length=MAX_POINTER)
    text_member(members, "description")
    amount_sats = int_member(members, "amount_sats", low=1, high=MAX_SATS, decimal_text=True)
    invoice, k1, frequency = (members.get(name) for name in ("bolt11", "k1", "frequency"))
    if k1 is not None and (not isinstance(k1, str) or _K1(k1) is None):
        raise CodecError("k1 must be 64 lower-case hexadecimal digits")
    if k1 is not None and invoice is None:
        raise CodecError("k1 belongs to a payment")
    if frequency is not None:
        _check_frequency(frequency)
        if invoice is not None or amount_sats is None:
            raise CodecError("a frequency belongs to a budget, which has an amount and no invoice")
    if invoice is not None:
        _check_invoice(text_member(members, "bolt11") or "", amount_sats, network)


def _check_frequency(frequency: object) -> None:
    if not isinstance(frequency, dict) or int_member(frequency, "number", low=1) is None:
        raise CodecError("a frequency has a number and a unit")
    if frequency.get("unit") not in UNITS:
        raise CodecError(f"the unit of a frequency is one of {', '.join(UNITS)}")


def _check_invoice(text: str, amount_sats: int | None, network: str) -> None:
    invoice = bolt11.decode(text, recover=False)
    if invoice.network != network:
        raise KitestringError(Reason.WRONG_NETWORK, f"this invoice is for {invoice.network}")
    if invoice.amount_msat is None and amount_sats is None:
        raise CodecError("the invoice has no amount: the request must name one")
    if invoice.amount_msat is not None and amount_sats is not None:
        _check_amount(invoice.amount_msat, amount_sats)


def _check_amount(amount_msat: Msat, amount_sats: int) -> None:
    """Either rounding of an invoice in parts of a sat is its amount."""
    low, high = max(1, amount_msat.sats_down()), amount_msat.sats_up()
    if amount_sats not in {low, high}:
        sentence = "the amount differs from that of the invoice"
        raise KitestringError(Reason.AMOUNT_OUT_OF_RANGE, sentence, range={"min": low, "max": high})


def encode(_outcome: Outcome, _to: ReplyTo) -> bytes | None:
    """The ``encode`` of this wire: nothing is carried out, so there is nothing to tell."""
    return None


WIRE: Final = Wire(
    name="debits",
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
    refuse=refuser(CODE_NAMES, CODES),
)
