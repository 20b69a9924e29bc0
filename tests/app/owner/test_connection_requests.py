"""Apps that ask for a connection: nothing before the owner's word, and then what they asked for under their own key."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from kitestring.app.owner.connections import nwc_methods, preset_methods
from kitestring.base.approvals import DECIDE_WITHIN_S
from kitestring.base.budgets import Budget
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from kitestring.base.money import Msat, sat
from kitestring.codec.uri import decode_nwc
from kitestring.crypto.keys import SecretKey
from tests.kit.app.desk import RELAY, Office
from tests.kit.changed import replace
from tests.kit.clock import EPOCH

APP = SecretKey(b"\x05" * 32)
STATE = "9f" * 16
THEIRS = "wss://app.example"
DEFAULTS = {
    "state": STATE, "request_methods": "pay_invoice get_balance", "max_amount": "5000", "renewal_period": "monthly",
    "name": "Zap App",
}  # fmt: skip


def link(key: SecretKey = APP, relays: tuple[str, ...] = (THEIRS, RELAY), /, **params: str | None) -> str:
    said = {name: value for name, value in {**DEFAULTS, **params}.items() if value is not None}
    named = [("relay", relay) for relay in relays] + list(said.items())
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in named)
    return f"nostr+walletauth://{key.public_hex}?{query}"


def allow(office: Office, *, unverified: bool = False) -> Office:
    config = replace(office.desk.config, connection_requests=True, unverified_requests=unverified)
    office.desk = replace(office.desk, config=config)
    return office


async def asked(office: Office, key: str = "r1", **params: str | None) -> str:
    shown = await allow(office).run("connect_request", key, link=link(**params))
    return str(shown["id"])


async def made(office: Office) -> list[Grant]:
    return [grant for grant in await office.store.grants() if grant.wire == "nwc"]


# ------------------------------------------------------------ asking


async def test_a_request_is_a_question_and_gives_nothing(office: Office) -> None:
    allow(office)
    shown = await office.run("connect_request", link=link(optional_request_methods="get_info fly", isolated="true"))
    assert shown == (await office.run("approvals"))["approvals"][0]
    assert (shown["kind"], shown["wire"], shown["caller"]) == ("connection", "nwc", APP.public_hex)
    assert shown["expires_at"] == EPOCH + DECIDE_WITHIN_S
    assert shown["connection"] == {
        "name": "Zap App", "methods": ["pay_invoice", "get_balance"], "optional_methods": ["get_info", "fly"],
        "budget": {
            "limit_msat": 5_000, "period": "month", "length_s": None, "currency": None, "limit_minor": None,
        },
        "expires_at": None, "isolated": True,
        "verifiable": True, "wants_link": False, "relays": [THEIRS, RELAY], "return_to": None,
    }  # fmt: skip
    assert await made(office) == []
    assert office.announced == []


async def test_the_same_command_asks_once_and_a_newer_request_of_the_app_takes_the_place(office: Office) -> None:
    first = await asked(office)
    assert await asked(office) == first
    second = await asked(office, "r2", max_amount="6000")
    assert [row["id"] for row in (await office.run("approvals"))["approvals"]] == [second]
    late = await office.refused("approve", "k1", id=first)
    assert late.reason is Reason.ALREADY_USED


@pytest.mark.parametrize(
    ("text", "reason", "word"),
    [
        (link(request_methods="pay_invoice fly"), Reason.UNSUPPORTED, "needs fly"),
        (link(request_methods=None, optional_request_methods="fly"), Reason.UNSUPPORTED, "nothing of what"),
        (link(expires_at=str(EPOCH)), Reason.CONNECTION_ENDED, "expired already"),
        (link(state=None), Reason.NOT_PERMITTED, "unverified_requests = true` in the section [nwc] of kitestring.toml"),
        (link(max_amount="0"), Reason.MALFORMED, "above zero"),
        ("nostrnwc://connect?callback=a%3A", Reason.MALFORMED, "--deep-link"),
        ("nostr+walletconnect://x", Reason.MALFORMED, "no request"),
    ],
)
async def test_what_cannot_be_granted_is_declined_at_once(office: Office, text: str, reason: Reason, word: str) -> None:
    refused = await allow(office).refused("connect_request", link=text)
    assert (refused.reason, word in refused.message) == (reason, True)
    assert await office.store.approvals(limit=9) == []


async def test_without_the_setting_nobody_asks(office: Office) -> None:
    refused = await office.refused("connect_request", link=link())
    assert (refused.reason, "connection_requests = true" in refused.message) == (Reason.NOT_PERMITTED, True)


async def test_an_app_that_cannot_verify_the_answer_may_ask_where_that_is_allowed(office: Office) -> None:
    shown = await allow(office, unverified=True).run("connect_request", link=link(state=None))
    assert shown["connection"]["verifiable"] is False


async def test_a_blocked_app_does_not_ask_and_one_that_is_blocked_now_is_not_connected(office: Office) -> None:
    question = await asked(office)
    await office.run("deny", "d1", id=question, block=True)
    assert (await office.refused("connect_request", "r2", link=link())).reason is Reason.NOT_PERMITTED
    assert await made(office) == []


async def test_a_request_that_nobody_decides_ends_by_itself(office: Office) -> None:
    question = await asked(office, expires_at=str(EPOCH + 60))
    office.rig.clock.advance(61)
    assert (await office.refused("approve", "k1", id=question)).reason is Reason.CONNECTION_ENDED
    office.rig.clock.advance(DECIDE_WITHIN_S)
    question = await asked(office, "r2")
    office.rig.clock.advance(DECIDE_WITHIN_S)
    assert (await office.refused("approve", "k2", id=question)).reason is Reason.UNDECIDED
    assert await made(office) == []


# ------------------------------------------------------------ deciding


async def test_a_yes_makes_the_connection_of_the_apps_own_key_with_the_limit_that_it_named(office: Office) -> None:
    question = await asked(office, optional_request_methods="get_info fly", expires_at=str(EPOCH + 900))
    done = await office.run("approve", "k1", id=question)
    assert (done["outcome"], done["connected"], done["state"]) == ("granted", "Zap App", "approved")
    (grant,) = await made(office)
    assert grant.caller == APP.public_hex
    assert grant.service_pubkey == office.desk.connection_pubkey(grant.grant_id)
    assert grant.methods == {"pay_invoice", "get_balance", "get_info"}
    assert grant.budgets == (Budget(Msat(5_000), "month"),)
    assert (grant.expires_at, grant.link_salt, grant.account_id) == (EPOCH + 900, b"", "owner")
    assert (grant.relays, grant.asked_relays, grant.asked_state) == ((RELAY,), (THEIRS, RELAY), STATE)
    assert office.announced == [grant.grant_id]
    assert (await office.run("connections"))["connections"][0]["name"] == "Zap App"


async def test_the_owners_budget_holds_beside_that_of_the_app(office: Office) -> None:
    question = await asked(office)
    week = {"verdict": "budget", "budget_msat": 9_000_000, "period": "week"}
    await office.run("approve", "k1", id=question, name="zaps", **week)
    (grant,) = await made(office)
    assert grant.name == "zaps"
    assert grant.budgets == (Budget(Msat(5_000), "month"), Budget(sat(9_000), "week", budget_id=1))


async def test_an_app_that_asks_for_no_limit_gets_one_or_the_owners_word_that_it_needs_none(office: Office) -> None:
    question = await asked(office, max_amount=None, renewal_period=None)
    refused = await office.refused("approve", "k1", id=question)
    assert (refused.reason, "without any limit" in refused.message) == (Reason.MALFORMED, True)
    assert (await office.refused("approve", "k2", id=question, verdict="once")).reason is Reason.MALFORMED
    assert await made(office) == []
    await office.run("approve", "k3", id=question, verdict="always")
    assert [grant.budgets for grant in await made(office)] == [()]


async def test_a_yes_told_again_is_one_connection_and_says_the_same(office: Office) -> None:
    question = await asked(office)
    first = await office.run("approve", "k1", id=question)
    assert await office.run("approve", "k1", id=question) == first
    assert (await office.refused("approve", "k2", id=question)).reason is Reason.ALREADY_USED
    assert len(await made(office)) == 1


async def test_a_yes_with_a_name_can_be_told_again_too(office: Office) -> None:
    question = await asked(office, notification_types="payment_received payment_flown")
    first = await office.run("approve", "k1", id=question, name="zaps")
    assert await office.run("approve", "k1", id=question, name="zaps") == first
    (grant,) = await made(office)
    assert grant.methods == {"pay_invoice", "get_balance", "payment_received"}


async def test_a_no_gives_nothing_for_ever(office: Office) -> None:
    question = await asked(office)
    assert (await office.run("deny", "d1", id=question))["outcome"] == "denied"
    assert (await office.refused("approve", "k1", id=question)).reason is Reason.ALREADY_USED
    assert await made(office) == []


async def test_two_apps_of_one_name_are_told_apart_and_a_name_that_is_taken_is_refused(office: Office) -> None:
    for number, key in enumerate((APP, SecretKey(b"\x06" * 32), SecretKey(b"\x07" * 32))):
        shown = await allow(office).run("connect_request", f"r{number}", link=link(key))
        await office.run("approve", f"k{number}", id=shown["id"])
    assert sorted(grant.name for grant in await made(office)) == ["Zap App", "Zap App 2", "Zap App 3"]
    question = await asked(office, "r9")
    assert (await office.refused("approve", "k9", id=question, name="Zap App")).reason is Reason.CONFLICT
    assert (await office.refused("approve", "k10", id=question, name="owner")).reason is Reason.CONFLICT


@pytest.mark.parametrize(("said", "name"), [(None, f"app {APP.public_hex[:8]}"), ("owner", "owner 2")])
async def test_an_app_without_a_usable_name_gets_one(office: Office, said: str | None, name: str) -> None:
    done = await office.run("approve", "k1", id=await asked(office, name=said))
    assert done["connected"] == name


async def test_an_app_that_wants_to_be_apart_gets_an_account_of_its_own(office: Office) -> None:
    await office.run("approve", "k1", id=await asked(office, isolated="true"))
    (grant,) = await made(office)
    account = await office.store.account(grant.account_id)
    assert account is not None
    assert (account.account_id, account.available_msat) == (f"app-{grant.grant_id}", Msat(0))
    assert grant.shown_history == "account"


async def test_an_app_that_has_asked_sees_nothing_of_what_others_do_on_the_same_account(office: Office) -> None:
    everything = " ".join(preset_methods("full"))
    await office.run("approve", "k1", id=await asked(office, request_methods=everything))
    (grant,) = await made(office)
    assert (grant.account_id, grant.shown_history) == ("owner", "own")


async def test_an_app_of_2024_gets_a_link(office: Office) -> None:
    text = link(state=None, secret="ab" * 16, budget="10/daily", max_amount=None, renewal_period=None)
    shown = await allow(office).run("connect_request", link=text)
    assert shown["connection"]["wants_link"] is True
    done = await office.run("approve", "k1", id=shown["id"])
    uri = decode_nwc((await office.run("link", "l1", name=done["connected"]))["nwc_uri"])
    (grant,) = await made(office)
    assert grant.caller == SecretKey(uri.secret).public_hex != APP.public_hex
    assert grant.budgets == (Budget(sat(10), "day"),)
    assert grant.asked_relays == ()


async def test_nobody_connects_an_app_to_what_he_may_not_do_himself(office: Office) -> None:
    question = await asked(office)
    await office.set_owner(methods=frozenset({"manage", "read"}))
    refused = await office.refused("approve", "k1", id=question)
    assert refused.reason is Reason.NOT_PERMITTED
    assert refused.message.startswith("`approve` with pay_invoice needs the right to spend")
    assert await made(office) == []


async def test_a_name_belongs_to_a_connection_alone(office: Office) -> None:
    await office.rig.pointer("till")
    await office.rig.debit("r1", APP.public_hex, budget=Budget.daily(sat(1)))
    (question,) = await office.store.approvals(limit=9)
    refused = await office.refused("approve", "k1", id=question.approval_id, name="zaps")
    assert "a name belongs to a connection" in refused.message


async def test_in_the_feed_a_request_is_told_in_our_own_words(office: Office) -> None:
    await asked(office, name="You have won")
    told = str((await office.run("events", after=0))["events"])
    assert "asks for a connection" in told
    assert "won" not in told


def test_every_method_that_can_be_asked_for_is_one_that_is_served() -> None:
    assert {"pay_invoice", "get_balance", "get_info"} <= set(nwc_methods())
