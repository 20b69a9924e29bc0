"""Accounts that a program makes and funds."""

from __future__ import annotations

import asyncio

import pytest

from kitestring import KitestringError, Reason, Service, sat


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
