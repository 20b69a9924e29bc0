"""One reason for refusing, one row: what every wire says about it.

``Reason`` is the only vocabulary of refusal inside kitestring. Each wire looks its own code up in :data:`TABLE`;
a new reason is one row here and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Reason(Enum):
    """Why a request was not carried out. The value is the stable name used in JSON output and logs."""

    MALFORMED = "malformed"
    UNKNOWN_TARGET = "unknown_target"
    MOVED_OR_EXPIRED_OFFER = "moved_or_expired_offer"
    STALE_REQUEST = "stale_request"
    ALREADY_USED = "already_used"
    INVOICE_TAKEN = "invoice_taken"
    AMOUNT_OUT_OF_RANGE = "amount_out_of_range"
    OVER_BUDGET = "over_budget"
    NOT_PERMITTED = "not_permitted"
    CONNECTION_ENDED = "connection_ended"
    UNKNOWN_CALLER = "unknown_caller"
    RATE_LIMITED = "rate_limited"
    UNSUPPORTED = "unsupported"
    UNSUPPORTED_VERSION = "unsupported_version"
    UNSUPPORTED_ENCRYPTION = "unsupported_encryption"
    WRONG_NETWORK = "wrong_network"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    FEE_LIMIT = "fee_limit"
    PAYMENT_FAILED = "payment_failed"
    PAYMENT_IN_FLIGHT = "payment_in_flight"
    UNAVAILABLE = "unavailable"
    SPENDING_STOPPED = "spending_stopped"
    BUSY = "busy"
    INTERNAL = "internal"


class Exit(int, Enum):
    """Exit codes of the command line."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    PAYMENT_FAILED = 3
    UNAVAILABLE = 4
    REFUSED = 5
    RATE_LIMITED = 6
    PENDING = 7


#: On this wire the reason is answered by publishing nothing.
SILENCE: Final = ""
#: CLINK codes are integers ≥ 1; this marks a reason that is answered by publishing nothing.
SILENT: Final = 0


@dataclass(frozen=True, slots=True)
class Codes:
    """What the wires say for one reason.

    ``nwc`` is the NIP-47 code on NIP-44 connections, ``nwc_narrow`` the one on NIP-04 connections, whose clients
    refuse a whole reply with a code they do not know. ``offers`` is the CLINK 21001 code (``SILENT`` = no reply).
    """

    nwc: str
    offers: int
    exit: Exit
    sentence: str
    nwc_narrow: str = ""

    @property
    def narrow(self) -> str:
        """The code on NIP-04 connections."""
        return self.nwc_narrow or self.nwc


TABLE: Final[dict[Reason, Codes]] = {
    Reason.MALFORMED: Codes("OTHER", 6, Exit.USAGE, "the request is malformed"),
    Reason.UNKNOWN_TARGET: Codes("NOT_FOUND", 1, Exit.USAGE, "there is no such thing here"),
    Reason.MOVED_OR_EXPIRED_OFFER: Codes("OTHER", 3, Exit.USAGE, "the offer has moved or expired"),
    Reason.STALE_REQUEST: Codes("OTHER", 2, Exit.USAGE, "the request is too old or from the future"),
    Reason.ALREADY_USED: Codes("OTHER", 6, Exit.USAGE, "this was used already"),
    Reason.INVOICE_TAKEN: Codes("OTHER", 6, Exit.USAGE, "the invoice is being paid or was paid by somebody else"),
    Reason.AMOUNT_OUT_OF_RANGE: Codes("OTHER", 5, Exit.USAGE, "the amount is out of range"),
    Reason.OVER_BUDGET: Codes("QUOTA_EXCEEDED", 2, Exit.REFUSED, "the budget does not allow it"),
    Reason.NOT_PERMITTED: Codes("RESTRICTED", 1, Exit.REFUSED, "this is not permitted"),
    Reason.CONNECTION_ENDED: Codes("UNAUTHORIZED", 1, Exit.REFUSED, "the connection has expired or was revoked"),
    Reason.UNKNOWN_CALLER: Codes(SILENCE, 1, Exit.REFUSED, "the caller is unknown"),
    Reason.RATE_LIMITED: Codes("RATE_LIMITED", 2, Exit.RATE_LIMITED, "too many requests"),
    Reason.UNSUPPORTED: Codes("NOT_IMPLEMENTED", 4, Exit.USAGE, "this is not supported"),
    Reason.UNSUPPORTED_VERSION: Codes("OTHER", 6, Exit.USAGE, "this protocol version is not supported"),
    Reason.UNSUPPORTED_ENCRYPTION: Codes(
        "UNSUPPORTED_ENCRYPTION", SILENT, Exit.USAGE, "this encryption is not allowed here", nwc_narrow="OTHER"
    ),
    Reason.WRONG_NETWORK: Codes("OTHER", 6, Exit.USAGE, "this is for another network"),
    Reason.INSUFFICIENT_FUNDS: Codes("INSUFFICIENT_BALANCE", 2, Exit.PAYMENT_FAILED, "the balance is too small"),
    Reason.FEE_LIMIT: Codes(
        "FEE_LIMIT_EXCEEDED", 2, Exit.PAYMENT_FAILED, "no route within the fee limit", nwc_narrow="PAYMENT_FAILED"
    ),
    Reason.PAYMENT_FAILED: Codes("PAYMENT_FAILED", 2, Exit.PAYMENT_FAILED, "the payment failed for good"),
    Reason.PAYMENT_IN_FLIGHT: Codes(SILENCE, SILENT, Exit.PENDING, "the payment is still under way"),
    Reason.UNAVAILABLE: Codes("INTERNAL", 2, Exit.UNAVAILABLE, "this is not available at the moment"),
    Reason.SPENDING_STOPPED: Codes("INTERNAL", 2, Exit.UNAVAILABLE, "spending is stopped here at the moment"),
    Reason.BUSY: Codes("INTERNAL", 2, Exit.UNAVAILABLE, "somebody else changed the same thing just now; try again"),
    Reason.INTERNAL: Codes("INTERNAL", 2, Exit.INTERNAL, "something went wrong inside the service"),
}


class KitestringError(Exception):
    """Any failure a caller is told about: a reason, one sentence, and named details (all JSON values).

    ``private`` is for the owner alone, such as the node's own words, which may hold its address: no wire shows it.
    """

    def __init__(self, reason: Reason, message: str = "", *, private: str = "", **details: object) -> None:
        self.reason = reason
        self.message = message or TABLE[reason].sentence
        self.private = private
        self.details = details
        super().__init__(self.message)

    @property
    def exit_code(self) -> Exit:
        """How the command line ends when this error reaches it."""
        return TABLE[self.reason].exit


class CodecError(ValueError):
    """A string or byte sequence is not what it claims to be. The message is one sentence for people."""
