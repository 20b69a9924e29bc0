"""Rights: what a caller of the owner's commands may do. They come from the caller's grant alone, whatever the door."""

from __future__ import annotations

from typing import Final

from kitestring.base.commands import OWNER_WIRE, AnyCommand
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from kitestring.base.outcomes import Refused
from kitestring.base.rights import Right

_ALL: Final = frozenset(Right)
_NONE: Final[frozenset[Right]] = frozenset()


def rights_of(grant: Grant, now: int) -> frozenset[Right]:
    """The rights of ``grant`` at ``now`` (Unix seconds): of an owner's grant those that it names, or all if it names
    none; of a revoked or expired one, and of any other wire, none."""
    if grant.wire != OWNER_WIRE or _ended(grant, now):
        return _NONE
    return frozenset(right for right in Right if right.value in grant.methods) if grant.methods else _ALL


def refuse_right(grant: Grant, right: Right, now: int, wanted: str) -> Refused | None:
    """The refusal to a ``grant`` without the ``right`` that ``wanted`` needs, None if it has it."""
    if right in rights_of(grant, now):
        return None
    lacking = f"{wanted} needs the right to {right.value}"
    if grant.wire != OWNER_WIRE:
        return Refused(Reason.NOT_PERMITTED, f"{lacking}: a connection of the wire {grant.wire} has none")
    if ended := _ended(grant, now):
        return Refused(Reason.NOT_PERMITTED, f"{lacking}: the grant {grant.name} {ended}")
    return Refused(Reason.NOT_PERMITTED, f"{lacking}: the grant {grant.name} does not have it")


def refuse_gift(grant: Grant, command: type[AnyCommand], now: int, wanted: str) -> Refused | None:
    """The refusal to a ``grant`` that would let others give a ``command``, None if it may give it itself. Bounds on its
    own spending would not bind the others, so that a grant that has some lets nobody pay."""
    right = command.right
    refused = refuse_right(grant, right, now, wanted)
    if refused is None and right is Right.SPEND and (grant.budgets or grant.per_payment_msat is not None):
        why = f"the grant {grant.name} has bounds of its own"
        return Refused(Reason.NOT_PERMITTED, f"{wanted} needs the right to spend without bounds: {why}")
    return refused


def _ended(grant: Grant, now: int) -> str:
    """The way in which the grant has ended, "" while it lasts."""
    if grant.revoked_at is not None:
        return "was revoked"
    return "has expired" if grant.expires_at is not None and now >= grant.expires_at else ""
