"""The connection to a wallet: when it is made, what it is spoken to in, and what its refusals mean."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from kitestring.backend.nostr.connection import WalletAnswerError
from kitestring.base.node import NodeUnreachableError
from kitestring.client.nwc import NwcClient
from tests.kit.backend.scripted import bill, wallet
from tests.kit.backend.wallet import WAITS, open_wallet
from tests.kit.changed import replace
from tests.kit.client.hostile import info_event, nwc_uri
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH
from tests.kit.waiting import until
from tests.rig.process import free_port


async def test_a_wallet_that_is_away_at_the_start_is_asked_when_it_is_there() -> None:
    port = free_port()
    backend = open_wallet(replace(nwc_uri(""), relays=(f"ws://127.0.0.1:{port}",)), Path())
    await backend.open()
    for ask in (backend.pay(bill()), backend.lookup_payment(PAYMENT_HASH), backend.balance(), backend.info()):
        with pytest.raises(NodeUnreachableError):
            await ask
    await backend.close()


async def test_closing_does_not_wait_for_a_relay_that_cannot_be_reached() -> None:
    waits = replace(WAITS, reach_s=60, connect_s=60)
    backend = open_wallet(replace(nwc_uri(""), relays=("ws://127.0.0.1:1",)), Path(), waits)
    await backend.open()
    asking = asyncio.create_task(backend.balance())
    await until(lambda: backend._connection.is_entering)
    began_s = time.monotonic()
    await backend.close()
    with pytest.raises(NodeUnreachableError):
        await asking
    assert time.monotonic() - began_s < 5


@pytest.mark.parametrize("asks_again", [True, False])
async def test_who_goes_away_while_it_connects_leaves_the_connection_to_the_next_one(
    monkeypatch: pytest.MonkeyPatch, *, asks_again: bool
) -> None:
    made: list[NwcClient] = []
    enter, may_enter = NwcClient.__aenter__, asyncio.Event()

    async def enter_later(client: NwcClient) -> NwcClient:
        made.append(client)
        await may_enter.wait()
        return await enter(client)

    monkeypatch.setattr(NwcClient, "__aenter__", enter_later)
    async with wallet({"get_balance": {"balance": 1}}) as (backend, _):
        asking = asyncio.create_task(backend.balance())
        await until(lambda: bool(made))
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        may_enter.set()
        if asks_again:
            await backend.balance()
        await until(lambda: bool(made[0]._session.pool.connected_urls()))
        await backend.close()
        assert (len(made), made[0]._session.pool.connected_urls()) == (1, [])


async def test_nip44_once_seen_outlives_a_closed_connection() -> None:
    async with wallet({"get_balance": {"balance": 1}}) as (backend, relay):
        await backend.balance()
        await backend.close()
        relay.stored[:] = [info_event(encryption="nip04", at=NOW + 9)]
        await backend.open()
        await backend.balance()
        assert {request.cipher for request in relay.requests} == {"nip44"}


@pytest.mark.parametrize(("encryption", "cipher"), [("auto", "nip44"), ("nip44", "nip44"), ("legacy", "nip04")])
async def test_the_encryption_is_that_of_the_link_where_no_info_event_tells_it(encryption: str, cipher: str) -> None:
    async with wallet({"get_balance": {"balance": 1}}, encryption=encryption, stored=()) as (backend, relay):
        await backend.balance()
        assert {request.cipher for request in relay.requests} == {cipher}


async def test_a_refused_question_has_the_wallets_words_and_a_silent_one_is_a_time_out() -> None:
    async with wallet({"get_balance": "RESTRICTED"}) as (backend, _):
        with pytest.raises(WalletAnswerError, match="no: RESTRICTED"):
            await backend.balance()
    async with wallet({"get_balance": None}) as (backend, _):
        with pytest.raises(TimeoutError, match="did not answer"):
            await backend.balance()
    async with wallet({"get_balance": "TEMPORARILY_UNAVAILABLE"}) as (backend, _):
        with pytest.raises(WalletAnswerError, match="no: TEMP"):
            await backend.balance()
