"""Grants and sessions on the command line: what is left of a right, and what is changed of it."""

from __future__ import annotations

from typing import Any

import click
import pytest

from kitestring.app.cli.debit import command
from tests.kit.app.console import Service, run
from tests.kit.app.questions import DAY, GRANT, NPUB, TOTAL

K = ("--idempotency-key", "k")


def test_grants_are_a_table_with_what_is_left() -> None:
    said = run(command, "grants", answer={"grants": [GRANT, {**GRANT, "per_payment_msat": 9_000, "budgets": []}]})
    assert said.asked == [("debit_grants", {"pointer": ""})]
    first, second = said.lines[1:]
    assert first.startswith("the shop  500 sat per day (400 sat left) and 5,000 sat in total (5,000 sat left)  –")
    assert first.endswith("main  npub10xlxvlh…pkge6d  0a1b2c3d")
    assert "any amount" in second
    assert "9 sat" in second
    assert "kitestring approve ID" in run(command, "grants", "--pointer", "main", answer={"grants": []}).out


def test_one_grant_is_shown_with_its_whole_key() -> None:
    said = run(command, "show", "the shop", answer=GRANT)
    assert said.asked == [("debit_show", {"grant": "the shop"})]
    assert f"key        {NPUB}" in said.lines
    assert "expires    never" in said.lines


@pytest.mark.parametrize(
    ("words", "params"),
    [
        (
            ("--budget", "500/day", "--budget", "5000/total"),
            {"budgets": [{k: row[k] for k in ("limit_msat", "period", "length_s")} for row in (DAY, TOTAL)]},
        ),
        (
            ("--no-budget", "--no-per-payment", "--no-expiry"),
            {"budgets": [], "per_payment_msat": None, "expires_at": None},
        ),
        (("--per-payment", "9", "--expires", "30d"), {"per_payment_msat": 9_000, "expires_in_s": 2_592_000}),
        (("--expires", "2027-01-31", "--name", "shop"), {"expires_at": 1_801_353_600, "name": "shop"}),
    ],
)
def test_what_is_typed_is_changed_and_nothing_else(words: tuple[str, ...], params: dict[str, Any]) -> None:
    said = run(command, "edit", "0a1b2c", *words, *K, answer={**GRANT, "changed": True})
    assert said.asked == [("debit_edit", {"grant": "0a1b2c", **params}, "k")]
    assert said.err == "changed:\n"
    assert "it is so already" in run(command, "edit", "0a", *words, answer={**GRANT, "changed": False}).err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say what to change"),
        (("--budget", "5/day", "--no-budget"), "--budget and --no-budget"),
        (("--per-payment", "5", "--no-per-payment"), "--per-payment and --no-per-payment"),
        (("--expires", "5d", "--no-expiry"), "--expires and --no-expiry"),
    ],
)
def test_a_change_and_its_opposite_are_a_mistake(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(click.UsageError, match=said):
        run(command, "edit", "0a1b2c", *words)


def test_a_grant_is_ended() -> None:
    said = run(command, "revoke", "0a1b2c", *K, answer=GRANT)
    assert said.asked == [("debit_revoke", {"grant": "0a1b2c"}, "k")]
    assert said.out == "npub10xlxvlh…pkge6d takes nothing any more without asking\n"


SESSION = {
    "pointer_id": "ab" * 16, "pointer": "main", "min_msat": 1_000, "max_msat": 50_000, "expires_at": 60,
    "ndebit": "ndebit1xyz",
}  # fmt: skip


def test_a_session_is_a_code_with_its_bounds_beside_it() -> None:
    said = run(command, "session", "main", "50", "--min", "2", "--expires", "10min", *K, answer=SESSION)
    params = {"pointer": "main", "max_msat": 50_000, "min_msat": 2_000, "expires_in_s": 600}
    assert said.asked == [("debit_session", params, "k")]
    assert said.out == "ndebit1xyz\n"
    assert "takes from 1 sat to 50 sat once" in said.err
    assert "has ended" in run(command, "session", "main", "50", answer={**SESSION, "ndebit": None}).out
    with pytest.raises(click.UsageError, match="from now on"):
        run(command, "session", "main", "50", "--expires", "2027-01-31")
    with pytest.raises(click.UsageError, match="good for 24h at most"):
        run(command, "session", "main", "50", "--expires", "25h")


def test_a_session_of_a_real_service_is_a_code(service: Service) -> None:
    service.ok("debit", "pointer", "create", "door", "--sessions", "minted")
    made = service.ok("debit", "session", "door", "50")
    assert service.ok("decode", made["ndebit"])["session"] == "(secret, not shown)"
    assert service.ok("debit", "grants") == {"grants": []}
    service.ok("debit", "pointer", "delete", "door")
