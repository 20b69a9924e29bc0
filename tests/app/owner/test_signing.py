"""The owner's command to sign a text: who may, and whose signature it is."""

from __future__ import annotations

from kitestring.app.owner.commands import command
from kitestring.base.rights import Right


def test_it_needs_the_right_to_manage_and_no_key_and_a_running_service() -> None:
    spec = command("sign_message")
    assert (spec.right, spec.mutating, spec.offline) == (Right.MANAGE, False, False)
