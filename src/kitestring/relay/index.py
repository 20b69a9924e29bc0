"""Finding the few subscriptions an event may concern, and the few events a filter may match, without looking at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from itertools import islice
from typing import Final, Generic, TypeVar

from kitestring.nostr.event import Event
from kitestring.nostr.filter import Filter

Item = TypeVar("Item")
#: A name that events and filters have in common: ``("id", id)``, ``("#p", key)``, ``("author", key)``,
#: ``("kind", number)``.
IndexKey = tuple[str, str | int]
EVERYTHING: Final[IndexKey] = ("", 0)
#: Tags by which a filter is indexed if it has several, most selective first; any other one after these.
SELECTIVE_TAGS: Final = ("e", "p", "a", "d")


def filter_places(wanted: Filter) -> list[IndexKey]:
    """The places where everything that matches the filter can be found: those of its most selective condition."""
    if wanted.ids is not None:
        return [("id", each) for each in wanted.ids]
    if wanted.tags:
        name = next((name for name in SELECTIVE_TAGS if name in wanted.tags), None) or next(iter(wanted.tags))
        return [(f"#{name}", value) for value in wanted.tags[name]]
    if wanted.authors is not None:
        return [("author", each) for each in wanted.authors]
    if wanted.kinds is not None:
        return [("kind", each) for each in wanted.kinds]
    return [EVERYTHING]


_NONE: Final[frozenset[str]] = frozenset()
_TAG_PLACE: Final = {letter: f"#{letter}" for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def event_places(event: Event) -> list[IndexKey]:
    """Every place under which the event can be looked for."""
    places: list[IndexKey] = [("id", event.id), ("author", event.pubkey), ("kind", event.kind), EVERYTHING]
    places.extend([(_TAG_PLACE[tag[0]], tag[1]) for tag in event.tags if len(tag) > 1 and tag[0] in _TAG_PLACE])
    return places


def tag_sets(event: Event) -> dict[str, set[str]]:
    """The values of an event's tags by name: made once where many filters are tried."""
    values: dict[str, set[str]] = {}
    for tag in event.tags:
        if len(tag) > 1:
            values.setdefault(tag[0], set()).add(tag[1])
    return values


def matches(wanted: Filter, event: Event, tags: Mapping[str, Set[str]]) -> bool:
    """As :meth:`Filter.matches`, without looking through all tags of an event for every filter."""
    return (
        (wanted.kinds is None or event.kind in wanted.kinds)
        and (wanted.authors is None or event.pubkey in wanted.authors)
        and (wanted.ids is None or event.id in wanted.ids)
        and (wanted.since is None or event.created_at >= wanted.since)
        and (wanted.until is None or event.created_at <= wanted.until)
        and not any(tags.get(name, _NONE).isdisjoint(values) for name, values in wanted.tags.items())
    )


class Index(Generic[Item]):
    """Items by place. Items are compared by identity or equality as they define it, and kept in order of insertion."""

    __slots__ = ("_at",)

    def __init__(self) -> None:
        self._at: dict[IndexKey, dict[Item, None]] = {}

    def add(self, item: Item, places: Iterable[IndexKey]) -> None:
        at = self._at
        for place in places:
            here = at.get(place)
            if here is None:
                at[place] = {item: None}
            else:
                here[item] = None

    def remove(self, item: Item, places: Iterable[IndexKey]) -> None:
        for place in places:
            here = self._at.get(place)
            if here is not None:
                here.pop(item, None)
                if not here:
                    del self._at[place]

    def find(self, places: Iterable[IndexKey]) -> dict[Item, None]:
        """Items at any of the places, each once."""
        at, found = self._at, dict[Item, None]()
        for place in places:
            here = at.get(place)
            if here is not None:
                found |= here
        return found

    def some(self, place: IndexKey, most: int) -> list[Item]:
        """Items at this place, at most so many: those that came first."""
        return list(islice(self._at.get(place, ()), most))

    def weight(self, places: Iterable[IndexKey]) -> int:
        """The number of items that :meth:`find` would come across."""
        at = self._at
        return sum(len(at.get(place, ())) for place in places)
