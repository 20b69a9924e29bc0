"""The error of a payment whose end nobody can tell."""

from __future__ import annotations

from typing import Final

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.payments import Failed, LookupAnswer, NeverSeen, Unknown

_PAY_ONLY_THIS: Final = "pay only this very invoice again, never a new one for the same thing"
_SEND_NOTHING: Final = "do not send it again: without an invoice each call is another payment"


def in_flight(payment_hash: str, known: str, *, is_keysend: bool = False) -> KitestringError:
    """PAYMENT_IN_FLIGHT with the hash; ``known`` is what is known, as part of a sentence. ``is_keysend``: whoever asks
    for the same thing again draws another preimage, and pays twice."""
    until = _SEND_NOTHING if is_keysend else _PAY_ONLY_THIS
    return KitestringError(
        Reason.PAYMENT_IN_FLIGHT,
        f"the wallet may have paid {payment_hash}: {known}; look the hash up later, and until then {until}",
        payment_hash=payment_hash,
    )


def as_words(record: LookupAnswer) -> str:
    """The record of a payment that does not prove its end, as part of a sentence."""
    if isinstance(record, Unknown):
        return record.why
    if isinstance(record, NeverSeen):
        return "it does not know the payment (yet)"
    return "its record may be of an earlier attempt" if isinstance(record, Failed) else "it has not told the end yet"
