"""Questions that no request waits for: stored, in the place of the one before, and decided like any other."""

from __future__ import annotations

from kitestring.base.approvals import Approval, ApprovalKind, ApprovalState
from kitestring.base.commands import Connect, freeze
from kitestring.base.events import Event, EventKind
from kitestring.base.grants import Grant
from kitestring.base.store import Store
from kitestring.base.transactions import Claimed, Decide, DecisionStored, SaveGrant, SaveQuestion, Stale
from tests.kit.ledger.values import NOW, execute

KEY = "ab" * 32


def question(name: str, *methods: str, caller: str = KEY) -> Approval:
    return Approval(
        approval_id=name, kind=ApprovalKind.CONNECTION, wire="nwc", caller=caller, target="",
        command=freeze(Connect(client=caller, methods=methods)), asked_at=NOW, expires_at=NOW + 600,
    )  # fmt: skip


async def told(store: Store) -> list[tuple[EventKind, str, str]]:
    rows = await store.events(0, 99)
    return [(row.kind, row.subject, row.detail) for row in rows if isinstance(row, Event) and row.subject[:1] == "q"]


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
    grant = Grant(grant_id="new", name="new", wire="nwc", caller=KEY, account_id="alice")
    stale = Grant(grant_id="app", name="again", wire="nwc", account_id="alice")
    refused = await store.apply(Decide("q1", 1, ApprovalState.APPROVED, NOW, writes=(SaveGrant(stale),)))
    assert refused == Stale()
    decided = await store.apply(Decide("q1", 1, ApprovalState.APPROVED, NOW, writes=(SaveGrant(grant),)))
    assert decided == DecisionStored(())
    assert await store.grant("new") == grant
    assert (await told(store))[-1] == (EventKind.DECIDED, "q1", "approved")
