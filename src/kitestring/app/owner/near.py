"""Names that may be meant by one that is not there."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from kitestring.base.errors import KitestringError, Reason

#: Names that are compared with the one that was typed: of thousands a few milliseconds' worth.
MAX_COMPARED: Final = 1_000


def hint(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'shop'?``, or "" where nothing is near."""
    lower = {one.lower(): one for one, _ in zip(known, range(MAX_COMPARED), strict=False)}
    close = get_close_matches(name.lower()[:64], lower, n=1, cutoff=0.6)
    return f"; did you mean {lower[close[0]]!r}?" if close else ""


def none_named(what: str, typed: str, known: Iterable[str], listed_by: str) -> KitestringError:
    """The error for a name that no ``what`` (such as ``offer``) has: with the one that may be meant, otherwise with the
    command that lists those there are, such as ``offer list``."""
    near = hint(typed, known) or f"; see `kitestring {listed_by}`"
    return KitestringError(Reason.UNKNOWN_TARGET, f"there is no {what} {typed!r}{near}")


def none_of_code(what: str, listed_by: str) -> KitestringError:
    """The same for a code, which nobody types by hand."""
    return KitestringError(
        Reason.UNKNOWN_TARGET, f"there is no {what} with this code here; see `kitestring {listed_by}`"
    )
