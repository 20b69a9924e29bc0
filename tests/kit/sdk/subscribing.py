"""A wallet, a service of debits and a clock that play every trick on a subscription, without a network."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Transaction, TransactionState
from kitestring.client.debits import DebitAsked, DebitBudget, DebitPaid, judge_grant, judge_payment
from kitestring.codec import bolt11
from kitestring.wire.ask.debits import BudgetWish, DebitOk, DebitRefusal, DebitWish, PayWish
from tests.kit.clock import EPOCH
from tests.kit.codec.invoices import invoice
from tests.kit.wire.samples import transaction


class KilledError(BaseException):
    """The process ends here."""


class SteppedClock:
    """Time passes by sleeping alone; ``skew_s`` moves the wall, and is moved by ``steps`` as time passes."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.skew_s = 0
        #: passed seconds → how far the wall is moved then.
        self.steps: dict[float, int] = {}
        self.stop_at = float("inf")

    @property
    def true(self) -> int:
        return EPOCH + int(self.passed)

    def now(self) -> int:
        return self.true + self.skew_s

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += max(seconds, 0.001)
        for at in [at for at in self.steps if at <= self.passed]:
            self.skew_s += self.steps.pop(at)
        if self.passed >= self.stop_at:
            raise KilledError
        await asyncio.sleep(0)


@dataclass
class OwnTill:
    """Our wallet, whose clock is right. ``away``: it cannot be asked; ``dies``: so does the program, after it has made
    an invoice."""

    clock: SteppedClock
    away: bool = False
    dies: bool = False
    knows_expiry: bool = True
    invoices: dict[str, bolt11.DecodedInvoice] = field(default_factory=dict)
    settled: dict[str, int] = field(default_factory=dict)

    async def make_invoice(self, amount_msat: Msat | None, description: str, expiry_s: int) -> Transaction:
        self._need()
        preimage = sha256(len(self.invoices).to_bytes(8)).hexdigest()
        payment_hash = sha256(bytes.fromhex(preimage)).hexdigest()
        text = invoice(amount_msat, payment_hash=payment_hash, at=self.clock.true, expiry_s=expiry_s)
        self.invoices[payment_hash] = bolt11.decode(text, recover=False)
        if self.dies:
            raise KilledError
        return transaction(bolt11=text, payment_hash=payment_hash)

    async def lookup(self, payment_hash: str) -> Transaction:
        self._need()
        if payment_hash not in self.invoices:
            raise KitestringError(Reason.UNKNOWN_TARGET, "no such invoice")
        state, at = TransactionState.PENDING, self.settled.get(payment_hash)
        if at is not None:
            state = TransactionState.SETTLED
        elif self.knows_expiry and self.clock.true >= self.invoices[payment_hash].expires_at:
            state = TransactionState.EXPIRED
        return transaction(payment_hash=payment_hash, state=state, settled_at=at)

    async def network(self) -> str:
        return "regtest"

    def _need(self) -> None:
        if self.away:
            raise KitestringError(Reason.UNAVAILABLE, "the wallet did not answer")

    def pay(self, payment_hash: str) -> bool:
        """Somebody pays: once, and not after the expiry."""
        if payment_hash in self.settled or self.clock.true >= self.invoices[payment_hash].expires_at:
            return False
        self.settled[payment_hash] = self.clock.true
        return True


Mood = Literal["pays", "pays, answer lost", "pays later", "denies", "fails", "over budget", "silent", "over", "dies"]


@dataclass
class Customer:
    """The service that is asked. ``mood`` chooses what the next request meets; ``asked`` are the hashes in their order,
    ``wishes`` the budgets. ``later`` are payments that its owner makes when :meth:`decide` is called."""

    till: OwnTill
    mood: Callable[[], Mood] = lambda: "pays"
    grants: Callable[[], DebitAsked] = lambda: DebitAsked(DebitOk())
    asked: list[str] = field(default_factory=list)
    wishes: list[DebitWish] = field(default_factory=list)
    later: list[str] = field(default_factory=list)

    async def grant(self, wish: DebitWish) -> DebitBudget | None:
        assert isinstance(wish, BudgetWish)
        self.wishes.append(wish)
        return judge_grant(self.grants(), wish)

    async def collect(self, invoice: bolt11.DecodedInvoice, wish: PayWish) -> DebitPaid:
        assert (wish.bolt11, wish.amount_sats) == (invoice.text, (invoice.amount_msat or Msat(0)).sats_up())
        payment_hash, mood = invoice.payment_hash, self.mood()
        self.asked.append(payment_hash)
        if mood in {"pays", "pays, answer lost", "dies"}:
            self.till.pay(payment_hash)
        if mood == "dies":
            raise KilledError
        if mood == "pays later":
            self.later.append(payment_hash)
        return judge_payment(DebitAsked(_ANSWERS[mood]), invoice)

    def decide(self) -> None:
        """The owner says yes to all that is open."""
        while self.later:
            self.till.pay(self.later.pop())

    def paid_by(self, periods: dict[str, int]) -> Counter[int]:
        """How often each period was paid, by the invoices that belong to it."""
        return Counter(periods[payment_hash] for payment_hash in self.till.settled)


_ANSWERS = {
    "pays": DebitOk(),
    "pays, answer lost": None,
    "pays later": None,
    "denies": DebitRefusal(1, "Request Denied"),
    "fails": DebitRefusal(2, "Temporary Failure"),
    "over budget": DebitRefusal(5, "Invalid Amount", (1, 3)),
    "silent": None,
    "over": DebitRefusal(3, "Expired Request"),
}
