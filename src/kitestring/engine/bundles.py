"""Several payments in one request: each of them is its own, with a request id, a claim, a deadline and a reply.

The bundle itself is claimed first (``ClaimBundle``), with all of its parts in the command, and is on disk before any of
them is begun. So a crash in the middle leaves a row from which the rest is carried on; the parts that were claimed are
known by their own ids, and are begun once. When every part is claimed or refused, the bundle is finished without a
word (``EndBundle``): the replies are those of its parts. What is refused of it is kept no longer than other refusals.
"""

from __future__ import annotations

import logging
from typing import Final

from msgspec.structs import replace

from kitestring.base.clocks import AHEAD_S
from kitestring.base.commands import Bundle, Part, PayInvoice, thaw
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.outcomes import Refused
from kitestring.base.records import BUNDLE, Request
from kitestring.base.transactions.answers import Denied, Finished, Running
from kitestring.base.transactions.payments import ClaimBundle, EndBundle
from kitestring.engine.answers import MAX_REFUSALS, Answers, new_request, part_id, told
from kitestring.engine.context import Context, Incoming, pauses
from kitestring.engine.grants import Grants
from kitestring.engine.payments import Payments
from kitestring.policy.rules import refuse_caller

log = logging.getLogger("kitestring.engine")

#: Nobody waits for these any more, and nothing of them was ever sent.
_TOO_LATE: Final = Refused(Reason.PAYMENT_FAILED, "not sent: too late; nothing was paid", {"reason": "too_late"})


class Bundles:
    """Begins the payments of bundles, in their order."""

    def __init__(self, context: Context, answers: Answers, grants: Grants, payments: Payments) -> None:
        self._context = context
        self._answers = answers
        self._grants = grants
        self._payments = payments

    async def handle(self, incoming: Incoming, bundle: Bundle) -> None:
        """Claim it; returns when that is durable, and its parts are begun from there on."""
        now = self._context.clock.now()
        refused = refuse_caller(await self._grants.get(incoming.grant_id), now, bundle)
        if refused is not None:
            await self._payments.refuse(incoming, refused)
            return
        until = min(filter(None, (now + self._context.limits.send_within_s, incoming.expires_at)))
        bundle = replace(
            bundle, begin_until=until, expires_at=incoming.expires_at or 0, refused_until=incoming.refused_until or 0,
            app=incoming.app,
        )  # fmt: skip
        request = new_request(replace(incoming, command=bundle), now, BUNDLE)
        answer = await self._context.store.apply(ClaimBundle(request))
        if isinstance(answer, Denied):
            await self._payments.refuse(incoming, Refused(answer.reason))
        elif isinstance(answer, Finished):
            self._context.deliver(await told(self._context.store, request))
        elif not isinstance(answer, Running):
            self._context.spawn(self._carry_out(request, bundle))

    def carry_on(self, request: Request) -> None:
        """After a restart: begin what is left of a bundle, and pass over what was begun."""
        bundle = thaw(request.command)
        assert isinstance(bundle, Bundle), "it was claimed as one"  # noqa: S101 - by this very file
        self._context.spawn(self._carry_out(request, bundle))

    async def _carry_out(self, request: Request, bundle: Bundle) -> None:
        found_s = self._context.clock.monotonic()
        for number, part in enumerate(bundle.parts):
            await self._begin(request, bundle, number, part, found_s)
        parts = tuple(part_id(request.request_id, number) for number in range(len(bundle.parts)))
        now, until = self._context.clock.now(), _refused_until(bundle)
        await self._context.record(EndBundle(request.request_id, parts, until, now, MAX_REFUSALS))

    async def _begin(self, request: Request, bundle: Bundle, number: int, part: Part, found_s: float) -> None:
        """Begin a part, however often the ledger refuses to store that: nobody else would."""
        waits = pauses()
        while True:
            try:
                is_late = self._is_late(request, bundle, self._context.clock.monotonic() - found_s)
                await self._try(request, bundle, number, part, is_late=is_late)
            except KitestringError as failure:
                log.warning("part %d of a bundle is not begun yet: %s", number, failure.message)
                await self._context.clock.sleep(next(waits))
            else:
                return

    def _is_late(self, request: Request, bundle: Bundle, waited_s: float) -> bool:
        """Whether no part is begun any more. ``waited_s`` is how long this process has had it; as with one payment, a
        claim that is dated ahead was made at an unknown time."""
        now = self._context.clock.now()
        is_dated_ahead = now < request.received_at - AHEAD_S
        return now > bundle.begin_until or is_dated_ahead or waited_s > bundle.begin_until - request.received_at

    async def _try(self, request: Request, bundle: Bundle, number: int, part: Part, *, is_late: bool) -> None:
        wanted = part.payment
        payment = wanted if isinstance(wanted, PayInvoice) else None
        incoming = Incoming(
            part_id(request.request_id, number), request.wire, request.grant_id, payment or bundle, part.reply_to,
            request.sent_at, bundle.expires_at or None, _refused_until(bundle), known=request.grant_id,
            app=bundle.app,
        )  # fmt: skip
        if not isinstance(wanted, PayInvoice):
            await self._answers.refuse(incoming, Refused(Reason(wanted.reason), wanted.message))
        elif is_late:
            await self._payments.refuse(incoming, _TOO_LATE)
        else:
            await self._payments.handle(incoming, wanted)


def _refused_until(bundle: Bundle) -> int | None:
    """The time until which a refusal of it is kept: not before its parts are not begun any more, or one that was
    refused and is forgotten would be begun after all."""
    return max(bundle.refused_until, bundle.begin_until + 1) if bundle.refused_until else None
