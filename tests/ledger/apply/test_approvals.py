from __future__ import annotations

import pytest

from kitestring.base.approvals import (
    MAX_BLOCKED,
    MAX_WAITING,
    ApprovalState,
    Block,
    Dealings,
    DebitSession,
    PromptGate,
    Token,
)
from kitestring.base.budgets import Budget
from kitestring.base.clocks import AHEAD_S
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.events import EventKind
from kitestring.base.grants import Grant
from kitestring.base.money import Msat
from kitestring.base.payments import Settled
from kitestring.base.records import Message
from kitestring.base.store import Store
from kitestring.base.transactions.answers import (
    AlreadyDecided,
    AlreadyPaid,
    Claimed,
    DecisionStored,
    Denied,
    Done,
    Finished,
    Joined,
    Running,
    Stale,
)
from kitestring.base.transactions.approvals import AskOwner, AwaitApproval
from kitestring.base.transactions.owner import SaveBlock, SaveGrant, SaveSession
from kitestring.base.transactions.payments import ClaimPayment, RecordPayment
from kitestring.base.transactions.requests import Answer, Prune
from tests.kit.changed import replace
from tests.kit.ledger.questions import (
    ALICE,
    CHARGER,
    POINTER,
    approve,
    asked,
    asks,
    debit,
    deny,
    of_owner,
)
from tests.kit.ledger.values import (
    NOW,
    PLENTY,
    claim,
    execute,
    fail,
    preimage_of,
    reply,
    request,
    settle,
    too_little,
)


async def time_has_passed(store: Store) -> None:
    """A day, in which something new was asked: what is old may be forgotten."""
    later = NOW + 86_400
    await store.apply(claim("new", asked=request("new", sent_at=later, received_at=later)))
    await store.apply(Prune(later, 3_600))


@pytest.fixture(autouse=True)
async def _pointer(store: Store) -> None:
    await store.apply(execute("pointer", SaveGrant(CHARGER)))


async def test_a_question_claims_its_request_and_leaves_no_payment(store: Store) -> None:
    assert await store.apply(asks("a")) == Claimed()
    assert await store.payment("pay-a") is None
    assert await store.apply(asks("a")) == Running()
    assert await store.approvals(limit=9) == [asked("a")]
    assert await store.open_approval("debits", POINTER, ALICE) == asked("a")
    assert (await store.waiting("pay-a"))[0].request_id == "ask-a"
    assert [event.kind for event in await store.events(0, 99)][-1] is EventKind.ASKED  # type: ignore[union-attr]  # none is missed


async def test_an_approved_payment_is_claimed_with_the_decision_and_its_requests_wait_for_it(store: Store) -> None:
    await store.apply(asks("a"))
    assert await store.apply(AwaitApproval(debit("again"), "pay-a")) == Claimed()
    assert await store.apply(approve("a")) == DecisionStored()
    held = await store.payment("pay-a")
    assert held is not None
    assert (held.requestor, held.grant_id) == (ALICE, POINTER)
    assert {(one.request_id, one.grant_id) for one in await store.waiting("pay-a")} == {
        ("ask-a", POINTER),
        ("ask-again", POINTER),
    }
    done = await store.approval("pay-a")
    assert done is not None
    assert (done.state, done.version, done.decided_by, done.decision) == (ApprovalState.APPROVED, 2, "owner", "once")
    await store.apply(settle("a", 10, reply("ask-a"), reply("ask-again")))
    assert await store.dealings(ALICE) == Dealings(1, Msat(1_010), held.created_at, is_approved=True)
    assert await store.waiting("pay-a") == []


async def test_a_decision_is_made_once_and_names_what_it_saw(store: Store) -> None:
    await store.apply(asks("a"))
    assert await store.apply(replace(deny("a"), version=2)) == Stale()
    assert await store.apply(deny("a", reply("ask-a"))) == DecisionStored()
    again = await store.apply(approve("a"))
    assert isinstance(again, AlreadyDecided)
    assert again.approval.state is ApprovalState.DENIED
    assert await store.payment("pay-a") is None
    assert isinstance(await store.apply(asks("a")), Finished)
    assert await store.apply(deny("nothing")) == Denied(Reason.UNKNOWN_TARGET)


async def test_a_decision_after_its_time_approves_nothing(store: Store) -> None:
    await store.apply(asks("a"))
    assert await store.apply(replace(approve("a"), now=NOW + 600)) == Denied(Reason.UNDECIDED)
    assert await store.payment("pay-a") is None
    late = replace(deny("a", state=ApprovalState.EXPIRED), now=NOW + 600)
    ended = await store.apply(late)
    assert isinstance(ended, DecisionStored)
    (waiting,) = ended.unanswered
    assert await store.apply(Answer(waiting, (reply("ask-a"),), NOW + 600)) == Done()


async def test_money_that_is_missing_by_now_leaves_the_question_open_and_nothing_written(store: Store) -> None:
    await store.apply(asks("a"))
    budget = Grant(grant_id="kid", name="a", wire="debits", caller=ALICE, pointer_id=POINTER,
                   budgets=(Budget.total(Msat(1_099)),))  # fmt: skip
    short = replace(approve("a", grant=budget, budgets=True), writes=(SaveGrant(budget),))
    answer = await store.apply(short)
    assert answer == Denied(Reason.OVER_BUDGET, Msat(1_099))
    assert (await store.grant("kid"), await store.payment("pay-a")) == (None, None)
    assert (await store.approvals(limit=9))[0].state is ApprovalState.OPEN
    poor = approve("a")
    assert poor.claim is not None
    poor = replace(poor, claim=replace(poor.claim, view=replace(PLENTY, spendable_msat=Msat(5))))
    assert await store.apply(poor) == too_little(0)


async def test_a_budget_that_comes_with_the_payment_is_charged_with_it(store: Store) -> None:
    await store.apply(asks("a"))
    budget = Grant(grant_id="kid", name="a", wire="debits", caller=ALICE, pointer_id=POINTER,
                   budgets=(Budget.total(Msat(5_000)),))  # fmt: skip
    both = replace(approve("a", grant=budget, budgets=True), writes=(SaveGrant(budget),))
    assert await store.apply(both) == DecisionStored()
    assert await store.budget_used("kid", 0) == 1_100
    assert await store.grants_of("debits", ALICE) == [budget]
    second = replace(budget, grant_id="other")
    assert await store.apply(execute("second", SaveGrant(second))) == Stale()


async def test_a_pointer_that_ends_meanwhile_gets_no_grant_any_more(store: Store) -> None:
    await store.apply(asks("a"))
    await store.apply(execute("end", SaveGrant(replace(CHARGER, revoked_at=NOW, version=CHARGER.version + 1))))
    budget = Grant(grant_id="kid", name="a", wire="debits", caller=ALICE, pointer_id=POINTER,
                   budgets=(Budget.total(Msat(1_100)),))  # fmt: skip
    given = replace(approve("a", grant=budget, budgets=True), writes=(SaveGrant(budget),))
    assert await store.apply(given) == Stale()
    assert (await store.grant("kid"), await store.payment("pay-a")) == (None, None)


async def test_another_question_of_the_same_caller_takes_the_place_of_the_first(store: Store) -> None:
    await store.apply(asks("a"))
    assert await store.apply(asks("b")) == Stale()
    assert await store.apply(asks("b", replaces="pay-a")) == Stale()  # who waits for the first must be told
    assert await store.apply(asks("b", replaces="pay-a", messages=(reply("ask-a"),))) == Claimed()
    ended = await store.approval("pay-a")
    assert ended is not None
    assert ended.state is ApprovalState.SUPERSEDED
    assert isinstance(await store.apply(approve("a")), AlreadyDecided)
    assert await store.apply(AwaitApproval(debit("late"), "pay-a")) == Stale()
    assert isinstance(await store.apply(asks("a")), Finished)


async def test_who_takes_the_place_may_be_told_to_others_but_not_to_nobody(store: Store) -> None:
    await store.apply(asks("a"))
    notice = replace(reply(""), kind="notice")
    beside = Message("ask-a", "receipt", b"", b"", NOW)
    assert await store.apply(asks("b", replaces="pay-a", messages=(beside,))) == Stale()  # that is no reply
    assert await store.apply(asks("b", replaces="pay-a", messages=(reply("ask-a"), notice))) == Claimed()
    assert await store.waiting("pay-a") == []


async def test_only_a_yes_pays_and_what_was_asked_for(store: Store) -> None:
    await store.apply(asks("a"))
    other = approve("a")
    assert other.claim is not None
    other = replace(other, claim=replace(other.claim, payment=of_owner("b")))
    for wrong in (other, replace(approve("a"), state=ApprovalState.DENIED)):
        with pytest.raises(KitestringError, match="nothing was stored"):
            await store.apply(wrong)
    assert await store.open_payments() == []
    assert (await store.approvals(limit=9))[0].state is ApprovalState.OPEN


async def test_the_gate_of_a_wire_is_closed_by_strangers_to_strangers_alone(store: Store) -> None:
    narrow = PromptGate(NOW - 600, 3, 2)
    keys = [f"{number:02x}" * 32 for number in range(4)]
    for number, key in enumerate(keys[:2]):
        assert await store.apply(asks(f"s{number}", key, gate=narrow)) == Claimed()
    assert await store.apply(asks("s2", keys[2], gate=narrow)) == Denied(Reason.RATE_LIMITED)
    known = AskOwner(debit("k"), asked("k", caller=keys[3], is_known=True), narrow)
    assert await store.apply(known) == Claimed()
    other_wire = AskOwner(debit("m"), asked("m", caller=keys[2], wire="manage"), narrow)
    assert await store.apply(other_wire) == Claimed()
    later = PromptGate(NOW, 3, 2)
    assert await store.apply(asks("s3", keys[2], gate=later)) == Claimed()


async def test_one_caller_has_its_own_bound(store: Store) -> None:
    await store.apply(asks("a"))
    await store.apply(deny("a", reply("ask-a")))
    assert await store.apply(asks("b", gate=PromptGate(NOW - 600, 1, 60))) == Denied(Reason.RATE_LIMITED)


async def test_a_payment_of_the_same_hash_leaves_the_question_open_and_says_so(store: Store) -> None:
    await store.apply(asks("a"))
    other = of_owner("a", payment_id="pay-other")
    await store.apply(claim("other", other, asked=replace(debit("other"), grant_id=POINTER)))
    assert isinstance(await store.apply(approve("a")), Joined)
    paid = Settled(preimage_of("a"), Msat(0))
    await store.apply(RecordPayment("pay-other", paid, NOW + 1, (reply("ask-other"),)))
    assert isinstance(await store.apply(approve("a")), AlreadyPaid)
    assert (await store.approvals(limit=1))[0].state is ApprovalState.OPEN


async def test_who_shares_a_grant_is_never_told_of_the_payment_of_another(store: Store) -> None:
    await store.apply(claim("a", of_owner("a"), asked=replace(debit("a"), grant_id=POINTER)))
    await store.apply(settle("a", 0, reply("ask-a")))
    theirs = replace(of_owner("a", payment_id="pay-b"), requestor="b2" * 32)
    answer = await store.apply(claim("b", theirs, asked=replace(debit("b"), grant_id=POINTER)))
    assert answer == Denied(Reason.INVOICE_TAKEN)


async def test_who_is_welcome_may_ask_again(store: Store) -> None:
    await store.apply(asks("a"))
    await store.apply(approve("a"))
    assert await store.apply(asks("b", gate=PromptGate(NOW - 600, 1, 60))) == Claimed()
    assert await store.apply(asks("c", "c3" * 32, gate=PromptGate(NOW - 600, 9, 2))) == Denied(Reason.RATE_LIMITED)


async def test_a_clock_that_was_ahead_once_closes_the_gate_to_nobody(store: Store) -> None:
    ahead = NOW + 10**7
    for name in ("s0", "s1"):
        await store.apply(
            AskOwner(debit(name), asked(name, caller=name * 32, asked_at=ahead), PromptGate(ahead - 600, 3, 2))
        )
    narrow = PromptGate(NOW - 600, 3, 2)
    assert await store.apply(asks("a", gate=narrow)) == Denied(Reason.RATE_LIMITED)  # they are open
    for name in ("s0", "s1"):
        await store.apply(deny(name, reply(f"ask-{name}")))
    assert await store.apply(asks("a", gate=narrow)) == Claimed()


async def test_so_many_requests_wait_for_one_question_and_no_more(store: Store) -> None:
    await store.apply(asks("a"))
    joined = [await store.apply(AwaitApproval(debit(f"j{number}"), "pay-a")) for number in range(MAX_WAITING)]
    assert joined == [Claimed()] * (MAX_WAITING - 1) + [Denied(Reason.RATE_LIMITED)]
    await store.apply(deny("a", reply("ask-a"), *(reply(f"ask-j{number}") for number in range(MAX_WAITING - 1))))


# ---------------------------------------------------------------- words that are good once

WORD = Token(POINTER, "c4" * 32)


async def test_a_word_is_held_by_a_question_goes_on_to_its_payment_and_is_free_again_when_that_fails(
    store: Store,
) -> None:
    await store.apply(asks("a", token=WORD))
    assert await store.apply(asks("b", "b2" * 32, token=WORD)) == Denied(Reason.ALREADY_USED)
    yes = approve("a")
    assert yes.claim is not None
    assert await store.apply(replace(yes, claim=replace(yes.claim, consume=(WORD,)))) == DecisionStored()
    assert await store.apply(asks("b", "b2" * 32, token=WORD)) == Denied(Reason.ALREADY_USED)
    await store.apply(fail("a", reply("ask-a")))
    assert await store.apply(asks("b", "b2" * 32, token=WORD)) == Claimed()
    await store.apply(deny("b", reply("ask-b")))
    assert await store.apply(asks("c", token=WORD)) == Claimed()


async def test_a_word_that_was_paid_with_is_used_for_ever(store: Store) -> None:
    made = replace(claim("a", of_owner("a"), asked=replace(debit("a"), grant_id=POINTER)), consume=(WORD,))
    assert await store.apply(made) == Claimed()
    await store.apply(settle("a", 0, reply("ask-a")))
    again = replace(claim("b", of_owner("b"), asked=replace(debit("b"), grant_id=POINTER)), consume=(WORD,))
    assert await store.apply(again) == Denied(Reason.ALREADY_USED)
    await time_has_passed(store)
    assert await store.apply(replace(again, request=replace(again.request, request_id="ask-z", sent_at=NOW + 86_400))) \
        == Denied(Reason.ALREADY_USED)  # fmt: skip


async def test_a_session_has_bounds_an_end_and_one_use(store: Store) -> None:
    session = DebitSession(POINTER, WORD.value, Msat(500), Msat(1_500), NOW + 60, NOW)
    minted = Token(POINTER, WORD.value, minted=True)

    def take(name: str, amount: int = 1_000, at: int = NOW) -> ClaimPayment:
        paid = replace(of_owner(name), amount_msat=Msat(amount), created_at=at)
        return replace(claim(name, paid, asked=replace(debit(name), grant_id=POINTER)), consume=(minted,))

    assert await store.apply(take("none")) == Denied(Reason.UNKNOWN_TARGET)
    assert await store.apply(execute("mint", SaveSession(session))) == Claimed()
    assert await store.apply(execute("twice", SaveSession(session))) == Denied(Reason.ALREADY_USED)
    assert await store.apply(take("little", 499)) == Denied(Reason.AMOUNT_OUT_OF_RANGE)
    assert await store.apply(take("much", 1_501)) == Denied(Reason.AMOUNT_OUT_OF_RANGE)
    assert await store.apply(take("late", at=NOW + 60)) == Denied(Reason.UNKNOWN_TARGET)
    # By a clock that was set back since it was made nobody knows whether it is late.
    assert await store.apply(take("early", at=NOW - AHEAD_S - 1)) == Denied(Reason.UNKNOWN_TARGET)
    assert await store.apply(take("right")) == Claimed()
    assert await store.sessions(POINTER, 9) == [replace(session, holder="pay-right")]
    await store.apply(fail("right", reply("ask-right")))
    assert await store.session(POINTER, WORD.value) == session
    await time_has_passed(store)
    assert await store.session(POINTER, WORD.value) is None


async def test_a_word_is_checked_and_freed_whoever_asks_for_the_payment(store: Store) -> None:
    """Where one key alone may use a grant, the payment names no requestor."""

    def take(name: str) -> ClaimPayment:
        return replace(claim(name), consume=(WORD,))

    assert await store.apply(take("a")) == Claimed()
    assert await store.apply(take("b")) == Denied(Reason.ALREADY_USED)
    await store.apply(fail("a", reply("ask-a")))
    assert await store.apply(take("b")) == Claimed()


async def test_a_word_that_we_have_not_made_is_none_where_only_ours_are_good(store: Store) -> None:
    await store.apply(asks("a", token=WORD))
    ours = replace(WORD, minted=True)
    again = asks("b", token=ours, replaces="pay-a", messages=(reply("ask-a"),))
    assert await store.apply(again) == Denied(Reason.UNKNOWN_TARGET)
    assert (await store.approvals(limit=9))[0].approval_id == "pay-a"


# ---------------------------------------------------------------- blocked keys


async def test_a_blocked_key_asks_and_takes_nothing_until_it_is_unblocked(store: Store) -> None:
    await store.apply(execute("block", SaveBlock(ALICE, Block(ALICE, NOW, "spam"))))
    assert await store.blocks() == [Block(ALICE, NOW, "spam")]
    assert await store.apply(asks("a")) == Denied(Reason.NOT_PERMITTED)
    mine = claim("a", of_owner("a"), asked=replace(debit("a"), grant_id=POINTER))
    assert await store.apply(mine) == Denied(Reason.NOT_PERMITTED)
    await store.apply(execute("unblock", SaveBlock(ALICE, None)))
    assert await store.apply(mine) == Claimed()


async def test_no_yes_is_given_to_a_key_that_was_blocked_since(store: Store) -> None:
    await store.apply(asks("a"))
    await store.apply(execute("block", SaveBlock(ALICE, Block(ALICE, NOW))))
    kid = Grant(grant_id="kid", name="a", wire="debits", caller=ALICE, pointer_id=POINTER)
    given = replace(approve("a"), claim=None, writes=(SaveGrant(kid),))
    assert await store.apply(given) == Denied(Reason.NOT_PERMITTED)
    assert await store.grant("kid") is None
    assert await store.apply(deny("a", reply("ask-a"))) == DecisionStored()


async def test_there_is_room_for_so_many_blocked_keys_and_no_more(store: Store) -> None:
    many = tuple(SaveBlock(f"{n:064x}", Block(f"{n:064x}", NOW)) for n in range(MAX_BLOCKED))
    assert await store.apply(execute("many", *many)) == Claimed()
    assert await store.apply(execute("more", SaveBlock(ALICE, Block(ALICE, NOW)))) == Denied(Reason.RATE_LIMITED)
    assert await store.apply(execute("again", many[7])) == Claimed()


async def test_questions_that_ended_without_a_payment_are_forgotten_with_their_requests(store: Store) -> None:
    await store.apply(asks("a"))
    await store.apply(approve("a"))
    await store.apply(asks("b"))
    await store.apply(deny("b", reply("ask-b")))
    await store.apply(asks("c"))
    await time_has_passed(store)
    assert await store.approval("pay-b") is None
    assert [one.approval_id for one in await store.approvals(limit=9, ended=True)] == ["pay-a"]
    assert [one.approval_id for one in await store.approvals(limit=9)] == ["pay-c"]


async def test_a_question_whose_end_was_told_to_nobody_yet_is_not_forgotten(store: Store) -> None:
    await store.apply(asks("a"))
    ended = await store.apply(deny("a"))
    assert isinstance(ended, DecisionStored)
    await time_has_passed(store)
    assert [one.approval_id for one in await store.approvals(limit=9, ended=True)] == ["pay-a"]
    (waiting,) = ended.unanswered
    await store.apply(Answer(waiting, (reply("ask-a"),), NOW + 86_400))
    await store.apply(Prune(NOW + 86_400, 3_600))
    assert await store.approval("pay-a") is None
    assert await store.request("ask-a") is not None, "it is a refusal now"
