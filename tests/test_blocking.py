"""The names for programs without asyncio are those of the others."""

from __future__ import annotations

import kitestring
from kitestring import blocking


def test_each_name_is_one_of_the_package_and_another_class() -> None:
    assert set(blocking.__all__) <= set(kitestring.__all__)
    assert [name for name in blocking.__all__ if getattr(blocking, name) is getattr(kitestring, name)] == []
