"""An app's request is pasted, shown as a question with all that it asks for, and answered as all questions are."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.cli.approvals import command as approvals
from kitestring.app.cli.approve import command as approve
from kitestring.app.cli.connect_request import command
from tests.kit.app.console import Service, run
from tests.kit.app.questions import APP

LINK = (
    "nostr+walletauth://b889ff5b1513b641e2a139f661a661364979c5beee91842f8f0ef42ab558e9d4?relay=wss%3A%2F%2Fa.example"
    "&state=9f2c4a7be1d3480c9f2c4a7be1d3480c&request_methods=get_info"
)


def wish(**changes: Any) -> dict[str, Any]:
    return {**APP, "connection": {**APP["connection"], **changes}}


def test_a_request_is_shown_as_a_question_and_nothing_is_given() -> None:
    said = run(command, LINK, "--idempotency-key", "k", answer=APP)
    assert said.asked == [("connect_request", {"link": LINK}, "k")]
    assert "asks for      a connection that may pay_invoice; and, if you have it, get_balance; 100 sat per month" in (
        said.out
    )
    assert 'calls itself  "Zap App"' in said.out
    assert "waits at      wss://app.example" in said.out
    assert "may take" not in said.out
    assert "nothing is given yet; answer with `kitestring approve ID`" in said.err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budget": None}, "WITHOUT ANY LIMIT"),
        ({"methods": []}, "may nothing for certain"),
        ({"isolated": True}, "with an account of its own"),
        ({"expires_at": 0}, "until 19"),
        ({"verifiable": False}, "it cannot tell our answer from that of somebody else"),
    ],
)
def test_what_is_odd_about_a_request_is_said(changes: dict[str, Any], words: str) -> None:
    assert words in run(command, LINK, answer=wish(**changes)).out
    assert words not in run(command, LINK, answer=APP).out
    assert "cannot tell" not in run(command, LINK, answer=wish(verifiable=False, wants_link=True, name="")).out


def test_its_kind_stands_in_the_list_of_those_that_ended() -> None:
    ended = {**APP, "state": "approved", "decided_at": 60, "decided_by": "owner", "decision": "budget"}
    assert "connection" in run(approvals, "--ended", answer={"approvals": [ended]}).out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "the app is told over its relays\n"),
        ({"return_to": "app://done"}, 'it asks that this is opened then: "app://done"\n'),
        ({"wants_link": True}, "this app waits for its link: `kitestring link 'Zap App'` shows it\n"),
    ],
)
def test_a_yes_says_how_the_app_gets_its_answer(changes: dict[str, Any], words: str) -> None:
    answer = {**wish(**changes), "outcome": "granted", "why": "", "connected": "Zap App"}
    said = run(approve, "abcdef", "--name", "Zap App", answer=answer)
    assert said.asked[0][1]["name"] == "Zap App"
    assert "the connection Zap App was made; `kitestring connection show 'Zap App'` tells what it may do\n" in said.out
    assert words in said.out


def test_a_service_that_is_not_set_up_for_it_says_how(service: Service) -> None:
    refused = service.run("connect-request", LINK)
    assert refused.exit_code == 5
    assert "connection_requests = true" in refused.stderr
