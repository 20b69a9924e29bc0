"""The connections that may stay when there are too many: those with a reason to be here, and of no address more than of
others.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Final

#: Addresses of this machine have no share: a proxy or an onion service before the relay brings everybody from there.
LOCAL: Final = frozenset({"127.0.0.1", "::"})

#: Bits of an IPv6 address that one customer of a provider has alone: all of them are one address here.
_OWN_BITS: Final = 64


def place_of(peer: object) -> str:
    """The address that a connection counts under, from the name that the system gives its peer."""
    host = str(peer[0]) if isinstance(peer, tuple) and peer else ""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = getattr(address, "ipv4_mapped", None)
    if address.version == 4 or mapped is not None:
        return str(mapped or address)
    return str(ipaddress.ip_network((int(address), _OWN_BITS), strict=False).network_address)


class Standing(Enum):
    IDLE = "without a subscription"
    LISTENING = "with a subscription"
    VOUCHED = "of a key that is known"


class Seat:
    """One connection, from its acceptance on. ``leave`` ends it; whoever makes its transport sets that."""

    __slots__ = ("_seats", "is_gone", "leave", "place", "standing")

    def __init__(self, seats: Seats, place: str, standing: Standing) -> None:
        self._seats: Final = seats
        self.place: Final = place
        self.standing = standing
        self.leave: Callable[[], None] = _nothing
        #: Somebody else has it: a connection that was not made yet ends as soon as it is.
        self.is_gone = False

    def heard(self, subscriptions: int) -> None:
        """It has said something, and so many subscriptions are open: with one it has a reason to be silent."""
        if self.standing is not Standing.VOUCHED:
            self._seats.move(self, Standing.LISTENING if subscriptions else Standing.IDLE)

    def vouch(self) -> None:
        """A known key is at the other end: it never has to go."""
        self._seats.move(self, Standing.VOUCHED)

    def free(self) -> None:
        """The connection is gone. May be called again."""
        self._seats.free(self)


#: The connections of one address in each standing, whoever was silent longest first.
_Place = dict[Standing, dict[Seat, None]]


class Seats:
    """At most ``limit`` connections, and ``share`` of one address. A newcomer for whom there is no seat gets that of
    the connection that has been silent longest without a subscription, at the address that has most of these; else that
    of the longest silent at an address that has at least two connections more than its own.
    """

    def __init__(self, limit: int, share: int) -> None:
        self._limit: Final = limit
        self._share: Final = share
        self._places: Final[dict[str, _Place]] = {}
        self._taken = 0

    def __len__(self) -> int:
        return self._taken

    def take(self, place: str) -> Seat | None:
        """A seat for a connection from there; None where nobody has to go for it."""
        own = self._places.get(place) or _empty()
        has_share = place not in LOCAL and _strangers(own) >= self._share
        if has_share and not self._send_away([own], Standing.IDLE):
            return None
        if self._taken >= self._limit and not self._make_room(_strangers(own)):
            return None
        self._taken += 1
        seat = Seat(self, place, Standing.IDLE)
        self._places.setdefault(place, _empty())[Standing.IDLE][seat] = None
        return seat

    def _make_room(self, own_count: int) -> bool:
        if self._send_away(self._places.values(), Standing.IDLE):
            return True
        others = [each for each in self._places.values() if _strangers(each) > own_count + 1]
        return self._send_away(others, Standing.LISTENING)

    def _send_away(self, places: Iterable[_Place], standing: Standing) -> bool:
        largest = max(places, key=lambda each: len(each[standing]), default=None)
        seat = None if largest is None else next(iter(largest[standing]), None)
        if seat is None:
            return False
        self.free(seat)
        seat.leave()
        return True

    def move(self, seat: Seat, standing: Standing) -> None:
        """Put it last in a standing."""
        place = self._places.get(seat.place)
        if place is not None and seat in place[seat.standing]:
            del place[seat.standing][seat]
            place[standing][seat] = None
            seat.standing = standing

    def free(self, seat: Seat) -> None:
        """May be called again."""
        place = self._places.get(seat.place)
        if place is None or seat not in place[seat.standing]:
            return
        del place[seat.standing][seat]
        seat.is_gone = True
        self._taken -= 1
        if not any(place.values()):
            del self._places[seat.place]


def _empty() -> _Place:
    return {each: {} for each in Standing}


def _strangers(place: _Place) -> int:
    return len(place[Standing.IDLE]) + len(place[Standing.LISTENING])


def _nothing() -> None:
    pass
