"""Hold invoices at a wallet: made, heard of, taken and given back, each by the word of its record."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from kitestring.backend.nostr.abilities import HOLDING
from kitestring.backend.nostr.connection import WalletAnswerError
from kitestring.backend.nostr.node import NwcWallet
from kitestring.base.money import Msat
from kitestring.base.node import HashTakenError, HoldOrder, InvoiceStatus, NodeInvoiceState
from kitestring.codec import bolt11_write
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from kitestring.wire.envelope import encrypt, shared_secret
from tests.kit.backend.scripted import INFO, SOLD, Says, asked, wallet
from tests.kit.backend.wallet import PACE
from tests.kit.chance import entropy
from tests.kit.changed import replace
from tests.kit.client.hostile import CLIENT, SERVICE, HostileRelay, info_event
from tests.kit.clock import NOW
from tests.kit.codec.invoices import NODE_KEY, PAYMENT_HASH, PREIMAGE
from tests.kit.waiting import until

HEIGHT, BLOCKS = 800_000, 144
NEVER_S = 3_600.0


def text(min_final_cltv: int = BLOCKS, network: str = "regtest") -> str:
    return bolt11_write.encode(
        network=network, timestamp=NOW, payment_hash=PAYMENT_HASH, payment_secret="22" * 32, secret32=NODE_KEY,
        amount_msat=Msat(21_000), description="tea", expiry_s=3_600, min_final_cltv=min_final_cltv,
    )  # fmt: skip


OPEN = {
    "type": "incoming", "state": "pending", "invoice": text(), "payment_hash": PAYMENT_HASH, "amount": 21_000,
    "created_at": NOW, "expires_at": NOW + 3_600,
}  # fmt: skip
HELD = {**OPEN, "state": "accepted", "settle_deadline": HEIGHT + 100}
TAKEN, GONE = {**SOLD, "invoice": text()}, {**OPEN, "state": "expired"}
ORDER = HoldOrder(PAYMENT_HASH, Msat(21_000), "tea", "", 3_600, BLOCKS)
ACCEPTED = InvoiceStatus(
    NodeInvoiceState.ACCEPTED, text(), Msat(21_000), expires_at=NOW + 3_600, settle_deadline=HEIGHT + 100
)


@asynccontextmanager
async def holder(
    answers: Says, *, tells: bool = False, **pauses: float
) -> AsyncIterator[tuple[NwcWallet, HostileRelay]]:
    """A wallet that announces hold invoices, and notifications where it ``tells``."""
    info = {**INFO, "methods": sorted(HOLDING), "block_height": HEIGHT}
    names = sorted(HOLDING) + ["notifications"] * tells
    stored = [info_event(" ".join(names))]
    async with wallet({"get_info": info, **answers}, stored=stored, pace=replace(PACE, **pauses)) as (backend, relay):
        await backend.info()
        yield backend, relay


async def test_a_hold_invoice_is_asked_for_with_its_hash_and_its_blocks() -> None:
    answers: Says = {"lookup_invoice": "NOT_FOUND", "make_hold_invoice": OPEN}
    async with holder(answers) as (backend, relay):
        made = await backend.make_hold_invoice(ORDER)
        assert (made.bolt11, made.payment_hash, made.expires_at) == (text(), PAYMENT_HASH, NOW + 3_600)
        assert asked(relay, "make_hold_invoice") == [
            {
                "amount": 21_000, "description": "tea", "expiry": 3_600, "payment_hash": PAYMENT_HASH,
                "min_cltv_expiry_delta": BLOCKS,
            }
        ]  # fmt: skip


@pytest.mark.parametrize("record", [OPEN, HELD, TAKEN, GONE, {**OPEN, "type": "outgoing"}])
async def test_a_hash_that_the_wallet_has_any_record_of_is_taken_and_not_asked_for(record: Says) -> None:
    async with holder({"lookup_invoice": record, "make_hold_invoice": OPEN}) as (backend, relay):
        with pytest.raises(HashTakenError):
            await backend.make_hold_invoice(ORDER)
        assert asked(relay, "make_hold_invoice") == []


@pytest.mark.parametrize(("made", "why"), [
    (text(BLOCKS - 1), "leaves 143 blocks"), (text(network="bitcoin"), "of bitcoin"),
])  # fmt: skip
async def test_an_invoice_without_what_was_ordered_goes_before_anybody_has_seen_it(made: str, why: str) -> None:
    answers: Says = {
        "lookup_invoice": "NOT_FOUND", "make_hold_invoice": {**OPEN, "invoice": made}, "cancel_hold_invoice": {},
    }  # fmt: skip
    async with holder(answers) as (backend, relay):
        with pytest.raises(WalletAnswerError, match=why):
            await backend.make_hold_invoice(ORDER)
        assert asked(relay, "cancel_hold_invoice") == [{"payment_hash": PAYMENT_HASH}]


async def test_a_held_payment_is_shown_with_its_deadline() -> None:
    async with holder({"lookup_invoice": HELD}) as (backend, _):
        assert await backend.lookup_invoice(PAYMENT_HASH) == ACCEPTED


async def test_a_deadline_that_the_wallet_does_not_tell_is_that_of_the_blocks_of_the_invoice() -> None:
    async with holder({"lookup_invoice": {**HELD, "settle_deadline": None}}) as (backend, _):
        found = await backend.lookup_invoice(PAYMENT_HASH)
        assert (found.state, found.settle_deadline) == (NodeInvoiceState.ACCEPTED, HEIGHT + BLOCKS)


@pytest.mark.parametrize("said", [{}, "OTHER", "NOT_FOUND", None])
async def test_what_the_record_says_after_an_order_counts_and_not_what_the_wallet_answers(said: object) -> None:
    """Also where the answer is lost."""
    for record, state in ((TAKEN, "settled"), (OPEN, "open"), (GONE, "canceled"), ("NOT_FOUND", "unknown")):
        async with holder({"settle_hold_invoice": said, "lookup_invoice": record}) as (backend, relay):
            assert (await backend.settle_invoice(PREIMAGE)).state == state
            assert asked(relay, "settle_hold_invoice") == [{"preimage": PREIMAGE}]
    for record, state in ((TAKEN, "settled"), (GONE, "canceled"), ("NOT_FOUND", "unknown")):
        async with holder({"cancel_hold_invoice": said, "lookup_invoice": [HELD, record]}) as (backend, relay):
            assert (await backend.cancel_invoice(PAYMENT_HASH)).state == state
            assert asked(relay, "cancel_hold_invoice") == [{"payment_hash": PAYMENT_HASH}]


async def test_what_is_still_held_after_an_order_is_an_error_with_the_wallets_words() -> None:
    for said, words in (("OTHER", "no: OTHER"), ({}, "does not say why")):
        answers: Says = {"settle_hold_invoice": said, "cancel_hold_invoice": said, "lookup_invoice": HELD}
        async with holder(answers) as (backend, _):
            with pytest.raises(WalletAnswerError, match=words):
                await backend.settle_invoice(PREIMAGE)
            with pytest.raises(WalletAnswerError, match=words):
                await backend.cancel_invoice(PAYMENT_HASH)


async def test_what_has_ended_is_not_cancelled_and_an_open_one_stays_open_by_the_wallets_word() -> None:
    async with holder({"lookup_invoice": GONE}) as (backend, relay):
        assert (await backend.cancel_invoice(PAYMENT_HASH)).state == "canceled"
        assert asked(relay, "cancel_hold_invoice") == []
    async with holder({"lookup_invoice": OPEN, "cancel_hold_invoice": "NOT_FOUND"}) as (backend, _):
        with pytest.raises(WalletAnswerError, match=r"it stays open: .*NOT_FOUND"):
            await backend.cancel_invoice(PAYMENT_HASH)


async def test_a_record_that_is_missing_keeps_nobody_from_telling_the_wallet_to_give_back() -> None:
    async with holder({"lookup_invoice": ["NOT_FOUND", GONE], "cancel_hold_invoice": {}}) as (backend, relay):
        assert (await backend.cancel_invoice(PAYMENT_HASH)).state == "canceled"
        assert asked(relay, "cancel_hold_invoice") == [{"payment_hash": PAYMENT_HASH}]
    async with holder({"lookup_invoice": ["NOT_FOUND", HELD], "cancel_hold_invoice": None}) as (backend, _):
        with pytest.raises(WalletAnswerError, match="it stays accepted"):
            await backend.cancel_invoice(PAYMENT_HASH)
    async with holder({"lookup_invoice": "NOT_FOUND", "cancel_hold_invoice": "NOT_FOUND"}) as (backend, _):
        assert (await backend.cancel_invoice(PAYMENT_HASH)).state == "unknown"


async def test_a_hold_invoice_is_cancelled_also_before_the_wallet_has_said_what_it_announces() -> None:
    stored = [info_event(" ".join(sorted(HOLDING)))]
    answers: Says = {"lookup_invoice": [OPEN, GONE], "cancel_hold_invoice": {}}
    async with wallet(answers, stored=stored) as (backend, relay):
        assert (await backend.cancel_invoice(PAYMENT_HASH)).state == "canceled"
        assert asked(relay, "cancel_hold_invoice") == [{"payment_hash": PAYMENT_HASH}]


async def test_without_notifications_a_payment_is_seen_by_looking_again() -> None:
    async with holder({"lookup_invoice": [OPEN, OPEN, HELD]}) as (backend, relay):
        assert await backend.track_invoice(PAYMENT_HASH, NodeInvoiceState.OPEN) == ACCEPTED
        assert len(asked(relay, "lookup_invoice")) == 3


async def test_following_an_invoice_ends_after_a_while() -> None:
    async with holder({"lookup_invoice": OPEN}, track_limit_s=0.1) as (backend, _):
        assert (await backend.track_invoice(PAYMENT_HASH, NodeInvoiceState.OPEN)).state == "open"


def told(record: Says, payment_hash: str = PAYMENT_HASH) -> Event:
    news = {"notification_type": "hold_invoice_accepted", "notification": {**record, "payment_hash": payment_hash}}
    shared = shared_secret(SERVICE, CLIENT.public_hex, "nip44")
    content = encrypt(json.dumps(news), "nip44", shared, entropy)
    tags = [["p", CLIENT.public_hex]]
    return sign_event(SERVICE, kind=kinds.NWC_NOTIFY, tags=tags, content=content, created_at=NOW)


async def test_a_notification_saves_the_pause_and_its_own_words_are_not_believed() -> None:
    """It says something else than the record; and one of another invoice wakes nobody."""
    pauses = {"hold_s": NEVER_S, "hold_heard_s": NEVER_S, "track_limit_s": NEVER_S}
    looks: list[Says] = [OPEN]
    async with holder({"lookup_invoice": looks}, tells=True, **pauses) as (backend, relay):
        following = asyncio.create_task(backend.track_invoice(PAYMENT_HASH, NodeInvoiceState.OPEN))
        # The first look is at once, the second when a relay listens: something may have been said in between.
        await until(lambda: len(asked(relay, "lookup_invoice")) == 2)
        await backend.info()  # meanwhile nobody looks
        assert len(asked(relay, "lookup_invoice")) == 2
        looks[:] = [HELD]
        await relay.deliver([told(HELD, "11" * 32), told({**HELD, "amount": 1, "settle_deadline": 1})])
        assert await asyncio.wait_for(following, 10) == ACCEPTED
        assert len(asked(relay, "lookup_invoice")) == 3


async def test_it_listens_anew_after_it_was_closed_and_opened() -> None:
    pauses = {"hold_heard_s": NEVER_S, "track_limit_s": NEVER_S}
    async with holder({"lookup_invoice": OPEN}, tells=True, **pauses) as (backend, relay):
        for looks in (2, 4):
            following = asyncio.create_task(backend.track_invoice(PAYMENT_HASH, NodeInvoiceState.OPEN))
            await until(lambda: len(asked(relay, "lookup_invoice")) == looks)  # noqa: B023 - is awaited
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await backend.close()
            await backend.open()
