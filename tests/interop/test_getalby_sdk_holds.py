"""The sdk of Alby holds payments: hold invoices that it makes, hears of, takes and gives back."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from hashlib import sha256

import pytest

from kitestring.backend.sandbox.world import World
from kitestring.base.commands import HOLD_BLOCKS
from kitestring.codec import bolt11
from tests.interop.conftest import ForeignWallet
from tests.kit.interop.asked import Asked, ClientError
from tests.kit.interop.program import Json, Kitestring
from tests.rig.network import LightningRig

AMOUNT_MSAT = 3_000_123
TYPES = ["hold_invoice_accepted", "payment_received"]


@pytest.fixture
def outside(stall: Kitestring) -> Iterator[World]:
    """Whoever is not the service: they pay, and are paid."""
    with World(stall.home / "sandbox.db") as world:
        yield world


def drawn() -> tuple[str, str]:
    """A preimage and its hash."""
    preimage = secrets.token_bytes(32)
    return preimage.hex(), sha256(preimage).hexdigest()


async def ordered(client: Asked, payment_hash: str) -> Json:
    made: Json = await client(
        "makeHoldInvoice",
        {
            "amount": AMOUNT_MSAT, "payment_hash": payment_hash, "description": "a room", "expiry": 900,
            "metadata": {"room": 7},
        },
    )  # fmt: skip
    invoice = bolt11.decode(made["invoice"])
    assert (invoice.payment_hash, invoice.amount_msat, invoice.description) == (payment_hash, AMOUNT_MSAT, "a room")
    assert (made["type"], made["state"], made["payment_hash"]) == ("incoming", "pending", payment_hash)
    return made


async def hears_that_it_is_held(client: Asked, payment_hash: str) -> Json:
    told = await client("heard")
    assert told["notification_type"] == "hold_invoice_accepted"
    held: Json = told["notification"]
    assert (held["payment_hash"], held["state"], held["amount"]) == (payment_hash, "accepted", AMOUNT_MSAT)
    assert "preimage" not in held
    assert held == await client("lookupInvoice", {"payment_hash": payment_hash})
    assert held["settle_deadline"] >= (await client("getInfo"))["block_height"] + HOLD_BLOCKS
    return held


async def takes(client: Asked, preimage: str, payment_hash: str) -> None:
    """Twice, as whoever has not heard the answer does."""
    for _ in range(2):
        assert await client("settleHoldInvoice", {"preimage": preimage}) == {}
    told = await client("heard")
    assert told["notification_type"] == "payment_received"
    assert told["notification"] == await client("lookupInvoice", {"payment_hash": payment_hash})
    assert (told["notification"]["preimage"], told["notification"]["amount"]) == (preimage, AMOUNT_MSAT)
    assert told["notification"]["metadata"] == {"room": 7}


async def refused(client: Asked, method: str, **params: object) -> str:
    with pytest.raises(ClientError) as caught:
        await client(method, params)
    return str(caught.value.code)


async def test_it_hears_of_a_held_payment_and_takes_it(
    stall: Kitestring, foreign_wallet: ForeignWallet, outside: World
) -> None:
    preimage, payment_hash = drawn()
    stall.ask("account", "create", "rooms")
    async with foreign_wallet("sdk", stall.connect("sdk holds", "--account", "rooms")) as client:
        await client("listen", TYPES)
        made = await ordered(client, payment_hash)
        outside.pay(made["invoice"])
        await hears_that_it_is_held(client, payment_hash)
        assert await client("getBalance") == {"balance": 0}
        await takes(client, preimage, payment_hash)
        assert await client("getBalance") == {"balance": AMOUNT_MSAT}
        assert await refused(client, "cancelHoldInvoice", payment_hash=payment_hash) == "OTHER"
        listed = await client("listTransactions", {"type": "incoming"})
    assert [(row["payment_hash"], row["state"]) for row in listed["transactions"]] == [(payment_hash, "settled")]


async def test_it_gives_back_what_was_held_and_what_nobody_has_paid(
    stall: Kitestring, foreign_wallet: ForeignWallet, outside: World
) -> None:
    (preimage, held), (_, unpaid) = drawn(), drawn()
    async with foreign_wallet("sdk", stall.connect("sdk returns")) as client:
        await client("listen", TYPES)
        await ordered(client, unpaid)
        made = await ordered(client, held)
        outside.pay(made["invoice"])
        await hears_that_it_is_held(client, held)
        for payment_hash in (held, unpaid, held):
            assert await client("cancelHoldInvoice", {"payment_hash": payment_hash}) == {}
            assert (await client("lookupInvoice", {"payment_hash": payment_hash}))["state"] == "expired"
        assert await refused(client, "settleHoldInvoice", preimage=preimage) == "OTHER"
    assert held not in {one.payment_hash for one in outside.payments() if one.direction == "in"}


async def test_what_is_not_held_is_not_taken_and_no_hash_is_used_twice(
    stall: Kitestring, foreign_wallet: ForeignWallet
) -> None:
    (preimage, payment_hash), (strange, strange_hash) = drawn(), drawn()
    async with (
        foreign_wallet("sdk", stall.connect("sdk waits")) as client,
        foreign_wallet("sdk", stall.connect("sdk beside it")) as other,
    ):
        await ordered(client, payment_hash)
        assert await refused(client, "settleHoldInvoice", preimage=preimage) == "OTHER"  # nobody has paid
        assert await refused(client, "makeHoldInvoice", amount=1_000, payment_hash=payment_hash) == "OTHER"
        assert await refused(other, "makeHoldInvoice", amount=1_000, payment_hash=payment_hash) == "OTHER"
        for asked, unlocked, its_hash in ((client, strange, strange_hash), (other, preimage, payment_hash)):
            assert await refused(asked, "settleHoldInvoice", preimage=unlocked) == "NOT_FOUND"
            assert await refused(asked, "cancelHoldInvoice", payment_hash=its_hash) == "NOT_FOUND"
        assert (await client("lookupInvoice", {"payment_hash": payment_hash}))["state"] == "pending"


async def test_on_a_real_node_one_payment_is_taken_and_another_one_goes_back(
    shop: Kitestring, rig: LightningRig, foreign_wallet: ForeignWallet
) -> None:
    (preimage, taken), (_, returned) = drawn(), drawn()
    async with foreign_wallet("sdk", shop.connect("sdk holds on lnd")) as client:
        await client("listen", TYPES)
        paying = []
        for payment_hash in (taken, returned):
            made = await ordered(client, payment_hash)
            paying.append(asyncio.create_task(rig.c.pay(made["invoice"])))
            await hears_that_it_is_held(client, payment_hash)
        await takes(client, preimage, taken)
        assert await client("cancelHoldInvoice", {"payment_hash": returned}) == {}
        first, second = await asyncio.gather(*paying)
    assert (first.status, first.preimage) == ("SUCCEEDED", preimage)
    assert second.status == "FAILED"
    assert [(await rig.a.lookup(one))["state"] for one in (taken, returned)] == ["SETTLED", "CANCELED"]
