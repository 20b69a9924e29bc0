"""What the owner changes: once per key, all or nothing."""

import pytest

from kitestring.base.budgets import Budget
from kitestring.base.errors import Reason
from kitestring.base.events import EventKind, FeedEvent
from kitestring.base.grants import Account, Grant, Offer, OfferState
from kitestring.base.money import Msat
from kitestring.base.records import Generation, NodeView, Stop, StopCause
from kitestring.base.store import Store
from kitestring.base.transactions.answers import Claimed, Denied, Finished, Stale
from kitestring.base.transactions.owner import Execute, SaveAccount, SaveGrant, SaveOffer, Write
from kitestring.base.transactions.service import SetSpending
from tests.kit.changed import replace
from tests.kit.ledger.steps import balance
from tests.kit.ledger.values import (
    NOW,
    execute,
    move,
    reply,
)


async def test_an_owners_command_is_executed_once_per_key(store: Store) -> None:
    command = execute("fund-again", move("t", "owner", "alice", 5))
    assert await store.apply(command) == Claimed()
    assert await store.apply(command) == Finished((reply("fund-again", "done", event=b""),))
    assert await balance(store, "alice") == (100_005, 0, 0)


@pytest.mark.parametrize(
    ("write", "refusal"),
    [
        (move("t", "bob", "alice", 100_001), Denied(Reason.INSUFFICIENT_FUNDS, Msat(100_000))),
        (move("t", "bob", "nobody", 1), Denied(Reason.UNKNOWN_TARGET)),
        (move("t", "bob", "bob", 1), Denied(Reason.UNKNOWN_TARGET)),
        (move("t", "bob", "alice", 0), Denied(Reason.AMOUNT_OUT_OF_RANGE)),
        (move("fund-bob", "bob", "alice", 1), Denied(Reason.ALREADY_USED)),
        (
            replace(move("t", "owner", "alice", 1), view=NodeView(Msat(200_000), Msat(0))),
            Denied(Reason.INSUFFICIENT_FUNDS, Msat(0)),
        ),
        (SaveGrant(Grant(grant_id="app", name="again", wire="nwc", account_id="alice")), Stale()),
        (SaveGrant(Grant(grant_id="new", name="new", wire="nwc", account_id="nobody")), Denied(Reason.UNKNOWN_TARGET)),
        (SaveAccount(Account(account_id="@world", name="mine")), Denied(Reason.NOT_PERMITTED)),
    ],
)
async def test_a_refused_write_takes_back_the_whole_command(store: Store, write: Write, refusal: object) -> None:
    totals = await store.totals()
    offer = SaveOffer(Offer(offer_id="tea", label="tea"))
    assert await store.apply(execute("both", offer, move("first", "owner", "alice", 7), write)) == refusal
    assert await store.offers() == []
    assert await balance(store, "alice") == (100_000, 0, 0)
    assert await store.totals() == totals
    assert await store.request("both") is None


async def test_no_two_budgets_of_a_grant_are_counted_as_one(store: Store) -> None:
    twice = Grant(grant_id="new", name="new", wire="nwc", budgets=(Budget.daily(Msat(5)), Budget.total(Msat(9))))
    assert await store.apply(execute("twice", SaveGrant(twice))) == Denied(Reason.CONFLICT)
    assert await store.grant("new") is None


async def test_while_spending_is_stopped_credit_only_goes_back_to_the_owner(store: Store) -> None:
    await store.apply(SetSpending(True, "drift of 5 sat", NOW))
    for source, target in (("owner", "alice"), ("bob", "alice")):
        moved = execute(f"{source}-{target}", move("t", source, target, 5))
        assert await store.apply(moved) == Denied(Reason.SPENDING_STOPPED)
    assert await store.apply(execute("back", move("t", "alice", "owner", 5))) == Claimed()
    assert await balance(store, "alice") == (100_000, 5, 0)


async def test_an_offer_takes_the_steps_of_the_table_and_a_deleted_one_is_not_changed_any_more(store: Store) -> None:
    def saved(number: int, state: OfferState, label: str) -> Execute:
        return execute(f"{number}", SaveOffer(Offer(offer_id="tea", label=label, state=state)))

    refused = Denied(Reason.UNKNOWN_TARGET)
    steps = [
        (OfferState.OPEN, Claimed()),
        (OfferState.OPEN, Claimed()),  # a change of something else
        (OfferState.MOVED, Claimed()),
        (OfferState.OPEN, refused),
        (OfferState.DELETED, Claimed()),
        (OfferState.OPEN, refused),
        (OfferState.DELETED, refused),
    ]
    for number, (state, answer) in enumerate(steps):
        assert await store.apply(saved(number, state, f"tea {number}")) == answer
    (offer,) = await store.offers()
    assert (offer.state, offer.label) == (OfferState.DELETED, "tea 4")


async def test_each_cause_stops_and_allows_for_itself_and_the_first_is_the_one_that_is_told(store: Store) -> None:
    before = await store.generation()
    await store.apply(SetSpending(True, "an old ledger", NOW, StopCause.LEDGER))
    await store.apply(SetSpending(True, "drift", NOW + 1))
    await store.apply(SetSpending(False, "", NOW + 2))
    stopped = ["spending stops: an old ledger", "spending stops: drift"]
    assert [alarm.detail for alarm in await store.alarms(0, 10)] == stopped
    assert (await store.totals()).spending_stopped == "an old ledger"
    assert await store.stops() == [Stop(StopCause.LEDGER, "an old ledger", NOW)]
    assert (await store.generation()).ledger_id == before.ledger_id
    await store.apply(SetSpending(False, "the owner is sure", NOW + 3, StopCause.LEDGER))
    assert (await store.totals()).spending_stopped == ""
    after = await store.generation()
    assert (after.ledger_id != before.ledger_id, before.since, after.since) == (True, 0, NOW + 3)
    await store.apply(SetSpending(False, "once more", NOW + 4, StopCause.LEDGER))
    assert await store.alarms(0, 10) == []  # nothing is wrong any more
    *_, last = await store.events(0, 10)
    assert isinstance(last, FeedEvent)
    assert (last.kind, last.detail) == (EventKind.ALLOWED, "spending is allowed again: the owner is sure")


def test_what_a_ledger_misses_is_counted_by_what_only_grows() -> None:
    newest = Generation("ab", 5, 4, 3, 2)
    assert newest.misses(newest) == 0
    assert newest.misses(Generation("ab", 5, 4, 4, 2)) == 1
    assert Generation("ab", 9, 0, 0, 0).misses(newest) == 9
    assert [newest.is_blank, Generation("ab", 9, 9, 0, 0).is_blank] == [False, True]
