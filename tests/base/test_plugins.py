"""A plugin as a value: the permission of its method is its name unless it says another."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kitestring.base.plugins import MethodPlugin


class Nothing(msgspec.Struct):
    pass


async def handler(_params: Any, _asker: Any) -> dict[str, object]:
    return {}


@pytest.mark.parametrize(("permission", "needs"), [("", "echo"), ("toys", "toys")])
def test_a_grant_allows_it_by_its_permission_or_its_name(permission: str, needs: str) -> None:
    assert MethodPlugin("echo", Nothing, handler, permission).needs == needs
