"""Rows are found at fields, read from a file and an environment, and put together as the dataclasses they stand in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from kitestring.app.home.settings import build, read_environment, read_table, rows_of
from kitestring.base.errors import KitestringError
from kitestring.base.setting import SWITCH, TEXT, TEXTS, setting, whole


@dataclass(frozen=True, slots=True)
class Oven:
    heat: int = setting("oven.heat", whole("degrees", 50, 250), 180, "How hot it is.", variables=("HEAT", "heat"))
    fan: bool = setting("oven.fan", SWITCH, False, "Whether it blows.", variables=("FAN",))
    made_in: int = 1999


@dataclass(frozen=True, slots=True)
class Kitchen:
    place: str
    name: str = setting("name", TEXT, "kitchen", "What it is called.")
    oven: Oven = field(default_factory=Oven)
    spices: tuple[str, ...] = setting("shelf.spices", TEXTS, (), "What is on the shelf.", variables=("SPICES",))
    notes: dict[str, str] = field(default_factory=dict)


ROWS = rows_of(Kitchen)


def test_rows_are_those_of_the_fields_and_of_the_parts_inside() -> None:
    assert list(ROWS) == ["name", "oven.heat", "oven.fan", "shelf.spices"]


def test_values_go_to_their_fields_and_the_rest_has_its_default() -> None:
    assert build(Kitchen, {}, place="here") == Kitchen("here")
    built = build(Kitchen, {"oven.fan": True, "shelf.spices": ("salt",)}, place="here", notes={"a": "b"})
    assert built == Kitchen("here", oven=Oven(fan=True), spices=("salt",), notes={"a": "b"})


def test_a_file_is_read_by_section() -> None:
    table: dict[str, object] = {"name": "small", "oven": {"heat": 200}, "shelf": {"spices": ["salt"]}}
    assert read_table(ROWS, table, "file") == {"name": "small", "oven.heat": 200, "shelf.spices": ("salt",)}


def test_a_variable_is_read_by_the_first_of_its_names_unless_it_is_empty() -> None:
    found = read_environment(ROWS, {"HEAT": "200", "heat": "60", "FAN": "", "SPICES": "salt, pepper", "x": "y"})
    assert found == {"oven.heat": 200, "shelf.spices": ("salt", "pepper")}
    assert read_environment(ROWS, {"HEAT": "", "heat": "60"}) == {"oven.heat": 60}


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"oven": {"heat": 300}}, "file: oven.heat must be a whole number from 50 to 250"),
        ({"oven": 3}, "file: oven must be a section, written [oven]"),
        ({"oven": {"heart": 3}}, "file: oven.heart is not a setting; did you mean oven.heat?"),
        ({"name": {"first": "a"}}, "file: name must be a string"),
        (
            {"zzz": 3},
            "file: zzz is not a setting; the settings are name, oven.heat, oven.fan, shelf.spices",
        ),
    ],
)
def test_a_mistake_is_one_sentence(table: dict[str, Any], sentence: str) -> None:
    with pytest.raises(KitestringError) as caught:
        read_table(ROWS, table, "file")
    assert caught.value.message == sentence


def test_a_mistake_in_a_variable_is_told_by_the_name_that_was_set() -> None:
    with pytest.raises(KitestringError, match="the environment variable heat must be a whole number"):
        read_environment(ROWS, {"heat": "hot"})
