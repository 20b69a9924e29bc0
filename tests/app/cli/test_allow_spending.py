"""The owner's word about spending that was stopped, on the command line."""

from __future__ import annotations

import pytest

from kitestring.app.cli.allow_spending import command
from tests.kit.app.console import Service, run

FREE = {"allowed": [], "spending_stopped": ""}


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"allowed": ["ledger"], "spending_stopped": ""}, "spending is allowed again"),
        (FREE, "spending was not stopped; nothing was changed"),
        (
            {"allowed": ["ledger"], "spending_stopped": "another node answers"},
            "spending is still stopped: another node answers; `kitestring doctor` says what to do",
        ),
    ],
)
def test_it_says_whether_spending_goes_on(answer: dict[str, object], sentence: str) -> None:
    assert run(command, answer=answer).out == f"{sentence}\n"


def test_a_note_is_given_to_the_service_and_none_is_left_out() -> None:
    asked = run(command, "--note", "it is off", "--idempotency-key", "k", answer=FREE).asked
    assert asked == [("spending_allow", {"note": "it is off"}, "k")]
    assert run(command, "--idempotency-key", "k", answer=FREE).asked == [("spending_allow", {}, "k")]


def test_where_nothing_was_stopped_that_is_said(service: Service) -> None:
    assert service.run("allow-spending").output == "spending was not stopped; nothing was changed\n"
