"""One reason for refusing, one row.

``Reason`` is the only vocabulary of refusal inside kitestring. Each wire has a column of its own codes for them; a test
says which wire lacks one.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple


class Reason(Enum):
    """The reason why a request was not carried out. The value is the stable name used in JSON output and logs."""

    MALFORMED = "malformed"
    UNKNOWN_TARGET = "unknown_target"
    AMBIGUOUS_LOOKUP = "ambiguous_lookup"
    MOVED_OR_EXPIRED_OFFER = "moved_or_expired_offer"
    STALE_REQUEST = "stale_request"
    ALREADY_USED = "already_used"
    CONFLICT = "conflict"
    INVOICE_TAKEN = "invoice_taken"
    AMOUNT_OUT_OF_RANGE = "amount_out_of_range"
    OVER_BUDGET = "over_budget"
    NOT_PERMITTED = "not_permitted"
    UNDECIDED = "undecided"
    CONNECTION_ENDED = "connection_ended"
    UNKNOWN_CALLER = "unknown_caller"
    RATE_LIMITED = "rate_limited"
    INSUFFICIENT_POW = "insufficient_pow"
    UNSUPPORTED = "unsupported"
    UNSUPPORTED_VERSION = "unsupported_version"
    UNSUPPORTED_ENCRYPTION = "unsupported_encryption"
    WRONG_NETWORK = "wrong_network"
    EXPIRED_INVOICE = "expired_invoice"
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
    #: What a shell reports for a program that Ctrl-C has ended.
    INTERRUPTED = 130


class Meaning(NamedTuple):
    """The meaning of a reason to people and to the command line; the codes on the wires are the wires' own."""

    exit: Exit
    sentence: str


TABLE: Final[dict[Reason, Meaning]] = {
    Reason.MALFORMED: Meaning(Exit.USAGE, "the request is malformed"),
    Reason.UNKNOWN_TARGET: Meaning(Exit.USAGE, "there is no such thing here"),
    Reason.AMBIGUOUS_LOOKUP: Meaning(Exit.USAGE, "there are several such records: say which one is meant"),
    Reason.MOVED_OR_EXPIRED_OFFER: Meaning(Exit.USAGE, "the offer has moved or expired"),
    Reason.STALE_REQUEST: Meaning(Exit.USAGE, "the request is too old or from the future"),
    Reason.ALREADY_USED: Meaning(Exit.USAGE, "this was used already"),
    Reason.CONFLICT: Meaning(Exit.USAGE, "it exists already, with other values"),
    Reason.INVOICE_TAKEN: Meaning(
        Exit.USAGE, "the invoice is being paid or was paid by somebody else, or with another amount"
    ),
    Reason.AMOUNT_OUT_OF_RANGE: Meaning(Exit.USAGE, "the amount is out of range"),
    Reason.OVER_BUDGET: Meaning(Exit.REFUSED, "the budget does not allow it"),
    Reason.NOT_PERMITTED: Meaning(Exit.REFUSED, "this is not permitted"),
    Reason.UNDECIDED: Meaning(Exit.REFUSED, "the owner was asked and has not decided in time"),
    Reason.CONNECTION_ENDED: Meaning(Exit.REFUSED, "the connection has expired or was revoked"),
    Reason.UNKNOWN_CALLER: Meaning(Exit.REFUSED, "the caller is unknown"),
    Reason.RATE_LIMITED: Meaning(Exit.RATE_LIMITED, "too many requests"),
    Reason.INSUFFICIENT_POW: Meaning(Exit.RATE_LIMITED, "the request needs more proof of work"),
    Reason.UNSUPPORTED: Meaning(Exit.USAGE, "this is not supported"),
    Reason.UNSUPPORTED_VERSION: Meaning(Exit.USAGE, "this protocol version is not supported"),
    Reason.UNSUPPORTED_ENCRYPTION: Meaning(Exit.USAGE, "this encryption is not allowed here"),
    Reason.WRONG_NETWORK: Meaning(Exit.USAGE, "this is for another network"),
    Reason.EXPIRED_INVOICE: Meaning(Exit.USAGE, "the invoice has expired, and nothing was paid"),
    Reason.INSUFFICIENT_FUNDS: Meaning(Exit.PAYMENT_FAILED, "the balance is too small"),
    Reason.FEE_LIMIT: Meaning(Exit.PAYMENT_FAILED, "no route within the fee limit"),
    Reason.PAYMENT_FAILED: Meaning(Exit.PAYMENT_FAILED, "the payment failed for good"),
    Reason.PAYMENT_IN_FLIGHT: Meaning(Exit.PENDING, "the payment is still under way"),
    Reason.UNAVAILABLE: Meaning(Exit.UNAVAILABLE, "this is not available at the moment"),
    Reason.SPENDING_STOPPED: Meaning(Exit.UNAVAILABLE, "spending is stopped here at the moment"),
    Reason.BUSY: Meaning(Exit.UNAVAILABLE, "somebody else changed the same thing just now; try again"),
    Reason.INTERNAL: Meaning(Exit.INTERNAL, "something went wrong inside the service"),
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
        """The exit code of the command line when this error reaches it."""
        return TABLE[self.reason].exit


class NotStoredError(KitestringError):
    """The ledger has provably written nothing of it: the disk is full, or another process holds the file."""


def in_plain_words(failure: BaseException) -> str:
    """A failure for logs, for evidence and for the owner: in its own words, and never with the name of its class where
    it has any."""
    if isinstance(failure, TimeoutError):
        return str(failure) or "no answer in time"
    return str(failure) or f"an unexpected failure ({type(failure).__name__})"


class CodecError(ValueError):
    """A string or byte sequence is not what it claims to be. The message is one sentence for people."""
