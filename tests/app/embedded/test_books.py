"""The money of a service as its program sees it."""

from __future__ import annotations

import pytest

from kitestring import KitestringError, Reason, Service, Wallet, sat
from kitestring.backend.sandbox.world import World


async def test_the_balance_is_the_nodes_and_needs_it(service: Service) -> None:
    await service.add_account("alice")
    with pytest.raises(KitestringError) as refused:
        await service.balance()
    assert refused.value.reason is Reason.UNAVAILABLE
    async with service:
        assert await service.balance() == sat(1_000_000)
        await service.fund("alice", sat(400))
        assert await service.balance() == sat(999_600)


async def test_transactions_are_listed_whether_the_service_runs_or_not(service: Service, world: World) -> None:
    grant = await service.add_grant("agent")
    async with Wallet.open(str(grant.nwc_uri)) as wallet:
        invoice = await wallet.invoice(sat(21), memo="tea")
        await wallet.pay(world.invoice(sat(5)), max_fee=sat(1))
    (sent,) = await service.transactions()
    assert (sent.type, sent.state, sent.amount_msat) == ("outgoing", "settled", sat(5))
    both = await service.transactions(unpaid=True, account="owner")
    assert {one.payment_hash for one in both} == {sent.payment_hash, invoice.payment_hash}
    assert await service.transactions(direction="incoming") == ()
    with pytest.raises(KitestringError, match="there is no account 'alice'"):
        await service.transactions(account="alice")
    for wrong in ({"limit": 0}, {"direction": "sideways"}):
        with pytest.raises(KitestringError, match="limit is from 1 to 1000"):
            await service.transactions(**wrong)


async def test_events_need_a_running_service_and_kinds_that_there_are(service: Service) -> None:
    with pytest.raises(KitestringError, match="the service is not running"):
        service.events()
    async with service:
        with pytest.raises(KitestringError, match="'paid' is no kind of event; there are settled"):
            service.events(kinds=["paid"])


async def test_callbacks_are_named_before_the_service_runs(service: Service) -> None:
    async with service:
        with pytest.raises(KitestringError, match="name its callbacks before"):
            service.on_paid(print)


async def test_an_invoice_is_cancelled_and_then_nobody_pays_it_and_its_account_is_closed(
    service: Service, world: World
) -> None:
    await service.add_account("alice")
    grant = await service.add_grant("agent", account="alice")
    async with Wallet.open(str(grant.nwc_uri)) as wallet:
        invoice = await wallet.invoice(sat(21))
    await service.revoke("agent")
    with pytest.raises(KitestringError, match="with --cancel-invoices") as refused:
        await service.close_account("alice")
    assert refused.value.details["open_invoices"] == [invoice.payment_hash]
    for _ in range(2):
        await service.cancel_invoice(invoice.payment_hash)
    with pytest.raises(KitestringError):
        world.pay(invoice.bolt11)
    assert await service.close_account("alice") == sat(0)
