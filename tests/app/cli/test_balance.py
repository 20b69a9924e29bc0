"""What can be spent, and why it is not known where it is not."""

from __future__ import annotations

import click
import pytest

from kitestring.app.cli.balance import command, show_wallet
from kitestring.app.cli.shell import Shell
from kitestring.app.cli.values import when
from kitestring.base.errors import KitestringError
from tests.kit.app.console import run

BOB = {"account": "bob", "available_msat": 5_000, "pending_msat": 0}


def test_the_owners_balance_comes_first_and_those_of_the_accounts_below() -> None:
    said = run(command, answer={"balance_msat": 1_234_000, "unknown_because": "", "accounts": [BOB]})
    assert said.asked == [("balance", None)]
    assert said.lines == ["owner  1,234 sat", "bob    5 sat"]


def test_a_balance_that_nobody_can_tell_is_not_called_zero() -> None:
    said = run(command, answer={"balance_msat": None, "unknown_because": "the node is away", "accounts": [BOB]})
    assert said.lines == ["owner  unknown: the node is away", "bob    5 sat"]


def test_the_balance_of_one_account_stands_alone_with_what_is_held_beside_it() -> None:
    held = {**BOB, "pending_msat": 2_000}
    said = run(command, "bob", answer={"balance_msat": 5_000, "unknown_because": "", "accounts": [held]})
    assert said.asked == [("balance", {"account": "bob"})]
    assert said.lines == ["bob  5 sat, 2 sat more held for payments"]
    with pytest.raises(click.UsageError, match="leave it out with --wallet"):
        run(command, "bob", "--wallet", "nostr+walletconnect://x")


def told(capsys: pytest.CaptureFixture[str], **members: object) -> list[str]:
    """What is shown of a wallet that has told these."""
    known = {"balance_msat": 40_000, "unknown_because": "", "budget": None, "budget_unknown_because": ""}
    show_wallet(Shell(), {**known, **members})
    return capsys.readouterr().out.splitlines()


DAILY = {"limit_msat": 100_000, "used_msat": 60_000, "left_msat": 40_000, "period": "day", "renews_at": 1_760_054_400}


def test_the_budget_of_a_wallet_stands_below_its_balance_as_far_as_either_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert told(capsys) == ["balance  40 sat", "budget   no budget limit"]
    assert told(capsys, budget=DAILY) == [
        "balance  40 sat",
        f"budget   40 sat left of 100 sat per day, renews {when(1_760_054_400)}",
    ]
    for_ever = {**DAILY, "period": "never", "renews_at": None}
    assert told(capsys, budget=for_ever, balance_msat=None, unknown_because="it is not told") == [
        "balance  unknown: it is not told",
        "budget   40 sat left of 100 sat in total",
    ]
    assert told(capsys, budget_unknown_because="it is not announced")[1:] == ["budget   unknown: it is not announced"]


def test_the_encryption_is_that_of_a_wallet_connection() -> None:
    with pytest.raises(KitestringError, match="name it with --wallet"):
        run(command, "--encryption", "legacy")
