"""Being paid by a debit: the answer of the service, and the wallet's own word."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from kitestring.backend.sandbox.world import World
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import Transaction, TransactionState
from kitestring.client.debits import DebitAsked, DebitPaid
from kitestring.client.net import Net, Waits
from kitestring.client.requestor import FILE_NAME
from kitestring.codec import bolt11, pointers
from kitestring.relay.server import Relay
from kitestring.sdk import debits, received
from kitestring.sdk.debits import DebitClient
from kitestring.sdk.received import Till
from kitestring.sdk.wallet import Wallet
from tests.kit import changed
from tests.kit.chance import entropy
from tests.kit.client.debtor import OBSERVED, Answer, Answers, Debtor, always
from tests.kit.client.hostile import Request, ndebit, noffer
from tests.kit.clock import StandingClock, WalkingClock
from tests.kit.codec.invoices import invoice
from tests.kit.wire.samples import transaction

QUICK = Waits(debit_s=10, lookup_pauses_s=(0, 0.05, 0.1))
HASTY = replace(QUICK, debit_s=0.4)
DENIED = {"res": "GFY", "code": 1, "error": "Request Denied Warning"}
K1 = "0123456789abcdef" * 4


@dataclass
class Scene:
    """Our wallet on a sandbox, and a service that pays out of the world outside, or says that it does."""

    wallet: Wallet
    world: World
    debtor: Debtor
    clock: StandingClock

    @property
    def debit_code(self) -> str:
        return pointers.encode(ndebit(self.debtor.url))

    def debit(self, k1: str | None = None) -> DebitClient:
        return self.wallet.debit(pointers.encode(ndebit(self.debtor.url, k1=k1)))

    def debit_of(self, till: Till) -> DebitClient:
        """The same service, asked to pay into another wallet."""
        debit = self.debit()
        return DebitClient(pointers.encode(debit.pointer), lambda: till, self.wallet._net, debit._data_dir)

    def pay(self, request: Request) -> str:
        return self.world.pay(request.members["bolt11"])


class Expiring:
    """The wallet of a scene, in which every invoice has expired after so many looks, by all clocks."""

    def __init__(self, here: Scene, after_looks: int) -> None:
        self.looks = 0
        self._here, self._after = here, after_looks

    async def lookup(self, payment_hash: str) -> Transaction:
        self.looks += 1
        found = await self._here.wallet.lookup(payment_hash)
        if self.looks < self._after:
            return found
        self._here.clock.advance(86_400)
        return changed.replace(found, state=TransactionState.EXPIRED)

    async def make_invoice(self, amount_msat: Msat | None, description: str, expiry_s: int) -> Transaction:
        return await self._here.wallet._source.make_invoice(amount_msat, description, expiry_s)

    async def network(self) -> str:
        return "regtest"


class Pending:
    """A wallet to which every invoice is pending."""

    def __init__(self, clock: WalkingClock) -> None:
        self._clock = clock

    async def lookup(self, payment_hash: str) -> Transaction:
        return transaction(payment_hash=payment_hash)

    async def make_invoice(self, amount_msat: Msat | None, description: str, expiry_s: int) -> Transaction:
        text = invoice(amount_msat, at=self._clock.now(), expiry_s=expiry_s)
        return transaction(bolt11=text)

    async def network(self) -> str:
        return "regtest"


@asynccontextmanager
async def scene(home: Path, answers: Answers, waits: Waits = QUICK) -> AsyncIterator[Scene]:
    clock = StandingClock(int(time.time()))
    async with Relay(None, clock=clock, entropy=entropy) as relay, Debtor(relay.url, answers, clock) as debtor:
        opened = Wallet.open(
            "sandbox://?latency_ms=1", data_dir=home, clock=clock, waits=waits, relays=[relay.url]
        )  # fmt: skip
        async with opened as wallet:
            await wallet.balance()
            with World(home / "sandbox.db") as world:
                yield Scene(wallet, world, debtor, clock)


@asynccontextmanager
async def paying(home: Path, answer: Answer = None, waits: Waits = QUICK, *, pays: bool = True) -> AsyncIterator[Scene]:
    """A service that pays (or not) and answers ``answer``; where that has a preimage, the right one."""
    stage: list[Scene] = []

    def answers(request: Request) -> Answer:
        if "bolt11" not in request.members or not pays:
            return answer
        preimage = stage[0].pay(request)
        return answer.replace("<64 hex>", preimage) if isinstance(answer, str) else answer

    async with scene(home, answers, waits) as made:
        stage.append(made)
        yield made


PROVEN = OBSERVED["authorised, bolt11 10, amount 10"]
INTERNAL = OBSERVED["invoice of another user of the service"]


# ---------------------------------------------------------------- an amount, to this wallet


async def test_an_amount_is_paid_into_this_wallet(tmp_path: Path) -> None:
    async with paying(tmp_path, PROVEN) as here:
        before = await here.wallet.balance()
        paid = await here.debit().pay(sat(210), description="tea")
        assert (paid.proof, len(paid.preimage or "")) == ("proven", 64)
        assert await here.wallet.balance() == before + sat(210)
        (asked,) = here.debtor.asked
    assert (asked["amount_sats"], asked["description"], asked["pointer"]) == (210, "tea", "main")
    assert bolt11.decode(asked["bolt11"]).description == "tea"


async def test_a_claim_without_a_proof_is_proven_by_the_wallet(tmp_path: Path) -> None:
    async with paying(tmp_path, INTERNAL) as here:
        paid = await here.debit().pay(sat(210))
    assert paid.proof == "received"
    assert paid.preimage is not None


@pytest.mark.parametrize("answer", [None, DENIED, {"code": 2}, {"res": "ok", "preimage": "33" * 32}, {"code": 5}])
async def test_money_that_is_here_decides_whatever_the_service_says(answer: Answer, tmp_path: Path) -> None:
    async with paying(tmp_path, answer) as here:
        assert (await here.debit().pay(sat(210))).proof == "received"
        assert len(here.debtor.requests) == 1


@pytest.mark.parametrize("answer", [DENIED, {"code": 2, "error": "x"}, {"code": "2"}, None])
async def test_without_money_an_unclear_answer_leaves_the_payment_open(answer: Answer, tmp_path: Path) -> None:
    async with paying(tmp_path, answer, HASTY, pays=False) as here:
        with pytest.raises(KitestringError) as caught:
            await here.debit().pay(sat(210))
        details = caught.value.details
        assert (caught.value.reason, details["bolt11"]) == (Reason.PAYMENT_IN_FLIGHT, here.debtor.asked[0]["bolt11"])
        # The same invoice again, which has been paid meanwhile: nothing is asked, and nothing is paid twice.
        here.world.pay(str(details["bolt11"]))
        assert (await here.debit().pay(str(details["bolt11"]))).proof == "received"
        assert len(here.debtor.requests) == 1


@pytest.mark.parametrize("claim", ["", "33" * 32])
async def test_a_claim_of_a_payment_that_has_not_come_is_no_payment(claim: str, tmp_path: Path) -> None:
    async with paying(tmp_path, {"res": "ok", "preimage": claim}, pays=False) as here:
        with pytest.raises(KitestringError) as caught:
            await here.debit().pay(sat(210))
    assert caught.value.reason is Reason.PAYMENT_IN_FLIGHT


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("amount mismatch", Reason.AMOUNT_OUT_OF_RANGE),
        ("zero-amount invoice", Reason.MALFORMED),
        ("grant expired", Reason.CONNECTION_ENDED),
        ("budget 1000: third 400", Reason.AMOUNT_OUT_OF_RANGE),
    ],
)
async def test_a_refusal_that_proves_it_is_told_at_once(case: str, reason: Reason, tmp_path: Path) -> None:
    async with paying(tmp_path, OBSERVED[case], pays=False) as here:
        with pytest.raises(KitestringError) as caught:
            await here.debit().pay(sat(210))
    assert caught.value.reason is reason


async def test_a_payment_whose_answer_is_lost_is_seen_in_the_wallet_before_the_wait_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debits, "WATCH_PAUSES_S", (0.02,))
    async with paying(tmp_path, None, replace(QUICK, debit_s=600)) as here:
        assert (await here.debit().pay(sat(210))).proof == "received"


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (DENIED, Reason.NOT_PERMITTED, "Request Denied Warning; the invoice expired unpaid"),
        (None, Reason.PAYMENT_FAILED, "has not answered, and the invoice has expired unpaid"),
        ({"res": "ok"}, Reason.PAYMENT_FAILED, "said that it has paid, and the invoice has expired without any money"),
    ],
)
async def test_who_waits_until_it_is_known_is_told_a_final_no_once_the_invoice_has_expired(
    answer: Answer, reason: Reason, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debits, "WATCH_PAUSES_S", (0.02,))
    async with paying(tmp_path, answer, HASTY, pays=False) as here:
        till = Expiring(here, after_looks=40)
        with pytest.raises(KitestringError, match=words) as caught:
            await here.debit_of(till).pay(sat(210), until_known=True)
        assert till.looks >= 40
    assert caught.value.reason is reason


async def test_what_a_wallet_calls_pending_for_ever_is_not_called_unpaid_when_its_time_has_passed(
    tmp_path: Path,
) -> None:
    clock = WalkingClock()
    till = Pending(clock)
    debit = DebitClient(pointers.encode(ndebit("wss://relay.example.com")), lambda: till, Net(clock, entropy), tmp_path)
    ours = bolt11.decode(invoice(at=clock.now(), expiry_s=60))
    clock.ms += 86_400_000  # by the wall it has expired long ago
    began = clock.monotonic()
    assert await debit._until_known(till, ours) == received.TillWord("open")
    assert clock.monotonic() - began >= 60 + received.GRACE_S
    with pytest.raises(KitestringError, match="ask for this very invoice again and for no other") as caught:
        await debit._conclude(till, ours, DebitAsked(None), until_known=True)
    assert caught.value.reason is Reason.PAYMENT_IN_FLIGHT


# ---------------------------------------------------------------- an invoice


async def test_the_invoice_of_somebody_else_is_paid_and_a_claim_stays_a_claim(tmp_path: Path) -> None:
    theirs = invoice(sat(50), at=int(time.time()))
    async with scene(tmp_path, always({"res": "ok"})) as here:
        paid = await here.debit().pay(theirs)
        assert here.debtor.asked[0]["bolt11"] == theirs
    assert paid == DebitPaid(bolt11.decode(theirs).payment_hash, None, "claimed")


async def test_an_invoice_without_amount_is_asked_for_with_the_one_given(tmp_path: Path) -> None:
    theirs = invoice(None, at=int(time.time()))
    async with scene(tmp_path, always({"res": "ok"})) as here:
        with pytest.raises(KitestringError, match="no amount"):
            await here.debit().pay(theirs)
        await here.debit().pay(theirs, sat(20))
        assert [asked["amount_sats"] for asked in here.debtor.asked] == [20]


async def test_an_expired_one_and_one_of_another_network_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    now = int(time.time())
    async with scene(tmp_path, always({"res": "ok"})) as here:
        for text, reason in (
            (invoice(at=now - 4_000), Reason.EXPIRED_INVOICE),
            (invoice(at=now, network="bitcoin"), Reason.WRONG_NETWORK),
            ("lnbc1x", Reason.MALFORMED),
        ):
            with pytest.raises(KitestringError) as caught:
                await here.debit().pay(text)
            assert caught.value.reason is reason
        assert here.debtor.requests == []


async def test_ones_own_expired_invoice_is_unpaid_only_when_the_wallet_says_so(tmp_path: Path) -> None:
    async with scene(tmp_path, always(DENIED)) as here:
        ours = await here.wallet.invoice(sat(5), expiry_s=60)
        here.clock.advance(61)
        with pytest.raises(KitestringError, match="has not received it yet") as caught:
            await here.debit().pay(ours.bolt11)
        assert caught.value.reason is Reason.PAYMENT_IN_FLIGHT
        here.clock.advance(received.GRACE_S)
        with pytest.raises(KitestringError, match="expired unpaid") as caught:
            await here.debit_of(Expiring(here, after_looks=1)).pay(ours.bolt11)
        assert caught.value.reason is Reason.EXPIRED_INVOICE
        assert here.debtor.requests == []


# ---------------------------------------------------------------- sessions, keys, budgets


async def test_a_session_pays_once(tmp_path: Path) -> None:
    used: set[str] = set()
    second = OBSERVED["k1 second use"]

    def answers(request: Request) -> Answer:
        if request.members["k1"] in used:
            return second
        used.add(request.members["k1"])
        return {"res": "ok", "preimage": here.pay(request)}

    async with scene(tmp_path, answers) as here:
        assert (await here.debit(K1).pay(sat(210))).proof == "proven"
        with pytest.raises(KitestringError) as caught:
            await here.debit(K1).pay(sat(210))
        assert [asked["k1"] for asked in here.debtor.asked] == [K1, K1]
    assert caught.value.details["token"] == "k1_already_processed"
    assert "K1 already processed" in caught.value.message


async def test_a_service_sees_the_same_key_for_ever(tmp_path: Path) -> None:
    keys: set[str] = set()
    for _ in range(2):  # two lives of the program
        async with scene(tmp_path, always({"res": "ok"})) as here:
            await here.debit().budget(sat(1_000), "month")
            await here.debit(None).full_access()
            keys |= {request.event.pubkey for request in here.debtor.requests}
    assert len(keys) == 1
    assert (tmp_path / FILE_NAME).exists()


async def test_budgets_are_asked_for_by_their_period_or_once(tmp_path: Path) -> None:
    async with scene(tmp_path, always({"res": "ok"})) as here:
        for every in ("day", "week", "month", None):
            await here.debit().budget(sat(1_000), every)
        asked = [one.get("frequency") for one in here.debtor.asked]
    assert asked == [{"number": 1, "unit": unit} for unit in ("day", "week", "month")] + [None]


@pytest.mark.parametrize(
    ("amount", "every", "error"),
    [
        (sat(5), "year", KitestringError), (sat(0), "day", KitestringError), (Msat(1_500), "day", KitestringError),
        (5, "day", TypeError),
    ],
)  # fmt: skip
async def test_a_budget_that_no_service_knows_is_refused_here(
    amount: Any, every: str, error: type[Exception], tmp_path: Path
) -> None:
    async with scene(tmp_path, always({"res": "ok"})) as here:
        with pytest.raises(error):
            await here.debit().budget(amount, every)
        assert here.debtor.requests == []


async def test_a_budget_for_once_that_is_refused_is_told_with_what_may_be_asked_instead(tmp_path: Path) -> None:
    async with scene(tmp_path, always(OBSERVED["amount only (one-time budget)"])) as here:
        with pytest.raises(KitestringError, match="ask for a recurring one, or for each payment directly"):
            await here.debit().budget(sat(1_000))


async def test_another_code_is_no_debit(tmp_path: Path) -> None:
    async with scene(tmp_path, always(None)) as here:
        with pytest.raises(KitestringError, match="no debit code"):
            here.wallet.debit(pointers.encode(noffer("wss://relay.example.com")))


async def test_without_a_wallet_only_an_invoice_can_be_paid(tmp_path: Path) -> None:
    async with scene(tmp_path, always({"res": "ok"})) as here:
        debit = DebitClient(here.debit_code, lambda: None, here.wallet._net, tmp_path)
        with pytest.raises(KitestringError, match="only an invoice can be paid"):
            await debit.pay(sat(5))
        assert here.debtor.requests == []
        assert (await debit.pay(invoice(at=int(time.time())))).proof == "claimed"


async def test_what_is_shown_of_it_holds_no_session(tmp_path: Path) -> None:
    async with scene(tmp_path, always(None)) as here:
        shown = repr(here.debit(K1))
        assert shown == f"DebitClient({here.debit().pointer.pubkey[:16]}…)"
        assert K1 not in shown


# ---------------------------------------------------------------- subscriptions


async def test_a_subscription_asks_for_its_budget_and_is_paid_over_the_relay(tmp_path: Path) -> None:
    def answers(request: Request) -> Answer:
        if "bolt11" not in request.members:
            return OBSERVED["budget, already granted"]
        return {"res": "ok", "preimage": here.pay(request)}

    async with scene(tmp_path, answers) as here:
        charges = here.debit().subscribe(sat(500), "month", name="blog", description="the blog", once=True)
        (charge,) = [each async for each in charges]
        assert (charge.period, charge.amount) == (0, sat(500))
        again = here.debit().subscribe(sat(500), "month", name="blog", once=True)
        assert [charge async for charge in again] == []
        budget, payment = here.debtor.asked
    assert budget == {"pointer": "main", "amount_sats": 510, "frequency": {"number": 1, "unit": "month"}}
    assert (payment["amount_sats"], payment["description"]) == (500, "the blog")


async def test_a_session_and_a_wallet_that_is_missing_cannot_be_subscribed(tmp_path: Path) -> None:
    async with scene(tmp_path, always({"res": "ok"})) as here:
        with pytest.raises(KitestringError, match="for one payment") as caught:
            await anext(here.debit(K1).subscribe(sat(5), "day"))
        assert caught.value.reason is Reason.UNSUPPORTED
        nowhere = DebitClient(pointers.encode(here.debit().pointer), lambda: None, here.wallet._net, tmp_path)
        with pytest.raises(KitestringError, match="a wallet of your own"):
            await anext(nowhere.subscribe(sat(5), "day"))
        with pytest.raises(KitestringError, match="not per 'year'"):
            await anext(here.debit().subscribe(sat(5), "year"))
        assert here.debtor.requests == []


async def test_silence_during_a_subscription_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kitestring.client.owner_wait.APPROVAL_AFTER_S", 0.05)
    told: list[str] = []
    async with scene(tmp_path, always(None), HASTY) as here:
        with pytest.raises(KitestringError) as caught:
            await anext(here.debit().subscribe(sat(5), "day", once=True, tell=told.append))
    assert caught.value.reason is Reason.UNAVAILABLE
    assert told[0] == "waiting for the owner's approval, up to 0 s"
    assert told[1].startswith("its budget: the service has not answered")
