"""Methods of plugins: called with a bound on time and number, and with one on what is kept of their answers.

The answer is stored when the handler has ended, and a copy of the request gets that, until its age refuses it. A crash
in between lets the same request be carried out again: what a handler changes it has to do once per request.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Final

import msgspec

from kitestring.base.commands import CallMethod
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.outcomes import MethodCalled, Outcome, Refused
from kitestring.base.plugins import Asker
from kitestring.base.store import Unclaimed
from kitestring.engine.answers import MAX_REFUSAL_BYTES, Answers, unclaimed_request
from kitestring.engine.context import Context, Incoming
from kitestring.engine.grants import Grants
from kitestring.policy.rules import refuse_caller

log = logging.getLogger("kitestring.plugins")

#: Seconds that a handler has: an app waits for 15.
HANDLER_S: Final = 10.0
#: Handlers at work at once, all plugins together: they share the process with payments.
MAX_AT_WORK: Final = 32
#: Bytes of a result: the frame around it has less than 200, and a reply takes 40,960.
MAX_RESULT_BYTES: Final = 40_000
#: Bytes that a reply takes in the ledger at most: the result, and what is sent of it, which is half as much again.
MAX_REPLY_BYTES: Final = 3 * MAX_RESULT_BYTES
#: Bytes of the answers that are kept of one grant, until the age of their requests is over: a hundred of the largest,
#: and more small ones than a connection may ask for in that time. Beyond it nothing is called.
MAX_KEPT_BYTES: Final = 16 * 1_048_576

_FAILED: Final = Refused(Reason.INTERNAL, "the method failed; nothing more is known")
_TOO_SLOW: Final = Refused(Reason.INTERNAL, "the method took too long; it may have been carried out")
_BUSY: Final = Refused(Reason.RATE_LIMITED, "too many calls of methods are under way: try again")
_FULL: Final = Refused(Reason.RATE_LIMITED, "too many answers of this connection are kept: try again in some minutes")


class Foreign:
    """Carries out what plugins have added."""

    def __init__(self, context: Context, answers: Answers, grants: Grants) -> None:
        self._context = context
        self._answers = answers
        self._grants = grants
        self._at_work: Counter[str] = Counter()

    async def handle(self, incoming: Incoming, command: CallMethod) -> None:
        """Call the method and store its answer. Raises KitestringError when the disk refuses: then nothing is said."""
        if await self._answers.known(incoming.request_id):
            return
        grant, now = await self._grants.get(incoming.grant_id), self._context.clock.now()
        kept = await self._context.store.unclaimed(incoming.grant_id)
        refused = refuse_caller(grant, now, command) or self._refuse_call(incoming, now, kept)
        if refused is not None or grant is None:
            await self._answers.refuse(incoming, refused or Refused(Reason.CONNECTION_ENDED))
            return
        self._at_work[grant.grant_id] += 1  # until its answer is counted among those that are kept
        try:
            await self._store(incoming, await self._call(incoming, command, grant))
        finally:
            self._at_work[grant.grant_id] -= 1
            self._at_work += Counter()  # without those that have none

    def _refuse_call(self, incoming: Incoming, now: int, kept: Unclaimed) -> Refused | None:
        """The refusal of what is over, may have been answered and forgotten, or has no room for its answer."""
        is_over = incoming.expires_at is not None and now >= incoming.expires_at
        if is_over or incoming.sent_at < kept.refused_before:
            return Refused(Reason.STALE_REQUEST)
        if self._at_work.total() >= MAX_AT_WORK:
            return _BUSY
        coming = (1 + self._at_work[incoming.grant_id]) * MAX_REPLY_BYTES
        return _FULL if kept.answer_bytes + coming > MAX_KEPT_BYTES else None

    async def _store(self, incoming: Incoming, outcome: Outcome) -> None:
        request = unclaimed_request(incoming, self._context.clock.now())
        if incoming.refused_until is None:
            await self._answers.store(request, outcome)
        else:
            limit = MAX_REFUSAL_BYTES if isinstance(outcome, Refused) else MAX_KEPT_BYTES
            await self._answers.answer_until(incoming.refused_until, request, outcome, limit)

    async def _call(self, incoming: Incoming, command: CallMethod, grant: Grant) -> Outcome:
        plugin = self._context.plugins.get(command.method)
        if plugin is None:
            return Refused(Reason.UNSUPPORTED)
        asker = Asker(incoming.request_id, grant.name, grant.grant_id, grant.caller)
        try:
            params = msgspec.json.decode(command.params, type=plugin.params)
            async with asyncio.timeout(HANDLER_S):
                result = msgspec.json.encode(dict(await plugin.handler(params, asker)))
        except KitestringError as refusal:
            return Refused.of(refusal)
        except TimeoutError:
            log.warning("the method %s took longer than %d s", plugin.name, HANDLER_S)
            return _TOO_SLOW
        except Exception:  # of somebody else's code: its words may hold anything
            log.exception("the method %s failed", plugin.name)
            return _FAILED
        if len(result) > MAX_RESULT_BYTES:
            log.error("the result of %s has %d bytes, more than a reply carries", plugin.name, len(result))
            return _FAILED
        return MethodCalled(result)
