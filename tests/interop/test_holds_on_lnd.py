"""Hold invoices of the service on a real node: held, taken, given back, and in time, also over a kill."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha256
from pathlib import Path

import pytest

from kitestring import KitestringError, Wallet, sat
from kitestring.base.commands import HOLD_BLOCKS
from kitestring.engine.hold_pursuit import CANCEL_BEFORE_BLOCKS, LOOK_S
from tests.kit.interop.program import Kitestring, eventually
from tests.kit.waiting import until
from tests.rig.network import LightningRig
from tests.rig.node import Payment

AMOUNT = sat(3_000)


@pytest.fixture
async def service(rig: LightningRig, foreign_relay: str, tmp_path: Path) -> AsyncIterator[Kitestring]:
    one = Kitestring(tmp_path / "home", "--node", rig.a.backend_url, "--relay", foreign_relay)
    one.start()
    yield one
    assert one.stop() == 0


def drawn() -> tuple[str, str]:
    """A preimage and its hash."""
    preimage = secrets.token_bytes(32)
    return preimage.hex(), sha256(preimage).hexdigest()


def is_in(state: str, wallet: Wallet, payment_hash: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return (await wallet.lookup(payment_hash)).state == state

    return look


async def held(rig: LightningRig, wallet: Wallet, payment_hash: str) -> asyncio.Task[Payment]:
    """C pays a hold invoice of the service, and waits for its end."""
    ours = await wallet.hold_invoice(AMOUNT, payment_hash, memo="a room")
    paying = asyncio.create_task(rig.c.pay(ours.bolt11))
    await eventually(is_in("accepted", wallet, payment_hash), "the payment is held")
    return paying


async def test_an_app_takes_one_payment_and_gives_another_back(rig: LightningRig, service: Kitestring) -> None:
    preimage, payment_hash = drawn()
    _, other_hash = drawn()
    async with Wallet.open(service.connect("shop")) as wallet:
        taken, returned = await held(rig, wallet, payment_hash), await held(rig, wallet, other_hash)
        height = (await wallet.info()).block_height or 0
        deadline = (await wallet.lookup(payment_hash)).settle_deadline or 0
        assert HOLD_BLOCKS <= deadline - height < HOLD_BLOCKS + 20  # the payer adds a few
        await wallet.settle(preimage)
        await wallet.cancel(other_hash)
        assert ((await taken).status, (await returned).status) == ("SUCCEEDED", "FAILED")
        ended = await wallet.lookup(payment_hash)
        assert (ended.state, ended.preimage, ended.amount_msat) == ("settled", preimage, AMOUNT)
        assert (await wallet.lookup(other_hash)).state == "expired"
        with pytest.raises(KitestringError, match="payment hash already"):
            await wallet.hold_invoice(AMOUNT, other_hash)
    assert service.ask("audit", "--node")["violations"] == []


async def test_a_decision_outlives_a_kill(rig: LightningRig, service: Kitestring) -> None:
    preimage, payment_hash = drawn()
    async with Wallet.open(service.connect("shop")) as wallet:
        paying = await held(rig, wallet, payment_hash)
        deciding = asyncio.create_task(wallet.settle(preimage))

        async def is_decided() -> bool:
            found = service.rows("SELECT decision FROM invoices WHERE payment_hash = ?", payment_hash)
            return bool(found[0]["decision"])

        await eventually(is_decided, "the decision is stored")
        service.kill()
        await asyncio.gather(deciding, return_exceptions=True)
        service.start()
        await eventually(is_in("settled", wallet, payment_hash), "the payment is taken")
        await wallet.settle(preimage)  # once more, as whoever was not answered does it
        assert (await paying).status == "SUCCEEDED"
    (row,) = service.rows("SELECT count(*) AS number FROM credits WHERE payment_hash = ?", payment_hash)
    assert row["number"] == 1


async def test_what_nobody_decides_about_goes_back_before_its_deadline(rig: LightningRig, service: Kitestring) -> None:
    made = service.ask("hold", "create", "3000", "--blocks", "36")
    paying = asyncio.create_task(rig.c.pay(made["bolt11"]))

    async def is_held() -> bool:
        return bool((await service.ask_apart("hold", "list"))["holds"][0]["state"] == "accepted")

    await eventually(is_held, "the payment is held")
    (one,) = service.ask("hold", "list")["holds"]
    height = (await rig.a.get("/v1/getinfo"))["block_height"]
    await rig.mine(one["settle_deadline"] - CANCEL_BEFORE_BLOCKS - height)

    async def has_gone_back() -> bool:
        return not (await service.ask_apart("hold", "list"))["holds"]

    await until(has_gone_back, "it goes back", limit_s=2 * LOOK_S, pause_s=1)
    assert (await paying).status == "FAILED"
    lookup = service.ask("lookup", made["payment_hash"])
    assert lookup["state"] == "expired"
    told = " ".join(row["detail"] for row in service.rows("SELECT detail FROM events WHERE kind = 'alarm'"))
    assert made["payment_hash"] in told
