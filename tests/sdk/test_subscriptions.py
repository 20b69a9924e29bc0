"""A subscription: each period is charged once, whatever is lost, killed or set wrong."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import sat
from kitestring.client.debits import DebitAsked
from kitestring.sdk import subscriptions
from kitestring.sdk.received import GRACE_S
from kitestring.sdk.subscription_store import FILE_NAME, FOLDER, SubscriptionRow, SubscriptionStore
from kitestring.sdk.subscriptions import DebitCharge, Subscriber, budget_for, paid_until
from kitestring.wire.ask.debits import BudgetWish, DebitOk, DebitRefusal, Repeat, RepeatUnit
from tests.kit.chance import Counted
from tests.kit.clock import EPOCH, STEPS_S
from tests.kit.sdk.subscribing import Customer, KilledError, Mood, OwnTill, SteppedClock

DAY = 86_400


@dataclass
class Shop:
    """Whoever is subscribed to: each call of :meth:`live` is one life of the program."""

    home: Path
    every: RepeatUnit = "day"
    clock: SteppedClock = field(default_factory=SteppedClock)
    told: list[str] = field(default_factory=list)
    refused: list[KitestringError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.till = OwnTill(self.clock)
        self.customer = Customer(self.till)
        self._draws = Counted()

    def row(self, store: SubscriptionStore) -> SubscriptionRow:
        return store.open_one(
            ndebit="ndebit1x", service="ab" * 32, pointer="", amount_sats=500, every=self.every, name="",
            now=self.clock.now(), entropy=self._draws,
        )  # fmt: skip

    async def live(self, until_s: float = float("inf"), *, once: bool = False, take: int = 10**9) -> list[DebitCharge]:
        """Until so many seconds have passed in all, so many charges have come, or the program dies."""
        self.clock.stop_at = until_s
        got: list[DebitCharge] = []
        with SubscriptionStore(self.home) as store:
            subscriber = Subscriber(
                self.row(store).subscription_id, store, self.customer, self.till, self.clock, tell=self.told.append
            )
            try:
                async with aclosing(subscriber.charges(once=once)) as charges:
                    async for charge in charges:
                        got.append(charge)
                        if len(got) == take:
                            break
            except KilledError:
                pass
            except KitestringError as error:
                if not once:
                    raise
                self.refused.append(error)
        self.clock.stop_at = float("inf")
        return got

    def periods(self) -> dict[str, int]:
        with SubscriptionStore(self.home) as store:
            rows = store._charges("1 = 1")
        return {row.payment_hash: row.period for row in rows}

    def moods(self, *moods: Mood) -> None:
        """One after the other, the last one forever."""
        row = itertools.chain(moods[:-1], itertools.repeat(moods[-1]))
        self.customer.mood = lambda: next(row)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


# ---------------------------------------------------------------- in fair weather


@pytest.mark.parametrize(("every", "length_s"), [("day", 86_400), ("week", 604_800), ("month", 2_592_000)])
async def test_each_period_is_charged_at_its_beginning(every: RepeatUnit, length_s: int, tmp_path: Path) -> None:
    shop = Shop(tmp_path, every)
    got = await shop.live(take=3)
    assert [charge.period for charge in got] == [0, 1, 2]
    assert [charge.begins_at for charge in got] == [EPOCH + number * length_s for number in range(3)]
    assert [charge.ends_at - charge.begins_at for charge in got] == [length_s] * 3
    assert {charge.amount for charge in got} == {sat(500)}
    late = [charge.settled_at - charge.begins_at for charge in got]
    assert all(0 <= each <= 3 * (subscriptions.SLACK_S + 1) for each in late)
    assert shop.customer.wishes == [BudgetWish(510, Repeat(1, every))]


@pytest.mark.parametrize(("amount", "budget"), [(1, 11), (500, 510), (100_000, 101_000)])
def test_the_budget_has_room_for_the_fee_and_none_for_a_second_charge(amount: int, budget: int) -> None:
    assert budget_for(sat(amount)) == sat(budget)


async def test_charges_are_a_full_period_apart_because_budgets_are_counted_in_windows(shop: Shop) -> None:
    shop.moods("over budget", "over budget", "pays")
    got = await shop.live(take=4)
    times = [charge.settled_at for charge in got]
    assert times[0] - EPOCH >= 600
    assert all(after - before >= DAY for before, after in itertools.pairwise(times))
    assert [charge.period for charge in got] == [0, 1, 2, 3]


# ---------------------------------------------------------------- lost answers, refusals


async def test_a_lost_answer_is_decided_by_the_wallet_and_the_period_not_charged_again(shop: Shop) -> None:
    shop.moods("pays, answer lost", "pays")
    got = await shop.live(take=2)
    assert [charge.period for charge in got] == [0, 1]
    assert len(shop.customer.asked) == len(set(shop.customer.asked)) == 2


@pytest.mark.parametrize("mood", ["denies", "fails", "over budget", "silent"])
async def test_a_refused_charge_is_tried_again_with_the_same_invoice(mood: Mood, shop: Shop) -> None:
    shop.moods(mood, mood, "pays")
    (charge,) = await shop.live(take=1)
    assert charge.period == 0
    assert (len(shop.customer.asked), len(set(shop.customer.asked))) == (3, 1)
    assert len(shop.told) == 2
    assert "period 0: " in shop.told[0]
    assert "next try in" in shop.told[0]


async def test_a_person_who_says_no_is_not_asked_every_minute(shop: Shop) -> None:
    shop.moods("denies")
    await shop.live(DAY - 1)
    assert len(shop.customer.asked) <= 8


async def test_a_service_that_names_a_time_is_not_asked_before(shop: Shop) -> None:
    told = iter([DebitAsked(DebitRefusal(4, "slow", retry_in_s=5_000))])
    granted = shop.customer.grants
    shop.customer.grants = lambda: next(told, None) or granted()
    (charge,) = await shop.live(take=1)
    assert charge.begins_at >= EPOCH + 5_000


async def test_the_last_try_is_made_before_the_period_ends_and_what_was_missed_is_not_made_up_for(shop: Shop) -> None:
    shop.moods("denies")
    await shop.live(DAY - 1)
    tried = len(shop.customer.asked)
    assert any(f"next try in {seconds:,} s" in shop.told[-2] for seconds in range(1, 21_601))
    shop.moods("pays")
    got = await shop.live(3 * DAY - 1)
    assert [charge.period for charge in got] in ([0, 1, 2], [1, 2])
    assert tried >= 2


async def test_a_period_that_was_slept_through_is_not_charged(shop: Shop) -> None:
    await shop.live(take=1)
    shop.clock.passed = 5.5 * DAY
    got = await shop.live(6.6 * DAY)
    assert [charge.period for charge in got] == [0, 5, 6]  # 0 again: the loop did not come back from it
    assert shop.customer.paid_by(shop.periods()) == {0: 1, 5: 1, 6: 1}


async def test_a_grant_that_is_over_is_asked_for_again_also_by_the_next_run(shop: Shop) -> None:
    shop.moods("pays", "over", "pays")
    await shop.live(1.01 * DAY)
    assert len(shop.customer.wishes) == 1
    await shop.live(once=True)
    assert len(shop.customer.wishes) == 2
    assert set(shop.customer.paid_by(shop.periods())) == {0, 1}


# ---------------------------------------------------------------- the budget


async def test_a_budget_that_does_not_cover_a_charge_is_told_before_it_is_refused(shop: Shop) -> None:
    shop.customer.grants = lambda: DebitAsked(DebitOk(budget=BudgetWish(499, Repeat(1, "day"))))
    await shop.live(until_s=1)
    assert shop.told == ["the service grants 499 sat per day only, which does not cover a charge of 500 sat"]


async def test_a_refused_budget_ends_it_and_leaves_nothing(shop: Shop) -> None:
    shop.customer.grants = lambda: DebitAsked(DebitRefusal(1, "Request Denied"))
    with pytest.raises(KitestringError) as caught:
        await shop.live()
    assert caught.value.reason is Reason.NOT_PERMITTED
    with SubscriptionStore(shop.home) as store:
        assert store.subscriptions() == []
    assert shop.till.invoices == {}


async def test_an_owner_who_has_not_decided_is_asked_again_and_the_first_period_begins_with_the_yes(shop: Shop) -> None:
    silent = iter([DebitAsked(None)] * 3)
    granted = shop.customer.grants
    shop.customer.grants = lambda: next(silent, None) or granted()
    (charge,) = await shop.live(take=1)
    assert (charge.period, charge.begins_at == shop.clock.true, len(shop.customer.wishes)) == (0, True, 4)
    assert "its budget: the service has not answered" in shop.told[0]


# ---------------------------------------------------------------- restarts


async def test_a_charge_that_the_loop_has_not_come_back_from_is_given_again(shop: Shop) -> None:
    first = await shop.live(take=1)
    assert await shop.live(once=True) == first
    assert await shop.live(once=True) == []
    assert len(shop.customer.asked) == 1


async def test_a_program_that_dies_while_it_asks_goes_on_with_the_invoice_it_had(shop: Shop) -> None:
    shop.customer.mood = lambda: "dies"
    assert await shop.live() == []
    shop.moods("pays")
    (charge,) = await shop.live(once=True)
    assert (charge.period, len(shop.till.invoices)) == (0, 1)
    assert len(shop.customer.asked) == 1  # the wallet has it already


async def test_an_invoice_that_was_made_and_not_stored_was_shown_to_nobody(shop: Shop) -> None:
    shop.till.dies = True
    assert await shop.live() == []
    shop.till.dies = False
    await shop.live(once=True)
    assert (len(shop.till.invoices), len(shop.till.settled)) == (2, 1)
    assert shop.customer.asked == list(shop.till.settled)


async def test_once_does_what_is_due_and_ends(shop: Shop) -> None:
    assert [charge.period for charge in await shop.live(once=True)] == [0]
    assert await shop.live(once=True) == []
    shop.clock.passed = DAY + 10
    assert [charge.period for charge in await shop.live(once=True)] == [1]
    assert len(shop.customer.wishes) == 1


async def test_once_while_the_service_refuses_ends_as_well_and_the_next_run_uses_the_same_invoice(shop: Shop) -> None:
    shop.moods("fails", "fails", "pays")
    assert [len(await shop.live(once=True)) for _ in range(3)] == [0, 0, 1]
    assert len(shop.till.invoices) == 1
    assert [error.reason for error in shop.refused] == [Reason.PAYMENT_IN_FLIGHT] * 2


# ---------------------------------------------------------------- the invoice of a period


async def test_a_new_invoice_is_made_only_after_the_old_one_is_expired_and_known_to_be_unpaid(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "month")
    shop.moods("fails")
    await shop.live(8 * DAY)
    first, second = shop.till.invoices.values()
    assert second.timestamp >= first.expires_at + GRACE_S
    assert first.expiry_s == subscriptions.MAX_EXPIRY_S


@pytest.mark.parametrize("trouble", ["away", "pending forever"])
async def test_without_the_wallets_word_no_new_invoice_is_made(trouble: str, tmp_path: Path) -> None:
    shop = Shop(tmp_path, "month")
    shop.moods("fails")
    await shop.live(DAY)
    if trouble == "away":
        shop.till.away = True
    else:
        shop.till.knows_expiry = False
    await shop.live(29 * DAY)
    assert len(shop.till.invoices) == 1
    shop.till.away, shop.till.knows_expiry = False, True
    shop.moods("pays")
    await shop.live(29.5 * DAY)
    assert shop.customer.paid_by(shop.periods()) == {0: 1}


async def test_an_owner_who_says_yes_at_last_has_paid_the_period_once(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "month")
    shop.moods("pays later", "silent", "pays")
    await shop.live(1_000)
    shop.customer.decide()
    (charge,) = await shop.live(once=True)
    assert charge.period == 0
    assert shop.customer.paid_by(shop.periods()) == {0: 1}


def put_back(shop: Shop, copy: Path) -> None:
    """From now on the program works on this copy."""
    path = shop.home.with_name("restored")
    (path / FOLDER).mkdir(parents=True)
    with SubscriptionStore(copy) as store:
        store.copy_to(path / FOLDER / FILE_NAME, shop.clock.now())
    shop.home = path


def backup_of(shop: Shop) -> Path:
    path = shop.home.with_name("backup")
    (path / FOLDER).mkdir(parents=True)
    with SubscriptionStore(shop.home) as store:
        store.copy_to(path / FOLDER / FILE_NAME, None)
    return path


async def test_a_memory_that_was_put_back_charges_no_period_that_may_have_been_charged_since(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "home")
    await shop.live(once=True)
    backup = backup_of(shop)
    await shop.clock.sleep(DAY + 60)
    await shop.live(once=True)  # period 1, which the backup does not know of
    known = shop.periods()
    put_back(shop, backup)
    (charge,) = await shop.live(take=1)
    assert (charge.period, sorted(known.values())) == (2, [0, 1])
    assert "period 1 may have been charged before the restore: it is not charged again" in shop.told
    assert shop.customer.paid_by({**known, **shop.periods()}) == {0: 1, 1: 1, 2: 1}


async def test_an_invoice_that_the_memory_had_when_it_was_copied_is_asked_for_after_it_was_put_back(
    tmp_path: Path,
) -> None:
    shop = Shop(tmp_path / "home")
    shop.moods("fails", "pays")
    assert await shop.live(once=True) == []
    put_back(shop, backup_of(shop))
    (charge,) = await shop.live(take=1)
    assert (charge.period, len(shop.till.invoices)) == (0, 1)


async def test_the_wallet_of_another_is_no_word_about_ours(shop: Shop) -> None:
    shop.moods("silent")
    await shop.live(1_000)
    ours, shop.till.invoices = shop.till.invoices, {}
    await shop.live(DAY - 1_000)
    assert shop.till.invoices == {}
    assert len(ours) == 1


# ---------------------------------------------------------------- clocks


@pytest.mark.parametrize("step_s", [sign * step for sign in (1, -1) for step in STEPS_S])
async def test_a_clock_that_leaps_and_leaps_back_charges_nothing_early(step_s: int, shop: Shop) -> None:
    shop.clock.steps = {0.5 * DAY: step_s, 0.5 * DAY + 300: -step_s}
    await shop.live(0.9 * DAY)
    assert shop.customer.paid_by(shop.periods()) == {0: 1}
    await shop.live(2.5 * DAY)
    assert shop.customer.paid_by(shop.periods()) == {0: 1, 1: 1, 2: 1}


@pytest.mark.parametrize("step_s", STEPS_S)
async def test_a_clock_that_was_behind_and_is_put_right_is_believed(step_s: int, shop: Shop) -> None:
    shop.clock.skew_s = -step_s
    shop.clock.steps = {0.5 * DAY: step_s}
    await shop.live(3 * DAY)
    paid = shop.customer.paid_by(shop.periods())
    assert set(paid.values()) == {1}
    assert len(paid) in {3, 4}


@pytest.mark.parametrize("step_s", STEPS_S)
async def test_a_clock_that_is_set_back_to_before_the_beginning_waits(step_s: int, shop: Shop) -> None:
    await shop.live(take=1)
    shop.clock.skew_s = -step_s
    await shop.live(shop.clock.passed + min(step_s, DAY) - 1)
    assert shop.customer.paid_by(shop.periods()) == {0: 1}


@pytest.mark.parametrize("step_s", STEPS_S)
async def test_a_leap_ahead_makes_no_invoice_void_that_can_still_be_paid(step_s: int, tmp_path: Path) -> None:
    shop = Shop(tmp_path, "month")
    shop.moods("pays later", "silent")
    shop.clock.steps = {2_000: step_s, 2_000 + 2 * subscriptions.HOLD_S: -step_s}
    await shop.live(DAY)
    shop.customer.decide()
    shop.moods("pays")
    await shop.live(2 * DAY)
    assert max(shop.customer.paid_by(shop.periods()).values()) == 1


# ---------------------------------------------------------------- two at once, the end


async def test_two_programs_do_not_carry_out_the_same_subscription(shop: Shop) -> None:
    await shop.live(once=True)
    with SubscriptionStore(shop.home) as store:
        row = shop.row(store)
        with store.held(row.subscription_id), pytest.raises(KitestringError, match="by another process") as caught:
            await shop.live()
    assert caught.value.reason is Reason.BUSY


async def test_one_that_is_cancelled_ends_and_charges_nothing_any_more(shop: Shop) -> None:
    cancelled_at = 1.5 * DAY
    sleep = shop.clock.sleep

    async def sleep_or_cancel(seconds: float) -> None:
        await sleep(seconds)
        if shop.clock.passed >= cancelled_at:
            with SubscriptionStore(shop.home) as store:
                store.cancel(store.subscriptions()[0].subscription_id, shop.clock.now())

    shop.clock.sleep = sleep_or_cancel  # type: ignore[method-assign]  # another process, while this one sleeps
    got = await shop.live(10 * DAY)
    assert [charge.period for charge in got] == [0, 1]
    assert shop.clock.passed <= cancelled_at + subscriptions.SLICE_S


async def test_one_that_is_cancelled_while_its_invoice_is_made_is_not_charged(shop: Shop) -> None:
    make = shop.till.make_invoice

    async def cancel_meanwhile(*order: object) -> object:
        with SubscriptionStore(shop.home) as store:
            store.cancel(store.subscriptions()[0].subscription_id, shop.clock.now())
        return await make(*order)  # type: ignore[arg-type]  # passed on

    shop.till.make_invoice = cancel_meanwhile  # type: ignore[assignment,method-assign]  # as above
    assert await shop.live(10 * DAY) == []
    assert shop.customer.asked == []


async def test_how_long_it_is_paid_for_is_told(shop: Shop) -> None:
    with SubscriptionStore(shop.home) as store:
        assert paid_until(shop.row(store), []) is None
    await shop.live(take=2)
    with SubscriptionStore(shop.home) as store:
        row = shop.row(store)
        assert paid_until(row, store.paid_charges(row.subscription_id)) == EPOCH + 2 * DAY


# ---------------------------------------------------------------- everything at once


@pytest.mark.parametrize("seed", range(20))
async def test_no_period_is_ever_paid_twice(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    every: RepeatUnit = chance.choice(["day", "week", "month"])
    shop = Shop(tmp_path, every)
    moods: tuple[Mood, ...] = get_args(Mood)
    shop.customer.mood = lambda: chance.choice((*moods, "pays"))
    length_s = {"day": 1, "week": 7, "month": 30}[every] * DAY
    silences = [DebitAsked(None), shop.customer.grants()]
    shop.customer.grants = lambda: chance.choice(silences)
    for life in range(12):
        shop.till.away = chance.random() < 0.2
        shop.till.dies = chance.random() < 0.1
        shop.till.knows_expiry = chance.random() < 0.8
        if chance.random() < 0.3:
            step_s, at = chance.choice(STEPS_S) * chance.choice((1, -1)), shop.clock.passed + chance.random() * length_s
            shop.clock.steps |= {at: step_s, at + chance.choice((100, 900, 7_200)): -step_s}
        await shop.live(shop.clock.passed + chance.random() * 1.5 * length_s, once=chance.random() < 0.2)
        if chance.random() < 0.5:
            shop.customer.decide()
        if life == 11:
            shop.customer.decide()
    periods = shop.periods()
    assert set(shop.customer.asked) <= set(periods), "an invoice was shown that is not stored"
    paid = shop.customer.paid_by(periods)
    assert not paid or max(paid.values()) == 1


def test_the_rules_of_waiting_fit_together() -> None:
    tries: Callable[[int], int] = subscriptions.TRIES_S.__getitem__
    assert [tries(place) for place in (0, subscriptions.SOON_TRY, subscriptions.LATER_TRY)] == [60, 600, 3_600]
    assert subscriptions.LAST_TRY_S < DAY / 10
    assert subscriptions.MIN_EXPIRY_S > subscriptions.MIN_LEFT_S
