"""A service that may be asked for debits, and the wallet that is paid by them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import MSAT_PER_SAT, Msat
from kitestring.client.debits import (
    DebitAsked,
    DebitBudget,
    DebitPaid,
    ask_debit,
    judge_grant,
    judge_payment,
    pay_wish,
    read_ndebit,
    requestor_key,
)
from kitestring.client.net import Net
from kitestring.client.owner_wait import Waiting
from kitestring.client.requestor import requestor_seed
from kitestring.codec import bolt11, pointers
from kitestring.codec.pointers import Ndebit
from kitestring.crypto.keys import SecretKey
from kitestring.sdk.received import GRACE_S, Till, TillWord, ask_till
from kitestring.sdk.subscription_store import SubscriptionStore
from kitestring.sdk.subscriptions import DebitCharge, Subscriber
from kitestring.wire.ask.debits import (
    PERIODS_S,
    AccessWish,
    BudgetWish,
    DebitRefusal,
    DebitWish,
    PayWish,
    Repeat,
    RepeatUnit,
)
from kitestring.wire.text import fit_description

#: Seconds that an invoice made for one debit is valid beyond the wait for its answer.
SPARE_S: Final = 60
#: Seconds between looks at the wallet while the answer is awaited; the last one forever.
WATCH_PAUSES_S: Final = (2.0, 5.0, 10.0, 20.0)
#: Looks after a refusal that leaves the payment open; most services give it long after they have decided.
LOOKS_AFTER_REFUSAL: Final = 3


class DebitClient:
    """Made by :meth:`Wallet.debit`. The service is asked with a key that it always knows again: its seed is the file
    ``requestor.key`` in the data directory. Amounts are :class:`Msat` in whole sats: write ``sat(210)``."""

    def __init__(self, ndebit: str, till: Callable[[], Till | None], net: Net, data_dir: Path) -> None:
        self.pointer: Final[Ndebit] = read_ndebit(ndebit)
        self._till: Final = till
        self._net: Final = net
        self._data_dir: Final = data_dir
        self._key: SecretKey | None = None

    def __repr__(self) -> str:
        return f"DebitClient({self.pointer.pubkey[:16]}…)"

    # ------------------------------------------------------------ paying

    async def pay(
        self,
        what: str | Msat,
        amount: Msat | None = None,
        *,
        description: str = "",
        want_preimage: bool = False,
        wait_s: float | None = None,
        until_known: bool = False,
        waiting: Waiting | None = None,
    ) -> DebitPaid:
        """Ask the service to pay ``what``: an amount, to this wallet, or an invoice (with ``amount`` where it has
        none).

        Waits ``wait_s`` seconds (default 120) for the answer, because the owner of the service may be asked;
        ``waiting`` is told so, with the seconds left. For an invoice of this wallet the wallet itself decides whether
        it was paid, also when the answer is lost. ``until_known``: where nothing else decides, go on until the wallet
        says that it has expired unpaid; where it says neither for minutes after that time, it is PAYMENT_IN_FLIGHT.

        Raises KitestringError: PAYMENT_IN_FLIGHT (details ``payment_hash``, ``bolt11``, ``expires_at``) when nobody can
        say yet; ask with that invoice again, never with a new one, until it has expired. Every other reason means that
        this request has paid nothing. A code with a session secret can pay once: ALREADY_USED afterwards.
        """
        wait_s = self._net.waits.debit_s if wait_s is None else wait_s
        till = self._till()
        if isinstance(what, str):
            invoice = await self._given(what, till)
            before = await self._look(till, invoice)
            if before.state == "received":
                return _received(invoice, before)
            if invoice.expires_at <= self._net.clock.now():
                raise _expired(invoice, before)
        else:
            invoice = await self._make(_whole(what), description, round(wait_s) + SPARE_S, till)
        wish = pay_wish(invoice, amount, description=description, want_preimage=want_preimage)
        return await self.collect(invoice, wish, wait_s=wait_s, until_known=until_known, waiting=waiting)

    async def collect(
        self,
        invoice: bolt11.DecodedInvoice,
        wish: PayWish,
        *,
        wait_s: float | None = None,
        until_known: bool = False,
        waiting: Waiting | None = None,
    ) -> DebitPaid:
        """Ask once for this very invoice; as :meth:`pay`, for one that is read already."""
        till = self._till()
        watching = asyncio.create_task(self._watch(till, invoice))
        asking = asyncio.create_task(
            ask_debit(self.pointer, wish, self._own_key(), self._net, wait_s=wait_s, waiting=waiting)
        )
        try:
            await asyncio.wait((watching, asking), return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                return _received(invoice, watching.result())
            return await self._conclude(till, invoice, asking.result(), until_known=until_known)
        finally:
            watching.cancel()
            asking.cancel()
            await asyncio.gather(watching, asking, return_exceptions=True)

    async def _conclude(
        self, till: Till | None, invoice: bolt11.DecodedInvoice, asked: DebitAsked, *, until_known: bool
    ) -> DebitPaid:
        """The answer alone where it proves something, else the wallet."""
        failure: KitestringError | None = None
        try:
            paid = judge_payment(asked, invoice)
            if paid.proof == "proven":
                return paid
        except KitestringError as error:
            failure, paid = error, None
        word = await self._look_often(till, invoice, self._pauses(asked, failure))
        is_open = failure is None or failure.reason is Reason.PAYMENT_IN_FLIGHT
        if word.state in {"open", "unknown"} and is_open and until_known:
            word = await self._until_known(till, invoice)
        if word.state == "received":
            return _received(invoice, word)
        if paid is not None and word.state == "foreign":
            return paid
        if word.state == "unpaid":
            raise _unpaid(asked, failure)
        raise failure or _unconfirmed(invoice, "the service says that it has paid", word)

    def _pauses(self, asked: DebitAsked, failure: KitestringError | None) -> tuple[float, ...]:
        pauses = self._net.waits.lookup_pauses_s
        if failure is None:
            return pauses
        is_open = failure.reason is Reason.PAYMENT_IN_FLIGHT and asked.reply is not None
        return pauses[:LOOKS_AFTER_REFUSAL] if is_open else pauses[:1]

    async def _make(self, amount: Msat, description: str, expiry_s: int, till: Till | None) -> bolt11.DecodedInvoice:
        if till is None:
            raise KitestringError(Reason.MALFORMED, "without a wallet of your own only an invoice can be paid")
        made = await till.make_invoice(amount, fit_description(description), expiry_s)
        return bolt11.decode(made.bolt11, recover=False)

    async def _given(self, text: str, till: Till | None) -> bolt11.DecodedInvoice:
        try:
            invoice = bolt11.decode(text)
        except CodecError as error:
            raise KitestringError(Reason.MALFORMED, f"the invoice cannot be read: {error}") from error
        network = "" if till is None else await till.network()
        if network not in ("", invoice.network):
            sentence = f"this invoice is for {invoice.network}, and the wallet is on {network}"
            raise KitestringError(Reason.WRONG_NETWORK, sentence)
        return invoice

    # ------------------------------------------------------------ the wallet's word

    async def _look(self, till: Till | None, invoice: bolt11.DecodedInvoice) -> TillWord:
        return await ask_till(till, invoice.payment_hash, invoice.expires_at, self._net.clock.now())

    async def _look_often(
        self, till: Till | None, invoice: bolt11.DecodedInvoice, pauses: tuple[float, ...]
    ) -> TillWord:
        word = TillWord("unknown")
        for pause_s in pauses:
            await self._net.clock.sleep(pause_s)
            word = await self._look(till, invoice)
            if word.state not in {"open", "unknown"}:
                break
        return word

    async def _watch(self, till: Till | None, invoice: bolt11.DecodedInvoice) -> TillWord:
        """Return when the wallet has received it, and not before."""
        pauses = list(WATCH_PAUSES_S)
        while True:
            await self._net.clock.sleep(pauses.pop(0) if len(pauses) > 1 else pauses[0])
            word = await self._look(till, invoice)
            if word.state == "received":
                return word

    async def _until_known(self, till: Till | None, invoice: bolt11.DecodedInvoice) -> TillWord:
        """Ends with the wallet's last word; or with "open", some minutes after an invoice made just now would have
        expired by the time that has passed here, which no step of a clock shortens. Some wallets call it pending
        forever, and one whose node is away for a while does so until it has booked what was paid in the last moment."""
        clock = self._net.clock
        over_at = clock.monotonic() + invoice.expiry_s + GRACE_S
        while True:
            is_over = clock.monotonic() >= over_at
            word = await self._look(till, invoice)
            if word.state not in {"open", "unknown"} or (word.state == "open" and is_over):
                return word
            await clock.sleep(WATCH_PAUSES_S[-1])

    # ------------------------------------------------------------ budgets

    async def budget(
        self,
        amount: Msat,
        every: str | None = None,
        *,
        wait_s: float | None = None,
        waiting: Waiting | None = None,
    ) -> DebitBudget | None:
        """Ask for the right to be paid up to ``amount`` without further questions, in each ``every`` (``day``,
        ``week``, ``month`` of 30 days), or None = once and for all, which not every service knows. Returns what was
        granted, which may be less where the service says so; None = without limits.

        Services count fees towards it. One that has granted a smaller budget before may say yes and change nothing.
        Raises KitestringError: every refusal is final; UNAVAILABLE when no answer came, and then the same may be asked
        again.
        """
        repeat = None if every is None else Repeat(1, read_every(every))
        return await self.grant(BudgetWish(_whole(amount).sats_down(), repeat), wait_s=wait_s, waiting=waiting)

    async def full_access(self, *, wait_s: float | None = None, waiting: Waiting | None = None) -> DebitBudget | None:
        """Ask for the right to be paid without limits. Returns and raises as :meth:`budget`."""
        return await self.grant(AccessWish(), wait_s=wait_s, waiting=waiting)

    async def grant(
        self, wish: DebitWish, *, wait_s: float | None = None, waiting: Waiting | None = None
    ) -> DebitBudget | None:
        """Ask for a budget or for full access. Returns and raises as :meth:`budget`."""
        asked = await ask_debit(self.pointer, wish, self._own_key(), self._net, wait_s=wait_s, waiting=waiting)
        return judge_grant(asked, wish)

    # ------------------------------------------------------------ subscriptions

    async def subscribe(
        self,
        amount: Msat,
        every: str,
        *,
        name: str = "",
        description: str = "",
        once: bool = False,
        tell: Callable[[str], None] | None = None,
    ) -> AsyncGenerator[DebitCharge, None]:
        """Ask for the budget, then be paid ``amount`` in each ``every`` (``day``, ``week``, ``month`` of 30 days);
        gives each paid period once the wallet has it.

        The same call goes on after a restart: ``name`` tells apart what has the same terms. No period is charged twice,
        whatever crashes, and none is made up for. A charge that the loop has not come back from is given again.
        ``once`` does what is due and ends, with an error while that is not paid. ``tell`` is told the rest in words:
        waiting, refusals, the next try.

        Raises KitestringError: BUSY when another process carries it out, the refusal of the budget, UNSUPPORTED for a
        session. A charge that is refused is tried again until its period ends.
        """
        till, unit = self._till(), read_every(every)
        if till is None:
            raise KitestringError(Reason.MALFORMED, "a subscription is paid into a wallet of your own")
        if self.pointer.k1 is not None:
            sentence = "this code is a session, for one payment: it cannot be subscribed"
            raise KitestringError(Reason.UNSUPPORTED, sentence)
        with SubscriptionStore(self._data_dir) as store:
            row = store.open_one(
                ndebit=pointers.encode(self.pointer), service=self.pointer.pubkey, pointer=self.pointer.pointer or "",
                amount_sats=_whole(amount).sats_down(), every=unit, name=name, now=self._net.clock.now(),
                entropy=self._net.entropy,
            )  # fmt: skip
            say = tell or (lambda _: None)
            asking = _Told(self, lambda left_s: say(waiting_words(left_s)))
            subscriber = Subscriber(
                row.subscription_id, store, asking, till, self._net.clock, description=fit_description(description),
                tell=say,
            )  # fmt: skip
            async with aclosing(subscriber.charges(once=once)) as charges:
                async for charge in charges:
                    yield charge

    def _own_key(self) -> SecretKey:
        if self._key is None:
            self._key = requestor_key(requestor_seed(self._data_dir, self._net.entropy), self.pointer.pubkey)
        return self._key


@dataclass(frozen=True, slots=True)
class _Told:
    """A service whose silence is told."""

    debit: DebitClient
    waiting: Waiting

    async def collect(self, invoice: bolt11.DecodedInvoice, wish: PayWish) -> DebitPaid:
        return await self.debit.collect(invoice, wish, waiting=self.waiting)

    async def grant(self, wish: DebitWish) -> DebitBudget | None:
        return await self.debit.grant(wish, waiting=self.waiting)


def waiting_words(left_s: float) -> str:
    """A remark for whoever looks at nothing meanwhile."""
    return f"waiting for the owner's approval, up to {left_s:,.0f} s"


def read_every(text: str) -> RepeatUnit:
    """``day``, ``week`` or ``month``. Raises KitestringError."""
    for unit in PERIODS_S:
        if unit == text:
            return unit
    raise KitestringError(Reason.MALFORMED, f"a budget is per {', '.join(PERIODS_S)}, not per {text!r}")


def _whole(amount: Msat) -> Msat:
    if not isinstance(amount, Msat):
        raise TypeError("an amount is written sat(210) or Msat(210_000), not as a bare number")
    if amount <= 0 or amount % MSAT_PER_SAT:
        raise KitestringError(Reason.AMOUNT_OUT_OF_RANGE, "a debit is over whole sats, at least one")
    return amount


def _received(invoice: bolt11.DecodedInvoice, word: TillWord) -> DebitPaid:
    return DebitPaid(invoice.payment_hash, word.preimage, "received")


def _expired(invoice: bolt11.DecodedInvoice, word: TillWord) -> KitestringError:
    """Nothing is asked any more; an earlier request may have been carried out in time."""
    if word.state == "unpaid":
        return KitestringError(Reason.EXPIRED_INVOICE, "this invoice has expired unpaid: make a new one")
    if word.state == "foreign":
        words = "this invoice has expired, so nothing was asked; only its payee can say whether it was paid before"
        return KitestringError(Reason.EXPIRED_INVOICE, words)
    return _unconfirmed(invoice, "this invoice has expired", word)


def _unpaid(asked: DebitAsked, failure: KitestringError | None) -> KitestringError:
    """The invoice has expired, and the wallet has received nothing: only now every refusal is final."""
    if isinstance(asked.reply, DebitRefusal):
        refused = asked.reply.refused
        words = f"the service refused the debit: {refused.message or refused.reason.value}; the invoice expired unpaid"
        return KitestringError(refused.reason, words, **refused.details)
    if failure is None:
        words = "the service said that it has paid, and the invoice has expired without any money in this wallet"
        return KitestringError(Reason.PAYMENT_FAILED, words)
    return KitestringError(Reason.PAYMENT_FAILED, "the service has not answered, and the invoice has expired unpaid")


def _unconfirmed(invoice: bolt11.DecodedInvoice, known: str, word: TillWord) -> KitestringError:
    said = f"this wallet cannot say: {word.why}" if word.state == "unknown" else "this wallet has not received it yet"
    return KitestringError(
        Reason.PAYMENT_IN_FLIGHT,
        f"{known}, and {said}; look the hash {invoice.payment_hash} up later, and until the wallet says that it is "
        "unpaid ask for no other invoice for the same thing",
        payment_hash=invoice.payment_hash,
        expires_at=invoice.expires_at,
        bolt11=invoice.text,
    )
