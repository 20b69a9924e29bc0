"""Offers that apps manage: whose they are, that one request makes one, and what the owner's word does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from kitestring.base.approvals import ApprovalKind, ApprovalState, Block, Ruling
from kitestring.base.commands import (
    MANAGE_WIRE,
    CreateOffer,
    Deed,
    DeleteOffer,
    GetOffer,
    ListOffers,
    OfferFields,
    UpdateOffer,
)
from kitestring.base.enrolments import account_id_of
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Offer, OfferState, Webhook
from kitestring.base.money import ZERO, Msat, sat
from kitestring.base.outcomes import Invoiced, OfferGone, OffersListed, OfferTold, Refused
from kitestring.base.transactions.owner import SaveBlock, SaveOffer
from kitestring.engine.approvals import MAX_OF_CALLER
from kitestring.policy import managing
from kitestring.policy.rate_limits import RateLimit
from tests.kit.clock import virtual
from tests.kit.engine.crossings import Crossings, KilledError
from tests.kit.engine.rig import Life, Rig

ALICE, BOB = "a1" * 32, "b2" * 32
MUG = OfferFields(
    label="Mug", price_msat=sat(12_000), callback_url="https://shop.example/paid{?amount}", payer_data=("email",)
)
TIPS = OfferFields(label="Tips", price_msat=ZERO)


async def made(rig: Rig, name: str, caller: str = ALICE, fields: OfferFields = MUG, **more: Any) -> Offer:
    await rig.manage(name, caller, CreateOffer(fields), **more)
    told = await rig.answer(name)
    assert isinstance(told, OfferTold), told
    return told.offer


async def said(rig: Rig, name: str, caller: str, deed: Deed, **more: Any) -> Any:
    await rig.manage(name, caller, deed, **more)
    return await rig.answer(name)


async def living(rig: Rig) -> list[Offer]:
    return [offer for offer in await rig.store.offers() if offer.state is not OfferState.DELETED]


@virtual
async def test_an_app_with_a_grant_makes_an_offer_into_the_account_of_its_link_and_anybody_pays_it(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("sellers", 0)
        await rig.link(strangers="deny", account_id="sellers")
        await rig.let_manage("shop", ALICE, account_id="sellers")
        offer = await made(rig, "r1")
        assert (offer.label, offer.price_msat, offer.payer_data) == ("Mug", sat(12_000), ("email",))
        assert (offer.account_id, offer.creator, offer.pointer_id) == ("sellers", ALICE, "shop")
        assert offer.webhook == Webhook("https://shop.example/paid{?amount}", "get")
        assert offer.relays == ("wss://relay.example",)
        assert len(offer.offer_id) == 32
        await rig.invoice("buy", "", None, offer_id=offer.offer_id, payer_data={"email": "x"})
        sold = await rig.answer("buy")
        assert isinstance(sold, Invoiced)
        assert sold.transaction.amount_msat == sat(12_000)
    life.audit()


@virtual
async def test_an_app_with_a_grant_that_asks_twice_makes_two_offers_though_they_say_the_same(life: Life) -> None:
    async with life.service() as rig:
        await rig.link(strangers="deny")
        await rig.let_manage("shop", ALICE)
        first, second = await made(rig, "r1"), await made(rig, "r2")
        assert first.offer_id != second.offer_id
        assert (first.label, first.price_msat) == (second.label, second.price_msat)
        assert {offer.offer_id for offer in await living(rig)} == {first.offer_id, second.offer_id}
    life.audit()


@virtual
async def test_one_request_makes_one_offer_however_often_it_comes_and_whatever_is_restarted(life: Life) -> None:
    async with life.service() as rig:
        await rig.link()
        await rig.let_manage("shop", ALICE)
        await asyncio.gather(*(rig.manage("r1", ALICE, CreateOffer(MUG)) for _ in range(5)))
        first = await rig.answer("r1")
        await rig.manage("r1", ALICE, CreateOffer(TIPS))
        assert await living(rig) == [first.offer]
    async with life.service() as rig:
        await rig.manage("r1", ALICE, CreateOffer(MUG))
        assert await living(rig) == [first.offer]
        assert await rig.engine.known("r1")
        another = await made(rig, "r2")
        assert another.offer_id != first.offer.offer_id
    life.audit()


@pytest.mark.parametrize("at", ["before ManageOffers", "after ManageOffers"])
def test_a_kill_around_the_commit_makes_one_offer_of_a_request_that_comes_again(life: Life, at: str) -> None:
    @virtual
    async def story(life: Life) -> None:
        async with life.service() as rig:
            await rig.link()
            await rig.let_manage("shop", ALICE)
        with pytest.raises(KilledError):
            async with life.service(Crossings(at=at)) as rig:
                await rig.manage("r1", ALICE, CreateOffer(MUG))
        async with life.service() as rig:
            await rig.manage("r1", ALICE, CreateOffer(MUG))
            told = await rig.answer("r1")
            assert await living(rig) == [told.offer]
        life.audit()

    story(life)


@virtual
async def test_a_ledger_that_has_forgotten_the_request_tells_the_offer_that_it_has_made(life: Life) -> None:
    async with life.service() as rig:
        await rig.link()
        await rig.let_manage("shop", ALICE)
        first = await made(rig, "r1")
        earlier = replace(first, offer_id=rig.context.offer_id_of("r2"), label="of an earlier life")
        await rig.write(SaveOffer(earlier))
        assert await made(rig, "r2") == earlier
        assert len(await living(rig)) == 2
    life.audit()


@virtual
async def test_an_app_sees_and_changes_only_what_it_has_made_and_the_words_are_the_same_for_all_else(
    life: Life,
) -> None:
    async with life.service() as rig:
        await rig.link()
        for key in (ALICE, BOB):
            await rig.let_manage("shop", key)
        mine, theirs = await made(rig, "a"), await made(rig, "b", BOB)
        await rig.offer("the owner's")
        fields = OfferFields(label="taken over")
        for number, name in enumerate((theirs.offer_id, "the owner's", "nowhere")):
            for what, deed in (("get", GetOffer(name)), ("update", UpdateOffer(name, fields))):
                assert await said(rig, f"{what}{number}", ALICE, deed, link="") == managing.NO_SUCH_OFFER
        assert (await said(rig, "d0", ALICE, DeleteOffer(theirs.offer_id))).reason is Reason.NOT_PERMITTED
        assert (await said(rig, "d1", ALICE, DeleteOffer("the owner's"))).reason is Reason.NOT_PERMITTED
        assert await said(rig, "d2", ALICE, DeleteOffer("nowhere")) == OfferGone()
        listed = await said(rig, "l", ALICE, ListOffers())
        assert listed.offers == (mine,)
        assert {offer.label for offer in await living(rig)} == {"Mug", "the owner's"}
    life.audit()


@virtual
async def test_a_change_is_a_patch_that_keeps_the_id_and_told_twice_is_one(life: Life) -> None:
    async with life.service() as rig:
        await rig.link()
        await rig.let_manage("shop", ALICE)
        offer = await made(rig, "r1")
        patch = UpdateOffer(offer.offer_id, OfferFields(price_msat=sat(13_000)))
        changed = (await said(rig, "u1", ALICE, patch)).offer
        assert changed == replace(offer, price_msat=sat(13_000))
        again = await said(rig, "u2", ALICE, patch)
        assert again.offer == changed
        looked = await said(rig, "g", ALICE, GetOffer(offer.offer_id), link="")
        assert looked.offer == changed
        sold = await rig.invoice("buy", "", 13_000_000, offer_id=offer.offer_id, payer_data={"email": "x"})
        assert sold
        await rig.manage("d1", ALICE, DeleteOffer(offer.offer_id))
        assert await rig.answer("d1") == OfferGone()
        assert await said(rig, "d2", ALICE, DeleteOffer(offer.offer_id)) == OfferGone()
        assert await said(rig, "g2", ALICE, GetOffer(offer.offer_id)) == managing.NO_SUCH_OFFER
    life.audit()


@virtual
async def test_a_change_on_an_offer_that_the_owner_changes_meanwhile_keeps_the_owners_change(life: Life) -> None:
    async with life.service() as rig:
        await rig.link()
        await rig.let_manage("shop", ALICE)
        offer = await made(rig, "r1")
        seen = rig.store.offer

        async def switched_off(offer_id: str) -> Offer | None:
            found: Offer | None = await seen(offer_id)
            if rig.store.offer is switched_off:
                rig.store.offer = seen
                await rig.write(SaveOffer(replace(offer, state=OfferState.OFF)))
            return found

        rig.store.offer = switched_off
        told = await said(rig, "u1", ALICE, UpdateOffer(offer.offer_id, OfferFields(label="Cup")))
        assert told.offer == replace(offer, state=OfferState.OFF, label="Cup")
    life.audit()


@virtual
async def test_who_has_no_grant_is_told_no_and_leaves_nothing(life: Life) -> None:
    async with life.service() as rig:
        await rig.link(strangers="deny")
        await rig.let_manage("shop", BOB)
        theirs = await made(rig, "b", BOB)
        before = await rig.store.last_event()
        for name, link in (("n1", "shop"), ("n2", "nowhere"), ("n3", "")):
            assert isinstance(await said(rig, name, ALICE, CreateOffer(MUG), link=link), Refused)
        deeds: tuple[Deed, ...] = (ListOffers(), DeleteOffer("nowhere"), DeleteOffer(theirs.offer_id))
        for number, deed in enumerate(deeds):
            refused = await said(rig, f"s{number}", ALICE, deed, link="")
            assert refused.reason is Reason.NOT_PERMITTED
        assert await rig.store.last_event() == before
        assert [await rig.store.request(name) for name in ("n1", "n2", "n3", "s0", "s1", "s2")] == [None] * 6
    life.audit()


@virtual
async def test_what_a_known_app_is_refused_is_refused_for_good_but_for_what_only_looks(life: Life) -> None:
    async with life.service() as rig:
        await rig.link()
        await rig.let_manage("shop", ALICE)
        await said(rig, "u", ALICE, UpdateOffer("nowhere", OfferFields(label="x")))
        await said(rig, "g", ALICE, GetOffer("nowhere"))
        assert await rig.store.request("u") is not None
        assert await rig.store.request("g") is None
    life.audit()


@virtual
async def test_a_revoked_app_loses_sight_of_its_offers_which_go_on_selling(life: Life) -> None:
    async with life.service() as rig:
        await rig.link(strangers="deny")
        grant = await rig.let_manage("shop", ALICE)
        offer = await made(rig, "r1", fields=TIPS)
        await rig.change(grant, revoked_at=rig.clock.now())
        deeds: tuple[Deed, ...] = (GetOffer(offer.offer_id), ListOffers(), CreateOffer(MUG))
        for number, deed in enumerate(deeds):
            assert (await said(rig, f"x{number}", ALICE, deed)).reason is Reason.NOT_PERMITTED
        assert await rig.invoice("buy", "", 5_000, offer_id=offer.offer_id)
    life.audit()


@virtual
async def test_an_expired_grant_an_ended_link_and_a_blocked_key_allow_nothing(life: Life) -> None:
    async with life.service() as rig:
        await rig.link()
        await rig.let_manage("shop", ALICE, expires_at=rig.clock.now())
        assert (await said(rig, "r1", ALICE, CreateOffer(MUG))).reason is Reason.CONNECTION_ENDED
        await rig.let_manage("shop", BOB)
        await rig.write(SaveBlock(BOB, Block(BOB, 1)))
        assert (await said(rig, "r2", BOB, CreateOffer(MUG))).reason is Reason.NOT_PERMITTED
        await rig.write(SaveBlock(BOB, None))
        await rig.change("shop", revoked_at=1)
        assert (await said(rig, "r3", BOB, CreateOffer(MUG))).reason is Reason.UNKNOWN_TARGET
        assert await living(rig) == []
    life.audit()


@virtual
async def test_a_pointer_of_debits_is_no_link(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer("till")
        await rig.allow("till", ALICE)
        assert (await said(rig, "r1", ALICE, CreateOffer(MUG), link="till")).reason is Reason.UNKNOWN_TARGET
    life.audit()


# ------------------------------------------------------------ lists


@virtual
async def test_a_list_is_the_newest_first_in_pages_and_over_all_links_where_none_is_named(life: Life) -> None:
    async with life.service() as rig:
        for link in ("shop", "stall"):
            await rig.link(link)
            await rig.let_manage(link, ALICE)
        offers = []
        for number in range(5):
            await rig.clock.sleep(1)
            offers.append(await made(rig, f"r{number}", link="shop" if number % 2 else "stall"))
        newest = [offer.offer_id for offer in reversed(offers)]
        page = await said(rig, "l1", ALICE, ListOffers(limit=2), link="")
        assert ([offer.offer_id for offer in page.offers], page.is_more) == (newest[:2], True)
        rest = await said(rig, "l2", ALICE, ListOffers(limit=9, before=page.offers[-1].offer_id), link="")
        assert ([offer.offer_id for offer in rest.offers], rest.is_more) == (newest[2:], False)
        of_one = await said(rig, "l3", ALICE, ListOffers(), link="shop")
        assert [offer.offer_id for offer in of_one.offers] == [newest[1], newest[3]]
        assert (await said(rig, "c1", ALICE, ListOffers(before="nowhere"))).reason is Reason.MALFORMED
        await rig.let_manage("shop", BOB)
        assert (await said(rig, "c2", BOB, ListOffers(before=newest[0]))).reason is Reason.MALFORMED
    life.audit()


@virtual
async def test_one_offer_too_many_has_a_refusal_of_its_own_and_room_comes_back_with_a_deletion(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.engine.managing.MAX_OFFERS", 2)
    async with life.service() as rig:
        await rig.link()
        for key in (ALICE, BOB):
            await rig.let_manage("shop", key)
        await made(rig, "r1")
        second = await made(rig, "r2")
        assert await said(rig, "r3", ALICE, CreateOffer(MUG)) == managing.FULL
        await made(rig, "b", BOB)
        await said(rig, "d", ALICE, DeleteOffer(second.offer_id))
        await made(rig, "r4")
        monkeypatch.setattr("kitestring.engine.managing.MAX_OFFERS", 9)
        monkeypatch.setattr("kitestring.engine.managing.MAX_DELETED", 1)
        assert await said(rig, "r5", ALICE, CreateOffer(MUG)) == managing.FULL
    life.audit()


@virtual
async def test_an_app_that_changes_its_offers_without_end_is_told_when_it_may_go_on(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.engine.managing.CHANGES", RateLimit(1, 3))
    async with life.service() as rig:
        await rig.link()
        for key in (ALICE, BOB):
            await rig.let_manage("shop", key)
        offer = await made(rig, "r1")
        for number in range(2):
            await said(rig, f"u{number}", ALICE, UpdateOffer(offer.offer_id, OfferFields(label=f"cup {number}")))
        again = UpdateOffer(offer.offer_id, OfferFields(label="cup 1"))
        assert isinstance(await said(rig, "same", ALICE, again), OfferTold), "what changes nothing costs nothing"
        refused = await said(rig, "u9", ALICE, UpdateOffer(offer.offer_id, OfferFields(label="cup 9")))
        assert (refused.reason, refused.details) == (Reason.RATE_LIMITED, {"retry_after": rig.clock.now() + 60})
        await made(rig, "b", BOB)
        await rig.clock.sleep(60)
        assert (await said(rig, "u10", ALICE, DeleteOffer(offer.offer_id))) == OfferGone()
    life.audit()


# ------------------------------------------------------------ the account's own key


@virtual
async def test_who_has_enrolled_has_less_room_than_an_app_that_the_owner_has_let_in(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.engine.managing.MAX_OWN_OFFERS", 1)
    monkeypatch.setattr("kitestring.engine.managing.OWN_CHANGES", RateLimit(1, 3))
    monkeypatch.setattr("kitestring.engine.managing.ALL_OWN_CHANGES", RateLimit(1, 4))
    async with life.service() as rig:
        codes = {}
        for key in (ALICE, BOB):
            await rig.enroll(key[:4], key)
            codes[key] = await rig.answer(key[:4])
        await made(rig, "r1", link=codes[ALICE].pointer_id)
        assert await said(rig, "r2", ALICE, CreateOffer(MUG), link=codes[ALICE].pointer_id) == managing.OWN_FULL
        renamed = UpdateOffer(codes[ALICE].offer_id, OfferFields(label="cup"))
        assert isinstance(await said(rig, "u1", ALICE, renamed, link=""), OfferTold)
        renamed = UpdateOffer(codes[ALICE].offer_id, OfferFields(label="mug"))
        assert (await said(rig, "u2", ALICE, renamed, link="")).reason is Reason.RATE_LIMITED
        await made(rig, "b1", BOB, link=codes[BOB].pointer_id)
        renamed = UpdateOffer(codes[BOB].offer_id, OfferFields(label="cup"))
        assert (await said(rig, "b2", BOB, renamed, link="")).reason is Reason.RATE_LIMITED, "all of them together"
    life.audit()


@virtual
async def test_the_key_that_an_account_belongs_to_needs_no_grant_and_cannot_delete_what_it_began_with(
    life: Life,
) -> None:
    async with life.service() as rig:
        await rig.enroll("e", ALICE)
        codes = await rig.answer("e")
        own, first = codes.pointer_id, codes.offer_id
        offer = await made(rig, "r1", link=own)
        assert (offer.account_id, offer.creator) == (account_id_of(ALICE), ALICE)
        listed = await said(rig, "l", ALICE, ListOffers(), link=own)
        assert {one.offer_id for one in listed.offers} == {first, offer.offer_id}
        assert (await said(rig, "g", ALICE, GetOffer(first), link=own)).offer.offer_id == first
        assert (await said(rig, "d", ALICE, DeleteOffer(first), link=own)).reason is Reason.NOT_PERMITTED
        assert (await said(rig, "b", BOB, CreateOffer(MUG), link=own)).reason is Reason.UNKNOWN_TARGET
        assert await said(rig, "b2", BOB, GetOffer(first), link=own) == managing.NO_SUCH_OFFER
        assert await said(rig, "d2", ALICE, DeleteOffer(offer.offer_id), link=own) == OfferGone()
    life.audit()


@virtual
async def test_whatever_an_enrolled_key_calls_its_first_offer_it_is_never_taken_for_one_of_the_owners(
    life: Life,
) -> None:
    async with life.service() as rig:
        await rig.enroll("e", ALICE)
        codes = await rig.answer("e")
        fields = OfferFields(label="coffee", callback_url="https://nas.example/")
        told = await said(rig, "u", ALICE, UpdateOffer(codes.offer_id, fields), link=codes.pointer_id)
        assert (told.offer.label, told.offer.creator, told.offer.pointer_id) == ("coffee", ALICE, "")
        assert (await said(rig, "g", ALICE, GetOffer(codes.offer_id), link="")).offer == told.offer
    life.audit()


@virtual
async def test_a_key_whose_account_was_ended_manages_nothing_there_by_whatever_name(life: Life) -> None:
    async with life.service() as rig:
        await rig.enroll("e", ALICE)
        codes = await rig.answer("e")
        (grant,) = await rig.store.grants_of("debits", ALICE)
        await rig.change(codes.pointer_id, revoked_at=1)
        await rig.change(grant.grant_id, revoked_at=1)
        for number, link in enumerate(("", codes.pointer_id)):
            changed = UpdateOffer(codes.offer_id, OfferFields(label="coffee"))
            assert isinstance(await said(rig, f"u{number}", ALICE, changed, link=link), Refused)
            assert isinstance(await said(rig, f"l{number}", ALICE, ListOffers(), link=link), Refused)
    life.audit()


@virtual
async def test_the_key_of_an_account_manages_what_any_link_has_brought_there_and_lists_all_of_it_once(
    life: Life,
) -> None:
    async with life.service() as rig:
        await rig.enroll("e", ALICE)
        codes = await rig.answer("e")
        await rig.link("stall", account_id=account_id_of(ALICE))
        await rig.let_manage("stall", BOB, account_id=account_id_of(ALICE))
        theirs = await made(rig, "b", BOB, link="stall")
        mine = await made(rig, "a", link="stall")
        for number, link in enumerate(("", codes.pointer_id)):
            listed = await said(rig, f"l{number}", ALICE, ListOffers(), link=link)
            ids = [offer.offer_id for offer in listed.offers]
            assert sorted(ids) == sorted([codes.offer_id, mine.offer_id, theirs.offer_id])
        for number, offer in enumerate((theirs, mine)):
            looked = await said(rig, f"g{number}", ALICE, GetOffer(offer.offer_id), link=codes.pointer_id)
            assert looked.offer == offer
    life.audit()


# ------------------------------------------------------------ the owner's word


@virtual
async def test_a_stranger_waits_for_the_owner_whose_once_makes_the_offer_and_gives_nothing_more(life: Life) -> None:
    async with life.service() as rig:
        await rig.link()
        await rig.manage("r1", ALICE, CreateOffer(MUG))
        (asked,) = await rig.store.approvals(limit=9)
        assert (asked.kind, asked.wire, asked.target) == (ApprovalKind.MANAGE, MANAGE_WIRE, "shop")
        assert (rig.told("r1"), await living(rig)) == ([], [])
        decided = await rig.decide(Ruling.AS_ASKED)
        assert decided.state is ApprovalState.APPROVED
        offer = (await rig.answer("r1")).offer
        assert await living(rig) == [offer]
        assert await rig.store.grants_of(MANAGE_WIRE, ALICE) == []
        await rig.manage("r2", ALICE, CreateOffer(TIPS))
        assert rig.told("r2") == []
    life.audit()


@virtual
async def test_always_makes_the_offer_and_lets_the_app_go_on(life: Life) -> None:
    async with life.service() as rig:
        await rig.link()
        await rig.manage("r1", ALICE, CreateOffer(MUG))
        await rig.decide(Ruling.ALWAYS)
        await rig.answer("r1")
        (grant,) = await rig.store.grants_of(MANAGE_WIRE, ALICE)
        assert (grant.pointer_id, grant.account_id) == ("shop", "owner")
        await made(rig, "r2")
        assert len(await living(rig)) == 2
        with pytest.raises(KitestringError) as caught:
            await rig.decide(Ruling.AS_ASKED, (await rig.store.approvals(limit=1, ended=True))[0].approval_id)
        assert caught.value.reason is Reason.ALREADY_USED
    life.audit()


@pytest.mark.parametrize(
    ("verdict", "reason", "blocked"), [(Ruling.DENY, Reason.NOT_PERMITTED, 0), (Ruling.BLOCK, Reason.NOT_PERMITTED, 1)]
)
def test_a_no_makes_nothing(life: Life, verdict: Ruling, reason: Reason, blocked: int) -> None:
    @virtual
    async def story(life: Life) -> None:
        async with life.service() as rig:
            await rig.link()
            await rig.manage("r1", ALICE, CreateOffer(MUG))
            await rig.decide(verdict)
            assert (await rig.answer("r1")).reason is reason
            assert (await living(rig), len(await rig.store.blocks())) == ([], blocked)
        life.audit()

    story(life)


@virtual
async def test_a_question_that_nobody_decides_ends_and_a_budget_is_no_answer_to_it(life: Life) -> None:
    async with life.service() as rig:
        await rig.link()
        await rig.manage("r1", ALICE, CreateOffer(MUG))
        with pytest.raises(KitestringError, match="takes no money"):
            await rig.decide(Ruling.BUDGET)
        assert (await rig.answer("r1")).reason is Reason.UNDECIDED
        assert await living(rig) == []
    life.audit()


@virtual
async def test_the_same_question_in_two_requests_is_one_offer_with_two_answers(life: Life) -> None:
    async with life.service() as rig:
        await rig.link()
        for name in ("r1", "r2"):
            await rig.manage(name, ALICE, CreateOffer(MUG))
        await rig.decide(Ruling.AS_ASKED)
        assert await rig.answer("r1") == await rig.answer("r2")
        assert len(await living(rig)) == 1
    life.audit()


@virtual
async def test_a_gate_keeps_one_app_from_asking_on_and_debits_have_their_own(life: Life) -> None:
    async with life.service() as rig:
        await rig.link()
        await rig.pointer()
        for number in range(MAX_OF_CALLER):
            await rig.manage(f"r{number}", ALICE, CreateOffer(replace_label(f"offer {number}")))
        refused = await said(rig, "one more", ALICE, CreateOffer(MUG))
        assert (refused.reason, "retry_after" in refused.details) == (Reason.RATE_LIMITED, True)
        await rig.debit("d", ALICE, life.node.outside_invoice())
        assert rig.told("d") == []
    life.audit()


def replace_label(label: str) -> OfferFields:
    return OfferFields(label=label, price_msat=Msat(1_000))


@pytest.mark.parametrize(
    "deed", ["create", "update", "get", "list", "delete"],
)  # fmt: skip
def test_a_crash_between_the_decision_and_a_late_answer_is_made_good_at_the_start(life: Life, deed: str) -> None:
    @virtual
    async def story(life: Life) -> None:
        async with life.service() as rig:
            await rig.link()
            grant = await rig.let_manage("shop", ALICE)
            offer = await made(rig, "first")
            await rig.change(grant, revoked_at=1)
            deeds: dict[str, Deed] = {
                "create": CreateOffer(TIPS),
                "update": UpdateOffer(offer.offer_id, OfferFields(label="Cup")),
                "get": GetOffer(offer.offer_id),
                "list": ListOffers(),
                "delete": DeleteOffer(offer.offer_id),
            }
            await rig.manage("r1", ALICE, deeds[deed])
            waiting = rig.store.waiting
            rig.store.waiting = AsyncMock(return_value=[])  # it came in while the owner decided
            rig.engine._approvals._finish = AsyncMock()  # type: ignore[method-assign]  # and then the machine stops
            await rig.decide(Ruling.AS_ASKED)
            rig.store.waiting = waiting
        async with life.service() as rig:
            told = await rig.answer("r1")
            expected: dict[str, Any] = {"list": OffersListed, "delete": OfferGone}
            assert isinstance(told, expected.get(deed, OfferTold))
        life.audit()

    story(life)


@virtual
async def test_a_yes_is_refused_where_the_link_or_the_offer_has_gone_meanwhile(life: Life) -> None:
    async with life.service() as rig:
        await rig.link()
        grant = await rig.let_manage("shop", ALICE)
        offer = await made(rig, "first")
        await rig.change(grant, revoked_at=1)
        await rig.manage("r1", ALICE, UpdateOffer(offer.offer_id, OfferFields(label="Cup")))
        await rig.write(SaveOffer(replace(offer, state=OfferState.DELETED)))
        with pytest.raises(KitestringError, match="cannot be done any more"):
            await rig.decide(Ruling.AS_ASKED)
        await rig.change("shop", revoked_at=1)
        with pytest.raises(KitestringError, match="link that this was asked by is gone"):
            await rig.decide(Ruling.AS_ASKED)
    life.audit()


@virtual
async def test_who_looks_whether_its_offer_was_made_does_not_keep_it_from_being_made(life: Life) -> None:
    async with life.service() as rig:
        await rig.link()
        await rig.manage("r1", ALICE, CreateOffer(MUG))
        assert (await said(rig, "look", ALICE, ListOffers())).reason is Reason.BUSY
        assert rig.told("r1") == []
        await rig.decide(Ruling.AS_ASKED)
        assert isinstance(await rig.answer("r1"), OfferTold)
        await rig.manage("l1", ALICE, ListOffers())
        await rig.manage("r2", ALICE, CreateOffer(TIPS))
        assert (await rig.answer("l1")).details == {"reason": "superseded"}, "a change takes the place of a look"
    life.audit()
