"""The owner's commands about debit pointers: who may ask by a code, and what strangers get."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.owner import debit_pointers
from kitestring.app.owner.debit_pointers import METHODS, shown_ndebit
from kitestring.base.budgets import Budget
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.codec.pointers import Ndebit, decode, encode
from kitestring.crypto.keys import SecretKey
from tests.kit.app.desk import RELAY, Office
from tests.kit.engine.node import Script
from tests.kit.engine.rig import AMOUNT

ALICE, BOB = "a1" * 32, "b2" * 32
DAY = {"limit_msat": 500_000, "period": "day"}
LEFT = "wss://left.example"


async def test_a_pointer_becomes_a_code_whose_id_nobody_can_guess(office: Office) -> None:
    made = await office.run("debit_pointer_create", label="till")
    pointer_id = made["pointer_id"]
    assert decode(made["ndebit"]) == Ndebit(office.desk.service_id, (RELAY,), pointer_id)
    assert len(bytes.fromhex(pointer_id)) == 16
    assert (made["policy"], made["sessions"], made["budgets"], made["grants"]) == ("ask", "off", [], 0)
    stored = await office.store.grant(pointer_id)
    assert (stored.wire, stored.caller, stored.pointer_id) == ("debits", "", pointer_id)
    assert (stored.strangers, stored.methods) == ("ask", METHODS)
    assert office.announced == [pointer_id]
    assert (await office.run("debit_pointer_list"))["pointers"] == [{k: v for k, v in made.items() if k != "created"}]
    assert await shown_ndebit(office.desk) == made["ndebit"]


async def test_a_label_is_taken_once_and_other_values_are_refused(office: Office) -> None:
    made = await office.run("debit_pointer_create", label="till")
    again = await office.run("debit_pointer_create", "k2", label="till")
    assert (again["pointer_id"], again["created"]) == (made["pointer_id"], False)
    other = await office.refused("debit_pointer_create", "k3", label="till", policy="deny")
    assert (other.reason, other.details["differs"]) == (Reason.CONFLICT, ["policy"])
    assert "kitestring debit pointer policy till" in other.message


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"policy": "budget"}, "needs a budget"),
        ({"budgets": [DAY]}, "name --policy budget too"),
        ({"policy": "budget", "budgets": [DAY, DAY]}, "the same period"),
        ({"policy": "budget", "budgets": [{**DAY, "limit_msat": 1.0}]}, "must be a whole number"),
        ({"policy": "budget", "budgets": [{**DAY, "length_s": 5}]}, "has a length"),
        ({"policy": "budget", "budgets": [DAY] * 5}, "at most 4 values"),
        ({"policy": "maybe"}, "cannot be"),
        ({"label": " till"}, "one line"),
        ({"account": "nobody"}, "no account"),
    ],
)
async def test_a_wrong_pointer_is_refused(office: Office, params: dict[str, Any], word: str) -> None:
    refused = await office.refused("debit_pointer_create", **{"label": "till", **params})
    assert word in refused.message
    assert (await office.run("debit_pointer_list"))["pointers"] == []


async def test_strangers_may_share_a_budget_of_the_pointer(office: Office) -> None:
    wanted = {"policy": "budget", "budgets": [DAY, {"limit_msat": 9_000_000}], "per_payment_msat": 100_000}
    made = await office.run("debit_pointer_create", label="till", **wanted)
    stored = await office.store.grant(made["pointer_id"])
    assert stored.budgets == (Budget.daily(sat(500)), Budget(sat(9_000), "never", 0, 1))
    assert stored.per_payment_msat == Msat(100_000)
    assert [(row["limit_msat"], row["left_msat"]) for row in made["budgets"]] == [(500_000, 500_000), (9_000_000,) * 2]


async def test_a_policy_is_changed_and_what_is_left_out_stays(office: Office) -> None:
    made = await office.run("debit_pointer_create", label="till", per_payment_msat=100_000)
    code = made["ndebit"]
    changed = await office.run("debit_pointer_policy", "k2", pointer=code, policy="budget", budgets=[DAY])
    assert (changed["policy"], changed["per_payment_msat"], changed["changed"]) == ("budget", 100_000, True)
    assert (await office.run("debit_pointer_policy", "k3", pointer="till", policy="budget"))["changed"] is False
    minted = await office.run("debit_pointer_policy", "k4", pointer="till", sessions="minted", per_payment_msat=None)
    assert (minted["sessions"], minted["policy"], minted["per_payment_msat"]) == ("minted", "budget", None)
    assert len(minted["budgets"]) == 1
    closed = await office.run("debit_pointer_policy", "k5", pointer="till", policy="deny")
    assert (closed["policy"], closed["budgets"]) == ("deny", [])
    assert (await office.store.grant(made["pointer_id"])).version == 4


@pytest.mark.parametrize(
    "params", [{"policy": "budget", "budgets": [DAY]}, {"sessions": "minted"}, {"sessions": "any"}]
)
async def test_who_may_not_pay_without_bounds_lets_no_stranger_take(office: Office, params: dict[str, Any]) -> None:
    await office.run("debit_pointer_create", label="main", sessions="minted")
    await office.set_owner(methods=frozenset({"manage", "read"}))
    refused = await office.refused("debit_pointer_create", "k2", label="till", **params)
    assert (refused.reason, "right to spend" in refused.message) == (Reason.NOT_PERMITTED, True)
    for name, more in (("debit_pointer_policy", params), ("debit_session", {"max_msat": 1_000})):
        assert (await office.refused(name, "k3", pointer="main", **more)).reason is Reason.NOT_PERMITTED
    assert (await office.run("debit_pointer_create", "k4", label="till"))["policy"] == "ask"
    await office.set_owner(methods=frozenset(), budgets=(Budget.daily(sat(5)),))
    assert "without bounds" in (await office.refused("debit_pointer_create", "k5", label="mine", **params)).message


async def test_a_code_is_made_anew_over_the_relays_of_today(office: Office) -> None:
    made = await office.run("debit_pointer_create", label="till")
    same = await office.run("debit_pointer_relink", "k2", pointer="till")
    assert (same["changed"], same["ndebit"], same["left_relays"]) == (False, made["ndebit"], [])
    office.relays_are("wss://here.example")
    assert (await office.run("debit_pointer_list"))["pointers"][0]["old_relays"] == [RELAY]
    anew = await office.run("debit_pointer_relink", "k3", pointer="till")
    assert decode(anew["ndebit"]) == Ndebit(office.desk.service_id, ("wss://here.example",), made["pointer_id"])
    assert (anew["changed"], anew["left_relays"], anew["old_relays"]) == (True, [RELAY], [])


async def test_a_deleted_pointer_takes_its_grants_with_it_and_no_others(office: Office) -> None:
    made = await office.run("debit_pointer_create", label="till")
    other = await office.run("debit_pointer_create", "k2", label="other")
    for pointer, caller in ((made, ALICE), (made, BOB), (other, ALICE)):
        await office.rig.allow(pointer["pointer_id"], caller)
    gone = await office.run("debit_pointer_delete", "k3", pointer="till")
    assert (gone["label"], gone["grants"]) == ("till", 2)
    assert [found["label"] for found in (await office.run("debit_pointer_list"))["pointers"]] == ["other"]
    (left,) = (await office.run("debit_grants"))["grants"]
    assert (left["caller"], left["pointer"]) == (ALICE, "other")
    absent = await office.refused("debit_pointer_delete", "k4", pointer="till")
    assert (absent.reason, "debit pointer list" in absent.message) == (Reason.UNKNOWN_TARGET, True)
    assert (await office.run("debit_pointer_create", "k5", label="till"))["pointer_id"] != made["pointer_id"]


async def test_the_code_of_another_service_or_of_an_offer_is_no_pointer_of_ours(office: Office) -> None:
    made = await office.run("debit_pointer_create", label="till")
    foreign = encode(Ndebit(SecretKey(b"\x05" * 32).public_hex, (RELAY,), made["pointer_id"]))
    refused = await office.refused("debit_pointer_policy", pointer=foreign, policy="deny")
    assert (refused.reason, refused.message) == (Reason.UNKNOWN_TARGET, "this code belongs to another service")
    bare = encode(Ndebit(office.desk.service_id, (RELAY,)))
    assert "with this code" in (await office.refused("debit_pointer_policy", pointer=bare, policy="deny")).message


# ------------------------------------------------------------ sessions


async def test_a_session_is_a_code_with_a_word_that_no_stored_answer_holds(office: Office) -> None:
    made = await office.run("debit_pointer_create", label="till", sessions="minted")
    session = await office.run("debit_session", "s1", pointer="till", max_msat=50_000, min_msat=2_000, expires_in_s=60)
    code = decode(session["ndebit"])
    assert isinstance(code, Ndebit)
    assert (code.pointer, code.relays, len(code.k1 or "")) == (made["pointer_id"], (RELAY,), 64)
    (stored,) = await office.store.sessions(made["pointer_id"], 9)
    assert (stored.value, stored.min_msat, stored.max_msat) == (code.k1, Msat(2_000), Msat(50_000))
    assert stored.expires_at == session["expires_at"] == office.desk.clock.now() + 60
    assert await office.run(
        "debit_session", "s1", pointer="till", max_msat=50_000, min_msat=2_000, expires_in_s=60
    ) == (session)
    requests = [await office.store.messages(key) for key in await _control_keys(office)]
    assert requests
    assert all(stored.value not in str(messages) for messages in requests)


async def _control_keys(office: Office) -> list[str]:
    """The ids under which the commands of this test have stored their answers."""
    from kitestring.app.owner.command import request_id
    from tests.kit.app.desk import OWNER

    return [request_id(OWNER, "debit_session", "s1"), request_id(OWNER, "debit_pointer_create", "k1")]


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"max_msat": 1_500}, "whole sats"),
        ({"max_msat": 5_000, "min_msat": 1_001}, "whole sats"),
        ({"max_msat": 5_000, "min_msat": 6_000}, "larger than the largest"),
        ({"max_msat": 5_000, "expires_in_s": 86_401}, "at most 86400"),
    ],
)
async def test_a_wrong_session_is_refused(office: Office, params: dict[str, Any], word: str) -> None:
    await office.run("debit_pointer_create", label="till", sessions="minted")
    assert word in (await office.refused("debit_session", pointer="till", **params)).message


async def test_a_pointer_that_takes_no_sessions_of_ours_says_how_it_would(office: Office) -> None:
    await office.run("debit_pointer_create", label="my till", sessions="any")
    refused = await office.refused("debit_session", pointer="my till", max_msat=1_000)
    assert "kitestring debit pointer policy 'my till' --sessions minted" in refused.message


async def test_a_pointer_has_so_many_open_sessions_and_one_that_has_ended_makes_room(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debit_pointers, "MAX_OPEN_SESSIONS", 2)
    await office.run("debit_pointer_create", label="till", sessions="minted")
    for number in range(2):
        await office.run("debit_session", f"s{number}", pointer="till", max_msat=1_000, expires_in_s=60 + number)
    assert (await office.refused("debit_session", "s2", pointer="till", max_msat=1_000)).reason is Reason.RATE_LIMITED
    office.rig.clock.advance(60)
    assert (await office.run("debit_session", "s3", pointer="till", max_msat=1_000))["ndebit"]


async def test_a_session_that_is_forgotten_has_no_code_any_more(office: Office) -> None:
    made = {"session": "00", "pointer_id": "nobody's", "relays": [RELAY]}
    assert await debit_pointers.with_code(office.desk, made, None) == {  # type: ignore[arg-type]  # asks for no caller
        "session": "00", "pointer_id": "nobody's", "ndebit": None,
    }  # fmt: skip
    with pytest.raises(KitestringError):
        await office.run("debit_session", pointer="nobody's", max_msat=1_000)


async def session_state(office: Office, session: str) -> str:
    (row,) = (await office.run("debit_sessions", pointer="till", session=session))["sessions"]
    return str(row["state"])


async def test_what_became_of_a_session_is_shown_without_its_word(office: Office) -> None:
    pointer_id = (await office.run("debit_pointer_create", label="till", sessions="minted"))["pointer_id"]
    first = await office.run("debit_session", "s1", pointer="till", max_msat=AMOUNT, expires_in_s=60)
    other = await office.run("debit_session", "s2", pointer="till", max_msat=AMOUNT, expires_in_s=90)
    code = decode(first["ndebit"])
    assert isinstance(code, Ndebit)
    k1 = code.k1 or ""
    for name, script, state in (("r1", Script(fails="no_route"), "failed"), ("r2", Script(fee=1_000), "settled")):
        assert await session_state(office, first["session"]) == "waiting"  # again, after the failure
        invoice = office.rig.life.node.outside_invoice(script)
        await office.rig.debit(name, ALICE, invoice, pointer=pointer_id, k1=k1)
        await office.has_state(invoice[1], state)
    office.rig.clock.advance(90)
    shown = await office.run("debit_sessions", pointer="till")
    used, over = sorted(shown["sessions"], key=lambda row: row["expires_at"])
    assert (used["session"], used["state"], used["payment_hash"]) == (first["session"], "used", invoice[1])
    assert (used["amount_msat"], used["fee_msat"], used["service_fee_msat"]) == (AMOUNT, 1_000, 0)
    assert (over["session"], over["state"], over["amount_msat"]) == (other["session"], "expired", None)
    assert shown["pointer_id"] == pointer_id
    assert k1 not in str(shown)
    assert len((await office.run("debit_sessions", pointer="till", limit=1))["sessions"]) == 1


async def test_a_session_is_being_paid_until_the_payment_ends_and_closed_where_an_operator_ends_it(
    office: Office,
) -> None:
    pointer_id = (await office.run("debit_pointer_create", label="till", sessions="minted"))["pointer_id"]
    made = await office.run("debit_session", "s1", pointer="till", max_msat=AMOUNT, expires_in_s=60)
    code, invoice = (
        decode(made["ndebit"]),
        office.rig.life.node.outside_invoice(Script(settles_after_s=None, answers=["lost"])),
    )
    assert isinstance(code, Ndebit)
    office.node.deaf = True
    await office.rig.debit("r1", ALICE, invoice, pointer=pointer_id, k1=code.k1 or "")
    await office.has_state(invoice[1], "unknown")
    office.rig.clock.advance(61)
    assert await session_state(office, made["session"]) == "paying"
    await office.run("payment_resolve", payment=invoice[1], note="the channel is gone")
    assert await session_state(office, made["session"]) == "closed"
    office.node.deaf = False
    office.node.release(invoice[1])


async def test_pointers_of_enrolled_keys_are_neither_listed_nor_shown_as_our_own(office: Office) -> None:
    await office.rig.enroll("r1", ALICE)
    assert await shown_ndebit(office.desk) is None
    assert (await office.run("debit_pointer_list"))["pointers"] == []
    assert (await office.run("debit_grants"))["grants"] == []
    pointer_id = next(one.pointer_id for one in await office.rig.store.grants_of("debits", ALICE))
    (grant,) = (await office.run("debit_grants", pointer=pointer_id))["grants"]
    assert grant["caller"] == ALICE
    assert (await office.run("debit_pointer_delete", pointer=pointer_id))["grants"] == 1


async def test_a_pointer_within_euros_is_the_same_one_whatever_they_are_worth(office: Office) -> None:
    rates: Any = office.desk.rates
    within = {"policy": "budget", "budgets": [{"currency": "EUR", "limit_minor": 1_000, "period": "day"}]}
    made = await office.run("debit_pointer_create", label="till", **within)
    rates.prices["EUR"] = 90_000
    again = await office.run("debit_pointer_create", "k2", label="till", **within)
    assert (again["pointer_id"], again["created"]) == (made["pointer_id"], False)
    same = await office.run("debit_pointer_policy", "k3", pointer="till", budgets=within["budgets"])
    assert same["changed"] is False
    assert [row["limit_msat"] for row in same["budgets"]] == [11_111_111]
    price = rates.prices.pop("EUR")  # nobody has to know it for what is there already
    assert (await office.run("debit_pointer_create", "k5", label="till", **within))["created"] is False
    assert (await office.run("debit_pointer_policy", "k6", pointer="till", budgets=within["budgets"]))[
        "changed"
    ] is False
    rates.prices["EUR"] = price
    more = [{"currency": "EUR", "limit_minor": 2_000, "period": "day"}]
    assert (await office.run("debit_pointer_policy", "k4", pointer="till", budgets=more))["changed"] is True
