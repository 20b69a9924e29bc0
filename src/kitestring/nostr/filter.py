"""Subscription filters (NIP-01): strict decoding with limits, encoding, matching."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from typing import Annotated, Any, Final

import msgspec

from kitestring.base.errors import CodecError
from kitestring.nostr.event import Event, Hex32, Kind, Time

#: Members of one filter object; NIP-01 names six, the rest are tags.
MAX_MEMBERS: Final = 20
#: Values of one member: five times what we ask for ourselves (200 keys in a REQ), because others ask for more.
MAX_VALUES: Final = 1000
#: Characters of one tag value; relay URLs and ``d`` tags are the longest in use.
MAX_VALUE_CHARS: Final = 1024

_Values = msgspec.Meta(max_length=MAX_VALUES)
_TagValue = Annotated[str, msgspec.Meta(max_length=MAX_VALUE_CHARS)]
_Texts = Annotated[list[_TagValue], _Values]
_Keys = Annotated[list[Hex32], _Values]
_MEMBERS: Final[dict[str, Any]] = {
    "ids": _Keys,
    "authors": _Keys,
    "kinds": Annotated[list[Kind], _Values],
    "since": Time,
    "until": Time,
    "limit": Time,
}
_encode: Final = msgspec.json.Encoder().encode
_SETS: Final = ("ids", "authors", "kinds")
_TAG: Final = re.compile("#[A-Za-z]").fullmatch
_HEX: Final = re.compile("[0-9a-f]*").fullmatch


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """A subscriber's wish: an event must satisfy every member that is not None, one value of each.

    ``tags`` maps a single letter (without ``#``) to the wanted values. An empty set matches nothing. ``since`` and
    ``until`` in Unix seconds, inclusive; ``limit`` is the number of stored events wanted and plays no part in matching.
    """

    ids: Set[str] | None = None
    authors: Set[str] | None = None
    kinds: Set[int] | None = None
    since: int | None = None
    until: int | None = None
    limit: int | None = None
    tags: Mapping[str, Set[str]] = {}

    def matches(self, event: Event) -> bool:
        """Whether the event is wanted; its id and signature are not looked at."""
        return (
            (self.kinds is None or event.kind in self.kinds)
            and (self.authors is None or event.pubkey in self.authors)
            and (self.ids is None or event.id in self.ids)
            and (self.since is None or event.created_at >= self.since)
            and (self.until is None or event.created_at <= self.until)
            and all(_has_tag(event, name, values) for name, values in self.tags.items())
        )


def _has_tag(event: Event, name: str, values: Set[str]) -> bool:
    return any(len(tag) > 1 and tag[0] == name and tag[1] in values for tag in event.tags)


def decode_filter(value: object) -> Filter:
    """A filter out of a parsed JSON object. Raises CodecError; unknown members and null are ignored, unknown ``#`` tags
    not.

    A tag member that is no single letter is refused, because leaving it out would match more than was asked for.
    """
    if not isinstance(value, dict) or len(value) > MAX_MEMBERS:
        raise CodecError(f"a filter is a JSON object of at most {MAX_MEMBERS} members")
    members: dict[str, Any] = {}
    tags: dict[str, Set[str]] = {}
    try:
        for name, content in value.items():
            if content is None:  # some clients write what they do not ask for as null
                continue
            if name in _MEMBERS:
                members[name] = msgspec.convert(content, _MEMBERS[name])
            elif _TAG(name):
                tags[name[1]] = frozenset(msgspec.convert(content, _Texts))
            elif name.startswith("#"):
                raise CodecError("a filter asks for tags of one letter only")
    except msgspec.ValidationError as error:
        raise CodecError(f"the filter member {name[:20]!r} is malformed") from error
    for name in _SETS & members.keys():
        members[name] = frozenset(members[name])
    _check_hex((*members.get("ids", ()), *members.get("authors", ())))
    return Filter(**members, tags=tags)


def _check_hex(values: Iterable[str]) -> None:
    if not _HEX("".join(values)):
        raise CodecError("ids and authors of a filter are 64 lower-case hex characters")


def encode_filter(wanted: Filter) -> bytes:
    """The filter as compact JSON for a REQ, values in order. Raises CodecError when it is beyond the limits above."""
    members: dict[str, object] = {}
    for name in _MEMBERS:
        value = getattr(wanted, name)
        if value is not None:
            members[name] = sorted(value) if name in _SETS else value
    members |= {f"#{name}": sorted(values) for name, values in wanted.tags.items()}
    decode_filter(members)
    return _encode(members)
