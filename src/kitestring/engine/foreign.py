"""Methods of plugins: called with a bound on time and number, their answers stored like all others.

The answer is stored when the handler has ended, and a copy of the request gets that. A crash in between lets the same
request be carried out again: what a handler changes it has to do once per request.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import msgspec

from kitestring.base.commands import CallMethod
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.outcomes import MethodCalled, Outcome, Refused
from kitestring.base.plugins import Asker, MethodPlugin
from kitestring.engine.answers import Answers, unclaimed_request
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

_FAILED: Final = Refused(Reason.INTERNAL, "the method failed; nothing more is known")
_TOO_SLOW: Final = Refused(Reason.INTERNAL, "the method took too long; it may have been carried out")
_BUSY: Final = Refused(Reason.RATE_LIMITED, "too many calls of methods are under way: try again")


class Foreign:
    """Carries out what plugins have added."""

    def __init__(self, context: Context, answers: Answers, grants: Grants) -> None:
        self._context = context
        self._answers = answers
        self._grants = grants
        self._at_work = 0

    async def handle(self, incoming: Incoming, command: CallMethod) -> None:
        """Call the method and store its answer. Raises KitestringError when the disk refuses: then nothing is said."""
        if await self._answers.known(incoming.request_id):
            return
        grant, now = await self._grants.get(incoming.grant_id), self._context.clock.now()
        refused = refuse_caller(grant, now, command)
        if refused is None and incoming.expires_at is not None and now >= incoming.expires_at:
            refused = Refused(Reason.STALE_REQUEST)
        if refused is None and self._at_work >= MAX_AT_WORK:
            refused = _BUSY
        if refused is not None or grant is None:
            await self._answers.refuse(incoming, refused or Refused(Reason.CONNECTION_ENDED))
            return
        plugin = self._context.plugins.get(command.method)
        outcome = Refused(Reason.UNSUPPORTED) if plugin is None else await self._call(plugin, incoming, command, grant)
        await self._answers.store(unclaimed_request(incoming, self._context.clock.now()), outcome)

    async def _call(self, plugin: MethodPlugin, incoming: Incoming, command: CallMethod, grant: Grant) -> Outcome:
        asker = Asker(incoming.request_id, grant.name, grant.grant_id, grant.caller)
        self._at_work += 1
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
        finally:
            self._at_work -= 1
        if len(result) > MAX_RESULT_BYTES:
            log.error("the result of %s has %d bytes, more than a reply carries", plugin.name, len(result))
            return _FAILED
        return MethodCalled(result)
