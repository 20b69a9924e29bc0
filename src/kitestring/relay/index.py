"""Finding the few subscriptions an event may concern, and the few events a filter may match, without looking at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Generic, TypeVar

from kitestring.nostr.event import Event
from kitestring.nostr.filter import Filter

Item = TypeVar("Item")
#: What both an event and a filter can name: ``("id", id)``, ``("#p", key)``, ``("author", key)``, ``("kind", number)``.
Place = tuple[str, str | int]
EVERYTHING: Final[Place] = ("", 0)
#: Tags by which a filter is indexed if it has several, most selective first; any other one after these.
SELECTIVE_TAGS: Final = ("e", "p", "a", "d")


def filter_places(wanted: Filter) -> list[Place]:
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


_TAG_PLACE: Final = {letter: f"#{letter}" for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def event_places(event: Event) -> list[Place]:
    """Every place under which the event can be looked for."""
    places: list[Place] = [("id", event.id), ("author", event.pubkey), ("kind", event.kind), EVERYTHING]
    places.extend([(_TAG_PLACE[tag[0]], tag[1]) for tag in event.tags if len(tag) > 1 and tag[0] in _TAG_PLACE])
    return places


class Index(Generic[Item]):
    """Items by place. Items are compared by identity or equality as they define it, and kept in order of insertion."""

    __slots__ = ("_at",)

    def __init__(self) -> None:
        self._at: dict[Place, dict[Item, None]] = {}

    def add(self, item: Item, places: Iterable[Place]) -> None:
        at = self._at
        for place in places:
            here = at.get(place)
            if here is None:
                at[place] = {item: None}
            else:
                here[item] = None

    def remove(self, item: Item, places: Iterable[Place]) -> None:
        for place in places:
            here = self._at.get(place)
            if here is not None:
                here.pop(item, None)
                if not here:
                    del self._at[place]

    def find(self, places: Iterable[Place]) -> Iterator[Item]:
        """Items at any of the places; one that is at several comes several times."""
        at = self._at
        for place in places:
            here = at.get(place)
            if here is not None:
                yield from here
