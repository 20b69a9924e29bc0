from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.budgets import Budget
from kitestring.base.commands import (
    AnyCommand,
    Bundle,
    GetBalance,
    GetInfo,
    LookupInvoice,
    MakeInvoice,
    Part,
    PayInvoice,
    Unread,
)
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from kitestring.base.money import MAX_MSAT, Msat, sat
from kitestring.base.node import Capabilities
from kitestring.base.outcomes import Refused
from kitestring.base.zones import UTC
from kitestring.policy.costs import service_fee_of
from kitestring.policy.fees import ServiceFee
from kitestring.policy.rules import (
    Allow,
    decide,
    permissions_of,
    refuse_caller,
    refuse_invoice,
)
from tests.kit.changed import replace

NOW = 1_760_000_000
GRANT = Grant(grant_id="g1", name="app", wire="nwc", methods=frozenset({"pay_invoice", "make_invoice"}))
OWNER = Grant(grant_id="owner", name="owner", wire="owner")
ABLE = Capabilities(
    own_preimage=True,
    idempotent_by_hash=True,
    authoritative_lookup=True,
    fee_cap=True,
    amountless=True,
    description_hash=True,
)


def pay(amount_msat: int = 100_000, **changes: Any) -> PayInvoice:
    members: dict[str, Any] = {
        "destination": Bolt11("lnbcrt1"),
        "payment_hash": "ab" * 32,
        "amount_msat": Msat(amount_msat),
        "network": "regtest",
        "expires_at": NOW + 60,
    }
    return PayInvoice(**{**members, **changes})


def decided(command: PayInvoice, grant: Grant | None = GRANT, **options: Any) -> Allow | Refused:
    return decide(command, grant, now=NOW, network="regtest", zone=UTC, **options)


def reason(outcome: Allow | Refused | None) -> Reason | None:
    return outcome.reason if isinstance(outcome, Refused) else None


@pytest.mark.parametrize(
    ("amount_msat", "max_fee_msat", "fee_cap_msat"),
    [
        (1, None, 10_000),
        (1_000_000, None, 10_000),
        (1_000_001, None, 10_001),
        (5_000_000, None, 50_000),
        (100, 0, 0),
        (100, 7, 7),
        (1, 10_001, 10_000),
        (1, 500_000_000, 10_000),
        (5_000_000, 50_001, 50_000),
    ],
)
def test_an_app_may_lower_the_fee_cap_of_one_percent_or_ten_sats_and_never_lift_it(
    amount_msat: int, max_fee_msat: int | None, fee_cap_msat: int
) -> None:
    max_fee = None if max_fee_msat is None else Msat(max_fee_msat)
    assert decided(pay(amount_msat, max_fee_msat=max_fee)) == Allow((), Msat(fee_cap_msat))


@pytest.mark.parametrize(("max_fee_msat", "fee_cap_msat"), [(None, 70_000), (1, 1), (70_001, 70_000)])
def test_a_fee_cap_of_its_own_replaces_that_of_the_service(max_fee_msat: int | None, fee_cap_msat: int) -> None:
    max_fee = None if max_fee_msat is None else Msat(max_fee_msat)
    generous = replace(GRANT, fee_cap_msat=sat(70))
    assert decided(pay(max_fee_msat=max_fee), generous) == Allow((), Msat(fee_cap_msat))


def test_only_the_owner_may_pay_more_for_routing_than_the_settings_say() -> None:
    assert decided(pay(max_fee_msat=sat(500)), OWNER) == Allow((), sat(500))


def test_an_internal_payment_reserves_no_fee() -> None:
    assert decided(pay(), internal=True) == Allow((), Msat(0))


def test_the_budget_is_charged_with_amount_and_fee_cap() -> None:
    outcome = decided(pay(), replace(GRANT, budgets=(Budget.daily(sat(110)),)))
    assert isinstance(outcome, Allow)
    assert [charge.amount_msat for charge in outcome.charges] == [sat(110)]


def test_a_payment_that_no_empty_budget_could_cover_is_refused_at_once() -> None:
    outcome = decided(pay(), replace(GRANT, budgets=(Budget.daily(Msat(99_999)),)))
    assert isinstance(outcome, Refused)
    assert outcome.reason is Reason.OVER_BUDGET
    assert outcome.message == "100 sat + fees is more than the budget of 99.999 sat per day"
    assert reason(decided(pay(), replace(GRANT, budgets=(Budget.total(sat(0)),)))) is Reason.OVER_BUDGET


def test_the_cap_of_one_payment_is_on_all_that_it_may_cost() -> None:
    capped = replace(GRANT, per_payment_msat=sat(110))
    assert isinstance(decided(pay(), capped), Allow)
    refused = decided(pay(100_001), capped)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.details) == (Reason.OVER_BUDGET, {
        "amount_msat": 100_001, "fee_cap_msat": 10_000, "service_fee_msat": 0,
        "per_payment_msat": 110_000, "would_fit_msat": 100_000,
    })  # fmt: skip
    assert refused.message == (
        "one payment may cost at most 110 sat: this one is 100.001 sat + up to 10 sat for fees; 100 sat would fit"
    )
    assert isinstance(decided(pay(110_000, max_fee_msat=Msat(0)), capped), Allow)
    assert isinstance(decided(pay(110_000), capped, internal=True), Allow)
    beyond = decided(pay(110_001), capped, internal=True)
    assert isinstance(beyond, Refused)
    assert beyond.message == "one payment may cost at most 110 sat: this one is 110.001 sat; 110 sat would fit"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (pay(network="bitcoin"), Reason.WRONG_NETWORK),
        (pay(expires_at=NOW), Reason.EXPIRED_INVOICE),
        (pay(expires_at=NOW + 1), None),
        (pay(0), Reason.AMOUNT_OUT_OF_RANGE),
        (pay(-1), Reason.AMOUNT_OUT_OF_RANGE),
        (pay(MAX_MSAT), None),
        (pay(MAX_MSAT + 1), Reason.AMOUNT_OUT_OF_RANGE),
        (pay(max_fee_msat=Msat(-1)), Reason.MALFORMED),
    ],
)
def test_the_invoice_has_to_be_payable_here_and_now(command: PayInvoice, expected: Reason | None) -> None:
    assert reason(decided(command)) is expected


def test_a_key_is_paid_without_invoice_by_a_backend_that_can_and_with_the_preimage_of_the_hash() -> None:
    preimage = "cd" * 32
    key = Keysend("02" * 33, preimage)
    payment_hash = sha256(bytes.fromhex(preimage)).hexdigest()
    sent = pay(destination=key, payment_hash=payment_hash, network="", expires_at=0)
    may = replace(GRANT, methods=frozenset({"pay_keysend"}))
    assert decided(sent, may, keysend=True) == Allow((), Msat(10_000))
    assert reason(decided(sent, may)) is Reason.UNSUPPORTED
    assert reason(decided(replace(sent, payment_hash="ab" * 32), may, keysend=True)) is Reason.MALFORMED
    assert reason(decided(replace(sent, amount_msat=Msat(0)), may, keysend=True)) is Reason.AMOUNT_OUT_OF_RANGE


def test_paying_a_key_has_a_permission_of_its_own() -> None:
    sent = pay(destination=Keysend("02" * 33, "cd" * 32))
    assert (permissions_of(sent), permissions_of(pay())) == (("pay_keysend",), ("pay_invoice",))
    assert (
        reason(decided(sent, replace(GRANT, methods=frozenset({"pay_invoice"})), keysend=True)) is Reason.NOT_PERMITTED
    )
    assert reason(decided(pay(), replace(GRANT, methods=frozenset({"pay_keysend"})))) is Reason.NOT_PERMITTED


def test_several_payments_are_for_who_may_pay_in_one_way_at_least() -> None:
    bundle = Bundle(parts=(Part(Unread("malformed", "no")),))
    for methods, is_refused in (("pay_invoice", False), ("pay_keysend", False), ("get_balance make_invoice", True)):
        answer = refuse_caller(replace(GRANT, methods=frozenset(methods.split())), NOW, bundle)
        assert (None if answer is None else answer.reason) == (Reason.NOT_PERMITTED if is_refused else None)


@pytest.mark.parametrize(
    ("grant", "expected"),
    [
        (None, Reason.CONNECTION_ENDED),
        (replace(GRANT, revoked_at=NOW - 9), Reason.CONNECTION_ENDED),
        (replace(GRANT, expires_at=NOW), Reason.CONNECTION_ENDED),
        (replace(GRANT, expires_at=NOW + 1), None),
        (replace(GRANT, methods=frozenset({"make_invoice"})), Reason.NOT_PERMITTED),
        (replace(GRANT, methods=frozenset()), Reason.NOT_PERMITTED),
        (OWNER, None),
        (replace(OWNER, methods=frozenset({"spend"})), None),
        (replace(OWNER, methods=frozenset({"read", "receive", "manage"})), Reason.NOT_PERMITTED),
        (replace(OWNER, methods=frozenset({"pay_invoice"})), Reason.NOT_PERMITTED),
    ],
)
def test_who_may_pay(grant: Grant | None, expected: Reason | None) -> None:
    assert reason(decided(pay(), grant)) is expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (GetInfo(), None),
        (GetBalance(), Reason.NOT_PERMITTED),
        (LookupInvoice(payment_hash="ab" * 32), Reason.NOT_PERMITTED),
        (MakeInvoice(amount_msat=None), None),
    ],
)
def test_every_connection_may_ask_what_it_is_and_only_what_was_granted(
    command: AnyCommand, expected: Reason | None
) -> None:
    assert reason(refuse_caller(GRANT, NOW, command)) is expected
    assert refuse_caller(OWNER, NOW, command) is None


@pytest.mark.parametrize(
    ("command", "capabilities", "expected"),
    [
        (MakeInvoice(amount_msat=sat(1)), ABLE, None),
        (MakeInvoice(amount_msat=None), ABLE, None),
        (MakeInvoice(amount_msat=None), replace(ABLE, amountless=False), Reason.MALFORMED),
        (MakeInvoice(amount_msat=Msat(1)), replace(ABLE, sub_sat=False), Reason.MALFORMED),
        (MakeInvoice(amount_msat=sat(1)), replace(ABLE, sub_sat=False), None),
        (MakeInvoice(amount_msat=Msat(0)), ABLE, Reason.AMOUNT_OUT_OF_RANGE),
        (MakeInvoice(amount_msat=Msat(MAX_MSAT + 1)), ABLE, Reason.AMOUNT_OUT_OF_RANGE),
        (MakeInvoice(amount_msat=None, description_hash="x"), replace(ABLE, description_hash=False), Reason.MALFORMED),
    ],
)
def test_an_invoice_is_made_only_where_the_backend_can(
    command: MakeInvoice, capabilities: Capabilities, expected: Reason | None
) -> None:
    assert reason(refuse_invoice(command, GRANT, capabilities, now=NOW)) is expected
    assert reason(refuse_invoice(command, None, capabilities, now=NOW)) is Reason.CONNECTION_ENDED


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 10**12),
    st.integers(0, 10**12),
    st.none() | st.integers(0, 10**9),
    st.none() | st.integers(0, 10**12),
)
def test_what_is_allowed_fits_every_limit_with_its_fee(
    amount: int, limit: int, max_fee: int | None, cap: int | None
) -> None:
    grant = replace(GRANT, budgets=(Budget.daily(Msat(limit)),), per_payment_msat=None if cap is None else Msat(cap))
    outcome = decided(pay(amount, max_fee_msat=None if max_fee is None else Msat(max_fee)), grant)
    owners = max(-(-amount // 100), 10_000)
    fee_cap = owners if max_fee is None else min(max_fee, owners)
    fits = amount <= limit and (cap is None or amount + fee_cap <= cap)
    assert isinstance(outcome, Allow) == fits
    if isinstance(outcome, Allow):
        assert outcome.fee_cap_msat == min(fee_cap, limit - amount)
        assert outcome.charges[0].amount_msat == amount + outcome.fee_cap_msat


def test_a_fee_reserve_is_lowered_to_what_the_budgets_have_left_and_never_raised() -> None:
    tight = replace(GRANT, budgets=(Budget.daily(sat(500)), Budget(sat(104), budget_id=1)))
    outcome = decided(pay(), tight)
    assert isinstance(outcome, Allow)
    assert (outcome.fee_cap_msat, {charge.amount_msat for charge in outcome.charges}) == (sat(4), {sat(104)})
    for room, cap in ((Msat(0), Msat(0)), (sat(3), sat(3)), (sat(400), sat(4))):
        allowed = decide(pay(), tight, now=NOW, network="regtest", zone=UTC, fee_at_most=room)
        assert isinstance(allowed, Allow)
        assert allowed.fee_cap_msat == cap


def test_an_invoice_with_less_life_than_is_wanted_counts_as_expired() -> None:
    command = pay()
    at = command.expires_at - 30
    assert isinstance(decide(command, GRANT, now=at - 1, network="regtest", zone=UTC, least_left_s=30), Allow)
    assert (
        reason(decide(command, GRANT, now=at, network="regtest", zone=UTC, least_left_s=30)) is Reason.EXPIRED_INVOICE
    )


# ------------------------------------------------------------ the service's own fee

#: Of 100 sat it takes 2.
TAKES = ServiceFee(sat(1), 200)
SHOP = replace(GRANT, account_id="shop")


def test_what_leaves_the_service_from_the_account_of_another_pays_the_service() -> None:
    assert decided(pay(), SHOP, service_fee=TAKES) == Allow((), sat(10), sat(2))
    key = Keysend("02" + "ab" * 32, "11" * 32)
    sent = pay(destination=key, payment_hash=sha256(bytes.fromhex(key.preimage)).hexdigest())
    both = replace(SHOP, methods=frozenset({"pay_keysend"}))
    assert decided(sent, both, service_fee=TAKES, keysend=True) == Allow((), sat(10), sat(2))


def test_the_owners_account_and_what_stays_inside_pay_the_service_nothing() -> None:
    assert decided(pay(), GRANT, service_fee=TAKES) == Allow((), sat(10))
    assert decided(pay(), OWNER, service_fee=TAKES) == Allow((), sat(10))
    assert decided(pay(), SHOP, service_fee=TAKES, internal=True) == Allow((), Msat(0))
    assert service_fee_of(pay(), None, TAKES) == 0


def test_the_cap_of_one_payment_is_on_the_service_fee_too() -> None:
    assert isinstance(decided(pay(), replace(SHOP, per_payment_msat=sat(112)), service_fee=TAKES), Allow)
    refused = decided(pay(), replace(SHOP, per_payment_msat=sat(111)), service_fee=TAKES)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.message) == (
        Reason.OVER_BUDGET,
        (
            "one payment may cost at most 111 sat:"
            " this one is 100 sat + 2 sat service fee + up to 10 sat for routing; 99 sat would fit"
        ),
    )


def test_a_budget_has_room_for_the_service_fee_before_it_has_any_for_routing() -> None:
    def within(limit: Msat) -> Allow | Refused:
        return decided(pay(), replace(SHOP, budgets=(Budget.daily(limit),)), service_fee=TAKES)

    for limit, cap in ((sat(112), sat(10)), (sat(103), sat(1)), (sat(102), Msat(0))):
        allowed = within(limit)
        assert isinstance(allowed, Allow)
        assert (allowed.fee_cap_msat, allowed.service_fee_msat) == (cap, sat(2))
        assert [charge.amount_msat for charge in allowed.charges] == [min(limit, sat(112))]
    refused = within(Msat(101_999))
    assert isinstance(refused, Refused)
    assert refused.message == ("100 sat + 2 sat service fee is more than the budget of 101.999 sat per day")


@pytest.mark.parametrize(("max_fee", "cap"), [(2_000, 0), (2_500, 500), (12_000, 10_000), (99_000, 10_000)])
def test_the_fee_that_an_app_allows_is_for_routing_and_service_together(max_fee: int, cap: int) -> None:
    allowed = decided(pay(max_fee_msat=Msat(max_fee)), SHOP, service_fee=TAKES)
    assert allowed == Allow((), Msat(cap), sat(2))


def test_an_app_that_allows_less_than_the_service_takes_is_told_how_much_that_is() -> None:
    refused = decided(pay(max_fee_msat=Msat(1_999)), SHOP, service_fee=TAKES)
    assert refused == Refused(
        Reason.FEE_LIMIT,
        "the service fee is 2 sat, which is more than the 1.999 sat of fees that are allowed",
        {"max_fee_msat": 1_999, "service_fee_msat": 2_000},
    )
    assert isinstance(decided(pay(max_fee_msat=Msat(0)), SHOP, service_fee=TAKES, internal=True), Allow)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 10**12), st.integers(0, 10**12), st.integers(0, 10_000), st.integers(0, 1_000))
def test_what_is_allowed_fits_the_limit_with_both_fees(amount: int, limit: int, floor: int, bps: int) -> None:
    grant = replace(SHOP, budgets=(Budget.daily(Msat(limit)),))
    fee = ServiceFee(sat(floor), bps)
    outcome = decided(pay(amount), grant, service_fee=fee)
    ours = fee.of(Msat(amount))
    assert isinstance(outcome, Allow) == (amount + ours <= limit)
    if isinstance(outcome, Allow):
        assert outcome.service_fee_msat == ours
        assert outcome.charges[0].amount_msat == amount + ours + outcome.fee_cap_msat <= limit
