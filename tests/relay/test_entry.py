from __future__ import annotations

from kitestring.nostr.event import encode_event
from kitestring.relay.entry import ENTRY_OVERHEAD_BYTES, NEVER, Entry
from tests.kit.transport.relays import note


def test_an_event_weighs_what_it_says_and_everything_it_is_found_by() -> None:
    few, many = (Entry(event, encode_event(event), NEVER) for event in (note(), note(tags=[["p", "x"]] * 400)))
    assert few.size_bytes > len(few.json) + ENTRY_OVERHEAD_BYTES
    assert many.size_bytes - len(many.json) > 8 * (few.size_bytes - len(few.json))
