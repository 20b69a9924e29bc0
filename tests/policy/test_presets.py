"""Presets of wallet connections: each has what its name says, and nothing beside."""

from __future__ import annotations

import pytest

from kitestring.base.commands import (
    COMMANDS,
    AnyCommand,
    GetBalance,
    GetBudget,
    GetInfo,
    ListTransactions,
    LookupInvoice,
    MakeHoldInvoice,
    MakeInvoice,
    PayInvoice,
    SignMessage,
)
from kitestring.base.rights import Right
from kitestring.policy.presets import PRESETS, PresetName

LOOKS = {LookupInvoice, ListTransactions, GetBalance, GetBudget, GetInfo}


@pytest.mark.parametrize(
    ("name", "has", "lacks"),
    [
        ("read-only", LOOKS, {PayInvoice, MakeInvoice}),
        (
            "receive-only",
            {MakeInvoice, LookupInvoice, ListTransactions, GetInfo},
            {PayInvoice, GetBalance, GetBudget},
        ),
        ("pay", {PayInvoice, *LOOKS}, {MakeInvoice}),
        ("app", {PayInvoice, MakeInvoice, *LOOKS}, {MakeHoldInvoice, SignMessage}),
        ("full", {PayInvoice, MakeInvoice, *LOOKS}, set()),
    ],
)
def test_a_preset_has_what_its_name_says(
    name: PresetName, has: set[type[AnyCommand]], lacks: set[type[AnyCommand]]
) -> None:
    assert {command for command in has | lacks if PRESETS[name].has(command)} == has


@pytest.mark.parametrize("name", PRESETS)
def test_what_spends_without_a_word_of_it_is_in_no_preset(name: PresetName) -> None:
    spends = any(PRESETS[name].has(command) for command in COMMANDS if command.right is Right.SPEND)
    assert spends == (name in {"app", "pay", "full"})
    assert PRESETS[name].needs_budget == (name == "pay")
