"""Bytes in place of chance."""

from __future__ import annotations

import itertools
import os

#: Real chance, where nothing depends on it.
entropy = os.urandom


class Counted:
    """Entropy that never repeats and never surprises."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def __call__(self, size: int) -> bytes:
        return next(self._numbers).to_bytes(size)
