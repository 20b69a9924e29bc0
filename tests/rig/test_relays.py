"""The table of foreign relays."""

from __future__ import annotations

from tests.rig.parts import PARTS
from tests.rig.relays import RELAYS


def test_every_relay_needs_a_part_that_can_be_built_or_none() -> None:
    assert {relay.part for relay in RELAYS.values()} - {""} <= PARTS.keys()
