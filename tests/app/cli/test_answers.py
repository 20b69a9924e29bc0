"""Every command of the program names what it answers with --json, and every field of that says what it means."""

from __future__ import annotations

import json
from typing import Any, get_origin

import msgspec
import pytest

from kitestring.app.cli.answers import ANSWERS, BESIDE, FailureJson, VersionJson, answers
from kitestring.app.owner.results.words import AnswerJson
from tests.kit.app.answers import BrokenContractError, hold, hold_one
from tests.kit.app.console import commands, kitestring

WORDS = list(commands())


@pytest.mark.parametrize("words", WORDS)
def test_every_command_answers_with_objects_that_are_described(words: str) -> None:
    for kind in answers(words):
        if get_origin(kind) is dict:
            assert words == "call"
            continue
        assert issubclass(kind, AnswerJson)
        _, components = msgspec.json.schema_components([kind])
        for title, schema in components.items():
            assert schema["additionalProperties"] is False
            assert list(schema["properties"]) == schema["required"]
            silent = [name for name, field in schema["properties"].items() if "description" not in field]
            assert (title, silent, schema["description"][-1]) == (title, [], ".")


def test_no_answer_is_named_for_a_command_that_there_is_not() -> None:
    assert [words for words in (*ANSWERS, *BESIDE) if words not in WORDS] == [""]


def test_a_failure_is_an_answer_too() -> None:
    failed = kitestring("--json", "decode", "nonsense")
    assert failed.exit_code != 0
    hold("decode", json.loads(failed.stdout), FailureJson)


def test_the_version_is_json_where_json_is_asked_for_in_any_order() -> None:
    for typed in (("--json", "--version"), ("--version", "--json")):
        hold("--version", json.loads(kitestring(*typed).stdout), VersionJson)
    assert kitestring("--version").stdout.startswith("kitestring, version ")


def test_what_a_command_shows_is_held_to_one_of_its_types() -> None:
    balance: dict[str, Any] = {"balance_msat": 1, "unknown_because": None, "accounts": []}
    hold_one("balance", balance)
    hold_one("balance", {"balance_msat": 1, "unknown_because": None, "budget": None, "budget_unknown_because": None})
    with pytest.raises(BrokenContractError):
        hold_one("balance", {**balance, "budget": None})
