"""What comes in to the sandbox: time ends what nobody has paid, and what nobody has taken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from kitestring.backend.sandbox.file import BLOCK_MS, INBOUND_MSAT
from kitestring.backend.sandbox.incoming import CLTV_DELTA
from kitestring.backend.sandbox.node import SandboxNode
from kitestring.backend.sandbox.world import World
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.node import HoldOrder
from tests.kit.backend.sandbox import an_invoice, make, make_world
from tests.kit.changed import replace
from tests.kit.clock import WalkingClock

PREIMAGE = "5a" * 32
HASH = sha256(bytes.fromhex(PREIMAGE)).hexdigest()
ORDER = HoldOrder(HASH, Msat(50_000), "tea", "", 600)


@dataclass
class Place:
    node: SandboxNode
    world: World
    clock: WalkingClock

    async def held(self, order: HoldOrder = ORDER, amount_msat: int | None = None) -> str:
        """Make the invoice and let somebody pay it."""
        made = await self.node.make_hold_invoice(order)
        assert self.world.pay(made.bolt11, None if amount_msat is None else Msat(amount_msat)) == ""
        return made.bolt11

    async def state(self) -> str:
        return (await self.node.lookup_invoice(HASH)).state.value


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    clock = WalkingClock()
    node = make(tmp_path, clock)
    await node.open()
    with make_world(tmp_path, clock) as world:
        yield Place(node, world, clock)
        assert world.books().balanced
    await node.close()


async def test_what_is_held_is_no_balance_and_has_its_place_in_the_channels(place: Place) -> None:
    before = await place.node.balance()
    await place.held(amount_msat=60_000)
    held = await place.node.balance()
    assert (held.spendable_msat, held.owned_msat) == (before.spendable_msat, before.owned_msat)
    assert held.receivable_msat == before.receivable_msat - 60_000
    status = await place.node.lookup_invoice(HASH)
    height = (await place.node.info()).block_height
    assert (status.received_msat, status.settle_deadline) == (60_000, height + CLTV_DELTA)
    await place.node.settle_invoice(PREIMAGE)
    after = await place.node.balance()
    assert after.owned_msat == before.owned_msat + 60_000
    assert after.receivable_msat == held.receivable_msat


async def test_what_nobody_has_taken_goes_back_at_its_deadline_and_is_never_taken_afterwards(place: Place) -> None:
    before = await place.node.balance()
    text = await place.held(replace(ORDER, min_cltv_delta=36))
    place.clock.ms += 35 * BLOCK_MS
    assert await place.state() == "accepted"
    place.clock.ms += BLOCK_MS
    assert await place.state() == "canceled"
    assert (await place.node.settle_invoice(PREIMAGE)).state == "canceled"
    assert await place.node.balance() == before
    with pytest.raises(KitestringError) as refused:
        place.world.pay(text)
    assert refused.value.reason is Reason.PAYMENT_FAILED


async def test_time_ends_an_unpaid_hold_invoice_and_not_one_whose_payment_is_held(place: Place) -> None:
    await place.held()
    unpaid = await place.node.make_hold_invoice(replace(ORDER, payment_hash="ab" * 32))
    place.clock.ms += 601_000
    assert await place.state() == "accepted"
    assert (await place.node.lookup_invoice(unpaid.payment_hash)).state == "canceled"
    with pytest.raises(KitestringError, match="has expired"):
        place.world.pay(unpaid.bolt11)


async def test_one_payment_is_held_and_no_second_one(place: Place) -> None:
    text = await place.held()
    for _ in range(2):
        with pytest.raises(KitestringError) as refused:
            place.world.pay(text)
        assert refused.value.reason is Reason.ALREADY_USED
        await place.node.settle_invoice(PREIMAGE)


async def test_channels_that_are_full_take_neither_a_payment_nor_one_to_hold(place: Place) -> None:
    await place.held(replace(ORDER, amount_msat=INBOUND_MSAT))
    ordinary = await place.node.make_invoice(an_invoice())
    another = await place.node.make_hold_invoice(replace(ORDER, payment_hash="ab" * 32))
    for text in (ordinary.bolt11, another.bolt11):
        with pytest.raises(KitestringError, match="are full"):
            place.world.pay(text)
    await place.node.cancel_invoice(HASH)
    assert place.world.pay(ordinary.bolt11)


async def test_news_of_an_invoice_ends_with_patience(place: Place) -> None:
    """Nothing changes: the state of before is said once more."""
    await place.node.make_hold_invoice(ORDER)
    found = await place.node.track_invoice(HASH, (await place.node.lookup_invoice(HASH)).state)
    assert found.state == "open"
