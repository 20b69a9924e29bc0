"""The owner's commands about connections: a link is shown until its first use, a name is taken once, an end is for
ever."""

from __future__ import annotations

from typing import Any, get_args
from urllib.parse import quote

import pytest

from kitestring.app.owner.connections import nwc_methods, preset_methods
from kitestring.app.service.relay_word import RelayWord
from kitestring.base.budgets import Budget
from kitestring.base.commands import GetInfo
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from kitestring.base.money import sat
from kitestring.base.outcomes import Info
from kitestring.base.transactions.service import NoteUses
from kitestring.codec.uri import decode_nwc
from kitestring.crypto.keys import SecretKey
from kitestring.policy.presets import PRESETS, PresetName
from tests.kit.app.desk import RELAY, Office
from tests.kit.clock import EPOCH


async def made(office: Office) -> list[Grant]:
    """Every connection there ever was."""
    return [grant for grant in await office.store.grants() if grant.wire == "nwc"]


async def test_a_new_connection_shows_its_link_and_stores_no_secret(office: Office) -> None:
    shown = await office.run("connect", name="alice", budget_msat=5_000_000, period="day")
    uri = decode_nwc(shown["nwc_uri"])
    (grant,) = await made(office)
    assert uri.relays == (RELAY,)
    assert grant.caller == SecretKey(uri.secret).public_hex
    assert grant.service_pubkey == uri.service_pubkey == office.desk.connection_pubkey(grant.grant_id)
    assert grant.budgets == (Budget.daily(sat(5_000)),)
    stored = office.rig.life.path.read_bytes() + office.rig.life.path.with_name("kitestring.db-wal").read_bytes()
    assert uri.secret.hex().encode() not in stored
    assert uri.secret not in stored
    assert office.announced == [grant.grant_id]


async def test_until_its_first_use_a_link_is_shown_again_by_key_by_name_and_by_link(office: Office) -> None:
    first = await office.run("connect", name="alice", budget_msat=5_000, expires_in_s=60)
    office.rig.clock.advance(30)
    assert await office.run("connect", name="alice", budget_msat=5_000, expires_in_s=60) == first
    again = await office.run("connect", "k2", name="alice", budget_msat=5_000, expires_in_s=60)
    shown = await office.run("link", "k3", name="alice")
    assert again == shown == {**first, "created": False}
    assert len(await made(office)) == 1
    assert [row["used"] for row in (await office.run("connections"))["connections"]] == [False]


async def use(office: Office, name: str) -> None:
    """What the service does at the first request of the app."""
    (grant,) = [grant for grant in await made(office) if grant.name == name]
    await office.rig.change(grant.grant_id, link_salt=b"")


async def test_a_link_that_was_used_is_shown_no_more(office: Office) -> None:
    first = await office.run("connect", name="alice")
    await use(office, "alice")
    for key in ("k1", "k2"):
        again = await office.run("connect", key, name="alice")
        assert (again["nwc_uri"], again["connection_id"]) == (None, first["connection_id"])
    refused = await office.refused("link", "k3", name="alice")
    assert (refused.reason, "kitestring connection rotate alice" in refused.message) == (Reason.ALREADY_USED, True)
    assert [row["used"] for row in (await office.run("connections"))["connections"]] == [True]
    assert (await office.refused("link", "k4", name="nobody")).reason is Reason.UNKNOWN_TARGET


async def test_a_link_that_was_revoked_is_shown_no_more(office: Office) -> None:
    await office.run("connect", name="alice")
    await office.run("revoke", "k2", name="alice")
    assert (await office.run("connect", name="alice"))["nwc_uri"] is None
    assert [grant.link_salt for grant in await made(office)] == [b""]


async def test_nobody_is_shown_a_link_to_more_than_he_may_do_himself(office: Office) -> None:
    await office.run("connect", name="alice")
    await office.set_owner(methods=frozenset({"manage"}))
    for command, key in (("connect", "k1"), ("connect", "k2"), ("link", "k3")):
        assert (await office.refused(command, key, name="alice")).reason is Reason.NOT_PERMITTED


async def test_the_answer_has_the_words_of_each_relay(office: Office) -> None:
    office.relays_say(RelayWord(RELAY, False, "blocked: members only"))
    shown = await office.run("connect", name="alice")
    assert shown["nwc_uri"] is not None
    assert shown["relays"] == [{"relay": RELAY, "carries": False, "words": "blocked: members only"}]


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({"budget_msat": 9_000, "period": "day"}, ["budget"]),
        ({"budget_msat": 5_000, "period": "week"}, ["budget"]),
        ({"per_payment_msat": 1_000, "fee_cap_msat": 7}, ["limit of one payment", "limit of fees"]),
        ({"methods": ["get_balance"]}, ["list of methods"]),
        ({"account": "bob"}, ["account"]),
        ({"expires_in_s": 60}, ["end"]),
        ({"expires_at": EPOCH + 60}, ["end"]),
        ({"cipher": "legacy"}, ["encryption"]),
        ({"preset": "read-only"}, ["list of methods"]),
        ({"lud16": "a@b.example"}, ["Lightning Address"]),
        ({"budget_msat": None, "show_balance": "full"}, ["budget", "shown balance"]),
        ({"show_history": "account"}, ["shown history"]),
    ],
)
async def test_another_value_for_a_name_that_is_taken_is_refused_and_changes_nothing(
    office: Office, other: dict[str, Any], differs: list[str]
) -> None:
    await office.run("account_create", "bob", name="bob")
    await office.run("connect", name="my app", budget_msat=5_000, period="day")
    before = await made(office)
    refused = await office.refused("connect", "k2", name="my app", **other)
    assert (refused.reason, refused.exit_code, refused.details["differs"]) == (Reason.CONFLICT, 2, differs)
    assert f"with another {' and another '.join(differs)}" in refused.message
    is_edited = not {"account", "encryption", "Lightning Address"} & set(differs)
    way = "kitestring connection edit 'my app'" if is_edited else "kitestring revoke 'my app'"
    assert way in refused.message
    assert await made(office) == before


@pytest.mark.parametrize(
    ("params", "history"),
    [
        ({}, "own"),
        ({"preset": "pay", "budget_msat": 5_000}, "own"),
        ({"preset": "receive-only"}, "own"),
        ({"preset": "read-only"}, "account"),
        ({"preset": "full"}, "account"),
        ({"methods": ["get_balance", "list_transactions"]}, "own"),
        ({"preset": "full", "show_history": "own"}, "own"),
        ({"show_history": "account"}, "account"),
        ({"account": "bob"}, "account"),
        ({"account": "bob", "preset": "pay", "budget_msat": 5_000}, "account"),
        ({"account": "bob", "preset": "receive-only"}, "own"),
        ({"account": "bob", "methods": ["make_invoice", "list_transactions"]}, "own"),
        ({"account": "bob", "show_history": "own"}, "own"),
    ],
)
async def test_a_new_connection_is_shown_the_history_that_fits_its_account_and_preset(
    office: Office, params: dict[str, Any], history: str
) -> None:
    await office.run("account_create", "k0", name="bob")
    shown = await office.run("connect", name="alice", **params)
    (grant,) = await made(office)
    assert shown["show_history"] == grant.shown_history == history
    assert (await office.run("connect", "k2", name="alice", **params))["created"] is False
    assert [row["show_history"] for row in (await office.run("connections"))["connections"]] == [history]
    assert (await office.run("connection_rotate", "k3", name="alice"))["show_history"] == history


async def test_what_is_left_out_is_not_compared(office: Office) -> None:
    await office.run("account_create", "k0", name="bob")
    first = await office.run("connect", name="alice", budget_msat=5_000, account="bob", methods=["pay_invoice"])
    assert await office.run("connect", "k2", name="alice") == {**first, "created": False}


async def test_a_key_is_not_taken_for_two_different_commands(office: Office) -> None:
    await office.run("connect", name="alice")
    assert (await office.refused("connect", name="bob")).reason is Reason.ALREADY_USED
    assert [grant.name for grant in await made(office)] == ["alice"]


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"methods": ["fly"]}, "fly"),
        ({"methods": []}, "needs a method"),
        ({"account": "nobody"}, "account create nobody"),
        ({"expires_at": EPOCH}, "later"),
        ({"expires_at": EPOCH + 36_501 * 86_400}, "within a hundred years"),
        ({"period": "rolling", "budget_msat": 1_000}, "length"),
        ({"period": "day", "budget_msat": 1_000, "length_s": 60}, "length"),
        ({"period": "hour"}, "hour"),
        ({"cipher": "rot13"}, "rot13"),
        ({"name": "two\nlines"}, "one line"),
        ({"name": "owner"}, "the owner's own"),
        ({"expires_at": EPOCH + 60, "expires_in_s": 60}, "not both"),
        ({"preset": "pay", "budget_msat": None}, "the preset pay needs a budget"),
        ({"preset": "root"}, "root"),
        ({"preset": "pay", "methods": ["get_info"], "budget_msat": 5}, "not both"),
        ({"relays": []}, "relays must not be empty"),
        ({"relays": ["wss://strange.example"]}, "none of the service's relays"),
        ({"relays": ["https://strange.example"]}, "no relay address"),
        ({"lud16": "A@b.example"}, "name@domain"),
        ({"lud16": "lightning:a@b.example"}, "name@domain"),
        ({"lud16": "noffer1xyz"}, "name@domain"),
        ({"lud16": "alice"}, "name@domain, such as alice@example.com"),
        ({"deep_link": "nostrnwc://connect"}, "exactly one callback"),
        ({"deep_link": "nostrnwc://connect?callback=https%3A%2F%2Fa.example"}, "leads elsewhere"),
    ],
)
async def test_a_wrong_connection_is_explained(office: Office, params: dict[str, Any], word: str) -> None:
    assert word in (await office.refused("connect", **{"name": "alice", **params})).message
    assert await made(office) == []


@pytest.mark.parametrize(
    ("rights", "methods", "lacks"),
    [
        ({"manage"}, ["pay_invoice", "get_balance"], "pay_invoice needs the right to spend"),
        ({"manage", "spend"}, ["pay_invoice", "get_balance"], "get_balance needs the right to read"),
        ({"manage", "read", "spend"}, ["pay_invoice", "make_invoice"], "make_invoice needs the right to receive"),
        ({"manage", "read", "receive"}, None, "pay_invoice needs the right to spend"),
        ({"manage", "read", "receive"}, ["make_invoice", "lookup_invoice"], ""),
        ({"manage", "spend"}, ["pay_invoice"], ""),
        ((), None, ""),
    ],
)
async def test_nobody_gives_a_connection_what_he_may_not_do_himself(
    office: Office, rights: set[str], methods: list[str] | None, lacks: str
) -> None:
    await office.set_owner(methods=frozenset(rights))
    params: dict[str, Any] = {"name": "me"} if methods is None else {"name": "me", "methods": methods}
    if not lacks:
        assert (await office.run("connect", **params))["created"]
        return
    refused = await office.refused("connect", **params)
    assert refused.reason is Reason.NOT_PERMITTED
    assert refused.message == f"`connect` with {lacks}: the grant owner does not have it"
    assert await made(office) == []


@pytest.mark.parametrize("bound", [{"budgets": (Budget.daily(sat(5)),)}, {"per_payment_msat": sat(5)}])
async def test_who_has_a_budget_of_his_own_gives_no_right_to_spend(office: Office, bound: dict[str, Any]) -> None:
    await office.set_owner(**bound)
    refused = await office.refused("connect", name="me", methods=["pay_invoice"])
    assert (refused.reason, "bounds of its own" in refused.message) == (Reason.NOT_PERMITTED, True)
    assert (await office.run("connect", name="me", methods=["make_invoice"]))["created"]


#: What stands beside a connection that was made, without its link.
LINK: dict[str, Any] = {"callback": None, "open": None, "relays": []}


async def test_a_connection_is_made_and_listed_as_it_was_asked_for(office: Office) -> None:
    await office.run("account_create", name="bob")
    asked = {"methods": ["pay_invoice"], "account": "bob", "per_payment_msat": 1_000, "expires_at": EPOCH + 60}
    budget = {"budget_msat": 7_000, "period": "rolling", "length_s": 3_600}
    shown = await office.run("connect", "k2", name="agent", cipher="both", **asked, **budget)
    (row,) = (await office.run("connections"))["connections"]
    assert {name: row[name] for name in asked} == asked
    assert row["encryption"] == "both"
    assert shown["budgets"] == [
        {"limit_msat": 7_000, "period": "rolling", "length_s": 3_600, "currency": None, "limit_minor": None}
    ]
    assert (row.pop("open_payments"), row.pop("open_invoices"), row.pop("used")) == (0, 0, False)
    assert (row.pop("old_relays"), row.pop("last_used_at")) == ([], None)
    assert (row.pop("state"), row.pop("spent_msat")) == ("active", 0)
    assert row.pop("left_msat") == 7_000
    (stands,) = row.pop("budgets")
    assert (stands["used_msat"], stands["renews_at"]) == (0, row.pop("renews_at"))
    row["budgets"] = shown["budgets"]
    assert {**row, **LINK, "nwc_uri": shown["nwc_uri"], "created": True} == shown


async def test_a_connection_has_the_preset_app_unless_it_is_said_and_the_oldest_comes_first(office: Office) -> None:
    for key, name in (("k1", "zoe"), ("k2", "adam")):
        await office.run("connect", key, name=name)
        office.rig.clock.advance(1)
    rows = (await office.run("connections"))["connections"]
    assert [row["name"] for row in rows] == ["zoe", "adam"]
    assert rows[0]["methods"] == sorted(preset_methods("app")) == [
        "get_balance", "get_budget", "get_info", "list_transactions", "lookup_invoice", "make_invoice", "pay_invoice",
        "payment_received", "payment_sent",
    ]  # fmt: skip
    assert set(nwc_methods()) - set(preset_methods("full")) == {"create_connection"}
    (budget,) = rows[0]["budgets"]
    assert (budget["limit_msat"], budget["period"], rows[0]["show_balance"]) == (10_000_000, "day", "budget")
    assert rows[0]["per_payment_msat"] is rows[0]["expires_at"] is None


@pytest.mark.parametrize(
    ("asked", "limits"),
    [
        ({"methods": ["pay_keysend"]}, [10_000_000]),
        ({"preset": "pay"}, [10_000_000]),
        ({"preset": "full"}, [10_000_000]),
        ({"preset": "receive-only"}, []),
        ({"methods": ["get_balance"]}, []),
        ({"methods": ["get_balance"], "budget_msat": 7}, [7]),
        ({"budget_msat": 0}, [0]),
        ({"budget_msat": None}, []),
        ({"currency": "EUR", "budget_minor": 100}, [1_000_000]),
    ],
)
async def test_what_pays_has_a_budget_unless_its_owner_says_that_it_has_none(
    office: Office, asked: dict[str, Any], limits: list[int]
) -> None:
    made = await office.run("connect", name="app", **asked)
    assert [row["limit_msat"] for row in made["budgets"]] == limits


# ------------------------------------------------------------ the relays in a link

HERE, THERE = "wss://here.example", "wss://there.example"


async def test_when_an_app_has_last_asked_is_listed(office: Office) -> None:
    made = await office.run("connect", name="alice")
    await office.rig.store.apply(NoteUses(((made["connection_id"], 1_234),)))
    (row,) = (await office.run("connections"))["connections"]
    assert row["last_used_at"] == 1_234


async def test_a_link_shows_the_relays_it_was_made_with_also_after_these_were_left(office: Office) -> None:
    first = await office.run("connect", name="alice")
    office.relays_are(HERE)
    assert (await office.run("link", "k2", name="alice"))["nwc_uri"] == first["nwc_uri"]
    (row,) = (await office.run("connections"))["connections"]
    assert row["old_relays"] == [RELAY]
    assert decode_nwc((await office.run("connect", "k3", name="bob"))["nwc_uri"]).relays == (HERE,)


async def test_a_link_that_has_expired_needs_no_relay(office: Office) -> None:
    await office.run("connect", name="alice", expires_in_s=60)
    office.relays_are(HERE)
    office.rig.clock.advance(61)
    assert [row["old_relays"] for row in (await office.run("connections"))["connections"]] == [[]]


async def test_relays_that_bring_requests_stand_first_in_a_new_link(office: Office) -> None:
    office.relays_are(HERE, RELAY, THERE)
    office.relays_live(THERE)
    assert decode_nwc((await office.run("connect", name="alice"))["nwc_uri"]).relays == (THERE, HERE, RELAY)


async def test_a_budget_of_nothing_is_a_budget(office: Office) -> None:
    shown = await office.run("connect", name="shop", budget_msat=0, period="day")
    (grant,) = await made(office)
    assert (shown["budgets"][0]["limit_msat"], grant.budgets) == (0, (Budget.daily(sat(0)),))
    assert "get_budget" in grant.announced
    assert "pay_invoice" not in grant.announced


# ------------------------------------------------------------ presets, relays of one connection, an app that has asked


@pytest.mark.parametrize("preset", get_args(PresetName))
async def test_a_preset_stands_for_its_methods(office: Office, preset: PresetName) -> None:
    shown = await office.run("connect", name="app", preset=preset, budget_msat=5_000)
    assert shown["methods"] == sorted(preset_methods(preset))
    assert (await office.run("connect", "k2", name="app", preset=preset))["created"] is False


def test_every_preset_can_be_named() -> None:
    assert get_args(PresetName) == tuple(PRESETS)


async def test_the_preset_that_pays_is_not_taken_for_an_old_connection_without_a_budget(office: Office) -> None:
    await office.run("connect", name="app", methods=preset_methods("pay"), budget_msat=None)
    assert "needs a budget" in (await office.refused("connect", "k2", name="app", preset="pay")).message


async def test_a_link_has_the_relays_that_were_chosen_in_their_order_each_once(office: Office) -> None:
    office.relays_are(HERE, RELAY, THERE)
    office.relays_live(THERE)
    shown = await office.run("connect", name="alice", relays=[RELAY, f"{HERE}/", HERE])
    assert decode_nwc(shown["nwc_uri"]).relays == (RELAY, HERE)
    assert (await office.run("connect", "k2", name="alice"))["created"] is False
    assert (await office.refused("connect", "k3", name="alice", relays=[THERE])).details["differs"] == [
        "list of relays"
    ]


async def test_the_lightning_address_of_a_connection_is_in_its_link_and_told_to_its_app(office: Office) -> None:
    shown = await office.run("connect", name="alice", lud16="alice@pay.example", methods=["get_balance"])
    assert (shown["lud16"], decode_nwc(shown["nwc_uri"]).lud16) == ("alice@pay.example", "alice@pay.example")
    told = await office.rig.engine.ask(shown["connection_id"], GetInfo())
    assert isinstance(told, Info)
    assert told.lud16 == "alice@pay.example"


async def test_an_app_that_asked_by_a_deep_link_gets_the_connection_under_its_callback(office: Office) -> None:
    link = "nostrnwc://connect?appname=App&callback=my-app%3A%2F%2Fwallet"
    shown = await office.run("connect", name="app", deep_link=link)
    assert shown["open"] == f"my-app://wallet?value={quote(shown['nwc_uri'], safe='')}"
    assert await office.run("connect", name="app", deep_link=link) == shown
    assert (await office.run("connect", "k2", name="app"))["open"] is None
    await use(office, "app")
    again = await office.run("connect", "k3", name="app", deep_link=link)
    assert (again["nwc_uri"], again["open"]) == (None, None)


async def test_a_connection_within_euros_is_the_same_one_whatever_is_known_of_their_worth(office: Office) -> None:
    rates: Any = office.desk.rates
    within = {"name": "shop", "currency": "EUR", "budget_minor": 1_000, "period": "day"}
    made = await office.run("connect", **within)
    rates.prices.clear()
    again = await office.run("connect", "k2", **within)
    assert (again["connection_id"], again["created"]) == (made["connection_id"], False)
    budgets = [{"currency": "EUR", "limit_minor": 1_000, "period": "day"}]
    assert (await office.run("connection_edit", "k3", name="shop", budgets=budgets))["changed"] == {}
    other = await office.refused("connect", "k4", **{**within, "budget_minor": 2_000})
    assert other.reason is Reason.UNAVAILABLE
