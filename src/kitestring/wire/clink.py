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
