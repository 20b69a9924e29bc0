"""Who waits for news of an invoice is told of that one, and of whatever may have been missed."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import cast

from kitestring.backend.nostr.news import Follower, InvoiceNews
from kitestring.base.money import ZERO, Msat
from kitestring.base.outcomes import Direction, Transaction, TransactionState
from kitestring.client.nwc.listening import Listening
from kitestring.wire.ask.nwc.notifications import Notification
from tests.kit.clock import StandingClock
from tests.kit.waiting import until

SOON_S, NOT_S = 10.0, 0.05


def of(payment_hash: str) -> Notification:
    state = TransactionState.ACCEPTED
    told = Transaction(
        type=Direction.INCOMING,
        state=state,
        payment_hash=payment_hash,
        amount_msat=Msat(1),
        fee_msat=ZERO,
        created_at=1,
    )
    return Notification("hold_invoice_accepted", told)


class Wallet:
    """Says what it is told to say; None is that something was missed."""

    def __init__(self) -> None:
        self.says: deque[Notification | None] = deque()
        self.opened = self.closed = 0
        self.has_missed = True

    async def open(self, _: float) -> None:
        self.opened += 1

    async def close(self) -> None:
        self.closed += 1

    async def next(self, _: float) -> Notification | None:
        await until(lambda: bool(self.says))
        return self.says.popleft()

    def listening(self) -> Listening:
        return cast(Listening, self)


async def is_told(one: Follower, limit_s: float = SOON_S) -> bool:
    began_s = asyncio.get_running_loop().time()
    await one.told(limit_s)
    return asyncio.get_running_loop().time() - began_s < limit_s


async def test_each_is_told_of_its_own_invoice_and_of_what_was_missed() -> None:
    wallet, news = Wallet(), InvoiceNews(StandingClock())
    with news.of("aa") as first, news.of("bb") as second:
        news.listen(wallet.listening)
        assert [await is_told(one) for one in (first, second)] == [True, True]  # nobody knows what was said before
        first.forget()
        second.forget()
        wallet.says.append(of("aa"))
        assert [await is_told(first), await is_told(second, NOT_S)] == [True, False]
        first.forget()
        wallet.says.append(None)
        assert [await is_told(one) for one in (first, second)] == [True, True]
    await news.close()


async def test_what_is_told_before_it_is_waited_for_is_not_lost_and_what_is_forgotten_is() -> None:
    wallet, news = Wallet(), InvoiceNews(StandingClock())
    with news.of("aa") as one:
        news.listen(wallet.listening)
        await is_told(one)
        one.forget()
        wallet.says.append(of("aa"))
        await until(lambda: one.is_told)
        assert await is_told(one)
        one.forget()
        assert not await is_told(one, NOT_S)
    await news.close()


async def test_one_listening_serves_all_until_it_is_closed() -> None:
    wallet, news = Wallet(), InvoiceNews(StandingClock())
    await news.close()
    for number in (1, 2):
        with news.of("aa") as one:
            news.listen(wallet.listening)
            news.listen(wallet.listening)
            assert await is_told(one)
        await news.close()
        assert (wallet.opened, wallet.closed) == (number, number)
