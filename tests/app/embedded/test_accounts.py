"""Accounts that a program makes and funds."""

from __future__ import annotations

import asyncio

import pytest

from kitestring import KitestringError, Reason, Service, Wallet, sat
from kitestring.backend.sandbox.world import World


async def test_an_account_is_made_funded_and_listed(service: Service) -> None:
    made = await asyncio.to_thread(service.account, "alice")
    assert (made.account, made.available, made.pending, made.npub) == ("alice", sat(0), sat(0), None)
    with pytest.raises(KitestringError, match="needs the running service") as refused:
        await service.fund(made, sat(500))
    assert refused.value.reason is Reason.UNAVAILABLE
    async with service:
        assert await service.fund(made, sat(500), note="pocket money") == sat(500)
        assert await service.fund("alice", sat(20)) == sat(520)
        assert await service.add_account("alice") == (await service.accounts())[0]
        with pytest.raises(KitestringError, match="there is no account 'bob'"):
            await service.fund("bob", sat(1))
    assert [(one.account, one.available) for one in await service.accounts()] == [("alice", sat(520))]


async def test_money_of_an_account_is_moved_and_taken_back_and_one_key_does_it_once(service: Service) -> None:
    alice, bob = await service.add_account("alice"), await service.add_account("bob")
    async with service:
        for _ in range(2):
            assert await service.fund(alice, sat(500), key="wages-of-May") == sat(500)
        assert await service.transfer(alice, bob, sat(200)) == sat(200)
        assert await service.withdraw("bob", sat(50)) == sat(50)
        with pytest.raises(KitestringError, match="bob has 150 sat, and no more can be moved") as refused:
            await service.withdraw(bob, sat(151))
        assert refused.value.details["remaining_msat"] == 150_000
    assert await service.withdraw("alice") == sat(300)
    assert [one.available for one in await service.accounts()] == [sat(0), sat(150)]


async def test_a_bare_number_funds_nothing(service: Service) -> None:
    await service.add_account("alice")
    with pytest.raises(TypeError, match="not as a bare number"):
        await service.fund("alice", 500)  # type: ignore[arg-type]  # what mypy refuses too


async def test_an_account_is_renamed_and_its_money_is_told_under_its_name(service: Service, world: World) -> None:
    alice = await service.add_account("alice")
    till = await service.add_grant("till", account="alice")
    async with Wallet.open(str(till.nwc_uri)) as wallet:
        world.pay((await wallet.invoice(sat(21))).bolt11)
        before = await anext(service.events(since=0, kinds=["received"]))
    assert (await service.rename_account(alice, "alicia")).account == "alicia"
    after = await anext(service.events(since=0, kinds=["received"]))
    (came,) = await service.transactions(account="alicia")
    assert (before.account, after.account, after.transaction) == ("alice", "alicia", came)
    assert (came.account, came.connection_id) == ("alicia", till.connection_id)
    with pytest.raises(KitestringError, match="there is no account 'bob'"):
        await service.rename_account("bob", "bobby")


async def test_an_account_is_closed_once_nothing_of_it_is_open_and_its_money_goes_back(service: Service) -> None:
    alice = await service.add_account("alice")
    await service.add_grant("till", account="alice")
    async with service:
        await service.fund(alice, sat(500))
    with pytest.raises(KitestringError, match="cannot be closed yet") as refused:
        await service.close_account(alice)
    assert refused.value.reason is Reason.NOT_PERMITTED
    assert "it has 500 sat" in str(refused.value)
    assert "'till'" in str(refused.value)
    await service.revoke("till")
    assert await service.close_account(alice, withdraw=True) == sat(500)
    assert await service.close_account("alice") == sat(0)
