"""Rights and permissions stand in the same member of a grant, and are never taken for each other."""

from __future__ import annotations

from kitestring.base.commands import COMMANDS
from kitestring.base.rights import Right


def test_no_right_has_the_name_of_a_permission() -> None:
    permissions = {name for kind in COMMANDS for name in getattr(kind, "allowed_by", ())}
    assert "pay_invoice" in permissions
    assert permissions.isdisjoint(right.value for right in Right)
