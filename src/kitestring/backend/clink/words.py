"""The worth of an answer to an order. Failed is said only where nothing can be paid by the order any more.

An order is one signed request (kind 21002) of one invoice, and a BOLT11 invoice is paid once. Every service drops
copies of an event that relays show it at the same time; whether it knows one again later, or after a restart, is not
said. There is no other look-up than to ask again, in one of two ways that can begin no payment:

* **the same event again**, when it is older than any service takes (30 seconds): a service that remembers it says its
  answer again, one that does not calls it too old
* **a new event for the same invoice**, when the invoice has expired: no node pays it any more, and a service that has
  paid it says so

==========================  =====================  =====================  ==============================================
answer                      to the order           to the same again      to a new one after the expiry
==========================  =====================  =====================  ==============================================
ok, preimage of the hash    settled                settled                settled
ok, another one, or none    unknown                unknown                unknown
held, or paid, by somebody  unknown                unknown                unknown
1                           unknown; failed*       unknown; failed*       unknown: said before the invoice is looked at
2                           unknown; failed* by    unknown; failed* by    unknown; failed* by a token that says so
                            a token that says so   a token that says so
3 as too old, or too early  failed, if at once     unknown                unknown
3 otherwise                 failed                 unknown; failed*       unknown
4                           failed                 unknown                unknown: said before the invoice is looked at
5, 6                        failed                 unknown; failed*       unknown; failed*
6 ``invoice_already_failed``  failed               unknown; failed*       failed
==========================  =====================  =====================  ==============================================

``*`` of a service that is known (``service=kitestring``): it carries out one event once, says its stored answer again,
looks an invoice up before it looks at its expiry, and says 1 before it begins anything. Of others nobody knows whether
a second answer is about the first order.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.payments import Failed, FailureReason, Settled, Unknown
from kitestring.wire.ask.debits import DebitOk, DebitRefusal, DebitReply, judge_preimage

#: An answer that calls a request too old is about the order itself only so soon after it was sent, in seconds: later it
#: may be about a copy that a relay has shown again.
AT_ONCE_S: Final = 25.0
_ALREADY_FAILED: Final = "invoice_already_failed"
#: Tokens beside the codes 2 and 6 with which a known service says that the payment has ended without being made.
_ENDED: Final = frozenset({"payment_failed", "fee_limit", "too_late", _ALREADY_FAILED})
_HELD: Final = frozenset({Reason.INVOICE_TAKEN, Reason.ALREADY_USED})
_DENIED: Final = 1
_RATE_LIMITED: Final = 4
#: Codes that are said after the invoice was looked up.
_LOOKED_UP: Final = frozenset({5, 6})
_REASONS: Final = {
    Reason.AMOUNT_OUT_OF_RANGE: FailureReason.INSUFFICIENT_FUNDS,
    Reason.FEE_LIMIT: FailureReason.FEE_LIMIT,
    Reason.PAYMENT_FAILED: FailureReason.OTHER,
}


class DebitQuestion(Enum):
    """The question that an answer belongs to."""

    ORDER = "order"  # the order itself, which was sent once
    AGAIN = "again"  # the same event, sent again
    AFTER_EXPIRY = "after expiry"  # a new event for the invoice of the order, which has expired


def judge(
    reply: DebitReply, payment_hash: str, fee_cap_msat: Msat, asked: DebitQuestion, *, after_s: float, is_known: bool
) -> Settled | Failed | Unknown:
    """Judge an answer that came ``after_s`` seconds after its question. No wallet tells what it has paid in fees, so
    what is booked is what it was allowed to: the doubt is not the owner's."""
    if isinstance(reply, DebitOk):
        proof = judge_preimage(reply.preimage, payment_hash)
        if proof == "proven":
            return Settled(reply.preimage, fee_cap_msat)
        why = "without a preimage" if proof == "claimed" else "with a preimage that is not that of the invoice"
        return Unknown(f"the wallet says that it has paid, {why}")
    said = f"the wallet answered {_code(reply)} ({reply.text or reply.token or 'no reason given'})"
    if not _ends(reply, asked, after_s=after_s, is_known=is_known):
        return Unknown(f"{said}; it may still pay, or have paid")
    reason = _REASONS.get(reply.refused.reason, FailureReason.REFUSED)
    return Failed(said, FailureReason.EXPIRED if asked is DebitQuestion.AFTER_EXPIRY else reason)


def _ends(refusal: DebitRefusal, asked: DebitQuestion, *, after_s: float, is_known: bool) -> bool:
    """Whether nothing can be paid by the order any more."""
    if refusal.refused.reason in _HELD:
        return False
    match asked:
        case DebitQuestion.ORDER:
            is_final = refusal.proves_unpaid or (is_known and _is_knowns_end(refusal))
            return is_final and (not refusal.is_stale or after_s <= AT_ONCE_S)
        case DebitQuestion.AGAIN:
            is_final = refusal.proves_unpaid or _is_knowns_end(refusal)
            return is_known and is_final and not refusal.is_stale and refusal.code != _RATE_LIMITED
        case DebitQuestion.AFTER_EXPIRY:
            if refusal.code in _LOOKED_UP and refusal.token == _ALREADY_FAILED:
                return True
            return is_known and (refusal.code in _LOOKED_UP or refusal.token in _ENDED)


def _is_knowns_end(refusal: DebitRefusal) -> bool:
    return refusal.code == _DENIED or refusal.token in _ENDED


def _code(refusal: DebitRefusal) -> str:
    return "without a code" if refusal.code is None else f"with code {refusal.code}"
