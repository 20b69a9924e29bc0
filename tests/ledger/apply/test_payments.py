"""Transaction 2: the outcome that is recorded, or resolved, after the node was asked."""

import pytest

from kitestring.base.errors import Reason
from kitestring.base.grants import Account
from kitestring.base.money import Msat
from kitestring.base.payments import IllegalStepError, Settled, State
from kitestring.base.store import Store
from kitestring.base.transactions.answers import (
    Claimed,
    Denied,
    InvoiceNotOpen,
    Recorded,
    Tx,
)
from kitestring.base.transactions.owner import SaveAccount
from kitestring.base.transactions.payments import RecordPayment, ResolvePayment
from tests.kit.changed import replace
from tests.kit.ledger.steps import balance, internal, open_invoice, state_of
from tests.kit.ledger.values import (
    NODE,
    NOW,
    answered,
    charge,
    claim,
    credit,
    execute,
    fail,
    hash_of,
    lose,
    move,
    payment,
    preimage_of,
    receipt,
    reply,
    request,
    settle,
    too_little,
)

# ------------------------------------------------------------ from claim to end


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
    assert await store.apply(claim("c", payment("c", 1, 0))) == too_little(0)


async def test_a_fee_above_its_cap_is_posted_and_stops_the_account_until_the_owner_funds_it(store: Store) -> None:
    await store.apply(claim("a", payment("a", 1000, 100)))
    done = await store.apply(settle("a", 5000, answered("a")))
    assert isinstance(done, Recorded)
    assert done.overdrawn
    assert await balance(store, "alice") == (100_000, 6000, 0)
    assert await store.apply(claim("b")) == too_little(0)
    # A name that was decided on before takes no mark away.
    await store.apply(execute("name", SaveAccount(Account(account_id="alice", name="carol"))))
    assert await store.apply(claim("b")) == too_little(0)
    await store.apply(execute("fund", move("more", "owner", "alice", 1)))
    assert await store.apply(claim("b")) == Claimed()


async def test_an_outcome_may_answer_every_request_that_waits(store: Store) -> None:
    await store.apply(claim("a"))
    await store.apply(claim("a", payment("a", payment_id="x"), asked=request("ask-again")))
    both = RecordPayment("pay-a", Settled(preimage_of("a"), Msat(1)), NOW, (answered("a"), reply("ask-again")))
    done = await store.apply(both)
    assert isinstance(done, Recorded)
    assert done.unanswered == ()
    assert await store.running_requests() == []


# ------------------------------------------------------------ inside the service


async def test_an_internal_payment_moves_both_sides_in_one_commit_and_spends_nothing(store: Store) -> None:
    await open_invoice(store, "i")
    assert await store.apply(internal("i")) == Claimed()
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
    await open_invoice(store, "i")
    own = payment("i", 500, 0, internal=True)
    await store.apply(claim("i", own))
    await store.apply(settle("i", 0, answered("i")))
    assert await balance(store, "alice") == (100_500, 500, 0)


async def test_an_internal_payment_of_an_invoice_paid_meanwhile_did_not_happen(store: Store) -> None:
    await open_invoice(store, "i")
    await store.apply(internal("i"))
    await store.apply(credit("i"))
    assert await store.apply(settle("i", 0, answered("i"))) == InvoiceNotOpen()
    assert await balance(store, "bob") == (100_000, 0, 500)
    assert await store.messages("ask-i") == ()
    await store.apply(fail("i", answered("i")))
    assert await balance(store, "bob") == (100_000, 0, 0)
