"""Values that differ in some members, of either kind that the project has."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def replace(value: T, /, **changes: Any) -> T:
    """A copy of a dataclass or a struct with these members changed."""
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.replace(value, **changes)
    copy: T = dataclasses.replace(value, **changes)  # type: ignore[type-var]  # a dataclass, or it raises
    return copy
