"""One suite for every store: each transaction value, each answer it may have, and what is read afterwards.

Every test ends with an audit of the ledger it leaves behind.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from kitestring.base.commands import ListTransactions
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Account, Budget, Grant, Offer
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import Msat
from kitestring.base.payments import IllegalStepError, Settled, State
from kitestring.base.records import Node, NodeView
from kitestring.base.store import Scope, Store
from kitestring.base.transactions import (
    AlreadyCredited,
    AlreadyPaid,
    Answer,
    Claimed,
    ClaimPayment,
    Credited,
    Denied,
    Done,
    ExpireInvoices,
    Finished,
    InvoiceNotOpen,
    Joined,
    MarkSent,
    More,
    MoveCursor,
    Prune,
    Recorded,
    RecordInvoice,
    RecordPayment,
    ResolvePayment,
    Running,
    SaveAccount,
    SaveGrant,
    SaveNode,
    SaveOffer,
    SetSpending,
    Stale,
    Tx,
    Write,
)
from kitestring.ledger.audit.checks import audit
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.changed import replace
from tests.kit.ledger.values import (
    NODE,
    NOW,
    SERVICE,
    answered,
    charge,
    claim,
    credit,
    execute,
    fail,
    hash_of,
    invoice,
    lose,
    move,
    payment,
    preimage_of,
    receipt,
    record_invoice,
    reply,
    request,
    setting,
    settle,
)


async def _sqlite(path: Path) -> Store:
    return await SqliteStore.open(path, SERVICE)


STORES: dict[str, Callable[[Path], Awaitable[Store]]] = {"sqlite": _sqlite}


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    path = tmp_path / "kitestring.db"
    opened = await STORES[request.param](path)
    assert await opened.apply(setting()) == Claimed()
    yield opened
    await opened.close()
    assert audit(path, SERVICE) == []


async def balance(store: Store, account_id: str) -> tuple[int, int, int]:
    account = await store.account(account_id)
    assert account is not None
    return int(account.credits_msat), int(account.posted_msat), int(account.pending_msat)


async def state_of(store: Store, name: str) -> State | None:
    found = await store.payment(f"pay-{name}")
    return None if found is None else found.state


# ---------------------------------------------------------------- a payment, from claim to end


async def test_a_claim_reserves_amount_and_fee_cap_and_marks_the_payment_dispatched(store: Store) -> None:
    assert await store.apply(claim("a", payment("a", 1000, 100))) == Claimed()
    assert await balance(store, "alice") == (100_000, 0, 1100)
    assert await store.payment("pay-a") == payment("a", 1000, 100, state=State.DISPATCHED)
    assert await store.open_payments() == [payment("a", 1000, 100, state=State.DISPATCHED)]
    waiting = request("ask-a", payment_id="pay-a")
    assert await store.waiting("pay-a") == await store.running_requests() == [waiting]
    totals = await store.totals()
    assert (totals.pending_msat, totals.owner_pending_msat, totals.sub_accounts_msat) == (1100, 0, 200_000)


async def test_a_settlement_posts_the_truth_releases_the_rest_and_stores_the_reply(store: Store) -> None:
    await store.apply(claim("a", payment("a", 1000, 100)))
    done = await store.apply(settle("a", 10, answered("a")))
    truth = payment("a", 1000, 100, state=State.SETTLED, fee_msat=Msat(10), preimage=preimage_of("a"))
    truth = replace(truth, settled_at=NOW + 1)
    assert done == Recorded()
    assert await store.payment("pay-a") == truth
    assert await balance(store, "alice") == (100_000, 1010, 0)
    assert await store.messages("ask-a") == (answered("a"),)
    assert await store.waiting("pay-a") == []
    assert await store.open_payments() == []
    totals = await store.totals()
    assert (totals.spent_msat, totals.pending_msat, totals.sub_accounts_msat) == (1010, 0, 198_990)


async def test_an_open_invoice_of_our_own_is_not_sent_to_the_node(store: Store) -> None:
    await store.apply(record_invoice("i"))
    ours = payment("i", 500, 10)
    assert await store.apply(claim("i", ours)) == Stale()
    assert await store.payment("pay-i") is None
    assert await store.request("ask-i") is None
    assert await store.apply(claim("i", replace(ours, bolt11="lnbcrt-wrapped"))) == Claimed()


async def test_a_proven_failure_releases_everything_and_frees_the_hash(store: Store) -> None:
    await store.apply(claim("a"))
    done = await store.apply(fail("a", answered("a")))
    assert isinstance(done, Recorded)
    failed = await store.payment("pay-a")
    assert failed is not None
    assert (failed.state, failed.evidence) == (State.FAILED, "the node said no route")
    assert await balance(store, "alice") == (100_000, 0, 0)
    again = payment("a", payment_id="pay-again")
    assert await store.apply(claim("a", again, asked=request("ask-again"))) == Claimed()
    held = await store.payment_by_hash(NODE, hash_of("a"))
    assert held is not None
    assert held.payment_id == "pay-again"


async def test_the_newest_failed_payment_of_a_hash_is_found_when_none_holds_it(store: Store) -> None:
    for number in range(2):
        paid = payment("a", payment_id=f"pay-{number}", created_at=NOW + number)
        await store.apply(claim("a", paid, asked=request(f"ask-{number}")))
        await store.apply(replace(fail("a", reply(f"ask-{number}")), payment_id=f"pay-{number}"))
    found = await store.payment_by_hash(NODE, hash_of("a"))
    assert found is not None
    assert found.payment_id == "pay-1"
    assert await store.payment_by_hash("another node", hash_of("a")) is None


async def test_an_unknown_outcome_keeps_money_and_hash_and_may_still_settle(store: Store) -> None:
    await store.apply(claim("a"))
    done = await store.apply(lose("a"))
    assert isinstance(done, Recorded)
    assert [waiting.request_id for waiting in done.unanswered] == ["ask-a"]
    assert await balance(store, "alice") == (100_000, 0, 1100)
    await store.apply(settle("a", 10, answered("a")))
    assert await balance(store, "alice") == (100_000, 1010, 0)


@pytest.mark.parametrize("late", [settle("a"), fail("a"), lose("a"), ResolvePayment("pay-a", "note", NOW)])
async def test_a_settled_payment_never_changes(store: Store, late: Tx[object]) -> None:
    await store.apply(claim("a"))
    await store.apply(settle("a", 10, answered("a")))
    with pytest.raises(IllegalStepError):
        await store.apply(late)
    assert await state_of(store, "a") is State.SETTLED
    assert await balance(store, "alice") == (100_000, 1010, 0)


async def test_an_outcome_of_a_payment_nobody_claimed_is_an_error(store: Store) -> None:
    with pytest.raises(KitestringError, match="no payment pay-a"):
        await store.apply(settle("a"))


async def test_the_operator_releases_an_unknown_payment_and_the_late_truth_is_still_booked(store: Store) -> None:
    await store.apply(claim("a", payment("a", 1000, 100), charge(1100, 5000)))
    await store.apply(lose("a"))
    done = await store.apply(ResolvePayment("pay-a", "the node was lost", NOW))
    assert isinstance(done, Recorded)
    assert [waiting.request_id for waiting in done.unanswered] == ["ask-a"]
    assert await balance(store, "alice") == (100_000, 0, 0)
    assert await store.budget_used("app", 0) == 0
    other = request("ask-other")
    assert await store.apply(claim("a", payment("a", payment_id="x"), asked=other)) == Denied(Reason.INVOICE_TAKEN)
    await store.apply(settle("a", 10, answered("a")))
    assert await balance(store, "alice") == (100_000, 1010, 0)
    assert await store.budget_used("app", 0) == 1010


async def test_a_late_truth_beyond_the_balance_marks_the_account_overdrawn_and_stops_its_spending(
    store: Store,
) -> None:
    await store.apply(claim("a", payment("a", 90_000, 0)))
    await store.apply(lose("a"))
    await store.apply(ResolvePayment("pay-a", "the node was lost", NOW))
    await store.apply(claim("b", payment("b", 90_000, 0)))
    await store.apply(settle("b", 0, answered("b")))
    done = await store.apply(settle("a", 0, answered("a")))
    assert isinstance(done, Recorded)
    assert done.overdrawn
    assert await store.apply(claim("c", payment("c", 1, 0))) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(0))


async def test_a_fee_above_its_cap_is_posted_and_stops_the_account_until_the_owner_clears_it(store: Store) -> None:
    await store.apply(claim("a", payment("a", 1000, 100)))
    done = await store.apply(settle("a", 5000, answered("a")))
    assert isinstance(done, Recorded)
    assert done.overdrawn
    assert await balance(store, "alice") == (100_000, 6000, 0)
    assert await store.apply(claim("b")) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(0))
    await store.apply(execute("clear", SaveAccount(Account(account_id="alice", name="Alice"))))
    assert await store.apply(claim("b")) == Claimed()


async def _overdraw(store: Store) -> None:
    """Alice is 80,000 msat short."""
    await store.apply(claim("a", payment("a", 90_000, 0)))
    await store.apply(lose("a"))
    await store.apply(ResolvePayment("pay-a", "the node was lost", NOW))
    await store.apply(claim("b", payment("b", 90_000, 0)))
    await store.apply(settle("b", 0, answered("b")))
    await store.apply(settle("a", 0, answered("a")))


async def test_an_overdrawn_account_may_spend_again_as_soon_as_funding_covers_it(store: Store) -> None:
    await _overdraw(store)
    await store.apply(execute("most", move("t1", "owner", "alice", 79_999)))
    assert await store.apply(claim("c", payment("c", 1, 0))) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(0))
    await store.apply(execute("rest", move("t2", "owner", "alice", 2)))
    assert await store.apply(claim("c", payment("c", 1, 0))) == Claimed()


async def test_an_overdrawn_account_may_spend_again_as_soon_as_its_invoices_cover_it(store: Store) -> None:
    await _overdraw(store)
    await _open_invoice(store, "i", 80_000)
    await store.apply(credit("i", 80_000))
    alice = await store.account("alice")
    assert alice is not None
    assert (alice.overdrawn, int(alice.available_msat)) == (False, 0)


async def test_the_overdrawn_owner_may_spend_again_when_a_later_look_at_the_node_covers_it(store: Store) -> None:
    before = NodeView(Msat(10**12), Msat(0))
    await store.apply(_owned("a", 1000, before))
    done = await store.apply(settle("a", 1, answered("a")))
    assert isinstance(done, Recorded)
    assert done.overdrawn
    assert await store.apply(_owned("b", 10, before)) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(0))
    poor = NodeView(Msat(200_005), Msat(1001))
    assert await store.apply(_owned("b", 10, poor)) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(5))
    stale = execute("fund", replace(move("t", "owner", "alice", 1), view=before))
    assert await store.apply(stale) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(0))
    owner = await store.account("owner")
    assert owner is not None
    assert owner.overdrawn
    fresh = NodeView(Msat(10**12), Msat(1001))
    assert await store.apply(execute("fund", replace(move("t", "owner", "alice", 1), view=fresh))) == Claimed()
    owner = await store.account("owner")
    assert owner is not None
    assert not owner.overdrawn
    assert await store.apply(_owned("b", 10, fresh)) == Claimed()


# ---------------------------------------------------------------- what a claim is denied for, in this order


async def test_a_known_request_is_running_until_it_has_its_reply_and_finished_ever_after(store: Store) -> None:
    await store.apply(claim("a"))
    other = payment("other")
    assert await store.apply(claim("b", other, asked=request("ask-a"))) == Running()
    await store.apply(settle("a", 10, answered("a")))
    assert await store.apply(claim("b", other, asked=request("ask-a"))) == Finished((answered("a"),))
    assert await store.payment("pay-other") is None


async def test_a_known_request_is_answered_even_when_it_is_too_old_or_spending_is_stopped(store: Store) -> None:
    await store.apply(claim("a"))
    await store.apply(settle("a", 10, answered("a")))
    await store.apply(SetSpending(True, "drift of 5 sat", NOW))
    assert await store.apply(claim("a")) == Finished((answered("a"),))


async def test_stopped_spending_denies_payments_and_says_why_while_invoices_go_on(store: Store) -> None:
    await store.apply(SetSpending(True, "drift of 5 sat", NOW))
    assert (await store.totals()).spending_stopped == "drift of 5 sat"
    assert await store.apply(claim("a")) == Denied(Reason.SPENDING_STOPPED)
    assert await store.request("ask-a") is None
    assert await store.apply(record_invoice("i")) == Claimed()
    await store.apply(SetSpending(False, "", NOW))
    assert await store.apply(claim("a")) == Claimed()


async def test_stopped_spending_stops_new_money_alone_and_not_the_answer_of_what_is_paid_or_under_way(
    store: Store,
) -> None:
    for name in ("paid", "flying"):
        await store.apply(claim(name))
    await store.apply(settle("paid", 10, answered("paid")))
    await store.apply(SetSpending(True, "drift of 5 sat", NOW))
    again = [claim(n, payment(n, payment_id="x"), asked=request(f"again-{n}")) for n in ("paid", "flying", "new")]
    paid, joined, refused = [await store.apply(one) for one in again]
    assert isinstance(paid, AlreadyPaid)
    assert paid.payment.preimage == preimage_of("paid")
    assert joined == Joined(payment("flying", state=State.DISPATCHED))
    assert refused == Denied(Reason.SPENDING_STOPPED)


async def test_while_spending_is_stopped_credit_only_goes_back_to_the_owner(store: Store) -> None:
    await store.apply(SetSpending(True, "drift of 5 sat", NOW))
    for source, target in (("owner", "alice"), ("bob", "alice")):
        moved = execute(f"{source}-{target}", move("t", source, target, 5))
        assert await store.apply(moved) == Denied(Reason.SPENDING_STOPPED)
    assert await store.apply(execute("back", move("t", "alice", "owner", 5))) == Claimed()
    assert await balance(store, "alice") == (100_000, 5, 0)


@pytest.mark.parametrize("version", [0, 2])
async def test_a_decision_on_another_version_of_the_grant_is_stale(store: Store, version: int) -> None:
    assert await store.apply(replace(claim("a"), grant_version=version)) == Stale()
    assert await store.apply(replace(record_invoice("i"), grant_version=version)) == Stale()
    assert await store.running_requests() == []


async def test_a_revoked_or_missing_grant_is_stale(store: Store) -> None:
    revoked = Grant(grant_id="app", name="app", wire="nwc", account_id="alice", revoked_at=NOW, version=2)
    await store.apply(execute("revoke", SaveGrant(revoked)))
    assert await store.apply(replace(claim("a"), grant_version=2)) == Stale()
    assert await store.apply(replace(record_invoice("i"), grant_version=2)) == Stale()
    assert await store.apply(claim("a", payment("a", grant_id="nobody"))) == Stale()


async def test_a_second_request_of_the_same_grant_joins_the_payment_and_is_told_with_it(store: Store) -> None:
    await store.apply(claim("a"))
    joined = await store.apply(claim("a", payment("a", payment_id="x"), asked=request("ask-again")))
    assert joined == Joined(payment("a", state=State.DISPATCHED))
    done = await store.apply(settle("a", 10, answered("a")))
    assert isinstance(done, Recorded)
    assert [waiting.request_id for waiting in done.unanswered] == ["ask-again"]
    assert await store.apply(Answer(done.unanswered[0], (reply("ask-again"),), NOW)) == Done()


async def test_what_the_same_grant_has_paid_is_already_paid_and_nothing_is_written(store: Store) -> None:
    await store.apply(claim("a"))
    await store.apply(settle("a", 10, answered("a")))
    again = await store.apply(claim("a", payment("a", payment_id="x"), asked=request("ask-again")))
    assert isinstance(again, AlreadyPaid)
    assert again.payment.preimage == preimage_of("a")
    assert await store.request("ask-again") is None


@pytest.mark.parametrize("end", [None, settle("a", 10, answered("a"))])
async def test_what_another_grant_pays_is_taken_without_its_preimage(store: Store, end: Tx[object] | None) -> None:
    await store.apply(claim("a"))
    if end is not None:
        await store.apply(end)
    foreign = payment("a", payment_id="x", grant_id="bobs", account_id="bob")
    assert await store.apply(claim("b", foreign)) == Denied(Reason.INVOICE_TAKEN)
    assert await store.request("ask-b") is None


async def test_the_same_hash_at_another_node_is_another_payment(store: Store) -> None:
    await store.apply(claim("a"))
    elsewhere = payment("a", payment_id="x", node_id="another node", epoch=2)
    assert await store.apply(claim("b", elsewhere)) == Claimed()


async def test_a_balance_covers_amount_and_cap_to_the_last_msat(store: Store) -> None:
    assert await store.apply(claim("a", payment("a", 99_901, 100))) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(100_000))
    assert await store.request("ask-a") is None
    assert await store.apply(claim("a", payment("a", 99_900, 100))) == Claimed()
    assert await store.apply(claim("b", payment("b", 1, 0))) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(0))


async def test_a_budget_counts_reservations_and_tells_what_would_have_fitted(store: Store) -> None:
    assert await store.apply(claim("a", payment("a"), charge(1100, 2000))) == Claimed()
    denied = await store.apply(claim("b", payment("b"), charge(1100, 2000)))
    assert denied == Denied(Reason.OVER_BUDGET, Msat(900))
    assert await store.request("ask-b") is None
    await store.apply(settle("a", 10, answered("a")))
    assert await store.budget_used("app", 0) == 1010
    assert await store.apply(claim("b", payment("b", 890), charge(990, 2000))) == Claimed()
    await store.apply(fail("b", answered("b")))
    assert await store.budget_used("app", 0) == 1010


async def test_buckets_that_left_the_window_are_subtracted_and_not_corrected_any_more(store: Store) -> None:
    await store.apply(claim("a", payment("a"), charge(1100, 2000, bucket=10, oldest=5)))
    await store.apply(claim("b", payment("b", 500, 0), charge(500, 2000, bucket=11, oldest=6)))
    assert await store.budget_used("app", 6) == 1600
    assert await store.budget_used("app", 11) == 500
    assert await store.apply(claim("c", payment("c"), charge(1500, 2000, bucket=12, oldest=11))) == Claimed()
    assert await store.budget_used("app", 11) == 2000
    await store.apply(settle("a", 10, answered("a")))
    assert await store.budget_used("app", 11) == 2000
    denied = await store.apply(claim("d", payment("d"), charge(1, 2000, bucket=9, oldest=0)))
    assert denied == Denied(Reason.OVER_BUDGET, Msat(0))


async def test_the_hash_comes_before_the_balance_and_the_balance_before_the_budget(store: Store) -> None:
    await store.apply(claim("a", payment("a", 90_000, 0)))
    poor = claim("b", payment("b", 90_000, 0), charge(90_000, 1))
    assert await store.apply(poor) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(10_000))
    taken = payment("a", 90_000, 0, payment_id="x", grant_id="bobs", account_id="alice")
    assert await store.apply(claim("c", taken)) == Denied(Reason.INVOICE_TAKEN)


# ---------------------------------------------------------------- the owner's account is the node


def _owned(name: str, amount: int, view: NodeView | None) -> ClaimPayment:
    paid = payment(name, amount, 0, account_id="owner", grant_id="owner")
    return replace(claim(name, paid), view=view)


async def test_the_owner_spends_what_the_node_has_beyond_the_accounts_and_what_is_pending(store: Store) -> None:
    view = NodeView(Msat(250_000), Msat(0))
    assert await store.apply(_owned("a", 50_001, view)) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(50_000))
    assert await store.apply(_owned("a", 30_000, view)) == Claimed()
    assert await store.apply(_owned("b", 20_001, view)) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(20_000))
    await store.apply(settle("a", 0, answered("a")))
    # The view is older than this payment: what was spent since counts against it.
    assert await store.apply(_owned("b", 20_001, view)) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(20_000))
    fresh = NodeView(Msat(220_000), Msat(30_000))
    assert await store.apply(_owned("b", 20_000, fresh)) == Claimed()
    assert (await store.totals()).owner_pending_msat == 20_000


async def test_an_account_that_pays_leaves_the_owners_share_alone(store: Store) -> None:
    view = NodeView(Msat(250_000), Msat(0))
    await store.apply(claim("a", payment("a", 60_000, 0)))
    assert await store.apply(_owned("b", 50_001, view)) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(50_000))
    await store.apply(settle("a", 0, answered("a")))
    assert await store.apply(_owned("b", 50_000, view)) == Claimed()


async def test_without_a_view_of_the_node_the_owner_spends_nothing(store: Store) -> None:
    assert await store.apply(_owned("a", 1, None)) == Denied(Reason.UNAVAILABLE)
    unseen = execute("fund", replace(move("t", "owner", "alice", 1), view=None))
    assert await store.apply(unseen) == Denied(Reason.UNAVAILABLE)


# ---------------------------------------------------------------- inside the service


async def _open_invoice(store: Store, name: str, amount: int | None = 500) -> None:
    assert await store.apply(record_invoice(name, invoice(name, amount))) == Claimed()


def _internal(name: str, amount: int = 500) -> ClaimPayment:
    inside = payment(name, amount, 0, internal=True, account_id="bob", grant_id="bobs")
    return claim(name, inside)


async def test_an_internal_payment_moves_both_sides_in_one_commit_and_spends_nothing(store: Store) -> None:
    await _open_invoice(store, "i")
    assert await store.apply(_internal("i")) == Claimed()
    assert await state_of(store, "i") is State.RESERVED
    done = await store.apply(settle("i", 0, answered("i"), receipt("want-i")))
    assert isinstance(done, Recorded)
    assert await balance(store, "bob") == (100_000, 500, 0)
    assert await balance(store, "alice") == (100_500, 0, 0)
    paid = await store.invoice_by_hash(NODE, hash_of("i"))
    assert paid is not None
    assert (paid.state, paid.internal, paid.received_msat, paid.settled_at) == ("settled", True, 500, NOW + 1)
    totals = await store.totals()
    assert (totals.spent_msat, totals.sub_accounts_msat) == (0, 200_000)
    assert await store.messages("want-i") == (reply("want-i", "invoice"), receipt("want-i"))


async def test_an_internal_payment_into_its_own_account_changes_no_balance(store: Store) -> None:
    await _open_invoice(store, "i")
    own = payment("i", 500, 0, internal=True)
    await store.apply(claim("i", own))
    await store.apply(settle("i", 0, answered("i")))
    assert await balance(store, "alice") == (100_500, 500, 0)


async def test_an_internal_claim_is_stale_unless_the_very_same_invoice_is_open(store: Store) -> None:
    assert await store.apply(_internal("i")) == Stale()
    await _open_invoice(store, "i")
    wrapped = payment("i", 500, 0, internal=True, account_id="bob", grant_id="bobs", bolt11="lnbcrt-wrapped")
    assert await store.apply(claim("i", wrapped)) == Stale()
    assert await store.apply(_internal("i", 499)) == Stale()
    assert await store.apply(_internal("i")) == Claimed()


async def test_an_internal_payment_of_an_invoice_paid_meanwhile_did_not_happen(store: Store) -> None:
    await _open_invoice(store, "i")
    await store.apply(_internal("i"))
    await store.apply(credit("i"))
    assert await store.apply(settle("i", 0, answered("i"))) == InvoiceNotOpen()
    assert await balance(store, "bob") == (100_000, 0, 500)
    assert await store.messages("ask-i") == ()
    await store.apply(fail("i", answered("i")))
    assert await balance(store, "bob") == (100_000, 0, 0)


async def test_a_second_payment_of_an_internally_settled_invoice_is_surplus_once(store: Store) -> None:
    await _open_invoice(store, "i")
    await store.apply(_internal("i"))
    await store.apply(settle("i", 0, answered("i")))
    done = await store.apply(credit("i", 500))
    assert isinstance(done, Credited)
    assert done.surplus
    assert await balance(store, "alice") == (101_000, 0, 0)
    assert await store.apply(credit("i", 500)) == AlreadyCredited()
    assert await balance(store, "alice") == (101_000, 0, 0)


# ---------------------------------------------------------------- invoices


async def test_an_invoice_is_stored_with_its_answer_and_then_settled_with_a_receipt(store: Store) -> None:
    assert await store.apply(record_invoice("i")) == Claimed()
    assert await store.invoices(InvoiceState.OPEN) == [invoice("i")]
    assert await store.running_requests() == []
    assert await store.apply(record_invoice("i", invoice("j"))) == Finished((reply("want-i", "invoice"),))
    done = await store.apply(credit("i", 600, b"", receipt("want-i")))
    paid = invoice("i", state="settled", received_msat=Msat(600), settled_at=NOW + 2)
    assert done == Credited(paid)
    assert await store.invoices(InvoiceState.SETTLED) == [paid]
    assert await store.invoices(InvoiceState.OPEN) == []
    assert await balance(store, "alice") == (100_600, 0, 0)
    assert await store.messages("want-i") == (reply("want-i", "invoice"), receipt("want-i"))
    assert await store.apply(credit("i", 600)) == AlreadyCredited()


async def test_open_invoices_of_a_grant_or_an_offer_are_bounded_until_they_end(store: Store) -> None:
    def of_offer(name: str) -> RecordInvoice:
        made = invoice(name, grant_id="", offer_id="tea", account_id="owner")
        return record_invoice(name, made, max_open=1)

    assert await store.before_invoice("want-i", "app", "") == (False, 0)
    assert await store.apply(record_invoice("i", max_open=1)) == Claimed()
    assert await store.apply(record_invoice("j", max_open=1)) == Denied(Reason.RATE_LIMITED)
    assert await store.before_invoice("want-i", "app", "") == (True, 1)
    assert await store.before_invoice("want-k", "", "tea") == (False, 0)
    assert await store.apply(of_offer("k")) == Claimed()
    assert await store.apply(of_offer("l")) == Denied(Reason.RATE_LIMITED)
    await store.apply(ExpireInvoices(NOW + 9_999, 0, NODE, NOW, (hash_of("k"),)))
    assert await store.apply(record_invoice("j", max_open=1)) == Claimed()
    await store.apply(credit("k"))
    assert await store.before_invoice("want-k", "", "tea") == (True, 0)
    assert await store.apply(of_offer("l")) == Claimed()


async def test_a_refused_invoice_leaves_no_row(store: Store) -> None:
    await store.apply(record_invoice("i", max_open=1))
    await store.apply(record_invoice("j", max_open=1))
    assert await store.request("want-j") is None
    assert await store.invoice_by_hash(NODE, hash_of("j")) is None


async def test_a_settlement_of_an_unknown_hash_is_the_owners_money_once(store: Store) -> None:
    before = await balance(store, "owner")
    assert await store.apply(credit("stranger", 700)) == Credited(None)
    assert await store.apply(credit("stranger", 700)) == AlreadyCredited()
    assert (await balance(store, "owner"))[0] == before[0] + 700


async def test_a_hash_credited_as_unknown_is_not_credited_again_as_an_invoice(store: Store) -> None:
    await store.apply(credit("i", 500))
    await _open_invoice(store, "i")
    assert await store.apply(credit("i", 500)) == AlreadyCredited()
    assert await balance(store, "alice") == (100_000, 0, 0)


async def test_less_than_was_asked_for_settles_nothing_and_is_not_lost(store: Store) -> None:
    await _open_invoice(store, "i", 500)
    before = await balance(store, "owner")
    assert await store.apply(credit("i", 499)) == Credited(None)
    assert await balance(store, "alice") == (100_000, 0, 0)
    assert (await balance(store, "owner"))[0] == before[0] + 499


async def test_the_cursor_moves_with_the_credit_and_also_with_old_news(store: Store) -> None:
    await store.apply(SaveNode(Node(NODE, 1, "sandbox", "regtest", b"1")))
    await store.apply(credit("a", 700, b"2"))
    assert await store.node(NODE) == Node(NODE, 1, "sandbox", "regtest", b"2")
    await store.apply(credit("a", 700, b"3"))
    assert await store.node(NODE) == Node(NODE, 1, "sandbox", "regtest", b"3")
    await store.apply(MoveCursor(NODE, b"4"))
    await store.apply(SaveNode(Node(NODE, 2, "lnd", "regtest")))
    assert await store.node(NODE) == Node(NODE, 2, "lnd", "regtest", b"4")
    assert await store.node("another") is None


async def test_invoices_expire_and_those_of_strangers_leave_no_rows(store: Store) -> None:
    await _open_invoice(store, "i")
    offered = invoice("o", grant_id="", offer_id="tea", account_id="owner")
    await store.apply(record_invoice("o", offered))
    end = NOW + 3600
    await store.apply(ExpireInvoices(end, end, NODE, NOW))
    assert len(await store.invoices(InvoiceState.OPEN)) == 2
    await store.apply(ExpireInvoices(end + 1, end + 1, "another node", NOW))
    await store.apply(
        ExpireInvoices(
            end + 1, end, NODE, NOW, tuple(one.payment_hash for one in await store.invoices(InvoiceState.OPEN))
        )
    )
    assert len(await store.invoices(InvoiceState.OPEN)) == 2
    await store.apply(ExpireInvoices(end + 1, end + 1, NODE, NOW))
    assert {one.invoice_id for one in await store.invoices(InvoiceState.EXPIRED)} == {"inv-i", "inv-o"}
    assert await store.messages("want-o") == (reply("want-o", "invoice"),)
    await store.apply(ExpireInvoices(end + 1, end + 1, "another node", NOW))
    assert len(await store.invoices(InvoiceState.EXPIRED)) == 2
    assert await store.apply(ExpireInvoices(end + 1, end + 1, NODE, NOW)) == Done()
    assert await store.request("want-o") is None
    assert await store.messages("want-o") == ()
    assert await store.request("want-i") is not None
    assert [one.invoice_id for one in await store.invoices(InvoiceState.EXPIRED)] == ["inv-i"]
    assert isinstance(await store.apply(credit("i")), Credited)
    assert await balance(store, "alice") == (100_500, 0, 0)


# ---------------------------------------------------------------- requests and answers


async def test_an_answer_finishes_a_request_once_and_the_first_one_stays(store: Store) -> None:
    refusal = Answer(request("r"), (reply("r", "no"),), NOW)
    assert await store.apply(refusal) == Done()
    assert await store.request("r") == request("r")
    second = replace(refusal, messages=(reply("r", "yes"),))
    assert await store.apply(second) == Finished((reply("r", "no"),))
    with pytest.raises(KitestringError, match="needs a reply"):
        await store.apply(Answer(request("s"), (), NOW))
    assert await store.request("s") is None


async def test_a_claimed_request_is_answered_only_by_who_names_the_payment_it_waits_for(store: Store) -> None:
    await store.apply(claim("a"))
    for stranger in (request("ask-a"), request("ask-a", payment_id="pay-b")):
        refusal = Answer(stranger, (reply(stranger.request_id, "no"),), NOW)
        assert await store.apply(refusal) == Running()
        assert await store.messages(stranger.request_id) == ()
    (waiting,) = await store.waiting("pay-a")
    assert await store.apply(Answer(waiting, (answered("a"),), NOW)) == Done()
    assert await store.messages("ask-a") == (answered("a"),)
    await store.apply(fail("a"))


async def _all_sent(store: Store) -> int:
    """Pass what was told before the test begins."""
    *_, newest = await store.outbox(0, 10)
    await store.apply(MarkSent(newest.number))
    return newest.number


async def test_a_message_waits_in_the_outbox_until_delivery_has_passed_it(store: Store) -> None:
    first = await _all_sent(store)
    for name in ("a", "b"):
        await store.apply(Answer(request(name), (reply(name),), NOW))
    a, b = await store.outbox(first, 10)
    assert (a.message, b.message, b.number) == (reply("a"), reply("b"), a.number + 1)
    assert await store.outbox(first, 1) == [a]
    await store.apply(MarkSent(a.number))
    assert await store.sent_position() == a.number
    assert await store.outbox(a.number, 10) == [b]
    await store.apply(MarkSent(first))
    assert await store.sent_position() == a.number
    assert await store.messages("a") == (reply("a"),)


async def test_a_message_that_was_not_taken_is_due_at_its_time_until_it_has_ended(store: Store) -> None:
    await _all_sent(store)
    await store.apply(Answer(request("a"), (reply("a"),), NOW))
    (a,) = await store.outbox(await store.sent_position(), 10)
    assert not await store.has_due()
    await store.apply(MarkSent(a.number, again=((a.number, 1, NOW + 5),)))
    assert await store.outbox(a.number - 1, 10) == []
    assert await store.has_due()
    assert await store.due(NOW + 4, 10) == []
    assert await store.due(NOW + 5, 10) == [replace(a, attempts=1)]
    await store.apply(MarkSent(a.number, again=((a.number, 2, NOW + 9),)))
    assert await store.due(NOW + 9, 10) == [replace(a, attempts=2)]
    await store.apply(MarkSent(a.number, ended=(a.number,)))
    assert not await store.has_due()
    assert await store.due(NOW + 99, 10) == []


async def test_a_clock_that_steps_back_keeps_no_message_waiting(store: Store) -> None:
    await _all_sent(store)
    await store.apply(Answer(request("a"), (reply("a"),), NOW))
    (a,) = await store.outbox(await store.sent_position(), 10)
    await store.apply(MarkSent(a.number, again=((a.number, 1, NOW + 60),)))
    assert len(await store.due(NOW - 86_400, 10)) == 1


async def test_no_number_of_a_message_comes_twice_even_when_the_newest_is_forgotten(store: Store) -> None:
    offered = invoice("o", grant_id="", offer_id="tea", account_id="owner")
    await store.apply(record_invoice("o", offered))
    *_, newest = await store.outbox(0, 10)
    end = NOW + 3601
    for _ in range(2):
        await store.apply(ExpireInvoices(end, end, NODE, NOW))
    assert newest not in await store.outbox(0, 10)
    await store.apply(Answer(request("a"), (reply("a"),), NOW))
    *_, after = await store.outbox(0, 10)
    assert (after.number, after.message) == (newest.number + 1, reply("a"))


async def test_what_is_pruned_is_refused_for_ever(store: Store) -> None:
    await store.apply(claim("old"))
    await store.apply(settle("old", 10, answered("old")))
    await store.apply(claim("open"))
    await _open_invoice(store, "awaited")
    fresh = request("fresh", received_at=NOW + 20, sent_at=NOW + 20)
    await store.apply(Answer(fresh, (replace(reply("fresh"), signed_at=NOW + 20),), NOW + 20))
    ahead = request("ahead", sent_at=NOW + 20)
    await store.apply(Answer(ahead, (reply("ahead"),), NOW))
    await store.apply(Prune(NOW + 10))
    assert (await store.totals()).pruned_before == NOW + 10
    assert await store.request("ask-old") is None
    assert await store.messages("ask-old") == ()
    for kept in ("ask-open", "want-awaited", "fresh", "ahead"):
        assert await store.request(kept) is not None
    assert await store.apply(claim("old")) == Denied(Reason.STALE_REQUEST)
    assert await store.apply(record_invoice("i")) == Denied(Reason.STALE_REQUEST)
    assert await store.apply(execute("setting")) == Denied(Reason.STALE_REQUEST)
    await store.apply(Prune(NOW))
    assert (await store.totals()).pruned_before == NOW + 10
    await store.apply(fail("open", answered("open")))


async def test_a_clock_that_is_wrong_by_a_year_moves_the_horizon_no_further_than_the_newest_request(
    store: Store,
) -> None:
    year = 365 * 86_400
    await store.apply(Answer(request("r"), (reply("r"),), NOW))
    own = request("ctl:1", wire="control", sent_at=NOW + year, received_at=NOW + year)
    await store.apply(Answer(own, (reply("ctl:1"),), NOW + year))
    await store.apply(Prune(NOW + year))
    assert (await store.totals()).pruned_before == NOW
    received = request("s", sent_at=NOW + 1, received_at=NOW + year)
    await store.apply(Answer(received, (reply("s"),), NOW))
    await store.apply(Prune(NOW + year))
    assert (await store.totals()).pruned_before == NOW + 1
    assert await store.apply(claim("a", asked=request("ask-a", sent_at=NOW + 2))) == Claimed()


async def test_an_owners_idempotency_key_is_never_pruned(store: Store) -> None:
    asked = request("ctl:order-17", wire="control", grant_id="app")
    await store.apply(claim("a", asked=asked))
    await store.apply(settle("a", 10, reply("ctl:order-17")))
    await store.apply(Answer(request("newest", received_at=NOW + 99, sent_at=NOW + 99), (reply("newest"),), NOW))
    await store.apply(Prune(NOW + 50))
    later = replace(asked, sent_at=NOW + 100, received_at=NOW + 100)
    assert await store.apply(claim("b", asked=later)) == Finished((reply("ctl:order-17"),))
    assert await store.payment("pay-b") is None


async def test_housekeeping_says_that_there_is_more_until_nothing_is_left(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.ledger.apply.requests.PRUNE_LIMIT", 2)
    monkeypatch.setattr("kitestring.ledger.apply.invoices.SWEEP_LIMIT", 2)
    for number in range(3):
        offered = invoice(f"o{number}", grant_id="", offer_id="tea", account_id="owner", request_id=f"want-o{number}")
        await store.apply(record_invoice(f"o{number}", offered))
        await store.apply(Answer(request(f"r{number}"), (reply(f"r{number}"),), NOW))
    late = request("late", received_at=NOW + 99, sent_at=NOW + 99)
    await store.apply(Answer(late, (reply("late"),), NOW + 99))
    end = NOW + 3601
    assert [await store.apply(ExpireInvoices(end, 0, NODE, NOW)) for _ in range(2)] == [More(), Done()]
    assert [await store.apply(ExpireInvoices(end, end, NODE, NOW)) for _ in range(2)] == [More(), Done()]
    assert await store.invoices(InvoiceState.EXPIRED) == []
    assert [await store.apply(Prune(NOW + 1)) for _ in range(3)] == [More(), More(), Done()]
    assert await store.request("r2") is None


# ---------------------------------------------------------------- the owner's commands


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


async def test_a_grant_is_found_by_its_name_or_its_id_as_long_as_it_is_not_revoked(store: Store) -> None:
    app = await store.grant("app")
    assert app is not None
    twin = Grant(grant_id="twin", name="bobs", wire="other", account_id="alice")
    await store.apply(execute("twin", SaveGrant(replace(app, name="shop", version=2)), SaveGrant(twin)))
    for name in ("shop", "app"):
        found = await store.grant_named("nwc", name)
        assert found is not None
        assert found.grant_id == "app"
    bobs = await store.grant_named("nwc", "bobs")
    assert bobs is not None
    assert (bobs.grant_id, await store.grant_named("nwc", "twin")) == ("bobs", None)
    await store.apply(execute("end", SaveGrant(replace(app, name="shop", version=3, revoked_at=NOW))))
    assert await store.grant_named("nwc", "shop") is None


async def test_grants_accounts_and_offers_come_back_as_they_were_saved(store: Store) -> None:
    grant = Grant(
        grant_id="g",
        name="g",
        wire="nwc",
        caller="ca" * 32,
        service_pubkey="5e" * 32,
        account_id="alice",
        methods=frozenset({"pay_invoice", "get_info"}),
        budget=Budget.rolling(Msat(5), 60),
        per_payment_msat=Msat(3),
        expires_at=NOW + 9,
        cipher="legacy",
        nip44_seen=True,
        created_at=NOW,
    )
    offer = Offer(
        offer_id="o",
        label="tea",
        price_msat=Msat(5),
        min_msat=Msat(1),
        max_msat=Msat(9),
        payer_data=("name", "email"),
        created_at=NOW,
    )
    moved = replace(offer, state="moved", latest="noffer1new")
    await store.apply(execute("save", SaveGrant(grant), SaveOffer(offer), SaveOffer(moved)))
    assert await store.grant("g") == grant
    assert await store.offer("o") == moved
    assert await store.offers() == [moved]
    assert {one.grant_id for one in await store.grants()} == {"owner", "app", "bobs", "g"}
    assert [one.account_id for one in await store.accounts()] == ["owner", "alice", "bob"]
    changed = replace(grant, version=2, budget=None, methods=frozenset(), revoked_at=NOW)
    await store.apply(execute("change", SaveGrant(changed)))
    assert await store.grant("g") == changed
    assert await store.grant("nobody") is None
    assert await store.offer("nobody") is None
    assert await store.account("@world") is None


# ---------------------------------------------------------------- what its owner may see


async def test_transactions_are_newest_first_and_unpaid_ones_only_on_request(store: Store) -> None:
    for number, name in enumerate(("a", "b", "c")):
        await store.apply(claim(name, payment(name, created_at=NOW + number)))
    await store.apply(settle("a", 10, answered("a")))
    await store.apply(fail("b", answered("b")))
    await _open_invoice(store, "i")
    await store.apply(record_invoice("j", invoice("j", created_at=NOW + 9)))
    await store.apply(credit("j"))
    mine = Scope(account_id="alice")

    async def listed(**query: Any) -> list[str]:
        found = await store.transactions(mine, ListTransactions(**query))
        return [f"{one.type[0]}{one.state}" for one in found]

    assert await listed() == ["isettled", "osettled"]
    assert await listed(direction="outgoing", unpaid_outgoing=True) == ["opending", "ofailed", "osettled"]
    assert await listed(direction="incoming", unpaid_incoming=True) == ["isettled", "ipending"]
    assert await listed(limit=1, offset=1) == ["osettled"]
    assert await listed(from_=NOW + 1) == ["isettled"]
    assert await listed(until=NOW) == ["osettled"]
    assert await store.transactions(Scope(grant_id="bobs"), ListTransactions()) == []
    assert len(await store.transactions(Scope(), ListTransactions())) == 2


async def test_a_transaction_is_shown_only_in_its_scope_and_with_its_preimage_only_when_settled(
    store: Store,
) -> None:
    await store.apply(claim("a"))
    mine, theirs = Scope(grant_id="app"), Scope(grant_id="bobs")
    pending = await store.transaction(mine, hash_of("a"))
    assert pending is not None
    assert (pending.state, pending.preimage) == ("pending", "")
    await store.apply(settle("a", 10, answered("a")))
    paid = await store.transaction(mine, hash_of("a"))
    assert paid is not None
    assert (paid.state, paid.preimage, paid.fee_msat) == ("settled", preimage_of("a"), 10)
    assert await store.transaction(theirs, hash_of("a")) is None
    await _open_invoice(store, "i")
    unpaid = await store.transaction(mine, hash_of("i"))
    assert unpaid is not None
    assert (unpaid.type, unpaid.state, unpaid.preimage) == ("incoming", "pending", "")


async def test_what_the_operator_closed_is_still_pending_and_found_again(store: Store) -> None:
    await store.apply(claim("a"))
    await store.apply(lose("a"))
    assert await store.resolved_payments() == []
    await store.apply(ResolvePayment("pay-a", "the node was lost", NOW))
    assert [one.payment_id for one in await store.resolved_payments()] == ["pay-a"]
    seen = await store.transaction(Scope(grant_id="app"), hash_of("a"))
    assert seen is not None
    assert seen.state == "pending"
    await store.apply(settle("a", 10, answered("a")))
    assert await store.resolved_payments() == []


async def test_each_side_of_an_internal_payment_sees_its_own(store: Store) -> None:
    await _open_invoice(store, "i")
    await store.apply(_internal("i"))
    await store.apply(settle("i", 0, answered("i")))
    for grant, direction in (("app", "incoming"), ("bobs", "outgoing")):
        seen = await store.transaction(Scope(grant_id=grant), hash_of("i"))
        assert seen is not None
        assert (seen.type, seen.internal) == (direction, True)


async def test_an_outcome_may_answer_every_request_that_waits(store: Store) -> None:
    await store.apply(claim("a"))
    await store.apply(claim("a", payment("a", payment_id="x"), asked=request("ask-again")))
    both = RecordPayment("pay-a", Settled(preimage_of("a"), Msat(1)), NOW, (answered("a"), reply("ask-again")))
    done = await store.apply(both)
    assert isinstance(done, Recorded)
    assert done.unanswered == ()
    assert await store.running_requests() == []
