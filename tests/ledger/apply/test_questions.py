"""Questions that no request waits for: stored, in the place of the one before, and decided like any other."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from kitestring.base.approvals import REFUSED_S, Approval, ApprovalKind, ApprovalState
from kitestring.base.commands import Connect, freeze
from kitestring.base.errors import Reason
from kitestring.base.events import EventKind, FeedEvent
from kitestring.base.grants import Grant
from kitestring.base.records import Message
from kitestring.base.store import Store
from kitestring.base.transactions.answers import Claimed, DecisionStored, Denied, Done, Finished, Stale
from kitestring.base.transactions.approvals import AwaitApproval, Decide
from kitestring.base.transactions.owner import SaveGrant, SaveQuestion
from kitestring.base.transactions.requests import Answer, ForgetRefusals
from kitestring.ledger.audit.checks import audit
from tests.kit.changed import replace
from tests.kit.ledger.questions import CHARGER, approve, asked, asks, debit, deny
from tests.kit.ledger.steps import all_sent
from tests.kit.ledger.values import NOW, SERVICE, execute, fail, no, reply

KEY = "ab" * 32


def question(name: str, *methods: str, caller: str = KEY) -> Approval:
    return Approval(
        approval_id=name, kind=ApprovalKind.CONNECTION, wire="nwc", caller=caller, target="",
        command=freeze(Connect(client=caller, methods=methods)), asked_at=NOW, expires_at=NOW + 600,
    )  # fmt: skip


async def told(store: Store) -> list[tuple[EventKind, str, str]]:
    rows = await store.events(0, 99)
    return [
        (row.kind, row.subject, row.detail) for row in rows if isinstance(row, FeedEvent) and row.subject[:1] == "q"
    ]


async def test_a_question_is_stored_once_per_key_and_told(store: Store) -> None:
    asked = question("q1", "get_info")
    assert await store.apply(execute("one", SaveQuestion(asked))) == Claimed()
    await store.apply(execute("one", SaveQuestion(question("q2"))))
    assert await store.approvals(limit=9) == [asked]
    assert await told(store) == [(EventKind.ASKED, "q1", "")]


async def test_the_one_before_of_the_same_app_is_superseded_and_that_of_another_is_not(store: Store) -> None:
    await store.apply(execute("one", SaveQuestion(question("q1"))))
    await store.apply(execute("two", SaveQuestion(question("q2", caller="cd" * 32))))
    await store.apply(execute("three", SaveQuestion(question("q3"))))
    assert [one.approval_id for one in await store.approvals(limit=9)] == ["q2", "q3"]
    (ended,) = await store.approvals(limit=9, ended=True)
    assert (ended.approval_id, ended.state) == ("q1", ApprovalState.SUPERSEDED)


async def test_it_is_decided_with_the_grant_that_it_leads_to_or_not_at_all(store: Store) -> None:
    await store.apply(execute("one", SaveQuestion(question("q1"))))
    grant = Grant(grant_id="q1", name="new", wire="nwc", caller=KEY, account_id="alice")
    stale = Grant(grant_id="app", name="again", wire="nwc", account_id="alice")
    refused = await store.apply(Decide("q1", 1, ApprovalState.APPROVED, NOW, writes=(SaveGrant(stale),)))
    assert refused == Stale()
    decided = await store.apply(Decide("q1", 1, ApprovalState.APPROVED, NOW, writes=(SaveGrant(grant),)))
    assert decided == DecisionStored(())
    assert await store.grant("q1") == grant
    assert (await told(store))[-1] == (EventKind.DECIDED, "q1", "approved")


# ------------------------------------------------------------ what is left of them


async def test_where_no_yes_came_a_refusal_is_left_that_its_age_ends(store: Store, ledger: Path) -> None:
    for name, state in (("a", ApprovalState.DENIED), ("b", ApprovalState.EXPIRED)):
        await store.apply(asks(name, caller=name * 64))
        await store.apply(AwaitApproval(debit(f"{name}-too"), f"pay-{name}"))
        said = [no(f"ask-{one}") for one in (name, f"{name}-too")]
        assert await store.apply(deny(name, *said, state=state)) == DecisionStored(())
        assert await store.apply(asks(name, caller=name * 64)) == Finished((said[0],)), "told again what it was told"
    assert audit(ledger, SERVICE) == []
    row = await store.request("ask-a")
    assert row is not None
    assert (row.payment_id, row.command, row.reply_to) == ("", b"", b"")
    names = ("ask-a", "ask-a-too", "ask-b", "ask-b-too")
    await all_sent(store)
    await store.apply(ForgetRefusals(NOW + 5 + REFUSED_S, 0))
    assert [await store.request(name) is not None for name in names] == [True] * 4
    await store.apply(ForgetRefusals(NOW + 6 + REFUSED_S, 0))
    assert [await store.request(name) is not None for name in names] == [False] * 4
    assert audit(ledger, SERVICE) == []
    assert {one.state for one in await store.approvals(limit=9, ended=True)} == {
        ApprovalState.DENIED, ApprovalState.EXPIRED,
    }  # fmt: skip
    assert await store.apply(asks("a", caller="a" * 64)) == Denied(Reason.STALE_REQUEST)


async def test_a_superseded_one_and_one_that_is_answered_later_are_refusals_too(store: Store, ledger: Path) -> None:
    await store.apply(asks("a"))
    await store.apply(asks("b", replaces="pay-a", messages=(no("ask-a"),)))
    decided = await store.apply(deny("b"))
    assert isinstance(decided, DecisionStored)
    (waits,) = decided.unanswered
    assert waits.payment_id == "pay-b"
    assert await store.apply(Answer(waits, (no("ask-b"),), NOW + 7)) == Done()
    assert audit(ledger, SERVICE) == []
    await all_sent(store)
    await store.apply(ForgetRefusals(NOW + 8 + REFUSED_S, 0))
    assert [await store.request(name) for name in ("ask-a", "ask-b")] == [None, None]


async def test_a_yes_stays_as_long_as_other_answers(store: Store, ledger: Path) -> None:
    await store.apply(execute("pointer", SaveGrant(CHARGER)))
    await store.apply(asks("a"))
    await store.apply(replace(deny("a", reply("ask-a")), state=ApprovalState.APPROVED))
    await store.apply(asks("b", caller="b" * 64))
    assert await store.apply(approve("b")) == DecisionStored(())
    await store.apply(fail("b", no("ask-b")))
    await all_sent(store)
    await store.apply(ForgetRefusals(NOW + 10**6, 0))
    assert [await store.request(name) is not None for name in ("ask-a", "ask-b")] == [True, True]
    assert audit(ledger, SERVICE) == []


async def test_of_those_without_a_yes_the_newest_are_kept_and_known_keys_are_counted_for_themselves(
    store: Store, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.ledger.apply.questions.MAX_REFUSED", 2)

    async def ended(name: str, at: int, said: tuple[Message, ...] = (), **more: Any) -> None:
        question = asked(name, caller=sha256(name.encode()).hexdigest(), asked_at=NOW + at, **more)
        assert await store.apply(replace(asks(name), approval=question)) == Claimed()
        await store.apply(deny(name, *said))

    await ended("waits", 0)
    await store.apply(execute("one", SaveQuestion(question("q1"))))
    await store.apply(Decide("q1", 1, ApprovalState.EXPIRED, NOW))
    await ended("known", 1, (no("ask-known"),), is_known=True)
    for number in range(2, 6):
        await ended(f"s{number}", number, (no(f"ask-s{number}"),))
    await store.apply(ForgetRefusals(NOW, 0))
    kept = [one.approval_id for one in await store.approvals(limit=9, ended=True)]
    assert kept == ["pay-s5", "pay-s4", "pay-known", "q1", "pay-waits"]
    assert await store.messages("ask-s2") == (no("ask-s2"),), "its request is kept for itself"
    await store.apply(Answer(replace(debit("waits"), payment_id="pay-waits"), (no("ask-waits"),), NOW))
    await store.apply(ForgetRefusals(NOW, 0))
    assert await store.approval("pay-waits") is None
    assert audit(ledger, SERVICE) == []
