"""Settings as rows: found at the fields of a dataclass, read from a file and an environment, put together again.

Every mistake is one sentence that names the source, the key and what is expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.setting import ROW, Setting, Value

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FILE_NAME: Final = "kitestring.toml"
C = TypeVar("C", bound="DataclassInstance")
Rows = Mapping[str, Setting[Any]]


def rows_of(config: type[DataclassInstance]) -> dict[str, Setting[Any]]:
    """The settings of a dataclass by key, with those of the dataclasses inside it, in the order of the fields."""
    found: dict[str, Setting[Any]] = {}
    for field in fields(config):
        inner = _inside(field)
        if ROW in field.metadata:
            found[field.metadata[ROW].key] = field.metadata[ROW]
        elif inner is not None:
            found |= rows_of(inner)
    return found


def build(config: type[C], values: Mapping[str, Value], **others: object) -> C:
    """A ``config`` with ``values`` by key, and ``others`` by field; what neither names has its default."""
    for field in fields(config):
        row, inner = field.metadata.get(ROW), _inside(field)
        if row is not None and row.key in values:
            others[field.name] = values[row.key]
        elif inner is not None:
            others[field.name] = build(inner, values)
    return config(**others)


def _inside(field: Field[Any]) -> type[DataclassInstance] | None:
    """The dataclass that makes the field's default, where the settings of one part stand together."""
    factory: object = field.default_factory
    return factory if isinstance(factory, type) and is_dataclass(factory) else None


def read_table(rows: Rows, table: Mapping[str, object], source: str) -> dict[str, Value]:
    """The settings in a parsed TOML file. Raises KitestringError."""
    sections = {key.partition(".")[0] for key in rows if "." in key}
    found: dict[str, Value] = {}
    for name, value in table.items():
        if name in sections and not isinstance(value, dict):
            raise _wrong(f"{source}: {name} must be a section, written [{name}]", name)
        members = value if isinstance(value, dict) and name in sections else {"": value}
        for member, inner in members.items():
            key = f"{name}.{member}" if member else name
            if key not in rows:
                raise _wrong(f"{source}: {key} is not a setting; {_nearest(key, rows)}", key)
            found[key] = read_value(rows[key], inner, f"{source}: {key}")
    return found


def read_environment(rows: Rows, variables: Mapping[str, str]) -> dict[str, Value]:
    """The settings that environment variables override; an empty variable overrides none. Raises KitestringError."""
    found: dict[str, Value] = {}
    for key, row in rows.items():
        name = next((name for name in row.variables if variables.get(name)), "")
        if name:
            found[key] = read_value(row, row.kind.parse(variables[name]), f"the environment variable {name}")
    return found


def read_value(row: Setting[Any], value: object, where: str) -> Value:
    """``value`` as the field of ``row`` holds it. Raises KitestringError that begins with ``where``."""
    try:
        checked: Value | None = row.kind.check(value)
    except KitestringError as error:
        raise _wrong(f"{where}: {error.message}", row.key) from error
    if checked is None:
        raise _wrong(f"{where} must be {row.kind.expected}", row.key)
    return checked


def _wrong(sentence: str, key: str) -> KitestringError:
    return KitestringError(Reason.MALFORMED, sentence, key=key)


def _nearest(key: str, rows: Rows) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only needed for a hint

    close = get_close_matches(key, rows, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"the settings are {', '.join(rows)}"
