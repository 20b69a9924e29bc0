"""The JSON Schema that the program prints, for all commands or for one."""

from __future__ import annotations

import json
import re

from kitestring.app.cli.json_schema import DIALECT, schema_of, schema_of_one
from kitestring.app.cli.listed import commands_of
from kitestring.app.cli.main import cli
from tests.kit.app.console import commands, kitestring


def test_it_has_the_answer_of_every_command_and_of_a_failure() -> None:
    schema = json.loads(kitestring("--json-schema").stdout)
    assert schema == schema_of(commands_of(cli))
    assert (schema["$schema"], list(schema["commands"])) == (DIALECT, list(commands()))
    assert schema["$defs"]["Failure"]["properties"]["error"]["$ref"] == "#/$defs/Error"


def test_one_command_has_its_own_objects_and_no_others() -> None:
    schema = json.loads(kitestring("--json-schema", "offer create").stdout)
    assert schema == schema_of_one("offer create")
    assert set(schema["$defs"]) == {"Offer", "Failure", "Error"}
    assert schema["anyOf"] == [{"$ref": "#/$defs/Offer"}, {"$ref": "#/$defs/Failure"}]


def test_the_names_of_objects_are_those_of_the_reference() -> None:
    assert re.findall(r"\w+Json\b", json.dumps(schema_of(commands_of(cli)))) == []


def test_fields_that_a_later_version_adds_break_no_reader() -> None:
    assert '"additionalProperties": false' not in json.dumps(schema_of(commands_of(cli)))


def test_the_name_of_no_command_is_a_mistake() -> None:
    wrong = kitestring("--json-schema", "offer")
    assert wrong.exit_code == 2
    assert "there is no command 'offer'" in wrong.stderr
