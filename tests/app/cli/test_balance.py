"""What can be spent, and why it is not known where it is not."""

from __future__ import annotations

from kitestring.app.cli.balance import command
from tests.kit.app.console import run

BOB = {"account": "bob", "available_msat": 5_000}


def test_the_owners_balance_comes_first_and_those_of_the_accounts_below() -> None:
    said = run(command, answer={"balance_msat": 1_234_000, "unknown_because": "", "accounts": [BOB]})
    assert said.asked == [("balance", None)]
    assert said.lines == ["owner  1,234 sat", "bob    5 sat"]


def test_a_balance_that_nobody_can_tell_is_not_called_zero() -> None:
    said = run(command, answer={"balance_msat": None, "unknown_because": "the node is away", "accounts": [BOB]})
    assert said.lines == ["owner  unknown: the node is away", "bob    5 sat"]
