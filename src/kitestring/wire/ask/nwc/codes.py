"""The error codes of wallets as an app reads them: what each means, and whether it is the end of a payment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kitestring.base.errors import Reason
from kitestring.base.outcomes import Refused
from kitestring.wire.ask.members import text_in
from kitestring.wire.text import MAX_PEER_MESSAGE

MAX_CODE_CHARS: Final = 40


@dataclass(frozen=True, slots=True)
class CodeMeaning:
    """``is_final``: the wallet says by it that the request was not, and will not be, carried out."""

    reason: Reason
    is_final: bool = True


#: The codes of NIP-47, and of its extensions 02 to 08.
STANDARD: Final = {
    "RATE_LIMITED": CodeMeaning(Reason.RATE_LIMITED),
    "NOT_IMPLEMENTED": CodeMeaning(Reason.UNSUPPORTED),
    "INSUFFICIENT_BALANCE": CodeMeaning(Reason.INSUFFICIENT_FUNDS),
    "QUOTA_EXCEEDED": CodeMeaning(Reason.OVER_BUDGET),
    "RESTRICTED": CodeMeaning(Reason.NOT_PERMITTED),
    "UNAUTHORIZED": CodeMeaning(Reason.CONNECTION_ENDED),
    "NOT_FOUND": CodeMeaning(Reason.UNKNOWN_TARGET, is_final=False),  # is about records, not about orders
    "PAYMENT_FAILED": CodeMeaning(Reason.PAYMENT_FAILED),
    "FEE_LIMIT_EXCEEDED": CodeMeaning(Reason.FEE_LIMIT),
    "UNSUPPORTED_ENCRYPTION": CodeMeaning(Reason.UNSUPPORTED_ENCRYPTION),
    "INTERNAL": CodeMeaning(Reason.INTERNAL, is_final=False),
    "OTHER": CodeMeaning(Reason.MALFORMED, is_final=False),
}
#: Those of single wallets and of drafts: they are told as OTHER, with the wallet's own word beside it.
KNOWN: Final = {
    "EXPIRED": CodeMeaning(Reason.CONNECTION_ENDED),  # Alby Hub: the app's time is over, by the wallet's clock
    "BAD_REQUEST": CodeMeaning(Reason.MALFORMED),  # Alby Hub, NWC-09, -12 and -321: the request could not be read
    "UNSUPPORTED_NETWORK": CodeMeaning(Reason.WRONG_NETWORK),
    "UNSUPPORTED_PAYMENT_INSTRUCTION": CodeMeaning(Reason.UNSUPPORTED),
    "UNSUPPORTED_PAYMENT_TYPE": CodeMeaning(Reason.UNSUPPORTED),
    "TEMPORARILY_UNAVAILABLE": CodeMeaning(Reason.UNAVAILABLE, is_final=False),
}


def read_error(error: object) -> Refused:
    """The ``error`` of a response. ``details["code"]`` is one of NIP-47; for all others it is ``OTHER``, with the
    wallet's own word in ``details["raw_code"]``."""
    members = error if isinstance(error, dict) else {"message": error}
    raw = text_in(members, "code", MAX_CODE_CHARS)
    code = raw if raw in STANDARD else "OTHER"
    details = {"code": code} if code == raw else {"code": code, "raw_code": raw}
    return Refused(_meaning(raw).reason, text_in(members, "message", MAX_PEER_MESSAGE) or raw, details)


def is_final(refused: Refused) -> bool:
    """Whether the wallet has said that the request was not, and will not be, carried out. A code that nobody here knows
    says nothing about that."""
    return _meaning(own_word(refused)).is_final


def own_word(refused: Refused) -> str:
    """The code as the wallet wrote it."""
    return str(refused.details.get("raw_code", refused.details.get("code", "")))


def _meaning(raw: str) -> CodeMeaning:
    return STANDARD.get(raw) or KNOWN.get(raw) or STANDARD["OTHER"]
