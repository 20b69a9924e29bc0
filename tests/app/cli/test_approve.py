"""The owner's yes on the command line: what is typed, and what the exit code says of the end."""

from __future__ import annotations

from typing import Any

import click
import pytest

from kitestring.app.cli.approve import command
from tests.kit.app.console import run
from tests.kit.app.questions import DAY, GRANT, QUESTION

PAID: dict[str, Any] = {
    **QUESTION, "state": "approved", "outcome": "paid", "why": None, "fee_msat": 1_000, "connected": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "params"),
    [
        ((), {}),
        (("--once",), {"verdict": "once"}),
        (("--always",), {"verdict": "always"}),
        (
            ("--budget", "5000/24h"),
            {"verdict": "budget", "budget_msat": 5_000_000, "period": "rolling", "length_s": 86_400},
        ),
        (("--version", "1"), {"version": 1}),
    ],
)
def test_the_owners_word_is_handed_on_as_it_was_typed(words: tuple[str, ...], params: dict[str, Any]) -> None:
    said = run(command, "c0ffee", *words, "--idempotency-key", "k", answer=PAID)
    assert said.asked == [("approve", {"id": "c0ffee", "wait_s": 75, **params}, "k")]


@pytest.mark.parametrize("words", [("--once", "--always"), ("--always", "--budget", "5/day")])
def test_one_word_is_given_at_a_time(words: tuple[str, ...]) -> None:
    with pytest.raises(click.UsageError, match="choose one"):
        run(command, "c0ffee", *words)


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({}, 0, "paid 50 sat, fee 1 sat, as npub10xlxvlh…pkge6d has asked"),
        (
            {"service_fee_msat": 2_000},
            0,
            "paid 50 sat, fee 1 sat and service fee 2 sat, as npub10xlxvlh…pkge6d has asked",
        ),
        ({"outcome": "not_paid", "why": "no route"}, 3, "not paid: no route; the node has proven that nothing left it"),
        ({"outcome": "open"}, 7, "approved, and still under way; `kitestring transactions --unpaid` shows how it ends"),
    ],
)
def test_the_end_is_told_as_it_is_known(changes: dict[str, Any], code: int, words: str) -> None:
    said = run(command, "c0ffee", answer={**PAID, **changes})
    assert (said.code, said.out) == (code, f"{words}\n")


def test_a_right_that_was_given_is_named_with_the_way_to_end_it() -> None:
    granted = {**PAID, "outcome": "granted", "amount_msat": None, "grant": {**GRANT, "budgets": [DAY]}}
    said = run(command, "c0ffee", "--budget", "500/day", answer=granted)
    assert said.code == 0
    assert said.lines[0] == "npub10xlxvlh…pkge6d may take 500 sat per day (400 sat left) without asking;"
    assert "kitestring debit revoke" in said.lines[1]
    assert "may take any amount without asking" in run(command, "c", answer={**granted, "grant": {"budgets": []}}).out
