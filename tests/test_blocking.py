"""The names for programs without asyncio are those of the others."""

from __future__ import annotations

from inspect import isasyncgenfunction, isclass, iscoroutinefunction

import kitestring
from kitestring import blocking

#: Given by a service as a plain iterator; and the outside world, for tests, which are made with asyncio.
WITHOUT = {"ServiceEvents", "Sandbox"}


def test_each_name_is_one_of_the_package_and_another_object() -> None:
    assert set(blocking.__all__) <= set(kitestring.__all__)
    assert [name for name in blocking.__all__ if getattr(blocking, name) is getattr(kitestring, name)] == []


def test_nothing_of_the_package_that_is_awaited_is_missing() -> None:
    found = [name for name in kitestring.__all__ if is_awaited(getattr(kitestring, name))]
    assert "find_beacon" in found
    assert [name for name in found if name not in blocking.__all__ and name not in WITHOUT] == []


def is_awaited(value: object) -> bool:
    """Whether it is a function that is awaited, or a class with such methods."""
    methods = [getattr(value, name) for name in dir(value) if not name.startswith("_")] if isclass(value) else [value]
    return any(iscoroutinefunction(one) or isasyncgenfunction(one) for one in methods)
