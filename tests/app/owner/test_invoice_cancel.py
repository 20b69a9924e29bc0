"""The owner takes an invoice back: by its hash or its text, once, and by the node's word."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.owner.activity import ActivityReaders
from kitestring.app.service.activity_words import sentence
from kitestring.base.errors import Reason
from kitestring.engine.feed import Feed
from tests.kit.app.desk import Office
from tests.kit.changed import replace
from tests.kit.engine.node import ABILITIES


async def made(office: Office, **params: Any) -> str:
    """The payment hash of an invoice of the owner's."""
    return str(
        (await office.run("invoice", "made", **({"amount_msat": 50_000, "description": "tea"} | params)))[
            "payment_hash"
        ]
    )


async def state(office: Office, payment_hash: str) -> str:
    return str((await office.run("transaction_show", payment_hash=payment_hash))["state"])


@pytest.mark.parametrize("digits", [64, 8])
async def test_it_is_named_by_its_hash_or_the_beginning_of_it_and_nobody_can_pay_it_any_more(
    office: Office, digits: int
) -> None:
    payment_hash = await made(office)
    done = await office.run("invoice_cancel", "k", invoice=f" {payment_hash[:digits].upper()}\n")
    assert done == {"payment_hash": payment_hash, "state": "canceled", "amount_msat": 50_000}
    assert await office.run("invoice_cancel", "k", invoice=payment_hash) == done
    assert await office.run("invoice_cancel", "k2", invoice=payment_hash) == done
    assert await state(office, payment_hash) == "canceled"
    assert (await office.run("lookup", payment_hash=payment_hash))["state"] == "expired"  # as apps are told
    assert not office.node.pay_in(payment_hash)


async def test_whoever_looks_on_is_told_so(office: Office) -> None:
    looking = ActivityReaders(
        office.store, Feed(office.store, office.rig.clock), office.desk.activity, office.rig.clock
    )  # fmt: skip
    payment_hash = await made(office)
    with await looking.begin() as reader:
        await office.run("invoice_cancel", invoice=payment_hash)
        told = await reader.next()
    assert told is not None
    assert (told["event"], told["state"], told["payment_hash"]) == ("invoice_canceled", "canceled", payment_hash)
    assert sentence(told) == "cancelled  50 sat  tea"


async def test_another_invoice_under_its_key_is_refused(office: Office) -> None:
    first = await made(office)
    await office.run("invoice_cancel", "k", invoice=first)
    other = (await office.run("invoice", "other", amount_msat=1_000))["payment_hash"]
    assert (await office.refused("invoice_cancel", "k", invoice=other)).reason is Reason.ALREADY_USED
    assert await state(office, other) == "pending"


async def test_one_that_was_paid_first_is_told_to_be_and_keeps_its_money(office: Office) -> None:
    payment_hash = await made(office)
    assert office.node.pay_in(payment_hash)
    refused = await office.refused("invoice_cancel", invoice=payment_hash)
    assert refused.reason is Reason.CONFLICT
    assert "was paid before it could be cancelled" in refused.message
    assert refused.details["payment_hash"] == payment_hash
    assert await state(office, payment_hash) == "settled"


async def test_a_node_that_is_away_leaves_the_wish_for_later(office: Office) -> None:
    payment_hash = await made(office)
    office.node.offline = True
    waiting = await office.refused("invoice_cancel", "k", invoice=payment_hash, wait_s=0)
    assert waiting.reason is Reason.PAYMENT_IN_FLIGHT
    assert "it is to be cancelled" in waiting.message
    assert await state(office, payment_hash) == "pending"
    office.node.offline = False
    assert (await office.run("invoice_cancel", "k", invoice=payment_hash))["state"] == "canceled"


async def test_a_node_that_cannot_says_so_in_one_sentence_and_a_hold_invoice_has_its_own_command(
    office: Office,
) -> None:
    hold = (await office.run("hold_create", amount_msat=1_000))["payment_hash"]
    refused = await office.refused("invoice_cancel", invoice=hold)
    assert (refused.reason, "`kitestring hold cancel HASH`" in refused.message) == (Reason.CONFLICT, True)
    payment_hash = await made(office)
    office.node.capabilities = office.rig.context.backend.capabilities = replace(ABILITIES, cancel=False)
    refused = await office.refused("invoice_cancel", "k2", invoice=payment_hash)
    assert refused.reason is Reason.UNSUPPORTED
    assert refused.message.endswith("cannot cancel an invoice: it stays open until it expires")
    assert await state(office, payment_hash) == "pending"


@pytest.mark.parametrize(
    ("typed", "reason", "words"),
    [
        ("ab" * 32, Reason.UNKNOWN_TARGET, "no payment or invoice"),
        ("ab12", Reason.MALFORMED, "the first 8"),
        ("tea", Reason.MALFORMED, "name an invoice, or its payment hash"),
        ("me@example.com", Reason.MALFORMED, "name an invoice, or its payment hash"),
        ("lnbc1nothing", Reason.MALFORMED, "name an invoice, or its payment hash"),
    ],
)
async def test_what_names_no_invoice_of_this_service_is_refused(
    office: Office, typed: str, reason: Reason, words: str
) -> None:
    refused = await office.refused("invoice_cancel", invoice=typed)
    assert (refused.reason, words in refused.message) == (reason, True), refused.message


async def test_a_payment_of_ours_is_no_invoice(office: Office) -> None:
    paid = await office.run("pay", target=office.node.outside_bolt11(1_000))
    refused = await office.refused("invoice_cancel", invoice=paid["payment_hash"])
    assert (refused.reason, "has made no such invoice" in refused.message) == (Reason.UNKNOWN_TARGET, True)
