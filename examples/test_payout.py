"""A program that pays bills, and its tests: ``pytest examples/test_payout.py``. They need nothing but pytest."""

import asyncio

from kitestring import KitestringError, Reason, Sandbox, Wallet, sat
from kitestring.testing import RunningService

pytest_plugins = ["kitestring.testing"]


async def pay_out(wallet: Wallet, bill: str) -> str:
    """Pay once, and say how it stands: what is under way is neither paid nor failed, and is not paid another way."""
    try:
        return f"paid: {(await wallet.pay(bill, timeout_s=1)).preimage}"
    except KitestringError as error:
        return "under way" if error.reason is Reason.PAYMENT_IN_FLIGHT else f"not paid: {error.message}"


def test_what_is_held_is_under_way_and_then_paid_once(
    service: RunningService, sandbox: Sandbox, wallet: Wallet
) -> None:
    async def story() -> None:
        bill = await sandbox.invoice(sat(50), hold=True)
        async with wallet:
            assert await pay_out(wallet, bill.bolt11) == "under way"
            service.restart()
            await sandbox.settle(bill.payment_hash)
            assert (await pay_out(wallet, bill.bolt11)).startswith("paid: ")
        assert (await sandbox.books()).sent == sat(50)

    asyncio.run(story())


def test_what_goes_beyond_the_budget_is_not_paid(sandbox: Sandbox, wallet: Wallet) -> None:
    async def story() -> None:
        bill = await sandbox.invoice(sat(20_000))
        async with wallet:
            assert "budget" in await pay_out(wallet, bill.bolt11)
        assert (await sandbox.look(bill.payment_hash)).state == "unpaid"

    asyncio.run(story())
