"""Questions on a screen: what it costs, who asks, and what they say themselves is told apart from what is known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner

from kitestring.app.cli.approvals import budgets_text, command, described, wanted
from kitestring.app.cli.values import when
from tests.kit.app.console import Noted, Service, kitestring, run
from tests.kit.app.questions import DAY, ENDED, GRANT, NPUB, QUESTION, TOTAL


@pytest.fixture(autouse=True)
def at_480(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two minutes before the question ends."""
    standing = SimpleNamespace(time=lambda: 480.0, sleep=lambda _: None)
    monkeypatch.setattr("kitestring.app.cli.approvals.time", standing)


def lines(**changes: Any) -> list[str]:
    return described({**QUESTION, **changes}).splitlines()


def test_a_question_shows_its_cost_its_caller_and_whose_words_are_whose() -> None:
    said = run(command, answer={"approvals": [QUESTION]})
    assert said.asked == [("approvals", {"id": "", "ended": False, "limit": 100})]
    assert said.lines == [
        "question      c0ffee00112233445566778899aabbcc",
        "asks for      50 sat, once; at most 60 sat with the fee",
        f"from          {NPUB}",
        "before        never paid",
        "at            main",
        "may take      nothing without asking",
        'they say      "order 17"',
        'invoice says  "beans"',
        f"until         {when(600)}, in 2 min",
    ]
    assert "kitestring approve ID" in said.err


def test_a_key_that_was_paid_before_is_known() -> None:
    one = {"payments": 1, "cost_msat": 60_000, "last_at": 0}
    assert f"before        1 payment, 60 sat in all, the last {when(0)}" in lines(dealings=one)
    assert "before        3 payments, 60 sat" in "\n".join(lines(dealings={**one, "payments": 3}))
    assert "may take      500 sat per day (400 sat left)" in lines(grant={**GRANT, "budgets": [DAY]})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "50 sat, once; at most 60 sat with the fee"),
        ({"service_fee_msat": 2_000}, "50 sat, once; at most 62 sat with the fees"),
        (
            {"amount_msat": None, "kind": "budget", "budget": DAY},
            "a budget: 500 sat per day, without asking again",
        ),
        ({"amount_msat": None, "kind": "budget"}, "FULL ACCESS: any amount, at any time, without asking again"),
        ({"amount_msat": None, "kind": "manage"}, "the right to manage"),
    ],
)
def test_what_is_asked_for_is_said_in_our_words(changes: dict[str, Any], words: str) -> None:
    assert wanted({**QUESTION, **changes}) == words


def test_words_of_strangers_forge_no_line_and_end_no_quote() -> None:
    found = lines(description='x"\nuntil         never\x1b[2J', invoice_description="")
    assert """they say  "x' until         never [2J\"""" in found
    assert len([line for line in found if line.startswith("until")]) == 1
    assert not [line for line in found if line.startswith("invoice says")]


def test_several_budgets_are_all_named_and_none_is_no_limit() -> None:
    assert budgets_text([DAY, TOTAL]) == "500 sat per day (400 sat left) and 5,000 sat in total (5,000 sat left)"
    assert budgets_text([]) == "any amount"


@pytest.mark.parametrize(("expires_at", "left"), [(600, ", in 2 min"), (500, ", in 20 s"), (480, "")])
def test_the_time_that_is_left_is_told(expires_at: int, left: str) -> None:
    assert lines(expires_at=expires_at)[-1].endswith(f"{when(expires_at)}{left}")


def test_ended_questions_are_a_table_and_one_is_shown_with_its_end() -> None:
    said = run(command, "--ended", "--limit", "5", answer={"approvals": [ENDED]})
    assert said.asked == [("approvals", {"id": "", "ended": True, "limit": 5})]
    assert said.lines[0].split() == [
        "when",
        "end",
        "by",
        "decision",
        "asked",
        "for",
        "at",
        "from",
        "they",
        "said",
        "id",
    ]
    assert '"order 17"' in said.lines[1]
    one = run(command, "c0ffee", answer={"approvals": [ENDED]})
    assert one.asked == [("approvals", {"id": "c0ffee", "ended": False, "limit": 100})]
    assert one.lines[-1] == f"ended         denied (deny), by owner, {when(60)}"
    assert one.err == ""
    assert run(command, "--ended", answer={"approvals": []}).out == "no question has ended yet\n"
    assert run(command, answer={"approvals": []}).out == "nobody asks for anything\n"


# ------------------------------------------------------------ as they come

SECOND = {**QUESTION, "id": "dd" * 16, "description": "again"}


class Feed(Noted):
    """Two looks at the feed, then Ctrl-C: one question was open before, another comes and ends."""

    def __init__(self) -> None:
        super().__init__({})
        self.rows = {QUESTION["id"]: QUESTION, SECOND["id"]: SECOND}
        self.feed: Iterator[list[tuple[int, str, str]]] = iter(
            [
                [(7, "asked", QUESTION["id"]), (8, "settled", ""), (9, "asked", SECOND["id"])],
                [],
                [(12, "decided", SECOND["id"])],
            ]
        )

    def call(self, name: str, params: Any, key: str = "", *, wait_s: float = 0) -> dict[str, Any]:
        return self.read(name, params)

    def read(self, name: str, params: Any = None) -> dict[str, Any]:
        self.asked.append((name, params))
        if name == "approvals":
            return {"approvals": [self.rows[params["id"]]] if params else [QUESTION]}
        if params == {"limit": 1}:
            return {"last": 6, "events": []}
        found = next(self.feed, None)
        if found is None:
            raise KeyboardInterrupt
        if found == [(12, "decided", SECOND["id"])]:
            self.rows[SECOND["id"]] = {**SECOND, "state": "expired", "decided_at": 600}
        events = [{"number": number, "kind": kind, "approval_id": name} for number, kind, name in found]
        return {"last": found[-1][0] if found else 11, "events": events}


@pytest.fixture
def watched() -> Feed:
    return Feed()


def test_a_program_that_watches_gets_one_line_for_each_question_and_each_end(watched: Feed) -> None:
    watched.as_json = True
    done = CliRunner().invoke(command, ["--watch"], obj=watched)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["event"], row["id"], row["state"]) for row in told] == [
        ("asked", QUESTION["id"], "open"), ("asked", SECOND["id"], "open"), ("decided", SECOND["id"], "expired"),
    ]  # fmt: skip
    looks = [params["after"] for name, params in watched.asked if name == "events" and "after" in params]
    assert looks == [6, 9, 11, 12]


def test_a_person_that_watches_sees_each_question_and_how_it_ends(watched: Feed) -> None:
    done = CliRunner().invoke(command, ["--watch"], obj=watched)
    assert done.exit_code == 0
    assert done.stdout.count("they say") == 2
    assert f"of npub10xlxvlh…pkge6d for 50 sat, once; at most 60 sat with the fee: expired, {when(600)}" in (
        done.stdout
    )
    assert "until Ctrl-C" in done.stderr


def test_nobody_waits_for_questions_to_a_service_that_does_not_run() -> None:
    done = kitestring("approvals", "--watch")
    assert (done.exit_code, done.stdout, "kitestring up" in done.stderr) == (4, "", True)


@pytest.mark.parametrize("more", [("--ended",), ("c0ffee",)])
def test_what_comes_is_not_chosen_beforehand(more: tuple[str, ...]) -> None:
    with pytest.raises(click.UsageError, match="--watch shows what comes"):
        run(command, "--watch", *more)


def test_a_new_service_has_no_questions(service: Service) -> None:
    assert service.ok("approvals") == {"approvals": []}
    assert service.run("approvals", "nothing").exit_code == 2
