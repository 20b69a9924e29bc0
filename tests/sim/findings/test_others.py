"""F7, F14, F15, F17, F19, F21, F22, F23: the wrong account, too late, or a service that should not spend."""

import pytest

from tests.sim.findings import others
from tests.sim.findings.playing import play


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


def test_f7_the_owners_limits_hold_whatever_an_app_sends() -> None:
    play(others.a_fee_beyond_the_owners_limit)


def test_f14_an_invoice_that_is_open_at_the_node_stays_open() -> None:
    play(others.an_open_invoice_is_called_expired)


def test_f14_an_invoice_of_an_offer_that_is_open_at_the_node_is_not_forgotten() -> None:
    play(others.the_invoice_of_an_offer_is_forgotten)


def test_f14_invoices_of_a_node_that_is_gone_do_not_stay_open_and_are_credited_when_it_comes_back() -> None:
    play(others.a_node_that_is_gone_comes_back)


def test_f15_what_settles_under_indexes_that_begin_again_is_credited() -> None:
    play(others.settle_indexes_begin_again)


def test_f17_two_copies_that_are_alive_stop_spending() -> None:
    play(others.two_copies_are_alive)


def test_f19_a_flood_of_hung_payments_leaves_room_for_the_owner_and_for_small_use() -> None:
    play(others.hung_payments_close_the_wallet)


def test_f19_strangers_and_greedy_apps_leave_room_for_a_small_till_and_for_the_owner() -> None:
    play(others.strangers_fill_the_open_invoices)


def test_f21_a_lost_ledger_is_not_replaced_by_an_empty_one_without_a_word() -> None:
    play(others.the_ledger_is_gone)


def test_f22_an_invoice_without_an_amount_is_not_paid_by_another_amount() -> None:
    play(others.paid_again_with_another_amount)


def test_f23_a_settlement_that_cannot_be_booked_holds_nothing_up() -> None:
    play(others.a_settlement_of_nothing)
