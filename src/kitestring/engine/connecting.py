"""Connections that another connection asks for: the owner decides about each, within what that one has itself."""

from __future__ import annotations

from typing import Final

import msgspec

from kitestring.base.approvals import Approval, ApprovalKind, ApprovalState, OwnersWord, connection_id
from kitestring.base.commands import Connect
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import SPENDING_METHODS
from kitestring.base.outcomes import Connected, Refused
from kitestring.base.transactions.owner import SaveAccount, SaveGrant
from kitestring.engine.answers import Answers
from kitestring.engine.approvals import Approvals
from kitestring.engine.context import Context, Incoming
from kitestring.engine.grants import Grants
from kitestring.policy.connecting import refuse_creation
from kitestring.policy.rules import refuse_caller


class Connecting:
    """Asks the owner, or refuses; and the case of these questions. Nothing is given before: the decision makes the
    connection."""

    def __init__(self, context: Context, answers: Answers, grants: Grants, approvals: Approvals) -> None:
        self._context: Final = context
        self._answers: Final = answers
        self._grants: Final = grants
        self._approvals: Final = approvals

    async def handle(self, incoming: Incoming, command: Connect) -> None:
        """Store the question, or the refusal. Raises KitestringError when the disk refuses: then nothing is said."""
        refused = await self._refusal(incoming, command)
        grant = await self._grants.get(incoming.grant_id)
        if refused is None and grant is not None:
            asked = msgspec.structs.replace(incoming, author=grant.caller)
            refused = await self._approvals.ask(asked, command, ApprovalKind.CONNECTION, None, has_grant=True)
        if refused is not None:
            await self._answers.refuse(incoming, refused)

    async def _refusal(self, incoming: Incoming, command: Connect) -> Refused | None:
        """The refusal without the owner's word, None where the owner is to be asked."""
        grant, now = await self._grants.get(incoming.grant_id), self._context.clock.now()
        refused = refuse_caller(grant, now, command)
        if refused is not None or grant is None:
            return refused or Refused(Reason.CONNECTION_ENDED)
        if any(ends is not None and ends <= now for ends in (incoming.expires_at, command.expires_at)):
            return Refused(Reason.STALE_REQUEST, "it would have ended already")
        return refuse_creation(command, grant, spends=not SPENDING_METHODS.isdisjoint(command.methods))

    # ------------------------------------------------------------ the owner's yes

    def target(self, incoming: Incoming, _asked: Connect) -> str:
        """The connection that asks for one more."""
        return incoming.grant_id

    def ends(self, asked: Connect) -> int | None:
        return asked.expires_at

    async def approve(self, asked: Approval, word: OwnersWord) -> Approval:
        """Give the app the connection that the owner's word holds."""
        if word.grant is None:
            raise KitestringError(Reason.MALFORMED, "this asks for a connection, and none was made for it")
        account = () if word.account is None else (SaveAccount(word.account),)
        writes = (*account, SaveGrant(word.grant))
        connected = Connected(word.grant.service_pubkey)
        return await self._approvals.end(asked, ApprovalState.APPROVED, connected, word, writes)

    async def told(self, asked: Approval) -> Connected | Refused:
        made = await self._grants.get(connection_id(asked))
        return Refused(Reason.CONNECTION_ENDED) if made is None else Connected(made.service_pubkey)
