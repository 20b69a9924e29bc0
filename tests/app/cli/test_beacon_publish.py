"""Publishing the beacon on the command line, and looking at it before."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.cli.beacon_publish import command
from tests.kit.app.console import Service, run

ANSWER: dict[str, Any] = {
    "is_on": True,
    "published": True,
    "service_pubkey": "ab" * 32,
    "operator": "npub1x",
    "content": {
        "name": "Corner shop",
        "relays": ["wss://a", "wss://b"],
        "fees": {"serviceFeeFloor": 1, "serviceFeeBps": 2},
        "supported_kinds": [21001, 21002],
    },
    "event_id": "cd" * 32,
    "created_at": 1,
    "relays": [
        {"relay": "wss://a", "has_it": True, "words": ""},
        {"relay": "wss://b", "has_it": False, "words": "blocked: no"},
    ],
}


def test_what_was_said_is_shown_with_the_word_of_each_relay() -> None:
    said = run(command, answer=ANSWER)
    assert said.asked == [("beacon_publish", {"preview": False}, "")]
    assert (said.code, said.lines) == (
        0,
        [
            "published",
            "",
            "name      Corner shop",
            "relays    wss://a, wss://b",
            "fee       0.02 % of the amount, at least 1 sat",
            "answers   21001 (offers), 21002 (debits)",
            "operator  npub1x",
            "wss://a   has it",
            "wss://b   has not: blocked: no",
        ],
    )


def test_one_that_no_relay_takes_ends_with_4() -> None:
    said = run(command, answer={**ANSWER, "published": False})
    assert (said.code, said.lines[0]) == (4, "no relay has taken it")


@pytest.mark.parametrize(
    ("is_on", "head"),
    [
        (True, "said every minute while the service works:"),
        (False, "switched off; with `publish = true` in the section [beacon] of the settings everybody is told:"),
    ],
)
def test_a_look_publishes_nothing(is_on: bool, head: str) -> None:
    answer = {**ANSWER, "is_on": is_on, "published": False, "relays": [], "operator": ""}
    said = run(command, "--preview", answer=answer)
    assert said.asked == [("beacon_publish", {"preview": True}, "")]
    assert (said.code, said.lines[0], len(said.lines)) == (0, head, 6)


def test_a_service_without_the_setting_shows_what_it_would_say_and_does_not_say_it(service: Service) -> None:
    told = service.ok("beacon", "publish", "--preview")
    assert (told["is_on"], told["content"]["relays"]) == (False, [service.card["relay"]])
    refused = service.run("beacon", "publish")
    assert (refused.exit_code, "the beacon is switched off" in refused.output) == (2, True)
    assert service.run("beacon", "show").exit_code == 4


@pytest.mark.parametrize(("bits", "words"), [(18, "proof of work of 18 bits"), (0, "without proof of work")])
def test_what_a_new_account_costs_is_said_in_words(bits: int, words: str) -> None:
    answer = {**ANSWER, "content": {"relays": ["wss://a"], "enroll_difficulty": bits}}
    assert f"new accounts  {words}" in run(command, answer=answer).lines
