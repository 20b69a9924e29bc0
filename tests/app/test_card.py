"""The card of a service that starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kitestring.app.card import FIRST_BUDGET_SAT, FIRST_CONNECTION, Card, open_card
from kitestring.app.owner.debit_pointers import FIRST_POINTER
from kitestring.app.owner.offers import FIRST_OFFER
from kitestring.app.service.relay_word import RelayWord
from kitestring.base.budgets import Budget
from kitestring.base.grants import Grant
from kitestring.base.money import sat
from kitestring.base.records import StopCause
from kitestring.base.transactions.service import SetSpending
from tests.kit.app.desk import RELAY, Office
from tests.kit.clock import EPOCH

SOCKET = Path("/nowhere/control.sock")


async def start(office: Office) -> Card:
    return await open_card(office.desk, office.commands, SOCKET)


async def connections(office: Office) -> list[Grant]:
    return [grant for grant in await office.store.grants() if grant.wire == "nwc"]


async def test_the_first_card_has_an_offer_and_a_link_and_the_second_finds_them_again(office: Office) -> None:
    first = await start(office)
    assert first.nwc_uri is not None
    assert first.nwc_uri not in repr(first)
    second = await start(office)
    assert (second.noffer, second.ndebit, second.nwc_uri) == (first.noffer, first.ndebit, None)
    assert first.unused == second.unused == FIRST_CONNECTION
    assert len(await office.store.offers()) == 1
    (grant,) = await connections(office)
    assert grant.budgets == (Budget.daily(sat(FIRST_BUDGET_SAT)),)
    await office.rig.change(grant.grant_id, link_salt=b"")
    assert (await start(office)).unused == ""


async def test_in_front_of_a_real_node_nothing_that_pays_is_made_unasked(office: Office) -> None:
    card = await open_card(office.desk, office.commands, SOCKET, "bitcoin")
    assert (card.nwc_uri, card.unused, card.network) == (None, "", "bitcoin")
    assert card.node == (await office.node.info()).alias != ""
    assert None not in {card.noffer, card.ndebit}
    assert await connections(office) == []


async def test_the_card_of_a_node_that_does_not_say_its_name_is_shown_without(office: Office) -> None:
    office.node.offline = True
    office.rig.clock.advance(3_600)
    card = await open_card(office.desk, office.commands, SOCKET, "bitcoin")
    assert (card.network, card.node) == ("bitcoin", "")


async def test_a_card_keeps_its_codes_whatever_else_is_made_in_the_same_second_or_dated_before(office: Office) -> None:
    first = await start(office)
    for key, label, back_s in (("k1", "bean shop", 0), ("k2", "a later one", 3_600)):
        office.rig.clock.skew_s = -back_s
        await office.run("debit_pointer_create", f"{key}p", label=label)
        await office.run("offer_create", f"{key}o", label=label)
        card = await start(office)
        assert (card.noffer, card.ndebit) == (first.noffer, first.ndebit)
    office.rig.clock.skew_s = 0
    await office.run("offer_delete", "k3", offer=FIRST_OFFER)
    await office.run("debit_pointer_delete", "k4", pointer=FIRST_POINTER)
    card, shown = await start(office), await office.run("card")
    assert None not in {card.noffer, card.ndebit}
    assert (shown["noffer"], shown["ndebit"]) == (card.noffer, card.ndebit) != (first.noffer, first.ndebit)


async def test_a_service_that_spends_nothing_says_so_on_its_card(office: Office) -> None:
    assert (await start(office)).stops == ()
    await office.store.apply(SetSpending(True, "a doubt", office.desk.clock.now(), StopCause.LEDGER))
    assert [(stop.cause, stop.why) for stop in (await start(office)).stops] == [(StopCause.LEDGER, "a doubt")]


async def test_the_first_link_is_shown_with_the_words_of_a_relay_that_refuses_it(office: Office) -> None:
    office.relays_say(RelayWord(RELAY, False, "blocked: members only"))
    card = await start(office)
    assert (card.nwc_uri is None, card.missing_on) == (False, {RELAY: "blocked: members only"})


@pytest.mark.parametrize(
    "changes", [{"revoked_at": EPOCH}, {"methods": frozenset({"read"})}], ids=["revoked", "reader"]
)
async def test_a_service_whose_owner_may_change_nothing_shows_what_it_has_and_makes_nothing(
    office: Office, changes: dict[str, Any]
) -> None:
    await office.set_owner(**changes)
    assert await start(office) == Card((RELAY,), office.desk.service_id, None, None, SOCKET)
    assert await connections(office) == await office.store.offers() == []


async def test_the_first_debit_code_asks_the_owner_and_one_that_was_deleted_stays_so(office: Office) -> None:
    card = await start(office)
    (row,) = (await office.run("debit_pointer_list"))["pointers"]
    assert (row["label"], row["policy"], row["sessions"], row["ndebit"]) == (FIRST_POINTER, "ask", "off", card.ndebit)
    await office.run("debit_pointer_delete", pointer=FIRST_POINTER)
    assert (await start(office)).ndebit is None


async def test_a_directory_from_before_debits_gets_a_code_at_its_next_start(office: Office) -> None:
    await office.run("offer_create", label="tea")
    await office.run("connect", "k2", name="shop")
    card = await start(office)
    assert card.ndebit is not None
    assert len(await office.store.offers()) == 1
    assert len(await connections(office)) == 1
