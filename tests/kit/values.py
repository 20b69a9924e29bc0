"""What a type of values is made of."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Any, get_args, get_origin, get_type_hints

import msgspec


def is_value(kind: Any) -> bool:
    """Whether it is a struct or a dataclass."""
    return isinstance(kind, type) and (issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind))


def is_frozen(kind: type) -> bool:
    """Whether an instance never changes."""
    if issubclass(kind, msgspec.Struct):
        return bool(kind.__struct_config__.frozen)
    return bool(vars(kind)["__dataclass_params__"].frozen)


def parts(kind: Any) -> Iterator[Any]:
    """Every type that is found in the fields of ``kind``, in theirs, and so on; containers are named by their class."""
    todo, seen = [kind], set[Any]()
    while todo:
        one = todo.pop()
        if one in seen:
            continue
        seen.add(one)
        if get_origin(one) in (typing.Union, types.UnionType):
            todo += get_args(one)
            continue
        if get_origin(one) is typing.Literal:
            yield from {type(value) for value in get_args(one)}
            continue
        if get_origin(one) is not None:
            yield get_origin(one)
            todo += [arg for arg in get_args(one) if arg is not Ellipsis]
            continue
        yield one
        if is_value(one):
            names = {field.name for field in fields(one)}
            todo += [hint for name, hint in get_type_hints(one).items() if name in names]


def fields(kind: Any) -> Any:
    """The fields of a struct or a dataclass; each has a ``name``."""
    return msgspec.structs.fields(kind) if issubclass(kind, msgspec.Struct) else dataclasses.fields(kind)
