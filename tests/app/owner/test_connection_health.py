"""How one connection fares: of each relay in its link, whether it brings requests and shows it to apps, and why not."""

from __future__ import annotations

from kitestring.app.service.relay_word import RelayWord
from kitestring.base.errors import Reason
from tests.kit.app.desk import RELAY, Office

HERE, THERE = "wss://here.example", "wss://there.example/"


async def test_each_relay_of_the_link_is_told_in_its_order_with_what_it_does(office: Office) -> None:
    office.relays_are(RELAY, HERE, THERE)
    await office.run("connect", name="alice", relays=[THERE, HERE, RELAY])
    office.relays_say(RelayWord(RELAY, True), RelayWord(THERE.rstrip("/"), False, "blocked: members only"))
    office.relays_live(RELAY, THERE.rstrip("/"))
    shown = await office.run("connection_show", name="alice")
    assert (shown["name"], shown["used"]) == ("alice", False)
    assert shown["relays"] == [
        {"relay": THERE, "listening": True, "announced": False, "words": "blocked: members only"},
        {"relay": HERE, "listening": False, "announced": False, "words": "is not served: the service has left it"},
        {"relay": RELAY, "listening": True, "announced": True, "words": None},
    ]


async def test_its_budget_is_told_with_what_is_left_of_it(office: Office) -> None:
    await office.run("connect", name="alice", budget_msat=5_000, period="never")
    await office.run("connect", "k2", name="bob", budget_msat=None)
    (stands,) = (await office.run("connection_show", name="alice"))["budgets"]
    assert (stands["limit_msat"], stands["used_msat"], stands["left_msat"]) == (5_000, 0, 5_000)
    assert (await office.run("connection_show", name="bob"))["budgets"] == []


async def test_the_secret_link_is_not_shown(office: Office) -> None:
    made = await office.run("connect", name="alice")
    assert made["nwc_uri"] not in str(await office.run("connection_show", name="alice"))


async def test_what_is_not_there_has_no_health(office: Office) -> None:
    assert (await office.refused("connection_show", name="nobody")).reason is Reason.UNKNOWN_TARGET
