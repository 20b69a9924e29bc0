"""The form of a row in the table of methods, and what follows from several rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import UnionType
from typing import Any

from kitestring.base.commands import AnyCommand
from kitestring.base.outcomes import Outcome
from kitestring.wire.grammar import NotificationType
from kitestring.wire.serve.nwc.members import Params


@dataclass(frozen=True, slots=True)
class Method:
    """One row of the table. ``permission`` is the name a grant lists; ``extensions`` are those of NIP-47 that it
    serves. It is served where the service has everything that it ``needs``: an ability of the node, a setting."""

    name: str
    command: type[AnyCommand]
    decode: Callable[[Params, str], AnyCommand]
    outcome: type[Outcome] | UnionType
    encode: Callable[[Any], object]
    permission: str
    extensions: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()


def extensions_of(rows: Iterable[Method | NotificationType]) -> list[str]:
    """The extensions of NIP-47 that these methods and notifications serve."""
    return sorted({extension for row in rows for extension in row.extensions})
