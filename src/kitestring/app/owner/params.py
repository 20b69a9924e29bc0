"""Kinds of parameters that several of the owner's commands take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kitestring.base.commands import OWNER_GRANT
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import MAX_WHOLE
from kitestring.base.text import unseen
from kitestring.codec.nip19 import PublicKey, encode, read_public_key

#: JSON carries no larger number exactly.
AmountMsat = Annotated[int, Meta(ge=1, le=MAX_WHOLE)]
#: A code of ISO 4217 such as EUR, "" for none.
Currency = Annotated[str, Meta(pattern="^([A-Z]{3})?$")]
#: A year 3000 that a typing mistake does not reach.
UnixTime = Annotated[int, Meta(ge=0, le=2**35)]
#: Names are shown in lists and typed on command lines.
Name = Annotated[str, Meta(min_length=1, max_length=64)]
#: Of the operator's word about a payment or a doubt, which is kept.
MAX_NOTE_CHARS: Final = 500
#: Seconds a command waits for the end of a payment, unless it is told; the node itself searches for at most 60.
DEFAULT_WAIT_S: Final = 75
#: Seconds that a command may be told to wait.
MAX_WAIT_S: Final = 600
#: The longest window of a rolling budget.
MAX_WINDOW_S: Final = 366 * 86_400
#: 64 random bits: ids are compared within one service only.
ID_BYTES: Final = 8
#: The least of an id, from its beginning or its end, by which something is found.
MIN_ID_CHARS: Final = 6
#: Ids that one sentence names.
MAX_NAMED: Final = 5


class NoParams(msgspec.Struct, forbid_unknown_fields=True):
    pass


class NameParams(msgspec.Struct, forbid_unknown_fields=True):
    name: Name


def public_key(text: str) -> str:
    """The public key in 64 hex digits or an ``npub``, as hex. Raises KitestringError."""
    try:
        return read_public_key(text)
    except CodecError as error:
        raise KitestringError(Reason.MALFORMED, str(error)) from error


def npub(key: str) -> str:
    """A public key in hex as people see it."""
    return encode(PublicKey(key))


def of_others(grant_id: str) -> str | None:
    """The id of a grant as it is shown: None for the owner's own, which is no connection."""
    return None if grant_id in {"", OWNER_GRANT} else grant_id


def only(found: Sequence[str], typed: str, what: str) -> None:
    """Raise KitestringError where ``typed`` is the beginning or the end of several ids."""
    if len(found) > 1:
        shown = ", ".join(found[:MAX_NAMED])
        raise KitestringError(
            Reason.MALFORMED, f"{typed} stands for {len(found)} {what}: {shown}; type more of it", ids=list(found)
        )


def plain_line(text: str, what: str = "a name or note") -> str:
    """``text``, if it is one line without white space around it, and all of it can be seen. Raises KitestringError that
    begins with ``what``."""
    if text != text.strip() or "\n" in text:
        raise KitestringError(Reason.MALFORMED, f"{what} is one line without white space around it")
    if hidden := unseen(text):
        raise KitestringError(Reason.MALFORMED, f"{what} has a character that nobody sees (U+{ord(hidden):04X})")
    return text
