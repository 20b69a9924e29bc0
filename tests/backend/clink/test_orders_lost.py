"""Orders over a network that loses, delays and repeats, to a wallet that dies and forgets: what is called failed is
never paid, what is paid is paid once, and no question begins a payment."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest

from kitestring.backend.clink.book import WalletBook
from kitestring.backend.clink.line import ServiceLine
from kitestring.backend.clink.orders import WalletOrders
from kitestring.base.destinations import Bolt11
from kitestring.base.money import Msat
from kitestring.base.node import PayOrder
from kitestring.base.payments import Failed, LookupAnswer, NeverSeen, Settled, Unknown
from kitestring.client.net import Net
from kitestring.client.session import Dialog
from kitestring.codec import bolt11
from kitestring.codec.json import dumps
from kitestring.nostr.event import Event, decode_event
from tests.kit.backend.clink import PACE
from tests.kit.chance import entropy
from tests.kit.client.hostile import CLIENT, SERVICE, ndebit, read_request
from tests.kit.clock import WalkingClock
from tests.kit.codec.invoices import invoice

SEEDS = 60
STEPS = 30
#: Seconds that a request may be old, that a copy of one may be late, and that a payment may take.
WINDOW_S, LATE_S, LONG_S = 30, 45, 400
INVOICES = 3
EXPIRY_S = 900
REFUSALS = [
    {"code": 1}, {"code": 5}, {"code": 6}, {"code": 4, "retry_after": 60}, {"code": 2},
]  # fmt: skip
ENDED: dict[str, Any] = {"code": 2, "reason": "payment_failed"}


@dataclass
class ModelWallet:
    """A service of debits. A known one keeps events and answers forever, and looks an invoice up first; another one
    forgets both soon, and when it dies, refuses by its budget before it looks at anything, and says 2 while it goes on.
    """

    clock: WalkingClock
    chance: random.Random
    is_known: bool
    preimages: dict[str, str]
    say: Callable[[Event, dict[str, Any]], None]
    paid: list[str] = field(default_factory=list)
    running: dict[str, tuple[int, list[Event]]] = field(default_factory=dict)
    answers: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    began: list[Event] = field(default_factory=list)

    def die(self) -> None:
        if not self.is_known:
            self.answers.clear()
            self.running = {payment_hash: (at, []) for payment_hash, (at, _) in self.running.items()}

    def hear(self, event: Event) -> None:
        if event.id in self.answers and (self.is_known or not self._is_old(event)):
            stored = self.answers[event.id]
            if stored is not None and self.is_known:
                self.say(event, stored)
            return
        answer = self._judge(event)
        self.answers[event.id] = answer
        if answer is not None:
            self.say(event, answer)

    def _judge(self, event: Event) -> dict[str, Any] | None:
        """None = it is at work on it."""
        now, bill = self.clock.now(), bolt11.decode(read_request(event).members["bolt11"])
        if not self.is_known and self._is_old(event) and self.chance.random() < 0.5:
            return self.chance.choice(REFUSALS)
        if abs(now - event.created_at) > WINDOW_S:
            return {"code": 3, "delta": {"max_delta_ms": 30_000, "actual_delta_ms": 1_000 * (now - event.created_at)}}
        if not self.is_known and self.chance.random() < 0.3:
            return self.chance.choice(REFUSALS)
        if bill.payment_hash in self.paid:
            return self._proof(bill.payment_hash) if self.is_known else {"code": 6, "reason": "invoice_already_paid"}
        if bill.payment_hash in self.running:
            self.running[bill.payment_hash][1].append(event)
            return None
        if bill.expires_at <= now:
            return {"code": 6}
        if self.chance.random() < 0.3:
            return self.chance.choice(REFUSALS)
        self.began.append(event)
        self.running[bill.payment_hash] = (now + self.chance.randrange(LONG_S), [event])
        return {"code": 2} if not self.is_known and self.chance.random() < 0.2 else None

    def _is_old(self, event: Event) -> bool:
        """Whether no copy of it can be on its way but one that is sent again on purpose."""
        return self.clock.now() - event.created_at > WINDOW_S + LATE_S

    def _proof(self, payment_hash: str) -> dict[str, Any]:
        return {"res": "ok", "preimage": self.preimages[payment_hash]}

    def tick(self) -> None:
        for payment_hash, (at, events) in list(self.running.items()):
            if at > self.clock.now():
                continue
            del self.running[payment_hash]
            if self.chance.random() < 0.6:
                self.paid.append(payment_hash)
            answer = self._proof(payment_hash) if payment_hash in self.paid else ENDED
            for event in events:
                self.answers[event.id] = answer
                self.say(event, answer)


@dataclass
class LossyLine:
    """A :class:`ServiceLine` to it, whose requests and replies are lost, late, or there several times."""

    clock: WalkingClock
    chance: random.Random
    dialog: Dialog = field(default_factory=lambda: Dialog.debits(CLIENT, SERVICE.public_hex))
    wallet: ModelWallet | None = None
    heard: dict[str, Callable[[str], None]] = field(default_factory=dict)
    late: list[tuple[int, Event, dict[str, Any] | None]] = field(default_factory=list)

    def request(self, plaintext: str) -> Event:
        return self.dialog.request(plaintext, Net(self.clock, entropy))

    def send(self, event: Event | bytes) -> None:
        self._pass(decode_event(event) if isinstance(event, bytes) else event, None)

    def say(self, event: Event, answer: dict[str, Any]) -> None:
        self._pass(event, answer)

    def _pass(self, event: Event, answer: dict[str, Any] | None) -> None:
        for _ in range(self.chance.choice((0, 1, 1, 1, 2))):
            delay_s = self.chance.choice((0, 0, 0, self.chance.randrange(LATE_S)))
            self.late.append((self.clock.now() + delay_s, event, answer))
        self.deliver()

    def deliver(self) -> None:
        while (due := next((row for row in self.late if row[0] <= self.clock.now()), None)) is not None:
            self.late.remove(due)
            _, event, answer = due
            if answer is not None:
                if (heard := self.heard.get(event.id)) is not None:
                    heard(dumps(answer))
            elif self.wallet is not None:
                self.wallet.hear(event)

    def follow(self, request_id: str, heard: Callable[[str], None]) -> None:
        self.heard[request_id] = heard

    def forget(self, request_id: str) -> None:
        self.heard.pop(request_id, None)


class Lives:
    """Lives of one backend on one book, before one wallet. Raises AssertionError where money is lost or doubled."""

    def __init__(self, seed: int, directory: Path, *, is_known: bool) -> None:
        self.seed, self.chance, self.clock, self.is_known = seed, random.Random(seed), WalkingClock(), is_known
        self.line, self.book = LossyLine(self.clock, self.chance), WalletBook(directory, "wallet")
        secrets = [sha256(f"{seed} {number}".encode()).digest() for number in range(INVOICES)]
        preimages = {sha256(secret).hexdigest(): secret.hex() for secret in secrets}
        self.wallet = self.line.wallet = ModelWallet(self.clock, self.chance, is_known, preimages, self.line.say)
        self.texts = {
            each: invoice(1_000, payment_hash=each, at=self.clock.now(), expiry_s=EXPIRY_S) for each in preimages
        }
        self.ordered, self.words = set[str](), Counter[str]()
        self.orders = self.begin()

    def begin(self) -> WalletOrders:
        """A new life."""
        self.line.heard.clear()
        line = cast(ServiceLine, self.line)
        orders = WalletOrders(
            ndebit("wss://relay.example"), line, self.book, self.clock, is_known=self.is_known, pace=PACE
        )
        orders.resume()
        return orders

    async def pay(self, payment_hash: str) -> None:
        text, row, now = self.texts[payment_hash], self.book.order(payment_hash), self.clock.now()
        if bolt11.decode(text).expires_at <= now:
            return
        if row is not None and isinstance(row.end, Failed) and now <= row.sent_at + WINDOW_S + LATE_S:
            return  # a copy of the first order is no copy of the second one: services drop copies that come together
        wanted = PayOrder(Bolt11(text), payment_hash, Msat(1_000), Msat(10), 1)
        self.judge(payment_hash, await self.orders.pay(wanted, text))

    def judge(self, payment_hash: str, answer: LookupAnswer) -> None:
        self.words[type(answer).__name__] += 1
        row = self.book.order(payment_hash)
        if row is not None:
            self.ordered.add(decode_event(row.event).id)
        if isinstance(answer, Failed | NeverSeen):
            assert payment_hash not in self.wallet.paid, f"{self.seed}: paid, and called {answer}"
            assert payment_hash not in self.wallet.running, f"{self.seed}: under way, and called {answer}"
        if isinstance(answer, Settled):
            assert payment_hash in self.wallet.paid, self.seed

    async def step(self) -> None:
        payment_hash = self.chance.choice(list(self.texts))
        match self.chance.randrange(6):
            case 0:
                await self.pay(payment_hash)
            case 1:
                self.judge(payment_hash, await self.orders.look(payment_hash))
            case 2:
                self.judge(payment_hash, await self.orders.track(payment_hash))
            case 3:
                self.wallet.die()
            case 4:
                self.orders = self.begin()
        self.passes(self.chance.choice((0, 1, 20, 60, 200)))

    def passes(self, seconds: int) -> None:
        self.clock.ms += 1_000 * seconds
        self.wallet.tick()
        self.line.deliver()

    async def end(self) -> Counter[str]:
        """Long after everything has expired."""
        self.passes(EXPIRY_S + LONG_S)
        for _ in range(12):
            self.passes(300)
            for payment_hash in self.texts:
                self.judge(payment_hash, await self.orders.look(payment_hash))
        assert max(Counter(self.wallet.paid).values(), default=0) <= 1, f"{self.seed}: paid twice"
        assert {event.id for event in self.wallet.began} <= self.ordered, f"{self.seed}: a question began a payment"
        self.words["paid"], self.words["open"] = len(self.wallet.paid), len(self.book.open_orders())
        self.book.close()
        return self.words


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
async def test_no_money_is_lost_or_doubled_whatever_the_network_and_the_wallet_do(
    is_known: bool, tmp_path: Path
) -> None:
    told = Counter[str]()
    for seed in range(SEEDS):
        (home := tmp_path / str(seed)).mkdir()
        lives = Lives(seed, home, is_known=is_known)
        for _ in range(STEPS):
            await lives.step()
        told += await lives.end()
    assert told["paid"] > SEEDS // 4, told
    assert {Settled.__name__, Failed.__name__, Unknown.__name__, NeverSeen.__name__} <= set(told)
    if is_known:
        assert told["open"] == 0, told
