"""The keys that the owner of a relay vouches for."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class VouchedKeys:
    """Public keys; whoever has made the sets may change them while the relay runs. ``own`` are those that the owner
    writes with, ``known`` those of his callers. Everybody else is a stranger, and keys of strangers cost nothing.
    """

    own: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)

    def __contains__(self, key: object) -> bool:
        return key in self.own or key in self.known
