"""Hold invoices of a program: on the sandbox, and what a person gives in wrongly."""

from __future__ import annotations

from hashlib import sha256

import pytest

from kitestring.backend.sandbox.world import World
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.codec import bolt11
from kitestring.sdk.wallet import Wallet

from .test_wallet import path, wallet, world

__all__ = ["path", "wallet", "world"]

PREIMAGE = "5a" * 32
HASH = sha256(bytes.fromhex(PREIMAGE)).hexdigest()


async def reason(work: object) -> Reason:
    with pytest.raises(KitestringError) as caught:
        await work  # type: ignore[misc]  # any awaitable
    return caught.value.reason


async def test_what_is_held_is_taken_with_the_preimage(wallet: Wallet, world: World) -> None:
    before = await wallet.balance()
    ours = await wallet.hold_invoice(sat(210), HASH.upper(), memo="tea")
    assert (ours.payment_hash, bolt11.decode(ours.bolt11).description) == (HASH, "tea")
    assert await reason(wallet.settle(PREIMAGE)) is Reason.CONFLICT
    assert world.pay(ours.bolt11) == ""
    held = await wallet.lookup(HASH)
    assert (held.state, held.amount_msat, held.preimage) == ("accepted", sat(210), "")
    assert (held.settle_deadline or 0) > (await wallet.info()).block_height  # type: ignore[operator]  # a node tells it
    assert await wallet.balance() == before
    for _ in range(2):
        await wallet.settle(PREIMAGE)
    assert await wallet.balance() == before + sat(210)
    assert (await wallet.lookup(HASH)).state == "settled"
    assert await reason(wallet.cancel(HASH)) is Reason.CONFLICT


async def test_what_is_cancelled_goes_back(wallet: Wallet, world: World) -> None:
    before = await wallet.balance()
    ours = await wallet.hold_invoice(sat(210), HASH)
    world.pay(ours.bolt11)
    for _ in range(2):
        await wallet.cancel(HASH)
    assert await wallet.balance() == before
    assert await reason(wallet.settle(PREIMAGE)) is Reason.CONFLICT
    assert await reason(wallet.hold_invoice(sat(210), HASH)) is Reason.INVOICE_TAKEN


async def test_what_makes_no_sense_is_refused_before_anybody_is_asked(wallet: Wallet) -> None:
    for work in (
        wallet.hold_invoice(sat(1), "12"), wallet.settle("zz" * 32), wallet.cancel(""),
    ):  # fmt: skip
        assert await reason(work) is Reason.MALFORMED
    assert await reason(wallet.hold_invoice(Msat(0), HASH)) is Reason.AMOUNT_OUT_OF_RANGE
    assert await reason(wallet.hold_invoice(None, HASH)) is Reason.AMOUNT_OUT_OF_RANGE  # type: ignore[arg-type]  # wrong
    assert await reason(wallet.settle(PREIMAGE)) is Reason.UNKNOWN_TARGET
    assert await reason(wallet.cancel(HASH)) is Reason.UNKNOWN_TARGET


async def test_a_node_that_cannot_hold_says_so(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = wallet._source._backend  # type: ignore[attr-defined]  # the sandbox's
    monkeypatch.setattr(backend, "capabilities", type("None", (), {"hold": False}))
    for work in (wallet.hold_invoice(sat(1), HASH), wallet.settle(PREIMAGE), wallet.cancel(HASH)):
        assert await reason(work) is Reason.UNSUPPORTED
