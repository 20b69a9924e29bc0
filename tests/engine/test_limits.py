"""The owner sets the limits of the engine by rows that stand at its fields; two numbers nobody sets."""

from __future__ import annotations

from dataclasses import fields

from kitestring.base.money import Msat, sat
from kitestring.base.setting import ROW, Setting
from kitestring.engine.limits import Limits
from kitestring.policy.fees import ServiceFee

ROWS: dict[str, Setting[int]] = {one.name: one.metadata[ROW] for one in fields(Limits) if ROW in one.metadata}


def test_what_the_owner_sets_has_a_key_a_unit_and_the_default_of_the_engine() -> None:
    assert {name: row.key for name, row in ROWS.items()} == {
        "open_payments": "limits.open_payments",
        "open_payments_per_connection": "limits.open_payments_per_connection",
        "open_invoices": "limits.open_invoices",
        "all_open_invoices": "limits.all_open_invoices",
        "fee_ppm": "fees.cap_ppm",
        "fee_min_msat": "fees.cap_min_sat",
        "service_floor_msat": "fees.service_floor_sat",
        "service_bps": "fees.service_bps",
        "send_within_s": "payments.send_within_s",
    }
    for name, row in ROWS.items():
        assert row.default == getattr(Limits(), name)
        assert row.kind.unit
        assert row.doc.endswith(".")


def test_a_connection_may_not_hold_all_slots_and_may_wait_longer_for_a_view_than_for_nothing() -> None:
    limits = Limits()
    assert 0 < limits.open_payments_per_connection < limits.open_payments
    assert 0 < limits.view_age_s < limits.pay_timeout_s


def test_the_smallest_fee_cap_is_written_in_sats_and_held_in_msat() -> None:
    row = ROWS["fee_min_msat"]
    held = row.kind.check(2)
    assert (held, type(held)) == (sat(2), Msat)
    assert row.kind.check(-1) is row.kind.check("2") is None


def test_the_fee_of_the_service_has_bounds_that_no_typing_error_passes() -> None:
    floor, share = ROWS["service_floor_msat"].kind, ROWS["service_bps"].kind
    assert (floor.check(10_000), floor.check(10_001), floor.check(-1)) == (sat(10_000), None, None)
    assert floor.expected == "a whole number of sats from 0 to 10000"
    assert (share.check(1_000), share.check(1_001), share.check(-1)) == (1_000, None, None)
    assert Limits(service_floor_msat=sat(2), service_bps=100).service_fee == ServiceFee(sat(2), 100)
