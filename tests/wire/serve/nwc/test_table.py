"""One row for each method: its permission, and what follows from a service without it."""

from __future__ import annotations

import pytest

from kitestring.base.budgets import Budget
from kitestring.base.commands import Bundle, GetBalance, PayInvoice
from kitestring.base.errors import Reason
from kitestring.base.grants import SPENDING_METHODS, Grant
from kitestring.base.money import Msat
from kitestring.nostr import kinds
from kitestring.policy.rules import KEYSEND
from kitestring.wire.grammar import Facts
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.serve.nwc import WIRE
from kitestring.wire.serve.nwc.announcement import info_event
from kitestring.wire.serve.nwc.table import METHODS, not_served
from tests.kit.changed import replace
from tests.kit.wire.nwc import KEY, LEGACY, TO, decode, request
from tests.kit.wire.samples import event


def test_the_permission_of_every_method_is_that_of_its_command() -> None:
    for row in METHODS.values():
        assert row.permission in {*row.command.allowed_by, KEYSEND} or not row.command.allowed_by
    assert decode("get_balance", None) == GetBalance()


def test_every_method_that_pays_is_one_that_a_budget_of_nothing_takes_from_what_is_announced() -> None:
    assert {row.permission for row in METHODS.values() if row.command in (PayInvoice, Bundle)} == SPENDING_METHODS
    plain = Grant(grant_id="g", name="app", wire="nwc", methods=frozenset({"pay_invoice", "get_budget"}))
    empty = replace(plain, budgets=(Budget.daily(Msat(1)), Budget.total(Msat(0))))
    assert WIRE.announces is not None
    assert [WIRE.announces.write(grant, LEGACY).content for grant in (plain, empty)] == [
        "pay_invoice get_budget get_info pay",
        "get_budget get_info",
    ]
    assert WIRE.announces.write(empty, ()).tags[1:] == [["extensions", "13"]]


def test_a_method_that_the_service_is_without_is_neither_announced_nor_served() -> None:
    assert not_served({"keysend", "hold", "amountless"}) == LEGACY
    switches = {"legacy_methods", "draft_methods", "connection_requests"}
    assert not_served({"keysend", "hold", "amountless", "sign_message", *switches}) == set()
    without = not_served(())
    assert "pay_keysend" in without
    may = {"pay_keysend", "get_balance"}
    assert [info_event(may, ("nip44",), gone).content for gone in (LEGACY, without)] == [
        "pay_keysend get_balance get_info",
        "get_balance get_info",
    ]
    assert info_event(may, ("nip44",), without).tags == [["encryption", "nip44_v2"]]
    text = request("pay_keysend", {"pubkey": KEY, "amount": 1})
    with pytest.raises(WireRefusalError) as caught:
        WIRE.read(text, event(kinds.NWC_REQUEST), TO, Facts("regtest", without=without))
    assert (caught.value.refused.reason, caught.value.to.method) == (Reason.UNSUPPORTED, "pay_keysend")
