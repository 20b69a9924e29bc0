"""Every command says what it answers, and every field of an answer says what it means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from kitestring.app.owner.commands import OwnerCommands, all_commands
from kitestring.app.owner.results.words import AnswerJson
from tests.kit.app.answers import BrokenContractError, hold
from tests.kit.app.desk import Office
from tests.kit.changed import replace

RESULTS = {name: spec.result for name, spec in all_commands().items()}


def structs(kind: type) -> dict[str, Any]:
    """The JSON schemas of a result and of every object in it."""
    _, components = msgspec.json.schema_components([kind])
    return components


def fields() -> Iterator[tuple[str, str, Any]]:
    """Every field of every object of every answer."""
    seen: dict[str, Any] = {}
    for kind in RESULTS.values():
        seen |= structs(kind)
    for title, schema in seen.items():
        for name, field in schema["properties"].items():
            yield title, name, field


@pytest.mark.parametrize("name", RESULTS)
def test_every_object_in_an_answer_has_all_its_fields_always_and_no_other(name: str) -> None:
    assert issubclass(RESULTS[name], AnswerJson)
    for schema in structs(RESULTS[name]).values():
        assert schema["additionalProperties"] is False
        assert list(schema["properties"]) == schema["required"]
        assert schema["description"]


def test_every_field_says_what_it_means_in_a_sentence() -> None:
    assert [
        (title, name) for title, name, field in fields() if field.get("description", "")[-1:] not in {".", "…"}
    ] == []


def test_a_field_has_its_unit_in_its_name() -> None:
    amounts = [name for _, name, field in fields() if "msat" in name and not name.endswith(("_msat", "msat"))]
    times = [(title, name) for title, name, field in fields() if name in {"at", "time", "timestamp", "when", "now"}]
    assert (amounts, times) == ([], [])


def test_a_field_that_is_missing_unknown_or_of_another_kind_breaks_the_contract() -> None:
    kind, right = RESULTS["sign_message"], {"message": "x", "signature": "y"}
    hold("sign_message", right, kind)
    for wrong in ({"message": "x"}, {**right, "more": 1}, {**right, "signature": None}):
        with pytest.raises(BrokenContractError, match="`sign_message`"):
            hold("sign_message", wrong, kind)


async def test_every_answer_of_a_command_is_held_to_its_type_in_every_test(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await office.run("balance"))["balance_msat"] is not None
    spec = all_commands()["balance"]
    lying: Any = replace(spec, result=RESULTS["info"])
    monkeypatch.setattr(type(office), "commands", property(lambda _: _commands(office, lying)))
    with pytest.raises(BrokenContractError, match="the answer of `balance`"):
        await office.run("balance")


def _commands(office: Office, spec: Any) -> Any:
    return OwnerCommands(office.desk, {spec.name: spec})
