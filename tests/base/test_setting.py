from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import MAX_MSAT, MAX_WHOLE, Msat, sat
from kitestring.base.setting import (
    MAX_LIST,
    NOSTR_KINDS,
    PORT,
    ROW,
    SATS,
    SWITCH,
    TEXT,
    TEXTS,
    Setting,
    ValueKind,
    choice,
    setting,
    whole,
)


@dataclass(frozen=True, slots=True)
class Pantry:
    jars: int = setting("pantry.jars", whole("jars", 1, 9), 4, "Jars on the shelf.", variables=("JARS",))
    floor: int = 0


def test_a_field_has_the_default_of_its_row_and_carries_the_row() -> None:
    assert Pantry() == Pantry(jars=4, floor=0)
    jars, floor = fields(Pantry)
    row = jars.metadata[ROW]
    assert isinstance(row, Setting)
    assert (row.key, row.default, row.doc, row.variables, row.kind.unit) == (
        "pantry.jars", 4, "Jars on the shelf.", ("JARS",), "jars",
    )  # fmt: skip
    assert ROW not in floor.metadata
    with pytest.raises(FrozenInstanceError):
        Pantry().jars = 5  # type: ignore[misc]  # what is tested


@pytest.mark.parametrize(
    ("kind", "held", "value"),
    [
        (TEXT, "", ""),
        (TEXTS, ["a", "b"], ("a", "b")),
        (TEXTS, (), ()),
        (SWITCH, False, False),
        (whole("jars"), 0, 0),
        (whole("jars"), MAX_WHOLE, MAX_WHOLE),
        (whole("jars", 1, 9), 9, 9),
        (PORT, 65_535, 65_535),
        (NOSTR_KINDS, [1, 21_001], (1, 21_001)),
        (choice("red", "green"), "green", "green"),
        (SATS, 3, sat(3)),
        (SATS, 2_100_000_000_000_000, Msat(MAX_MSAT)),
    ],
)
def test_what_a_kind_takes_is_the_value_of_the_field(kind: ValueKind[Any], held: object, value: object) -> None:
    checked = kind.check(held)
    assert checked == value
    assert type(checked) is type(value)
    assert kind.check(kind.plain(checked)) == value


@pytest.mark.parametrize(
    ("kind", "held"),
    [
        (TEXT, 1),
        (TEXTS, "a"),
        (TEXTS, ["a", 1]),
        (SWITCH, 1),
        (SWITCH, "true"),
        (whole("jars"), -1),
        (whole("jars"), MAX_WHOLE + 1),
        (whole("jars"), True),
        (whole("jars"), 1.0),
        (whole("jars"), "1"),
        (whole("jars", 1, 9), 0),
        (whole("jars", 1, 9), 10),
        (PORT, 65_536),
        (NOSTR_KINDS, [65_536]),
        (NOSTR_KINDS, [True]),
        (choice("red", "green"), "re"),
        (choice("red", "green"), 1),
        (SATS, 1.5),
        (SATS, True),
        (SATS, 2_100_000_000_000_001),
    ],
)
def test_anything_else_is_refused(kind: ValueKind[Any], held: object) -> None:
    assert kind.check(held) is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (whole("jars"), "a whole number of at least 0"),
        (whole("jars", 1), "a whole number of at least 1"),
        (whole("jars", 1, 9), "a whole number from 1 to 9"),
        (choice("red", "green"), "one of red, green"),
    ],
)
def test_people_are_told_the_bounds(kind: ValueKind[Any], expected: str) -> None:
    assert kind.expected == expected


def test_a_list_has_an_end() -> None:
    assert TEXTS.check(["a"] * MAX_LIST) == ("a",) * MAX_LIST
    with pytest.raises(KitestringError, match=f"at most {MAX_LIST}") as caught:
        TEXTS.check(["a"] * (MAX_LIST + 1))
    assert caught.value.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (TEXT, " a b ", "a b"),
        (TEXTS, "a, b c,,", ("a", "b", "c")),
        (TEXTS, "", ()),
        (SWITCH, " True ", True),
        (SWITCH, "false", False),
        (SWITCH, "1", None),
        (whole("jars"), " 17 ", 17),
        (whole("jars"), "-1", None),
        (whole("jars"), "1.0", None),
        (whole("jars"), "²", None),
        (whole("jars"), "9" * 5_000, None),
        (NOSTR_KINDS, "1, 21001", (1, 21_001)),
        (NOSTR_KINDS, "1, x", None),
        (SATS, "10", sat(10)),
    ],
)
def test_the_text_of_a_variable_is_read_as_the_file_would_hold_it(
    kind: ValueKind[Any], text: str, value: object
) -> None:
    assert kind.check(kind.parse(text)) == value


@given(st.integers(0, MAX_WHOLE))
def test_every_whole_number_survives_as_text(number: int) -> None:
    kind = whole("jars")
    assert kind.check(kind.parse(str(number))) == number
