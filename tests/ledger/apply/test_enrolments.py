"""A key is enrolled in one commit, once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from kitestring.base.approvals import Block
from kitestring.base.enrolments import account_id_of
from kitestring.base.errors import Reason
from kitestring.base.events import EventKind
from kitestring.base.grants import OfferState
from kitestring.base.store import Store
from kitestring.base.transactions.answers import Claimed, Denied, Finished, Stale
from kitestring.base.transactions.owner import SaveBlock, SaveOffer
from tests.kit.changed import replace
from tests.kit.ledger.enrolling import NEWCOMER, enroll, enrolment
from tests.kit.ledger.values import execute, reply


async def rows(store: Store) -> tuple[int, int, int]:
    return len(await store.accounts()), len(await store.offers()), len(await store.grants())


async def test_account_offer_pointer_and_grant_come_with_the_answer(store: Store) -> None:
    before = await rows(store)
    assert await store.apply(enroll()) == Claimed()
    made = enrolment()
    assert await store.account(account_id_of(NEWCOMER)) == made.account
    assert await store.offer(made.offer.offer_id) == made.offer
    assert await store.grant(made.pointer.grant_id) == made.pointer
    assert await store.grants_of("debits", NEWCOMER) == [made.grant]
    assert await store.messages("enroll-ecececec") == (reply("enroll-ecececec", "codes"),)
    assert await rows(store) == (before[0] + 1, before[1] + 1, before[2] + 2)
    events: list[Any] = await store.events(0, 100)
    told = [event.kind for event in events if event.account_id == made.account.account_id]
    assert told == [EventKind.GRANTED, EventKind.GRANTED]


async def test_the_same_request_gets_its_answer_again_and_another_one_of_the_key_changes_nothing(store: Store) -> None:
    await store.apply(enroll())
    before = await rows(store)
    assert await store.apply(enroll()) == Finished((reply("enroll-ecececec", "codes"),))
    assert await store.apply(enroll(name="again")) == Stale()
    assert await store.request("again") is None
    assert await rows(store) == before


async def test_a_second_key_of_the_same_beginning_does_not_get_the_account_of_the_first(store: Store) -> None:
    await store.apply(enroll())
    before = await rows(store)
    assert await store.apply(enroll(NEWCOMER[:32] + "0b" * 16, "twin")) == Stale()
    account = await store.account(account_id_of(NEWCOMER))
    assert account is not None
    assert account.name == NEWCOMER
    assert await rows(store) == before


async def test_many_requests_of_one_key_at_once_make_one_account(store: Store) -> None:
    answers = await asyncio.gather(*(store.apply(enroll(name=f"at once {number}")) for number in range(50)))
    assert Counter(map(type, answers)) == {Claimed: 1, Stale: 49}


async def test_beyond_the_number_of_accounts_nothing_is_stored(store: Store) -> None:
    keys = [f"{number:02x}" * 32 for number in range(5)]
    answers: list[Any] = await asyncio.gather(*(store.apply(enroll(key, max_accounts=3)) for key in keys))
    assert answers == [Claimed()] * 3 + [Denied(Reason.OVER_BUDGET)] * 2
    assert await store.account(account_id_of(keys[4])) is None
    assert await store.request(f"enroll-{keys[4][:8]}") is None


async def test_a_key_that_was_blocked_just_before_is_denied(store: Store) -> None:
    await store.apply(execute("block", SaveBlock(NEWCOMER, Block(NEWCOMER, 1))))
    assert await store.apply(enroll()) == Denied(Reason.NOT_PERMITTED)
    assert await store.account(account_id_of(NEWCOMER)) is None


async def test_what_is_as_old_as_what_was_forgotten_is_denied(store: Store) -> None:
    old = enroll(sent_at=-1)
    assert await store.apply(old) == Denied(Reason.STALE_REQUEST)
    assert await store.account(account_id_of(NEWCOMER)) is None


async def test_a_row_that_is_in_the_way_takes_back_what_came_before_it(store: Store) -> None:
    gone = replace(enrolment().offer, state=OfferState.DELETED, creator="")
    await store.apply(execute("delete", SaveOffer(gone)))
    assert await store.apply(enroll()) == Denied(Reason.UNKNOWN_TARGET)
    assert await store.account(account_id_of(NEWCOMER)) is None
    assert await store.grants_of("debits", NEWCOMER) == []
    assert await store.request("enroll-ecececec") is None
