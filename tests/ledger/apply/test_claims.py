"""Transaction 1: what a claim writes, and what it is denied for, in a fixed order."""

import asyncio
from typing import Any

import pytest

from kitestring.base.destinations import Bolt11
from kitestring.base.enrolments import TOGETHER
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from kitestring.base.money import Msat
from kitestring.base.payments import State
from kitestring.base.records import CONTROL_WIRE
from kitestring.base.shares import Share
from kitestring.base.store import Places, Store
from kitestring.base.transactions.answers import (
    AlreadyPaid,
    Claimed,
    Denied,
    Done,
    Finished,
    Joined,
    Recorded,
    Running,
    Stale,
    Tx,
)
from kitestring.base.transactions.owner import SaveGrant
from kitestring.base.transactions.payments import ClaimPayment, ResolvePayment
from kitestring.base.transactions.requests import Answer
from kitestring.base.transactions.service import SetSpending
from tests.kit.changed import replace
from tests.kit.ledger.enrolling import enroll, enrolment
from tests.kit.ledger.steps import balance, internal, open_invoice
from tests.kit.ledger.values import (
    NODE,
    NOW,
    answered,
    charge,
    claim,
    execute,
    fail,
    lose,
    move,
    payment,
    preimage_of,
    record_invoice,
    reply,
    request,
    settle,
    too_little,
)


async def test_a_claim_reserves_amount_and_fee_cap_and_marks_the_payment_dispatched(store: Store) -> None:
    assert await store.apply(claim("a", payment("a", 1000, 100))) == Claimed()
    assert await balance(store, "alice") == (100_000, 0, 1100)
    assert await store.payment("pay-a") == payment("a", 1000, 100, state=State.DISPATCHED)
    assert await store.open_payments() == [payment("a", 1000, 100, state=State.DISPATCHED)]
    waiting = request("ask-a", payment_id="pay-a")
    assert await store.waiting("pay-a") == await store.running_requests() == [waiting]
    totals = await store.totals()
    assert (totals.pending_msat, totals.owner_pending_msat, totals.sub_accounts_msat) == (1100, 0, 200_000)


# ------------------------------------------------------------ what a claim is denied for, in this order


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


async def test_no_more_than_a_number_of_requests_wait_for_one_payment_and_the_owners_always_do(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.ledger.apply.claims.MAX_JOINED", 2)
    await store.apply(claim("a"))
    more = [claim("a", payment("a", payment_id="x"), asked=request(f"again-{number}")) for number in range(3)]
    owners = claim("a", payment("a", payment_id="x"), asked=request("owners", wire=CONTROL_WIRE))
    flying = Joined(payment("a", state=State.DISPATCHED))
    in_flight = Denied(Reason.PAYMENT_IN_FLIGHT)
    assert [await store.apply(one) for one in (*more, owners)] == [flying, in_flight, in_flight, flying]
    await store.apply(settle("a", 10, answered("a"), reply("again-0"), reply("owners")))
    assert isinstance(await store.apply(more[2]), AlreadyPaid)


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


@pytest.mark.parametrize("end", [None, settle("a", 10, answered("a"))])
async def test_with_another_amount_it_is_not_the_same_payment(store: Store, end: Tx[object] | None) -> None:
    await store.apply(claim("a", payment("a", 1_000)))
    if end is not None:
        await store.apply(end)
    more = payment("a", 5_000, payment_id="x")
    assert await store.apply(claim("a", more, asked=request("ask-more"))) == Denied(Reason.INVOICE_TAKEN)
    assert await store.request("ask-more") is None


async def test_what_the_node_before_may_have_paid_is_the_same_payment_at_the_next_one(store: Store) -> None:
    await store.apply(claim("a"))
    elsewhere = payment("a", payment_id="x", node_id="another node", epoch=2)
    joined = await store.apply(claim("b", elsewhere, asked=request("ask-again")))
    assert isinstance(joined, Joined)
    assert joined.payment.payment_id == "pay-a"
    await store.apply(settle("a", 10, answered("a"), reply("ask-again")))
    assert isinstance(await store.apply(claim("b", elsewhere, asked=request("ask-late"))), AlreadyPaid)
    other = replace(elsewhere, grant_id="bobs", account_id="bob")
    assert await store.apply(claim("b", other, asked=request("ask-bob"))) == Denied(Reason.INVOICE_TAKEN)


async def test_what_has_failed_at_the_node_before_is_paid_by_the_next_one(store: Store) -> None:
    await store.apply(claim("a"))
    await store.apply(fail("a", answered("a")))
    elsewhere = payment("a", payment_id="x", node_id="another node", epoch=2)
    assert await store.apply(claim("b", elsewhere, asked=request("ask-b"))) == Claimed()


def shared(name: str, share: Share, **of: Any) -> ClaimPayment:
    return replace(claim(name, payment(name, 10, 0, **of)), share=share)


async def test_a_share_holds_over_grants_until_payments_have_ended_and_the_owner_has_what_is_left(store: Store) -> None:
    share, full = Share(4, 2), Denied(Reason.RATE_LIMITED)
    bobs = {"grant_id": "bobs", "account_id": "bob"}
    owners = {"grant_id": "owner", "account_id": "owner"}
    assert [await store.apply(shared(name, share)) for name in "abc"] == [Claimed(), Claimed(), full]
    assert await store.request("ask-c") is None
    assert await store.apply(shared("d", share, **bobs)) == Claimed()
    assert await store.apply(shared("e", share, **bobs)) == full  # it would leave none free
    await store.apply(execute("owner", SaveGrant(Grant(grant_id="owner", name="owner", wire="owner"))))
    assert [await store.apply(shared(name, Share(5), **owners)) for name in "fgh"] == [Claimed(), Claimed(), full]
    assert await store.apply(settle("a", 0, answered("a"))) == Recorded()
    await store.apply(lose("b"))
    assert await store.apply(shared("h", Share(5), **owners)) == Claimed()
    assert await store.apply(shared("i", share)) == full  # what is unknown is under way
    for name in ("f", "g", "h"):
        await store.apply(fail(name, answered(name)))
    await store.apply(ResolvePayment("pay-b", "written off", NOW))
    assert [await store.apply(shared(name, share)) for name in "ijk"] == [Claimed(), Claimed(), full]


async def test_of_claims_in_one_commit_no_more_pass_than_there_are_places(store: Store) -> None:
    names = [f"n{number}" for number in range(12)]
    told = await asyncio.gather(*(store.apply(shared(name, Share(20, 5))) for name in names))
    assert told == [Claimed()] * 5 + [Denied(Reason.RATE_LIMITED)] * 7
    ends_and_claims = [fail("n0", answered("n0")), *(shared(f"m{number}", Share(20, 5)) for number in range(3))]
    mixed = await asyncio.gather(*map(store.apply, ends_and_claims))
    assert list(mixed[1:]) == [Claimed(), Denied(Reason.RATE_LIMITED), Denied(Reason.RATE_LIMITED)]


async def test_what_is_open_at_another_node_takes_no_place_at_this_one(store: Store) -> None:
    elsewhere = payment("a", 10, 0, node_id="another node", epoch=2)
    assert await store.apply(replace(claim("a", elsewhere), share=Share(1))) == Claimed()
    assert await store.apply(shared("b", Share(1))) == Claimed()
    assert await store.apply(shared("c", Share(1))) == Denied(Reason.RATE_LIMITED)


async def test_who_holds_what_is_told_by_grant_and_holder_for_one_node(store: Store) -> None:
    await store.apply(claim("a"))
    await store.apply(claim("b"))
    await store.apply(claim("c", payment("c", grant_id="bobs", account_id="bob")))
    await store.apply(claim("d", payment("d", node_id="another node", epoch=2)))
    await store.apply(settle("a", 0, answered("a")))
    await store.apply(record_invoice("i"))
    assert await store.places(NODE) == Places({"app": 1, "bobs": 1}, {"app": 1, "@all": 1})
    assert await store.places("another node") == Places({"app": 1}, {})


async def test_all_enrolled_keys_together_have_the_share_of_a_few_connections(store: Store) -> None:
    """Each of them needs no more than a sat, and somebody who holds its payment."""
    keys = [f"{number:02x}" * 32 for number in range(8)]
    for key in keys:
        await store.apply(enroll(key))
    accounts = [enrolment(key) for key in keys]
    for number, one in enumerate(accounts):
        await store.apply(execute(f"gift {number}", move(f"gift {number}", "owner", one.account.account_id, 100)))
    share = Share(40, 1)
    told = [
        await store.apply(shared(f"e{number}", share, grant_id=one.grant.grant_id, account_id=one.account.account_id))
        for number, one in enumerate(accounts)
    ]
    assert told == [Claimed()] * TOGETHER + [Denied(Reason.RATE_LIMITED)] * (8 - TOGETHER)
    assert await store.apply(shared("a", share)) == Claimed()  # of a connection


async def test_a_full_share_keeps_nobody_from_the_answer_of_a_payment_that_is_made_or_under_way(store: Store) -> None:
    for name in ("paid", "flying"):
        await store.apply(claim(name))
    await store.apply(settle("paid", 10, answered("paid")))
    again = [claim(n, payment(n, payment_id="x"), asked=request(f"again-{n}")) for n in ("paid", "flying", "new")]
    paid, joined, refused = [await store.apply(replace(one, share=Share(1, 1))) for one in again]
    assert isinstance(paid, AlreadyPaid)
    assert joined == Joined(payment("flying", state=State.DISPATCHED))
    assert refused == Denied(Reason.RATE_LIMITED)


async def test_a_balance_covers_amount_and_cap_to_the_last_msat(store: Store) -> None:
    assert await store.apply(claim("a", payment("a", 99_901, 100))) == too_little(100_000)
    assert await store.request("ask-a") is None
    assert await store.apply(claim("a", payment("a", 99_900, 100))) == Claimed()
    assert await store.apply(claim("b", payment("b", 1, 0))) == too_little(0, 100_000)


async def test_the_hash_comes_before_the_budget_and_the_budget_before_the_balance(store: Store) -> None:
    await store.apply(claim("a", payment("a", 90_000, 0)))
    poor = claim("b", payment("b", 90_000, 0), charge(90_000, 1))
    assert await store.apply(poor) == Denied(Reason.OVER_BUDGET, Msat(1))
    assert await store.apply(claim("b", payment("b", 90_000, 0), charge(90_000, 90_000))) == too_little(10_000, 90_000)
    taken = payment("a", 90_000, 0, payment_id="x", grant_id="bobs", account_id="alice")
    assert await store.apply(claim("c", taken)) == Denied(Reason.INVOICE_TAKEN)


# ------------------------------------------------------------ inside the service


async def test_an_open_invoice_of_our_own_is_not_sent_to_the_node(store: Store) -> None:
    await store.apply(record_invoice("i"))
    ours = payment("i", 500, 10)
    assert await store.apply(claim("i", ours)) == Stale()
    assert await store.payment("pay-i") is None
    assert await store.request("ask-i") is None
    assert await store.apply(claim("i", replace(ours, destination=Bolt11("lnbcrt-wrapped")))) == Claimed()


async def test_an_internal_claim_is_stale_unless_the_very_same_invoice_is_open(store: Store) -> None:
    assert await store.apply(internal("i")) == Stale()
    await open_invoice(store, "i")
    wrapped = payment(
        "i", 500, 0, internal=True, account_id="bob", grant_id="bobs", destination=Bolt11("lnbcrt-wrapped")
    )
    assert await store.apply(claim("i", wrapped)) == Stale()
    assert await store.apply(internal("i", 499)) == Stale()
    assert await store.apply(internal("i")) == Claimed()
