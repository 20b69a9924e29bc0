"""Commands of the owner's table without a file of their own here: built from their parameters and their docstring."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

import click
import msgspec
from msgspec.inspect import (
    BoolType,
    DictType,
    Field,
    IntType,
    ListType,
    LiteralType,
    Metadata,
    NoneType,
    StrType,
    StructType,
    Type,
    UnionType,
    VarTupleType,
)

from kitestring.app.cli.columns import Column, fitted
from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import (
    BudgetType,
    Sats,
    TypedBudget,
    Whole,
    budget_params,
    facts,
    label,
    msat,
    shown,
)
from kitestring.app.owner import table
from kitestring.app.owner.budgets import BudgetAsked
from kitestring.app.owner.commands import command
from kitestring.app.owner.table import CommandRow
from kitestring.app.service.execute import Result
from kitestring.base.money import MAX_WHOLE

_MSAT: Final = "_msat"


def make(words: str) -> click.Command:
    """The command of the row with these words."""
    return _command(next(row for row in table.TABLE if row.words == words))


def _command(row: CommandRow) -> click.Command:
    """Required parameters are arguments, all others are options; amounts are typed in sats."""
    spec = command(row.name)

    def call(shell: Shell, key: str = "", **given: Any) -> None:
        params = {name: _json(name, value) for name, value in given.items() if value not in (None, ())}
        result = shell.read(row.name, params) if spec.offline else shell.call(row.name, params, key)
        shell.show(result, for_people(result))

    call.__doc__ = inspect.getdoc(spec.handler)
    decorated = common(call)
    if spec.mutating:
        decorated = key_option(decorated)
    for field in reversed(_fields(spec.params)):
        decorated = _parameter(field)(decorated)
    return click.command(row.words.rpartition(" ")[2])(decorated)


def _fields(params: type[msgspec.Struct]) -> tuple[Field, ...]:
    form = msgspec.inspect.type_info(params)
    return form.fields if isinstance(form, msgspec.inspect.StructType) else ()


def _json(name: str, value: Any) -> object:
    if isinstance(value, tuple):
        return [budget_params(one) if isinstance(one, TypedBudget) else one for one in value]
    return msat(value) if name.endswith(_MSAT) else value


def _parameter(field: Field) -> Callable[[Any], Any]:
    kind, words = _plain(field.type)
    if isinstance(kind, DictType):
        return _pairs(field.name, words)
    several = isinstance(kind, ListType | VarTupleType)
    if isinstance(kind, ListType | VarTupleType):
        kind, _ = _plain(kind.item_type)
    name = field.name.removesuffix(_MSAT).replace("_", "-")
    if isinstance(kind, BoolType):
        return click.option(f"--{name}/--no-{name}", field.name, default=None, help=words)
    typed = _click_type(field.name, kind)
    metavar = f"{name}-sat" if isinstance(typed, Sats) else name
    if field.required and not several:
        return click.argument(field.name, type=typed, metavar=metavar.replace("-", "_").upper())
    return click.option(f"--{name}", field.name, type=typed, multiple=several, required=field.required, help=words)


def _pairs(name: str, words: str | None) -> Callable[[Any], Any]:
    """An option that is repeated for each member of an object."""
    option = f"--{name.replace('_', '-')}"

    def together(_: click.Context, __: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str] | None:
        members = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        if len(members) < len(pairs):
            raise click.UsageError(f"write {option} NAME=VALUE, each name once")
        return members or None

    return click.option(option, name, metavar="NAME=VALUE", multiple=True, callback=together, help=words)


def _click_type(name: str, kind: Type) -> object:
    match kind:
        case IntType() if name.endswith(_MSAT):
            return Sats(least=min(kind.ge or 0, 1))
        case IntType():
            return Whole(kind.ge or 0, MAX_WHOLE if kind.le is None else kind.le)
        case LiteralType():
            return click.Choice([str(value) for value in kind.values if value])
        case StrType():
            return click.STRING
        case StructType(cls=cls) if cls is BudgetAsked:
            return BudgetType()
    raise TypeError(f"the parameter {name} needs a command line that is written by hand")


def _plain(kind: Type) -> tuple[Type, str | None]:
    """A type without None and without its description, which is the help of its option."""
    if isinstance(kind, UnionType):
        (kind,) = (one for one in kind.types if not isinstance(one, NoneType))
    if isinstance(kind, Metadata):
        return kind.type, (kind.extra_json_schema or {}).get("description")
    return kind, None


#: Ends of the names of members that say nothing when they are cut.
_EXACT: Final = ("_msat", "_at", "_s", "_id", "_hash", "key")
_LEAST_CHARS: Final = 12


def for_people(result: Result) -> str:
    """A result as text: facts first, then each list of rows as a table."""
    rows = {name: value for name, value in result.items() if _is_rows(value)}
    parts = [facts([(label(name), shown(name, value)) for name, value in result.items() if name not in rows])]
    for found in rows.values():
        members = [name for name in found[0] if any(shown(name, row[name]) for row in found)]
        parts.append(fitted(found, [_column(name) for name in members]))
    return "\n\n".join(filter(None, parts))


def _column(name: str) -> Column:
    """The column of a member: numbers, times and amounts are never cut."""
    return Column(label(name), lambda row: shown(name, row[name]), least=0 if name.endswith(_EXACT) else _LEAST_CHARS)


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)
