"""An invoice is waited for: by what the wallet says, and by its list where it says nothing or was not heard."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import ZERO, sat
from kitestring.base.outcomes import Direction, Transaction, TransactionState
from kitestring.sdk.received import GRACE_S
from kitestring.sdk.source import PaymentSource
from kitestring.sdk.waiting import LAST_S, LOOK_S, POLL_S, paid
from kitestring.transport.changes import Changes
from kitestring.wire.ask.nwc.notifications import Notification
from tests.kit.clock import EPOCH, VirtualClock, virtual

HASH = "ab" * 32
EXPIRES_AT = EPOCH + 600


def invoice(state: TransactionState, payment_hash: str = HASH, **members: Any) -> Transaction:
    plain: dict[str, Any] = {"type": Direction.INCOMING, "amount_msat": sat(21), "fee_msat": ZERO, "created_at": EPOCH}
    return Transaction(state=state, payment_hash=payment_hash, **(plain | members))


PENDING, SETTLED = invoice(TransactionState.PENDING), invoice(TransactionState.SETTLED)


class Till:
    """A wallet with one invoice, and what it says about it."""

    directions = frozenset({Direction.INCOMING})

    def __init__(self, *, promises: bool = True) -> None:
        self.clock = VirtualClock()
        self.is_promised = promises
        self.has_missed = True
        self.looks: list[float] = []
        self.answer: Transaction | KitestringError = PENDING
        self.said: list[Notification] = []
        self.is_closed = False
        self._changes = Changes(self.clock)

    def hearing(self, since: int) -> Till:
        assert since >= EPOCH
        return self

    async def open(self, timeout_s: float) -> None:
        assert timeout_s <= 10

    async def next(self, timeout_s: float) -> Notification | None:
        await self._changes.until(lambda: bool(self.said), timeout_s)
        return self.said.pop(0) if self.said else None

    async def close(self) -> None:
        self.is_closed = True

    async def lookup(self, payment_hash: str) -> Transaction:
        assert payment_hash == HASH
        self.looks.append(self.clock.monotonic())
        if isinstance(self.answer, KitestringError):
            raise self.answer
        return self.answer

    def say(self, transaction: Transaction) -> None:
        self.said.append(Notification("payment_received", transaction))
        self._changes.notify()

    async def wait(self, timeout_s: float | None = None) -> Transaction:
        try:
            return await paid(cast("PaymentSource", self), self.clock, HASH, EXPIRES_AT, timeout_s)
        finally:
            assert self.is_closed


def later(till: Till, after_s: float, answer: Transaction | KitestringError) -> asyncio.Task[None]:
    """The wallet has another answer from then on."""

    async def changed() -> None:
        await till.clock.sleep(after_s)
        till.answer = answer

    return asyncio.create_task(changed())


@virtual
async def test_what_is_paid_already_is_told_at_once() -> None:
    till = Till()
    till.answer = SETTLED
    assert await till.wait() == SETTLED
    assert till.looks == [0]


@virtual
async def test_the_word_of_the_wallet_ends_it_and_that_about_others_does_not() -> None:
    till = Till()
    waiting = asyncio.create_task(till.wait())
    await till.clock.sleep(1)
    for other in (
        invoice(TransactionState.SETTLED, "cd" * 32),
        invoice(TransactionState.ACCEPTED),
        invoice(TransactionState.SETTLED, type=Direction.OUTGOING),
    ):
        till.say(other)
        await till.clock.sleep(1)
        assert not waiting.done()
    till.say(SETTLED)
    assert await waiting == SETTLED
    assert len(till.looks) == 1


@pytest.mark.parametrize(("promises", "pause_s"), [(True, LOOK_S), (False, POLL_S)])
def test_a_wallet_is_asked_now_and_then_and_often_where_it_tells_nothing(promises: bool, pause_s: float) -> None:
    @virtual
    async def asked() -> None:
        till = Till(promises=promises)
        changing = later(till, 2.5 * pause_s, SETTLED)
        assert await till.wait() == SETTLED
        await changing
        assert till.looks == [0, pause_s, 2 * pause_s, 3 * pause_s]

    asked()


@virtual
async def test_a_wallet_that_cannot_answer_now_is_asked_again() -> None:
    till = Till(promises=False)
    till.answer = KitestringError(Reason.UNAVAILABLE)
    changing = later(till, 12, SETTLED)
    assert await till.wait() == SETTLED
    await changing


@virtual
async def test_a_wallet_that_may_not_be_asked_is_believed_when_it_tells() -> None:
    till = Till()
    till.answer = KitestringError(Reason.NOT_PERMITTED)
    waiting = asyncio.create_task(till.wait())
    await till.clock.sleep(3 * LOOK_S)
    till.say(SETTLED)
    assert await waiting == SETTLED
    assert len(till.looks) == 1


@pytest.mark.parametrize("reason", [Reason.NOT_PERMITTED, Reason.UNKNOWN_TARGET, Reason.CONNECTION_ENDED])
def test_there_is_nothing_to_wait_for_where_nobody_will_ever_say(reason: Reason) -> None:
    @virtual
    async def refused() -> None:
        till = Till(promises=False)
        till.answer = KitestringError(reason)
        with pytest.raises(KitestringError) as caught:
            await till.wait()
        assert caught.value.reason is reason

    refused()


@virtual
async def test_a_payment_of_ours_is_no_invoice() -> None:
    till = Till()
    till.answer = invoice(TransactionState.SETTLED, type=Direction.OUTGOING)
    with pytest.raises(KitestringError, match="no invoice of this wallet"):
        await till.wait()


@virtual
async def test_it_is_unpaid_for_good_by_the_time_and_by_the_wallets_word_alone() -> None:
    till = Till(promises=False)
    till.answer = invoice(TransactionState.EXPIRED)
    with pytest.raises(KitestringError, match="nobody has paid this invoice") as caught:
        await till.wait()
    assert caught.value.reason is Reason.EXPIRED_INVOICE
    assert till.looks[-1] >= 600 + GRACE_S


@pytest.mark.parametrize("state", [TransactionState.PENDING, TransactionState.ACCEPTED])
def test_what_may_still_be_paid_is_a_matter_of_patience(state: TransactionState) -> None:
    @virtual
    async def too_late() -> None:
        till = Till(promises=False)
        till.answer = invoice(state)
        with pytest.raises(TimeoutError, match="was not paid within 7 seconds"):
            await till.wait(7)
        assert till.looks == [0, POLL_S, 7]
        with pytest.raises(TimeoutError):
            await till.wait()
        assert till.clock.monotonic() >= 600 + GRACE_S + LAST_S

    too_late()
