"""Charging a service once in every period: what is due, what is tried again, and what is never done twice.

Period n lasts from ``begun_at + n × length``, where length is 86,400 s, a week, or 30 days. A period is charged in its
own time or never: what was missed is not made up for, because the budget on the other side would not allow it either.
Its invoice is stored before the service sees it, and is the only one that is asked for until it has expired *and* the
wallet says that nothing came.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.base.ports import Clock
from kitestring.client.debits import DebitBudget, DebitPaid, pay_wish
from kitestring.codec import bolt11
from kitestring.policy.fees import default_fee_cap
from kitestring.sdk.received import GRACE_S, Till, ask_till
from kitestring.sdk.subscription_store import ChargeRow, SubscriptionRow, SubscriptionStore
from kitestring.wire.ask.debits import BudgetWish, DebitWish, PayWish, Repeat

#: The least and the most that an invoice is valid, in seconds (more is not taken by every wallet); in between, to the
#: end of its period, so that it serves for every try.
MIN_EXPIRY_S: Final = 600
MAX_EXPIRY_S: Final = 604_800
#: An invoice with less life than this, in seconds, is not asked for any more: services refuse it.
MIN_LEFT_S: Final = 60
#: Seconds between tries of one period; the last one forever. The first is that of a service that is away for a moment.
TRIES_S: Final = (60, 600, 3_600, 21_600)
#: The first try after silence, in which a person may be deciding, or beyond a budget, whose window moves on …
SOON_TRY: Final = 1
#: … and after a refusal that a person may have given, or that holds for some time.
LATER_TRY: Final = 2
#: A service is believed for so many seconds when it names a time.
MAX_TOLD_S: Final = 86_400
#: A last try is made this long before a period ends, or a tenth of it.
LAST_TRY_S: Final = 600
#: Seconds by which a charge comes after the same time of the period before: services count budgets in rolling windows.
SLACK_S: Final = 5
#: A sleep is cut into pieces of this many seconds, so that the end of a subscription is noticed.
SLICE_S: Final = 300
#: A wall clock that is ahead of the time that has passed by more than this, in seconds, has leapt …
LEAP_S: Final = 60
#: … and is believed when it still stands there so many seconds later.
HOLD_S: Final = 600

#: Told in words for people what the iterator does not give: waiting, refusals, the next try.
TellWords = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DebitCharge:
    """A period that is paid. Times are Unix seconds; ``period`` counts from 0."""

    subscription_id: str
    period: int
    begins_at: int
    ends_at: int
    amount: Msat
    payment_hash: str
    settled_at: int


class DebitService(Protocol):
    """A service that is asked, and may pay. Both raise KitestringError."""

    async def collect(self, invoice: bolt11.DecodedInvoice, wish: PayWish) -> DebitPaid:
        """Ask for one invoice."""
        ...

    async def grant(self, wish: DebitWish) -> DebitBudget | None:
        """Ask for a budget; returns what was granted, None = without limits."""
        ...


def budget_for(amount: Msat) -> Msat:
    """The budget that one charge needs: its amount and room for the fee of its route, which services count as well."""
    return sat(amount.sats_up() + default_fee_cap(amount).sats_up())


def charge_shown(row: SubscriptionRow, charge: ChargeRow) -> DebitCharge:
    """A paid period as programs see it."""
    return DebitCharge(
        row.subscription_id, charge.period, row.begins_at(charge.period), row.begins_at(charge.period + 1),
        sat(row.amount_sats), charge.payment_hash, charge.settled_at or charge.made_at,
    )  # fmt: skip


def paid_until(row: SubscriptionRow, paid: list[ChargeRow]) -> int | None:
    """The end of the newest paid period (Unix seconds); None when none is."""
    return max((row.begins_at(charge.period + 1) for charge in paid), default=None)


class Subscriber:
    """Carries out one subscription of ``store``, which it has to itself for as long as :meth:`charges` runs."""

    def __init__(
        self, subscription_id: str, store: SubscriptionStore, asking: DebitService, till: Till, clock: Clock,
        *, description: str = "", tell: TellWords = lambda _: None,
    ) -> None:  # fmt: skip
        self._id: Final = subscription_id
        self._store: Final = store
        self._asking: Final = asking
        self._till: Final = till
        self._clock: Final = clock
        self._description: Final = description
        self._tell: Final = tell
        self._tries = 0
        self._failure: KitestringError | None = None
        self._wall: Final = clock.now()
        self._passed: Final = clock.monotonic()

    async def charges(self, *, once: bool = False) -> AsyncGenerator[DebitCharge, None]:
        """Each paid period, as soon as the wallet has the money; ``once``: what is due now, and no waiting.

        One counts as dealt with when the next is asked for; otherwise it comes again after a restart. Ends when the
        subscription is cancelled. Raises KitestringError: BUSY when another process carries it out, the service's
        refusal of its budget, which is final, and with ``once`` why what is due is not paid yet.
        """
        with self._store.held(self._id):
            while True:
                next_at = await self._step()
                for charge in self._store.untold_charges(self._id):
                    yield charge_shown(self._row(), charge)
                    self._store.mark_told(charge.payment_hash)
                if once and self._failure is not None:
                    raise self._failure
                if once or next_at is None or not await self._sleep_until(next_at):
                    return

    def _row(self) -> SubscriptionRow:
        return self._store.subscription(self._id)

    # ------------------------------------------------------------ one look at what is due

    async def _step(self) -> int | None:
        """Do what is due; the time of the next look (Unix seconds), None when the subscription is cancelled."""
        self._failure = None
        for charge in self._store.open_charges(self._id):
            await self._look(charge)
        if self._row().cancelled_at is not None:
            return None
        if not self._row().has_budget:
            retry_at = await self._ask_budget()
            if retry_at is not None:
                return retry_at
        row, now = self._row(), self._clock.now()
        period = (now - row.begins_at(0)) // row.length_s
        if period < 0:  # the clock was set back to before the beginning
            return row.begins_at(0)
        due_at = self._due_at(row, period)
        return due_at if now < due_at else await self._charge(row, period)

    def _due_at(self, row: SubscriptionRow, period: int) -> int:
        """From when on a period is charged: its beginning, or a full period after the charge before it, if that was
        late; the end of a period that is paid."""
        begins_at, ends_at = row.begins_at(period), row.begins_at(period + 1)
        charge = self._store.charge_of(self._id, period)
        if charge is not None and charge.state == "paid":
            return ends_at
        before = [paid.settled_at or 0 for paid in self._store.paid_charges(self._id) if paid.period < period]
        after_last = max(before) + row.length_s + SLACK_S if before else begins_at
        return max(begins_at, min(after_last, ends_at - self._last_try_s(row)))

    @staticmethod
    def _last_try_s(row: SubscriptionRow) -> int:
        return min(LAST_TRY_S, row.length_s // 10)

    async def _look(self, charge: ChargeRow) -> bool:
        """Ask the wallet about an invoice; whether it is paid."""
        now = self._clock.now()
        # No later than the time that has passed allows: a clock that leaps ahead makes no invoice void.
        passed = self._wall + int(self._clock.monotonic() - self._passed) + LEAP_S
        word = await ask_till(self._till, charge.payment_hash, charge.expires_at, min(now, passed))
        if word.state == "received":
            settled_at = now if word.settled_at is None else min(word.settled_at, now)
            self._store.settle(charge.payment_hash, settled_at)
            return True
        if word.state == "unpaid":
            self._store.void(charge.payment_hash)
        return False

    # ------------------------------------------------------------ asking

    async def _ask_budget(self) -> int | None:
        """The time of the next try, None when the budget is granted. Raises KitestringError when it is refused."""
        row = self._row()
        wish = BudgetWish(budget_for(sat(row.amount_sats)).sats_up(), Repeat(1, row.every))
        try:
            granted = await self._asking.grant(wish)
        except KitestringError as error:
            if error.reason in {Reason.UNAVAILABLE, Reason.RATE_LIMITED, Reason.STALE_REQUEST}:
                return self._next_try(error, None)
            self._store.forget(self._id)
            raise
        if granted is not None and granted.amount < sat(row.amount_sats):
            self._tell(f"the service grants {granted} only, which does not cover a charge of {sat(row.amount_sats)}")
        self._store.begin(self._id, self._clock.now())
        self._tries = 0
        return None

    async def _charge(self, row: SubscriptionRow, period: int) -> int | None:
        """Ask for the invoice of a period, which is made where there is none; the time of the next look."""
        ends_at = row.begins_at(period + 1)
        try:
            charge = self._store.charge_of(self._id, period)
            if charge is None and self._may_be_charged(row, period):
                self._tell(f"period {period} may have been charged before the restore: it is not charged again")
                return ends_at
            charge = charge or await self._make(row, period, ends_at)
            if self._row().cancelled_at is not None:  # while the invoice was made: it has been shown to nobody
                return None
            now = self._clock.now()
            if charge.expires_at - now < MIN_LEFT_S:  # nobody pays it any more; the wallet has the last word
                known = "the invoice has expired, and the wallet does not say yet that nothing came"
                self._failure = KitestringError(Reason.PAYMENT_IN_FLIGHT, known, payment_hash=charge.payment_hash)
                self._tell(f"period {period}: {known}: looking again")
                return min(now + GRACE_S, ends_at)
            await self._collect(charge)
        except KitestringError as error:
            if error.reason is Reason.CONNECTION_ENDED:
                self._store.lose_budget(self._id)
            return self._next_try(error, ends_at, period)
        self._tries = 0
        return ends_at

    def _may_be_charged(self, row: SubscriptionRow, period: int) -> bool:
        """Whether a period without an invoice may have had one that a restore from a copy has forgotten."""
        restored_at = self._store.restored_at()
        return restored_at is not None and row.begins_at(period) <= restored_at

    async def _make(self, row: SubscriptionRow, period: int, ends_at: int) -> ChargeRow:
        expiry_s = max(MIN_EXPIRY_S, min(MAX_EXPIRY_S, ends_at - self._clock.now()))
        made = await self._till.make_invoice(sat(row.amount_sats), self._description, expiry_s)
        invoice = bolt11.decode(made.bolt11, recover=False)
        return self._store.add_charge(
            self._id, period, bolt11=invoice.text, payment_hash=invoice.payment_hash, expires_at=invoice.expires_at,
            now=self._clock.now(),
        )  # fmt: skip

    async def _collect(self, charge: ChargeRow) -> None:
        """Raises KitestringError while the wallet does not have it, whatever the service says."""
        invoice = bolt11.decode(charge.bolt11, recover=False)
        paid = await self._asking.collect(invoice, pay_wish(invoice, description=self._description))
        if paid.proof == "proven":
            self._store.settle(charge.payment_hash, self._clock.now())
        elif not await self._look(charge):
            raise KitestringError(Reason.PAYMENT_IN_FLIGHT, "the service says that it has paid, the wallet does not")

    def _next_try(self, error: KitestringError, ends_at: int | None, period: int | None = None) -> int:
        now = self._clock.now()
        self._failure = error
        self._tries = max(self._tries, _first_try(error))
        wait_s = TRIES_S[min(self._tries, len(TRIES_S) - 1)]
        self._tries += 1
        at = max(now + wait_s, _told_time(error, now))
        if ends_at is not None:
            last_at = ends_at - self._last_try_s(self._row())
            at = min(at, last_at) if now < last_at else ends_at
        about = "its budget" if period is None else f"period {period}"
        self._tell(f"{about}: {error.message}; next try in {max(at - now, 0):,} s")
        return at

    # ------------------------------------------------------------ waiting

    async def _sleep_until(self, at: int) -> bool:
        """Wait for a time of the wall clock; False when the subscription is cancelled meanwhile.

        A clock that leaps ahead is not believed at once: it may leap back, and what was charged would stay charged.
        """
        clock = self._clock
        while (left_s := at - clock.now()) > 0:
            wall, passed = clock.now(), clock.monotonic()
            await clock.sleep(min(left_s, SLICE_S))
            if self._row().cancelled_at is not None:
                return False
            if (clock.now() - wall) - (clock.monotonic() - passed) > LEAP_S:
                self._tell("the clock here has leapt ahead: waiting whether it stays there")
                await clock.sleep(HOLD_S)
        return True


def _first_try(error: KitestringError) -> int:
    """The place in :data:`TRIES_S` at which a row of tries begins after this."""
    code = error.details.get("code")
    if error.reason is Reason.CONNECTION_ENDED or code in {1, 6}:
        return LATER_TRY
    is_away = code in {2, 3} or (code is None and error.reason in {Reason.UNAVAILABLE, Reason.BUSY})
    return 0 if is_away else SOON_TRY


def _told_time(error: KitestringError, now: int) -> int:
    """The time before which the service does not want to be asked again, if it has told one; at most a day away."""
    at, in_s = error.details.get("retry_at"), error.details.get("retry_in_s")
    told = at if isinstance(at, int) else now + in_s if isinstance(in_s, int) else now
    return min(told, now + MAX_TOLD_S)
