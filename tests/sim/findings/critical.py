"""Money that leaves twice, or is gone and nobody is told. Each is played against the real service in virtual time.

A scenario takes a :class:`House` and raises AssertionError where the money is not whole. The tests beside this file and
the planted faults (``tests/sim/test_faults.py``) play the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from kitestring.app.home.config import RequestLimits
from kitestring.nostr.event import Event
from tests.kit.app.client import App
from tests.kit.app.house import Files, House, Service
from tests.kit.engine.crossings import Crossings
from tests.kit.engine.node import Script
from tests.kit.engine.rig import PATIENT

FUNDED = 400_000_000
AMOUNT = 5_000_000
HOUR_S = 3_600
DAY_S = 86_400
#: Longer than any time limit of the service.
LONG_S = 1_200.0
#: A payment that begins later than this after it was claimed is one that its payer has given up.
LATE_S = 300

Scenario = Callable[[House], Coroutine[Any, Any, None]]


class ViolationError(AssertionError):
    """The money is not whole. Any other error says that the scenario was not played as it was meant."""


def must(holds: object, sentence: str) -> None:
    """Raise :class:`ViolationError` unless it holds."""
    if not holds:
        raise ViolationError(sentence)


async def ready(service: Service, **params: object) -> App:
    """A funded account with one connection."""
    await service.account("purse", FUNDED)
    return await service.connect("app", account="purse", **params)


def bill(
    house: House, script: Script | None = None, amount: int | None = AMOUNT, expiry_s: int = DAY_S
) -> tuple[str, str]:
    """(bolt11, payment hash) of somebody outside."""
    text = house.node.outside_bolt11(amount, script, expiry_s=expiry_s)
    return text, next(reversed(house.node.scripts))


def whole(house: House) -> None:
    """Raise :class:`ViolationError` unless the books are right."""
    must(not house.violations(), f"the books are wrong: {house.violations()}")


def _not_paid(house: House, payment_hash: str) -> None:
    must(payment_hash not in house.node.times_paid(), "a payment that was refused has left the node")


# ------------------------------------------------------------ F1: a refusal that nothing remembers


async def refused_by_rate_then_restarted(house: House) -> None:
    """A request over the rate is told so; the service starts again, and the relay shows the request again."""
    house.settings["request_limits"] = RequestLimits(payments_per_min=1)
    (first, _), (second, payment_hash) = bill(house), bill(house)
    async with house.service() as service:
        app = await ready(service)
        assert await app.answer(app.pay(first)) == "ok"
        await house.clocks.service.sleep(2)
        assert await app.answer(app.pay(second)) == "RATE_LIMITED"
    async with house.service():
        await house.clocks.service.sleep(LONG_S)
    _not_paid(house, payment_hash)


async def refused_as_from_the_future(house: House) -> None:
    """The app's clock is 200 s ahead: told so. Six minutes later the relay shows the same event again."""
    text, payment_hash = bill(house)
    async with house.service() as service:
        app = await ready(service)
        await house.clocks.service.sleep(355 - house.clocks.service.monotonic() % 360)
        house.clocks.step("app", 200)
        asked = app.pay(text)
        assert await app.answer(asked) == "OTHER"
        await house.clocks.service.sleep(370)
        house.relay.show_again()
        await house.clocks.service.sleep(LONG_S)
    _not_paid(house, payment_hash)


# ------------------------------------------------------------ F2: a truth that is refused


async def _time_goes_back(house: House, seconds: int, **budget: object) -> None:
    late, payment_hash = bill(house, Script(settles_after_s=60, fails="no_route"), expiry_s=3 * DAY_S)
    small = [bill(house, amount=10_000, expiry_s=3 * DAY_S)[0] for _ in range(2)]
    async with house.service() as service:
        app = await ready(service, budget_msat=FUNDED, **budget)
        asked = app.pay(late)
        await house.clocks.service.sleep(1)
        for step_s, text in ((seconds, small[0]), (-seconds, small[1])):
            house.clocks.step("service", step_s)
            house.clocks.step("app", step_s)
            assert await app.answer(app.pay(text)) == "ok"
        must(await app.answer(asked) == "PAYMENT_FAILED", "the end of a payment was never told")
        assert await service.state(payment_hash) == "failed"
    whole(house)


async def a_budgets_time_goes_back(house: House) -> None:
    """The clock is an hour ahead for one charge and right again for the next, while a payment is under way."""
    await _time_goes_back(house, HOUR_S + 120, period="rolling", length_s=HOUR_S)


async def a_day_goes_back(house: House) -> None:
    """The same over midnight, with a budget for a day."""
    await _time_goes_back(house, DAY_S, period="day")


async def a_fee_below_zero(house: House) -> None:
    """A node adapter says that routing cost -5 msat."""
    text, payment_hash = bill(house, Script(fee=-5))
    async with house.service() as service:
        app = await ready(service)
        asked = app.pay(text)
        must(await app.answer(asked) == "ok", "a payment that was paid was never told")
        assert await service.state(payment_hash) == "settled"
    whole(house)


# ------------------------------------------------------------ F3: "never seen" believed


async def _paid_and_forgotten(house: House, expiry_s: int) -> tuple[App, Event, str]:
    """The node pays at once, its answer is lost in a crash, and then its records are deleted."""
    text, payment_hash = bill(house, Script(answers=["never", "true"]), expiry_s=expiry_s)
    async with house.service() as service:
        app = await ready(service)
        asked = app.pay(text)
        await house.clocks.service.sleep(1)
        assert house.node.times_paid() == [payment_hash]
    house.node.forget()
    return app, asked, payment_hash


async def a_paid_payment_is_deleted_at_the_node(house: House) -> None:
    """``deletepayments`` while the service is down: the same order must not be sent again."""
    _, _, payment_hash = await _paid_and_forgotten(house, DAY_S)
    async with house.service():
        await house.clocks.service.sleep(LONG_S)
    must(house.node.times_paid().count(payment_hash) == 1, "the node has paid twice")


async def a_paid_payment_is_deleted_and_its_invoice_expires(house: House) -> None:
    """The same, and the invoice has expired meanwhile: nobody may say that the payment failed."""
    app, asked, payment_hash = await _paid_and_forgotten(house, 60)
    await house.clocks.service.sleep(120)
    async with house.service() as service:
        await house.clocks.service.sleep(LONG_S)
        must(await service.state(payment_hash) in ("dispatched", "unknown"), "a paid payment was released")
    must(app.code(asked) == "", "a paid payment was called failed")


# ------------------------------------------------------------ F4: an order is sent hours later


async def killed_before_the_order(house: House) -> None:
    """Killed between claim and order; back twenty hours later, when the invoice is still valid."""
    text, payment_hash = bill(house, expiry_s=3 * DAY_S)
    async with house.service() as service:
        app = await ready(service)
    async with house.service(Crossings(at="before pay")) as service:
        asked = app.pay(text)
        await service.crossings.killed.wait()
    await house.clocks.service.sleep(20 * HOUR_S)
    async with house.service():
        await house.clocks.service.sleep(LONG_S)
    _not_paid(house, payment_hash)
    must(app.code(asked) not in ("", "ok"), "a payment that was never sent has no end")


async def the_node_is_away_for_hours(house: House) -> None:
    """The order is lost on its way, and the node is away until the payer has long given up."""
    text, payment_hash = bill(house, Script(answers=["dropped", "true"]), expiry_s=3 * DAY_S)
    async with house.service() as service:
        app = await ready(service)
        asked = app.pay(text)
        await house.clocks.service.sleep(0.1)
        house.node.offline = True
        await house.clocks.service.sleep(3.5 * HOUR_S)
        house.node.offline = False
        await house.clocks.service.sleep(LONG_S)
    _not_paid(house, payment_hash)
    must(app.code(asked) not in ("", "ok"), "a payment that was never sent has no end")


# ------------------------------------------------------------ F5: a restored ledger


async def a_restored_ledger_pays(house: House) -> None:
    """A backup was taken while a payment was dispatched; the app was told that it was not sent, and pays elsewhere."""
    text, payment_hash = bill(house, Script(answers=["unreachable", "true"]))
    async with house.service() as service:
        app = await ready(service)
    taken: list[Files] = []
    async with house.service(Crossings(doing={"before pay": lambda: taken.append(house.copy())})):
        asked = app.pay(text)
        assert await app.answer(asked) not in ("", "ok")
    house.restore(taken[0])
    async with house.service():
        await house.clocks.service.sleep(LONG_S)
    _not_paid(house, payment_hash)


async def _told_no_and_restored(house: House, *, label: str, restored: Callable[[], None] | None = None) -> None:
    text, payment_hash = bill(house, Script(answers=["unreachable", "true"]))
    async with house.service() as service:
        app = await ready(service)
    taken: list[Files] = []
    async with house.service(Crossings(doing={label: lambda: taken.append(house.copy())})):
        assert await app.answer(app.pay(text)) not in ("", "ok")
    house.restore(taken[0])
    if restored is not None:
        restored()
    async with house.service():
        await house.clocks.service.sleep(LONG_S)
    _not_paid(house, payment_hash)


async def a_ledger_from_before_the_claim_pays(house: House) -> None:
    """The copy was taken right before the claim: the relay shows a request that the ledger has never seen."""
    await _told_no_and_restored(house, label="before ClaimPayment")


async def no_relay_knows_of_the_restored_ledger(house: House) -> None:
    """The relay was lost together with the machine: nobody tells that the ledger is old."""

    def forget() -> None:
        house.relay.restore([event for event in house.relay.events if event.pubkey != house.service_id])

    await _told_no_and_restored(house, label="before pay", restored=forget)


async def the_right_ledger_is_put_back(house: House) -> None:
    """An old ledger was served for a moment and refused a payment; the one that is put back does not know of it."""
    text, payment_hash = bill(house)
    async with house.service() as service:
        app = await ready(service)
        old = house.copy()
        assert await app.answer(app.pay(bill(house)[0])) == "ok"
    right = house.copy()
    house.restore(old)
    async with house.service():
        assert await app.answer(app.pay(text)) not in ("", "ok")
    house.restore(right)
    async with house.service():
        await house.clocks.service.sleep(LONG_S)
    _not_paid(house, payment_hash)


# ------------------------------------------------------------ F6: another node behind the address


async def the_node_is_exchanged(house: House) -> None:
    """Node A has paid and its answer hangs; then node B stands behind the address, which never saw the payment. Orders
    are sent again for a day."""
    house.settings["limits"] = PATIENT
    text, payment_hash = bill(house, Script(answers=["never", "true"]))
    async with house.service() as service:
        app = await ready(service)
        app.pay(text)
        await house.clocks.service.sleep(1)
        assert house.node.times_paid() == [payment_hash]
        house.node.exchange()
        await house.clocks.service.sleep(2 * LONG_S)
    must(house.node.paid_twice() == set(), "two nodes have paid the same payment")
