"""Places that many share, and who may take one more of them.

A holder never has more than it leaves free. So ``n`` of them that take all they can get have a part of ``1 / (n + 1)``
each, and as much is left for whoever comes new: one flood does not close another's small use. The last places are the
owner's, whom no other holder, and no number of them, can shut out. Nobody counts who is active: what a holder may have
follows from how many places are taken, so it is exact wherever that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

#: The part of all places that is kept for the owner: one of so many, at least one where there are two.
OWNERS_PART: Final = 20
#: In place of a bound of 0, which is none.
UNBOUNDED: Final = 1 << 62


class Share(msgspec.Struct, frozen=True, gc=False):
    """The part that one holder may have of ``places`` that all share. ``most`` is its own bound; 0: it is the owner,
    who may take whatever is free."""

    places: int
    most: int = 0

    def has_room(self, own: int, taken: int) -> bool:
        """Whether it may take one more: it has ``own`` of them now, and all together have ``taken``."""
        return self.left(own, self.places - taken) > 0

    def left(self, own: int, free: int) -> int:
        """The number that is left to it, which has ``own``, where ``free`` are free. It leaves others as many as it
        has, so the last of them may not be for it."""
        return min(self.most, free) - own if self.most else free


def have_room(shares: Sequence[Share], numbers: Sequence[int]) -> bool:
    """Whether holders that are nested, each within the next, may all take one more. ``shares`` are theirs, the widest
    one last, in whose places all share; each of the others has its part of what is left to the next. ``numbers`` are
    what they have now, and then what all together have."""
    *own, taken = numbers
    free = shares[-1].places - taken
    for share, number in zip(reversed(shares), reversed(own), strict=True):
        free = share.left(number, free)
        if free <= 0:
            return False
    return True


#: No bound at all.
ANY: Final = Share(UNBOUNDED)


def owners_share(total: int) -> Share:
    """All of ``total`` places (0: no bound)."""
    return Share(total or UNBOUNDED)


def others_share(total: int, most: int) -> Share:
    """Of ``total`` places (0: no bound) those that are not kept for the owner, ``most`` of them (0: no bound)."""
    total = total or UNBOUNDED
    return Share(total - kept_for_owner(total), most or UNBOUNDED)


def kept_for_owner(total: int) -> int:
    """The number of places, of ``total``, that nobody but the owner takes."""
    return max(total // OWNERS_PART, int(total > 1))
