"""A thousand strangers ask for money at once: the owner hears of few, nothing else is stored, nobody else waits."""

from __future__ import annotations

from pathlib import Path

from kitestring.base.approvals import Ruling
from kitestring.base.budgets import Budget
from kitestring.base.money import Msat
from kitestring.crypto.keys import SecretKey
from kitestring.engine.approvals import MAX_OF_ALL
from tests.kit.app.client import Requestor
from tests.kit.app.house import House
from tests.kit.clock import virtual

STRANGERS = 1_000
AMOUNT = 10_000


@virtual
async def test_a_thousand_strangers_fill_the_gate_and_nothing_more(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with house.service() as service:
        await service.account("purse", 1_000_000)
        await service.pointer("purse")
        known = service.requestor(1)
        await service.allow(known, "purse", Budget(Msat(5 * AMOUNT)))
        asked = []
        for number in range(STRANGERS):
            key = SecretKey((number + 1_000).to_bytes(32))
            stranger = Requestor(key, known.service, house.relay, house.clocks.app, house.entropy)
            text = house.node.outside_bolt11(AMOUNT)
            asked.append((stranger, stranger.publish(stranger.request(text))))
        mine = known.publish(known.request(house.node.outside_bolt11(AMOUNT)))
        assert (await known.first(mine))["res"] == "ok"
        await house.clocks.service.sleep(30)
        codes = [stranger.code(event) for stranger, event in asked]
        assert set(codes) == {"", "GFY 4"}  # the others are told to come later, or (beyond a rate) nothing
        assert len(await service.store.approvals(limit=STRANGERS)) == MAX_OF_ALL
        stored = [event for _, event in asked if await service.store.request(event.id) is not None]
        assert len(stored) == MAX_OF_ALL
        decided = await service.decide(Ruling.AS_ASKED, "one of them")
        assert decided is not None
        paid = next((stranger, event) for stranger, event in asked if stranger.key.public_hex == decided.caller)
        assert (await paid[0].first(paid[1]))["res"] == "ok"
    assert house.violations() == []
