"""The card of a service that starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from kitestring.app.card import FIRST_BUDGET_SAT, Card, open_card
from kitestring.app.owner.commands import OwnerCommands, all_commands
from kitestring.base.grants import Budget
from kitestring.base.money import sat
from tests.kit.app.fake_desk import NOW, OWNER, RELAY, FakeDesk
from tests.kit.changed import replace

SOCKET = Path("/nowhere/control.sock")


async def start(desk: FakeDesk) -> Card:
    return await open_card(desk, OwnerCommands(desk, all_commands()), SOCKET)


async def test_the_first_card_has_an_offer_and_a_link_and_the_second_finds_them_again() -> None:
    desk = FakeDesk()
    first = await start(desk)
    assert first.nwc_uri is not None
    assert first.nwc_uri not in repr(first)
    second = await start(desk)
    assert (second.noffer, second.nwc_uri) == (first.noffer, None)
    assert len(desk.store.rows) == len(desk.store.codes) == 1
    (grant,) = desk.store.rows.values()
    assert grant.budget == Budget.daily(sat(FIRST_BUDGET_SAT))


@pytest.mark.parametrize(
    "owner", [replace(OWNER, revoked_at=NOW), replace(OWNER, methods=frozenset({"read"}))], ids=["revoked", "reader"]
)
async def test_a_service_whose_owner_may_change_nothing_shows_what_it_has_and_makes_nothing(owner: object) -> None:
    desk = FakeDesk()
    desk.store.owner = owner
    assert await start(desk) == Card((RELAY,), desk.service_id, None, None, SOCKET)
    assert desk.store.rows == desk.store.codes == {}
