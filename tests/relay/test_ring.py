from __future__ import annotations

from kitestring.nostr.event import encode_event
from kitestring.relay.entry import Entry
from kitestring.relay.limits import RelayLimits
from kitestring.relay.ring import Ring
from tests.kit.clock import NOW
from tests.kit.transport.relays import note


def entries(count: int, ends_at: int = NOW + 300) -> list[Entry]:
    events = [note(content=str(number)) for number in range(count)]
    return [Entry(event, encode_event(event), ends_at) for event in events]


def test_the_oldest_go_by_number_by_size_and_by_time() -> None:
    size_bytes = entries(1)[0].size_bytes
    for limits in (RelayLimits(max_ephemeral_events=2), RelayLimits(max_ephemeral_bytes=2 * size_bytes)):
        ring, three = Ring(limits), entries(3)
        assert [ring.add(entry, NOW) for entry in three] == [[], [], three[:1]]
        assert ring.expire(NOW + 299) == []
        assert ring.expire(NOW + 300) == three[1:]
        assert ring.add(entries(1)[0], NOW) == []
