"""Debit pointers on the command line: three words, a code, and what strangers get by it in plain words."""

from __future__ import annotations

from typing import Any

import click
import pytest

from kitestring.app.cli import qr
from kitestring.app.cli.debit_pointer import command
from tests.kit.app.console import Service, run
from tests.kit.app.questions import DAY, POINTER

K = ("--idempotency-key", "k")
LEFT = "wss://left.example"
ASKED = {"limit_msat": 500_000, "period": "day", "length_s": 0}


def test_a_pointer_is_made_with_what_was_said_and_its_code_is_the_answer() -> None:
    said = run(command, "create", "till", *K, answer=POINTER)
    assert said.asked == [
        ("debit_pointer_create", {"label": "till", "policy": "ask", "account": "owner", "sessions": "off"}, "k")
    ]
    assert said.out == "ndebit1xyz\n"
    words = ("--policy", "budget", "--budget", "500/day", "--per-payment", "9", "--account", "bob", "--sessions", "any")
    ((_, params, _),) = run(command, "create", "till", *words, answer=POINTER).asked
    assert params == {
        "label": "till", "policy": "budget", "account": "bob", "sessions": "any", "budgets": [ASKED],
        "per_payment_msat": 9_000,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "policy   ask: you decide about each question"),
        ({"policy": "deny"}, "policy   deny: the answer is no"),
        (
            {"policy": "budget", "budgets": [DAY]},
            "policy   budget: they take by themselves, all together 500 sat per day (400 sat left)",
        ),
    ],
)
def test_what_strangers_get_is_said_in_words(changes: dict[str, Any], line: str) -> None:
    said = run(command, "list", answer={"pointers": [{**POINTER, **changes}]})
    assert said.asked == [("debit_pointer_list", None)]
    assert line in said.lines
    assert "code     ndebit1xyz" in said.lines


def test_the_qr_code_of_a_pointer_holds_its_bare_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qr, "person_looks", lambda: True)
    made = run(command, "create", "till", *K, answer=POINTER)
    assert made.out == f"{qr.drawing('ndebit1xyz')}\n\nndebit1xyz\n"


def test_limits_sessions_and_left_relays_are_shown_where_there_are_some() -> None:
    more = {**POINTER, "per_payment_msat": 9_000, "sessions": "minted", "old_relays": [LEFT]}
    said = run(command, "list", answer={"pointers": [POINTER, more]})
    assert "a payment  at most 9 sat" in said.lines
    assert "sessions   those that you make" in said.lines
    assert f"old relay  {LEFT}" in said.lines
    assert "kitestring debit pointer relink POINTER" in said.err
    assert "debit pointer create LABEL" in run(command, "list", answer={"pointers": []}).out


@pytest.mark.parametrize(
    ("words", "params"),
    [
        (("deny",), {"policy": "deny"}),
        (("budget", "--budget", "500/day"), {"policy": "budget", "budgets": [ASKED]}),
        (("--sessions", "minted", "--no-per-payment"), {"sessions": "minted", "per_payment_msat": None}),
        (("--per-payment", "9"), {"per_payment_msat": 9_000}),
    ],
)
def test_a_policy_is_changed_and_what_is_not_said_is_left_out(words: tuple[str, ...], params: dict[str, Any]) -> None:
    said = run(command, "policy", "main", *words, *K, answer={**POINTER, "changed": True})
    assert said.asked == [("debit_pointer_policy", {"pointer": "main", **params}, "k")]
    assert said.err == "changed:\n"
    assert "it is so already" in run(command, "policy", "main", *words, answer={**POINTER, "changed": False}).err


@pytest.mark.parametrize(
    ("words", "said"), [((), "say what to change"), (("--per-payment", "9", "--no-per-payment"), "choose either")]
)
def test_a_change_of_nothing_is_a_mistake(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(click.UsageError, match=said):
        run(command, "policy", "main", *words)


def test_a_new_code_is_shown_with_what_becomes_of_the_old_one() -> None:
    said = run(command, "relink", "main", *K, answer={**POINTER, "changed": True, "left_relays": [LEFT]})
    assert said.asked == [("debit_pointer_relink", {"pointer": "main"}, "k")]
    assert said.out == "ndebit1xyz\n"
    assert f"{LEFT} is not served for it any more" in said.err
    same = run(command, "relink", "main", answer={**POINTER, "changed": False, "left_relays": []})
    assert "the relays of today already" in same.err


@pytest.mark.parametrize(
    ("grants", "words"),
    [
        (0, "it had no grants"), (1, "its one grant has ended with it"), (2, "its 2 grants have ended with it"),
    ],
)  # fmt: skip
def test_a_deleted_pointer_says_what_ended_with_it(grants: int, words: str) -> None:
    said = run(command, "delete", "main", "--yes", *K, answer={"label": "main", "grants": grants})
    assert said.asked == [("debit_pointer_delete", {"pointer": "main"}, "k")]
    assert said.out == f"the debit pointer main is deleted: its code can no longer be used, and {words}\n"


def test_pointers_are_made_listed_changed_and_deleted(service: Service) -> None:
    made = service.ok("debit", "pointer", "create", "shop")
    labels = [found["label"] for found in service.ok("debit", "pointer", "list")["pointers"]]
    assert {"main", "shop"} <= set(labels)
    changed = service.ok("debit", "pointer", "policy", made["ndebit"], "budget", "--budget", "500/day")
    assert (changed["policy"], changed["budgets"][0]["left_msat"]) == ("budget", 500_000)
    assert service.ok("debit", "pointer", "relink", "shop")["changed"] is False
    assert service.ok("debit", "pointer", "delete", "shop")["grants"] == 0
    assert service.run("debit", "pointer", "delete", "shop").exit_code == 2
