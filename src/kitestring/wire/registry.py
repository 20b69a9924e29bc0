"""The protocols that this service speaks. A new one is a file in ``wire/serve`` and a row in :data:`WIRES`."""

from __future__ import annotations

from typing import Final

from kitestring.wire.grammar import Speakers, Wire
from kitestring.wire.serve import debits, enroll, manage, nwc, offers

WIRES: Final[tuple[Wire, ...]] = (
    nwc.WIRE,
    offers.WIRE,
    debits.WIRE,
    manage.WIRE,
    enroll.WIRE,
)

#: By the name that stands in stored rows.
BY_NAME: Final = {wire.name: wire for wire in WIRES}
#: By the kind of its requests.
BY_KIND: Final = {kind: wire for wire in WIRES for kind in wire.windows}
#: The age windows of all requests.
WINDOWS: Final = {kind: window for wire in WIRES for kind, window in wire.windows.items()}
#: Seconds from end to end of the widest of them.
WIDEST_S: Final = max(window.width_s for window in WINDOWS.values())
#: The kinds of requests, by who sends them.
KINDS_OF: Final = {who: frozenset(kind for kind, wire in BY_KIND.items() if wire.speakers is who) for who in Speakers}
#: The names of the wires that connections are made for.
OF_CONNECTIONS: Final = frozenset(wire.name for wire in WIRES if wire.speakers is Speakers.CONNECTIONS)
#: What is announced about connections, by the name of their wire.
ANNOUNCED: Final = {wire.name: wire.announces for wire in WIRES if wire.announces is not None}
#: What connections are told unasked, by the name of their wire.
NOTIFYING: Final = {wire.name: wire.notifies for wire in WIRES if wire.notifies is not None}


def over_at(created_at: int, now: int) -> int:
    """The time (Unix seconds) when an event of that date is outside of every window for good. A refusal is kept until
    then: what is as old as one that was forgotten is refused, whatever wire it comes by."""
    return max(created_at, now) + WIDEST_S
