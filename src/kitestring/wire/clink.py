"""Common to all wires of CLINK: the version tag, NIP-44 alone, and how they refuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kitestring.base.errors import TABLE, KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.outcomes import Refused
from kitestring.base.text import clean
from kitestring.codec.json import dumps
from kitestring.nostr.event import Event, first_tag
from kitestring.wire.encryption import Choice
from kitestring.wire.grammar import Code
from kitestring.wire.reply_to import ReplyTo, Version

CLINK_VERSION: Final = ["clink_version", "1"]
MAX_ERROR_CHARS: Final = 200
#: Details of a refusal that go on the wire, in this order.
SHOWN_DETAILS: Final = ("range", "latest", "payer_data", "delta", "retry_after", "work_bits")

#: The codes that most wires of CLINK have for a reason. A wire names only those in which it differs: what a payer, a
#: requestor or an app makes of a code is its own.
CLINK_CODES: Final[Mapping[Reason, int | None]] = {
    Reason.MALFORMED: 6,
    Reason.UNKNOWN_TARGET: 1,
    Reason.MOVED_OR_EXPIRED_OFFER: 1,
    Reason.STALE_REQUEST: 3,
    Reason.ALREADY_USED: 6,
    Reason.CONFLICT: 6,
    Reason.AMBIGUOUS_LOOKUP: 6,
    Reason.INVOICE_TAKEN: 6,
    Reason.AMOUNT_OUT_OF_RANGE: 5,
    Reason.OVER_BUDGET: 1,
    Reason.NOT_PERMITTED: 1,
    Reason.UNDECIDED: 2,
    Reason.CONNECTION_ENDED: 1,
    Reason.UNKNOWN_CALLER: 1,
    Reason.RATE_LIMITED: 4,
    Reason.INSUFFICIENT_POW: 4,
    Reason.UNSUPPORTED: 6,
    Reason.UNSUPPORTED_VERSION: 6,
    Reason.UNSUPPORTED_ENCRYPTION: None,
    Reason.WRONG_NETWORK: 6,
    Reason.EXPIRED_INVOICE: 6,
    Reason.INSUFFICIENT_FUNDS: 2,
    Reason.FEE_LIMIT: 2,
    Reason.PAYMENT_FAILED: 2,
    Reason.PAYMENT_IN_FLIGHT: None,
    Reason.UNAVAILABLE: 2,
    Reason.SPENDING_STOPPED: 2,
    Reason.BUSY: 2,
    Reason.INTERNAL: 2,
}

_NIP44: Final = Choice("nip44", allowed=True)


def always_nip44(_event: Event, _grant: Grant | None) -> Choice:
    """The ``cipher`` of every CLINK wire."""
    return _NIP44


def read_version(event: Event, *, accept_legacy: bool = False) -> Version:
    """Whether the caller speaks CLINK, or the unversioned protocol of 2024 (served if ``accept_legacy``).

    Raises KitestringError(UNSUPPORTED_VERSION).
    """
    if first_tag(event, CLINK_VERSION[0]) == CLINK_VERSION[1]:
        return "tagged"
    if accept_legacy and not any(tag and tag[0] == CLINK_VERSION[0] for tag in event.tags):
        return "legacy"
    raise KitestringError(Reason.UNSUPPORTED_VERSION, "only clink_version 1 is served here")


def shown_details(refused: Refused, _code: int) -> Mapping[str, Any]:
    """The details among :data:`SHOWN_DETAILS` that there are, under every code."""
    return {name: refused.details[name] for name in SHOWN_DETAILS if name in refused.details}


def members_by_code(names: Mapping[int, tuple[str, ...]]) -> Callable[[Refused, int], Mapping[str, Any]]:
    """The ``members_of`` of a wire whose codes have members of their own: the details that stand with each."""

    def members_of(refused: Refused, code: int) -> Mapping[str, Any]:
        details = refused.details
        return {name: details[name] for name in names.get(code, ()) if details.get(name) is not None}

    return members_of


def refuser(
    names: Mapping[int, str], codes: Mapping[Reason, Code], legacy_codes: Mapping[Reason, Code] | None = None,
    members_of: Callable[[Refused, int], Mapping[str, Any]] = shown_details,
) -> Callable[[Refused, ReplyTo], bytes | None]:  # fmt: skip
    """The ``refuse`` of a wire with these codes; an error text starts with the name of its code. ``members_of`` tells
    the members that stand behind it, for a refusal under its code."""
    columns = {"tagged": codes, "legacy": {**codes, **(legacy_codes or {})}}

    def refuse(refused: Refused, to: ReplyTo) -> bytes | None:
        code = columns[to.version][refused.reason]
        if not isinstance(code, int):
            return None
        sentence = refused.message or TABLE[refused.reason].sentence
        members: dict[str, Any] = {
            "res": "GFY",
            "code": code,
            "error": clean(f"{names[code]}: {sentence}", MAX_ERROR_CHARS),
        }
        return dumps(members | dict(members_of(refused, code))).encode()

    return refuse
