"""A program that pays with our own client, in the worlds: over a line that loses, by a clock of its own. It dies, comes
back, and asks again for whatever it does not know the end of.

It was told the truth: what is called paid is booked as paid once, what every call has called failed has left no node
afterwards, and of what was in flight a repeat joins the payment that is there.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

from kitestring.base.errors import KitestringError, Reason
from kitestring.codec import bolt11
from kitestring.sdk.wallet import Wallet
from tests.kit.app.bad_line import bad_line
from tests.kit.clock import VirtualClock

if TYPE_CHECKING:
    from tests.prove.worlds import World

#: Invoices that it is to pay, the lives it has for that, and the seconds of all together.
BILLS: Final = 5
LIVES: Final = 4
LASTS_S: Final = 240.0
#: What it gives a payment; None leaves it to the client.
TIMEOUTS_S: Final = (None, 5.0, 20.0, 60.0, 120.0)
#: How far its clock is off, for all its lives.
SKEWS_S: Final = (0, 0, 0, -200, -40, 40, 200)
#: In fair weather it waits for the end, which may be told after ten minutes of looking for a lost order.
PATIENT_S: Final = 1_200.0
PAID: Final = "paid"
#: Seconds beyond what it gives: the question about the network, the way to a relay, the first look there, and the
#: budget that is asked for after a refusal.
BESIDE_S: Final = 15.0 + 20.0 + 5.0 + 15.0


@dataclass
class Call:
    """One call of ``Wallet.pay``. ``said`` is :data:`PAID` or the reason of the error, "" where the program died."""

    payment_hash: str
    began: float
    timeout_s: float | None
    said: str = ""
    ended: float = inf

    @property
    def has_failed(self) -> bool:
        """Whether the caller was told that it has paid nothing."""
        return self.said not in {"", PAID, Reason.PAYMENT_IN_FLIGHT.value}


class Spender:
    """``uri`` is that of its connection."""

    def __init__(self, world: World, uri: str) -> None:
        self._world, self._uri = world, uri
        self._chance = random.Random(f"spender {world.seed}")
        self._clock = _Skewed(world.house.clocks.app, self._chance.choice(SKEWS_S))
        self._texts: dict[str, str] = {}
        self.calls: list[Call] = []

    # ------------------------------------------------------------ what it does

    async def play(self) -> None:
        until = self._clock.monotonic() + LASTS_S
        while self._clock.monotonic() < until:
            program = asyncio.create_task(self._live())
            await asyncio.wait((program,), timeout=self._chance.uniform(0.3, 1.7) * LASTS_S / LIVES)
            program.cancel()
            (ended,) = await asyncio.gather(program, return_exceptions=True)
            if isinstance(ended, Exception):
                raise ended
            self._world.note("the program of the spender dies")

    async def _live(self) -> None:
        calls: list[asyncio.Task[None]] = []
        world, chance = self._world, self._chance
        try:
            with bad_line(world.house.relay, self._clock, chance, lambda: world.stormy):
                wallet = Wallet.open(self._uri, clock=self._clock, entropy=world.house.entropy)
            async with wallet:
                while True:
                    await self._clock.sleep(chance.uniform(0, LASTS_S / (4 * BILLS)))
                    calls.append(asyncio.create_task(self._pay(wallet, self._any(), chance.choice(TIMEOUTS_S))))
        except KitestringError:  # no relay: its user starts it again
            await self._clock.sleep(5)
        finally:
            for call in calls:
                call.cancel()
            for ended in await asyncio.gather(*calls, return_exceptions=True):
                if isinstance(ended, Exception):
                    raise ended

    def _any(self) -> str:
        """The hash of something new to pay, or of what it was told no good end of, or again of anything."""
        if len(self._texts) < BILLS and self._chance.random() < 0.5:
            text = self._world.house.node.outside_bolt11(10_000, self._world.script(self._chance), expiry_s=2 * 86_400)
            payment_hash = bolt11.decode(text, recover=False).payment_hash
            self._texts[payment_hash] = text
            return payment_hash
        good = {call.payment_hash for call in self.calls if call.said == PAID}
        left = [one for one in self._texts if one not in good]
        return self._chance.choice(left or list(self._texts)) if self._texts else self._any()

    async def _pay(self, wallet: Wallet, payment_hash: str, timeout_s: float | None) -> None:
        call = Call(payment_hash, self._clock.monotonic(), timeout_s)
        self.calls.append(call)
        self._world.note(f"the spender asks for {payment_hash[:8]}, {timeout_s} s")
        try:
            told = await wallet.pay(self._texts[payment_hash], timeout_s=timeout_s)
            assert told.payment_hash == payment_hash
            call.said = PAID
        except KitestringError as error:
            call.said = error.reason.value
        call.ended = self._clock.monotonic()
        self._world.note(f"the spender is told of {payment_hash[:8]}: {call.said}")

    async def ask_again(self) -> None:
        """In fair weather, of everything, and by a clock that is right."""
        house = self._world.house
        with bad_line(house.relay, house.clocks.app, self._chance, lambda: False):
            wallet = Wallet.open(self._uri, clock=house.clocks.app, entropy=house.entropy)
        async with wallet:
            await asyncio.gather(*(self._pay(wallet, one, PATIENT_S) for one in self._texts))

    # ------------------------------------------------------------ what it was told

    def asked_at(self, payment_hash: str) -> list[float]:
        """When it has asked for it."""
        return [call.began for call in self.calls if call.payment_hash == payment_hash]

    def was_told_the_truth(self, paid: list[str], open_payments: set[str], booked: list[str], *, excused: bool) -> None:
        """``paid`` is what has left a node, ``booked`` what the ledger calls paid; ``excused`` where the books of one
        side are not complete."""
        for call in self.calls:
            self._in_time(call)
        for payment_hash in self._texts:
            calls, name = [one for one in self.calls if one.payment_hash == payment_hash], payment_hash[:8]
            is_paid, is_open = payment_hash in paid, payment_hash in open_payments
            self._of_one(name, calls, is_paid)
            if excused or is_open:
                continue
            assert booked.count(payment_hash) == is_paid, f"{name}: paid, and not booked once"
            assert (calls[-1].said == PAID) == is_paid, f"{name}: called {calls[-1].said} at last"
            assert is_paid or calls[-1].has_failed, f"{name}: in flight for ever"

    def _of_one(self, name: str, calls: list[Call], is_paid: bool) -> None:
        if any(call.said == PAID for call in calls):
            assert is_paid, f"{name}: called paid, and nobody has paid it"
        if is_paid:
            is_no = all(call.has_failed and not self._world.is_of_two(call.began) for call in calls)
            assert not is_no, f"{name}: every call was told that it has failed, and it has left a node"

    def _in_time(self, call: Call) -> None:
        if call.timeout_s is not None and call.said:
            took = call.ended - call.began
            assert took <= call.timeout_s + BESIDE_S, f"{call.payment_hash[:8]}: {call.timeout_s} s took {took:.0f} s"

    def has_given_up(self, payment_hash: str, at: float) -> bool:
        """Whether every call of it until then had been told by then that it has failed."""
        if payment_hash not in self._texts:
            return False
        asked = [call for call in self.calls if call.payment_hash == payment_hash and call.began <= at]
        return all(call.has_failed and call.ended < at and not self._world.is_of_two(call.began) for call in asked)


class _Skewed(VirtualClock):
    """The clock of the apps, and so much beside it."""

    def __init__(self, clock: VirtualClock, beside_s: int) -> None:
        super().__init__()
        self._clock, self._beside_s = clock, beside_s

    def now(self) -> int:
        return self._clock.now() + self._beside_s
