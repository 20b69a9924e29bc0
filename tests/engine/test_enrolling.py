"""Enrolment: one key, one account, forever the same codes; and what the key may do with it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from kitestring.base.approvals import Block
from kitestring.base.enrolments import account_id_of
from kitestring.base.errors import KitestringError, NotStoredError, Reason
from kitestring.base.grants import OfferState
from kitestring.base.outcomes import Enrolled, Granted, Paid, Refused
from kitestring.base.transactions.owner import SaveBlock, SaveGrant, SaveOffer
from kitestring.engine.context import EnrollingHere
from kitestring.policy.enrolling import EnrollTerms
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.crossings import Crossings, KilledError
from tests.kit.engine.node import Script
from tests.kit.engine.rig import AMOUNT, ENROLLING, Life, Rig, is_paid

ALICE, BOB = "a1" * 32, "b2" * 32
NEVER = ENROLLING.terms.difficulty - 1


def terms(**changes: Any) -> EnrollingHere:
    return replace(ENROLLING, terms=replace(ENROLLING.terms, **changes))


async def enrolled(rig: Rig, key: str = ALICE, request_id: str = "") -> Enrolled:
    request_id = request_id or f"enroll-{key[:4]}"
    await rig.enroll(request_id, key)
    found = await rig.answer(request_id)
    assert isinstance(found, Enrolled), found
    return found


def lose(life: Life) -> None:
    life.delivered.clear()
    for file in life.path.parent.glob(f"{life.path.name}*"):
        file.unlink()


async def refused(rig: Rig, key: str, request_id: str, **how: Any) -> Refused:
    await rig.enroll(request_id, key, **how)
    found = await rig.answer(request_id)
    assert isinstance(found, Refused), found
    return found


async def rows(rig: Rig) -> tuple[int, int, int]:
    """Accounts (one is the owner's), offers, and grants of debits."""
    store = rig.store
    grants = [grant for grant in await store.grants() if grant.wire == "debits"]
    return len(await store.accounts()), len(await store.offers()), len(grants)


# ------------------------------------------------------------ once and forever


@virtual
async def test_a_key_gets_an_account_with_an_offer_and_a_pointer_that_nobody_can_guess(life: Life) -> None:
    async with life.service() as rig:
        codes = await enrolled(rig)
        account = await rig.store.account(account_id_of(ALICE))
        assert (account.name, account.available_msat, account.created_at) == (ALICE, 0, rig.clock.now())
        offer = await rig.store.offer(codes.offer_id)
        assert (offer.account_id, offer.price_msat) == (account.account_id, None)
        assert ALICE[:8] not in offer.label, "payers read it"
        pointer = await rig.store.grant(codes.pointer_id)
        assert (pointer.account_id, pointer.strangers, pointer.sessions) == (account.account_id, "deny", "off")
        assert len({codes.offer_id, codes.pointer_id, ALICE[:32]}) == 3
        assert (codes.offer_relays, codes.pointer_relays) == (("wss://relay.example",),) * 2


@virtual
async def test_the_same_key_gets_the_same_codes_without_work_also_after_a_restart_and_when_it_is_closed(
    life: Life,
) -> None:
    async with life.service() as rig:
        first = await enrolled(rig)
        before = await rows(rig)
        await rig.enroll("again", ALICE, work_bits=0)
        assert await rig.answer("again") == first
        assert await rig.store.request("again") is None, "nothing is stored of who asks again"
    life.enrolling = replace(terms(mode="off"), relays=lambda: ("wss://another.example",))
    async with life.service() as rig:
        await rig.enroll("later", ALICE, work_bits=0)
        assert await rig.answer("later") == first
        assert await rows(rig) == before


@virtual
async def test_another_ledger_of_the_same_service_gives_the_same_ids(life: Life) -> None:
    """So a code that was published goes on to work after a ledger was lost."""
    async with life.service() as rig:
        first = await enrolled(rig)
    lose(life)
    async with life.service() as rig:
        assert await enrolled(rig) == first
    lose(life)
    life.enrolling = replace(ENROLLING, secret=b"f" * 32)
    async with life.service() as rig:
        assert (await enrolled(rig)).offer_id != first.offer_id


@virtual
async def test_many_requests_of_one_key_at_once_make_one_account(life: Life) -> None:
    async with life.service() as rig:
        found = await asyncio.gather(*(enrolled(rig, ALICE, f"r{number}") for number in range(30)))
        assert len(set(found)) == 1
        assert await rows(rig) == (2, 1, 2)


@virtual
async def test_a_thousand_keys_at_once_get_an_account_each_or_are_told_when_to_come_again(life: Life) -> None:
    life.enrolling = terms(accounts_per_min=700, max_accounts=600)
    keys = [f"{number:04x}" * 16 for number in range(1_000)]
    async with life.service() as rig:
        await asyncio.gather(*(rig.enroll(key, key) for key in keys))
        found = [await rig.answer(key) for key in keys]
        codes = [one for one in found if isinstance(one, Enrolled)]
        assert len({one.offer_id for one in codes}) == len({one.pointer_id for one in codes}) == len(codes) == 600
        no = [one.reason for one in found if isinstance(one, Refused)]
        assert (no.count(Reason.NOT_PERMITTED), no.count(Reason.RATE_LIMITED)) == (100, 300)
        assert await rows(rig) == (601, 600, 1_200)


@pytest.mark.parametrize("point", range(1, 9))
def test_a_crash_anywhere_leaves_all_of_an_account_or_nothing_and_the_next_request_the_same_codes(
    life: Life, point: int
) -> None:
    @virtual
    async def story(life: Life) -> None:
        crossings = Crossings()
        async with life.service(crossings) as rig:
            crossings.fatal = len(crossings.labels) + point
            with suppress(KilledError):
                await rig.enroll("first", ALICE)
        async with life.service() as rig:
            is_there = await rig.store.account(account_id_of(ALICE)) is not None
            assert await rows(rig) == ((2, 1, 2) if is_there else (1, 0, 0))
            told = rig.told("first")
            codes = await enrolled(rig, ALICE, "second")
            assert all(one == codes for one in told)
            assert await rows(rig) == (2, 1, 2)

    story(life)


# ------------------------------------------------------------ who does not


@virtual
async def test_who_is_refused_leaves_no_row(life: Life) -> None:
    async with life.service() as rig:
        before = await rows(rig)
        found = await refused(rig, ALICE, "lazy", work_bits=NEVER)
        assert (found.reason, found.details) == (Reason.INSUFFICIENT_POW, {"required_difficulty": 8})
        await rig.write(SaveBlock(BOB, Block(BOB, rig.clock.now())))
        assert (await refused(rig, BOB, "blocked")).reason is Reason.NOT_PERMITTED
        assert await rows(rig) == before
        assert [await rig.store.request(one) for one in ("lazy", "blocked")] == [None, None]
    life.enrolling = terms(mode="off")
    async with life.service() as rig:
        assert (await refused(rig, ALICE, "closed")).reason is Reason.NOT_PERMITTED
        assert await rows(rig) == before


@virtual
async def test_new_accounts_have_a_rate_and_who_has_one_is_not_held_up_by_it(life: Life) -> None:
    life.enrolling = terms(accounts_per_min=2)
    async with life.service() as rig:
        first = await enrolled(rig, ALICE)
        await enrolled(rig, BOB)
        found = await refused(rig, "c3" * 32, "third")
        assert (found.reason, found.details) == (Reason.RATE_LIMITED, {"retry_after": rig.clock.now() + 30})
        assert await enrolled(rig, ALICE, "again") == first
        await rig.clock.sleep(30)
        await enrolled(rig, "c3" * 32, "later")


@virtual
async def test_beyond_the_number_of_accounts_it_is_closed(life: Life) -> None:
    life.enrolling = terms(max_accounts=1)
    async with life.service() as rig:
        await enrolled(rig, ALICE)
        assert (await refused(rig, BOB, "second")).reason is Reason.NOT_PERMITTED


@virtual
async def test_without_a_relay_for_its_codes_nobody_enrolls(life: Life) -> None:
    life.enrolling = EnrollingHere(EnrollTerms("open", 0))
    async with life.service() as rig:
        assert (await refused(rig, ALICE, "r1")).reason is Reason.UNAVAILABLE


@virtual
async def test_an_account_that_the_owner_has_ended_is_not_opened_again(life: Life) -> None:
    async with life.service() as rig:
        alice, bob = await enrolled(rig, ALICE), await enrolled(rig, BOB)
        offer = await rig.store.offer(alice.offer_id)
        await rig.write(SaveOffer(replace(offer, state=OfferState.DELETED)))
        assert (await refused(rig, ALICE, "again")).reason is Reason.NOT_PERMITTED
        pointer = await rig.store.grant(bob.pointer_id)
        await rig.write(SaveGrant(replace(pointer, revoked_at=rig.clock.now(), version=2)))
        assert (await refused(rig, BOB, "again too")).reason is Reason.NOT_PERMITTED


@virtual
async def test_a_code_that_forwards_or_is_off_for_now_is_told_again_as_it_is(life: Life) -> None:
    """The owner may edit such an offer as any other: that ends no account."""
    async with life.service() as rig:
        alice = await enrolled(rig, ALICE)
        offer = await rig.store.offer(alice.offer_id)
        for number, (state, latest) in enumerate(((OfferState.OFF, ""), (OfferState.MOVED, "noffer1new"))):
            await rig.write(SaveOffer(replace(offer, state=state, latest=latest)))
            assert await enrolled(rig, ALICE, f"again {number}") == alice
        await rig.write(SaveOffer(replace(offer, state=OfferState.MOVED)))
        assert (await refused(rig, ALICE, "over")).reason is Reason.NOT_PERMITTED


@virtual
async def test_a_second_key_of_the_same_beginning_is_refused(life: Life) -> None:
    async with life.service() as rig:
        await enrolled(rig, ALICE)
        assert (await refused(rig, ALICE[:32] + BOB[:32], "twin")).reason is Reason.NOT_PERMITTED


@virtual
async def test_a_request_that_cannot_be_stored_opens_nothing(life: Life) -> None:
    async with life.service() as rig:
        rig.store.broken["EnrollKey"] = [NotStoredError(Reason.INTERNAL, "the disk is full")]
        with pytest.raises(KitestringError):
            await rig.enroll("r1", ALICE)
        assert await rig.store.account(account_id_of(ALICE)) is None
        assert rig.told("r1") == []


# ------------------------------------------------------------ the key and its account


async def funded(rig: Rig, key: str, amount: int) -> Enrolled:
    """An enrolled key that somebody has paid over its offer."""
    codes = await enrolled(rig, key)
    _, payment_hash = await rig.invoice(f"paid-{key[:4]}", "", amount, offer_id=codes.offer_id)
    assert rig.life.node.pay_in(payment_hash, amount)

    async def has_come() -> bool:
        return await rig.available(account_id_of(key)) == amount

    await rig.until(has_come)
    return codes


@virtual
async def test_what_is_paid_to_its_offer_is_taken_by_the_key_alone_and_only_as_far_as_it_goes(life: Life) -> None:
    async with life.service() as rig:
        codes = await funded(rig, ALICE, 3 * AMOUNT)
        invoice = life.node.outside_invoice(Script(fee=0))
        await rig.debit("r1", ALICE, invoice, pointer=codes.pointer_id)
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert await rig.available(account_id_of(ALICE)) == 2 * AMOUNT
        await rig.debit("more", ALICE, life.node.outside_invoice(Script()), 3 * AMOUNT, pointer=codes.pointer_id)
        assert (await rig.answer("more")).reason is Reason.INSUFFICIENT_FUNDS
        await rig.debit("foreign", BOB, life.node.outside_invoice(Script()), pointer=codes.pointer_id)
        assert (await rig.answer("foreign")).reason is Reason.NOT_PERMITTED
        assert await rig.store.approvals(limit=1) == [], "the owner is not asked about money that is not his"
        await rig.debit("budget", ALICE, None, pointer=codes.pointer_id)
        assert await rig.answer("budget") == Granted()
    life.audit()


@virtual
async def test_two_enrolled_keys_pay_each_other_inside(life: Life) -> None:
    async with life.service() as rig:
        alice, bob = await funded(rig, ALICE, 2 * AMOUNT), await enrolled(rig, BOB)
        invoice = await rig.invoice("ask", "", AMOUNT, offer_id=bob.offer_id)
        await rig.debit("r1", ALICE, invoice, pointer=alice.pointer_id)
        assert isinstance(await rig.answer("r1"), Paid)
        assert (await rig.available(account_id_of(ALICE)), await rig.available(account_id_of(BOB))) == (AMOUNT, AMOUNT)
    life.audit()


@virtual
async def test_a_key_that_the_owner_blocks_takes_nothing_more_from_its_own_account(life: Life) -> None:
    async with life.service() as rig:
        codes = await funded(rig, ALICE, 2 * AMOUNT)
        await rig.write(SaveBlock(ALICE, Block(ALICE, rig.clock.now())))
        await rig.debit("r1", ALICE, life.node.outside_invoice(Script()), pointer=codes.pointer_id)
        assert (await rig.answer("r1")).reason is Reason.NOT_PERMITTED
        assert (await refused(rig, ALICE, "again")).reason is Reason.NOT_PERMITTED
        assert await rig.available(account_id_of(ALICE)) == 2 * AMOUNT
