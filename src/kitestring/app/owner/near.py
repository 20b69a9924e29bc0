"""Names that may be meant by one that is not there."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

#: Names that are compared with the one that was typed: of thousands a few milliseconds' worth.
MAX_COMPARED: Final = 1_000


def hint(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'shop'?``, or "" where nothing is near."""
    lower = {one.lower(): one for one, _ in zip(known, range(MAX_COMPARED), strict=False)}
    close = get_close_matches(name.lower()[:64], lower, n=1, cutoff=0.6)
    return f"; did you mean {lower[close[0]]!r}?" if close else ""
