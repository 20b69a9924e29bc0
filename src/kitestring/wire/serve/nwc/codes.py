"""The error codes of Nostr Wallet Connect (NIP-47), the service's side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kitestring.base.errors import Reason
from kitestring.wire.reply_to import ReplyTo
from kitestring.wire.serve.nwc.bip321 import INSTRUCTION
from kitestring.wire.serve.nwc.lookup import PAYMENT_TYPE

#: NIP-47's word for each reason; None = no response.
CODES: Final[Mapping[Reason, str | None]] = {
    Reason.MALFORMED: "OTHER",
    Reason.UNKNOWN_TARGET: "NOT_FOUND",
    Reason.MOVED_OR_EXPIRED_OFFER: "OTHER",
    Reason.STALE_REQUEST: "OTHER",
    Reason.ALREADY_USED: "OTHER",
    Reason.CONFLICT: "OTHER",
    Reason.AMBIGUOUS_LOOKUP: "OTHER",
    Reason.INVOICE_TAKEN: "OTHER",
    Reason.AMOUNT_OUT_OF_RANGE: "OTHER",
    Reason.OVER_BUDGET: "QUOTA_EXCEEDED",
    Reason.NOT_PERMITTED: "RESTRICTED",
    Reason.UNDECIDED: "RESTRICTED",
    Reason.CONNECTION_ENDED: "UNAUTHORIZED",
    Reason.UNKNOWN_CALLER: None,
    Reason.RATE_LIMITED: "RATE_LIMITED",
    Reason.INSUFFICIENT_POW: "RATE_LIMITED",
    Reason.UNSUPPORTED: "NOT_IMPLEMENTED",
    Reason.UNSUPPORTED_VERSION: "OTHER",
    Reason.UNSUPPORTED_ENCRYPTION: "UNSUPPORTED_ENCRYPTION",
    # Of a payment only: nothing was sent and nothing ever will be. After OTHER some wallets wait forever.
    Reason.WRONG_NETWORK: "PAYMENT_FAILED",
    Reason.EXPIRED_INVOICE: "PAYMENT_FAILED",
    Reason.INSUFFICIENT_FUNDS: "INSUFFICIENT_BALANCE",
    Reason.FEE_LIMIT: "FEE_LIMIT_EXCEEDED",
    Reason.PAYMENT_FAILED: "PAYMENT_FAILED",
    Reason.PAYMENT_IN_FLIGHT: None,
    Reason.UNAVAILABLE: "INTERNAL",
    Reason.SPENDING_STOPPED: "INTERNAL",
    Reason.BUSY: "INTERNAL",
    Reason.INTERNAL: "INTERNAL",
}
#: Clients of NIP-04 connections refuse a whole response with a code that they do not know.
NARROW_CODES: Final[Mapping[Reason, str]] = {
    Reason.UNSUPPORTED_ENCRYPTION: "OTHER",
    Reason.FEE_LIMIT: "PAYMENT_FAILED",
}
#: Codes of methods whose own text names them: sent to callers of NIP-44 alone.
WIDE_CODES: Final[Mapping[str, Mapping[Reason, str]]] = {
    "lookup_payment": {
        Reason.MALFORMED: "BAD_REQUEST",
        Reason.WRONG_NETWORK: "BAD_REQUEST",
        Reason.AMBIGUOUS_LOOKUP: "MULTIPLE_MATCHES",
    },
    "pay": {
        Reason.MALFORMED: "BAD_REQUEST",
        Reason.AMOUNT_OUT_OF_RANGE: "BAD_REQUEST",
        Reason.WRONG_NETWORK: "UNSUPPORTED_NETWORK",
    },
    "receive": {Reason.MALFORMED: "BAD_REQUEST", Reason.AMOUNT_OUT_OF_RANGE: "BAD_REQUEST"},
}
#: The code for a link in which nothing can be paid here.
NO_INSTRUCTION: Final = "UNSUPPORTED_PAYMENT_INSTRUCTION"
#: The code for a type of payment that is not known here, of the same text.
NO_PAYMENT_TYPE: Final = "UNSUPPORTED_PAYMENT_TYPE"


def code_of(reason: Reason, to: ReplyTo, details: Mapping[str, object]) -> str | None:
    """NIP-47's word for a refusal of the method that ``to`` names; None = no response."""
    if to.cipher == "nip04":
        return "OTHER" if PAYMENT_TYPE in details else NARROW_CODES.get(reason, CODES[reason])
    if reason is Reason.UNSUPPORTED and PAYMENT_TYPE in details:
        return NO_PAYMENT_TYPE
    if reason is Reason.UNSUPPORTED and INSTRUCTION in details:
        return NO_INSTRUCTION
    return WIDE_CODES.get(to.method, {}).get(reason, CODES[reason])
