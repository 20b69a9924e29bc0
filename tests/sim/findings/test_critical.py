"""F1 to F6: money that leaves twice, or is gone and nobody is told."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from kitestring.base.node import PayOrder
from kitestring.base.payments import NeverSeen, Unknown
from tests.kit.backend.lnd import FakeLnd
from tests.kit.backend.sides import open_url, order, stranger_invoice
from tests.sim.findings import critical
from tests.sim.findings.playing import play


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


def test_f1_a_request_that_was_refused_by_its_rate_is_not_paid_after_a_restart() -> None:
    play(critical.refused_by_rate_then_restarted)


def test_f1_a_request_that_was_refused_as_from_the_future_is_not_paid_later() -> None:
    play(critical.refused_as_from_the_future)


def test_f2_a_payment_ends_although_the_time_of_its_budget_went_back() -> None:
    play(critical.a_budgets_time_goes_back)


def test_f2_a_payment_ends_although_its_fee_is_below_zero() -> None:
    play(critical.a_fee_below_zero)


def test_f2_a_payment_ends_although_the_day_of_its_budget_went_back() -> None:
    play(critical.a_day_goes_back)


def test_f3_a_payment_whose_record_was_deleted_is_not_sent_again() -> None:
    play(critical.a_paid_payment_is_deleted_at_the_node)


def test_f3_a_payment_whose_record_was_deleted_is_not_called_failed() -> None:
    play(critical.a_paid_payment_is_deleted_and_its_invoice_expires)


def _an_order() -> PayOrder:
    return order(stranger_invoice(1000, int(time.time())))


async def _looked_up(tmp_path: Path, body: object) -> object:
    async with FakeLnd(tmp_path) as fake:
        fake.track = (404, json.dumps(body).encode())
        lnd = open_url(fake.url, tmp_path)
        await lnd.open()
        try:
            return await lnd.lookup_payment(_an_order().payment_hash)
        finally:
            await lnd.close()


def test_f3_a_route_that_is_not_there_proves_nothing_about_a_payment(tmp_path: Path) -> None:
    found = asyncio.run(_looked_up(tmp_path, {"code": 5, "message": "Not Found", "details": []}))
    critical.must(isinstance(found, Unknown), f"a proxy's 404 is taken for {found}")


def test_f3_the_nodes_own_word_is_never_seen(tmp_path: Path) -> None:
    body = {"error": {"code": 5, "message": "payment isn't initiated", "details": []}}
    assert isinstance(asyncio.run(_looked_up(tmp_path, body)), NeverSeen)


def test_f4_an_order_is_not_sent_after_a_restart_hours_later() -> None:
    play(critical.killed_before_the_order)


def test_f4_an_order_is_not_sent_when_the_node_returns_hours_later() -> None:
    play(critical.the_node_is_away_for_hours)


def test_f5_a_restored_ledger_pays_nothing_by_itself() -> None:
    play(critical.a_restored_ledger_pays)


def test_f5_a_ledger_from_before_the_claim_does_not_pay_what_it_has_never_seen() -> None:
    play(critical.a_ledger_from_before_the_claim_pays)


def test_f5_nothing_of_an_earlier_life_is_sent_while_no_relay_knows_of_the_ledger() -> None:
    play(critical.no_relay_knows_of_the_restored_ledger)


def test_f5_what_an_old_ledger_has_refused_is_not_paid_by_the_right_one() -> None:
    play(critical.the_right_ledger_is_put_back)


def test_f6_an_exchanged_node_is_not_sent_the_orders_of_the_other() -> None:
    play(critical.the_node_is_exchanged)
