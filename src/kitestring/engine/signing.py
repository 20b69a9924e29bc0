"""Texts that the node signs with its own key, for the owner and for connections that may speak in its name."""

from __future__ import annotations

from typing import Final

from kitestring.base.commands import MAX_MESSAGE_BYTES, OWNER_ACCOUNT, SignMessage
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from kitestring.base.outcomes import Outcome, Refused, Signed
from kitestring.engine.context import Context
from kitestring.engine.node import reachable


class Signing:
    """Signs for whoever acts for the node itself: a sub-account is somebody else than it."""

    def __init__(self, context: Context) -> None:
        self._context: Final = context

    async def sign(self, grant: Grant, command: SignMessage) -> Outcome:
        """Raises KitestringError(UNAVAILABLE)."""
        node = self._context.same_node
        if grant.account_id != OWNER_ACCOUNT:
            return Refused(Reason.NOT_PERMITTED, "the key is that of the node, and a sub-account does not speak for it")
        if not node.capabilities.sign_message:
            return Refused(Reason.UNSUPPORTED, "the node of this wallet signs no texts")
        if len(command.message.encode()) > MAX_MESSAGE_BYTES:
            return Refused(Reason.MALFORMED, f"a text that is signed has at most {MAX_MESSAGE_BYTES} bytes")
        return Signed(command.message, await reachable(node.sign_message(command.message)))
