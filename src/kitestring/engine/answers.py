"""Answers to requests: made once from an outcome, stored with what makes them true, and never lost.

A stored answer leaves through the outbox. Only what is asked for again, and what is said to strangers and stored
nowhere, is handed to ``deliver`` from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from kitestring.base.commands import MAX_PARTS, freeze
from kitestring.base.outcomes import Outcome, Received, Refused
from kitestring.base.records import BUNDLE, RECEIPT, REPLY, Message, OwnInvoice, Request
from kitestring.base.store import Reads
from kitestring.base.transactions.answers import Done, Finished, Running, Unstored
from kitestring.base.transactions.requests import Answer, Refuse
from kitestring.engine.context import Context, Incoming

#: Bytes on disk of a refusal without words, measured: its row and its places in the indexes.
REFUSAL_BYTES: Final = 300
#: Bytes of the replies that are kept of what one grant was refused, about 800 of them: an app that is refused more
#: than that within minutes hears each of them once.
MAX_REFUSAL_BYTES: Final = 1_048_576
#: Refusals that are kept of one grant, 2 MiB of them: 7,000, and they stay for some minutes. One that is refused more
#: than that forgets its oldest, and hears "too old" of what it has sent before them.
MAX_REFUSALS: Final = 2 * 1_048_576 // REFUSAL_BYTES
#: Bytes of the replies that are kept of what one grant was answered without a claim, once more: about 600 of them.
#: Beyond that each is said once; whoever asks anew is answered anew.
MAX_ANSWER_BYTES: Final = 1_048_576
#: Seconds that such an answer is kept: as long as every other one.
ANSWER_KEPT_S: Final = 30 * 86_400


def part_id(request_id: str, number: int) -> str:
    """The id of the request that part ``number`` of a bundle is: no event has one like it, so nobody can send it."""
    return f"{request_id}/{number}"


async def told(store: Reads, request: Request) -> tuple[Message, ...]:
    """The stored answers to a request: of a bundle, those to its parts, however many it had."""
    if request.payment_id != BUNDLE:
        return await store.messages(request.request_id)
    found = [await store.messages(part_id(request.request_id, number)) for number in range(MAX_PARTS)]
    return tuple(message for messages in found for message in messages)


def always() -> bool:
    """Say it again whoever asks."""
    return True


class Answers:
    """Makes, stores and repeats the answers of one service."""

    def __init__(self, context: Context) -> None:
        self._context = context

    # ------------------------------------------------------------ made

    def replies(self, requests: Sequence[Request], outcomes: Iterable[Outcome]) -> tuple[Message, ...]:
        """One reply per request; a request that gets silence is finished with an empty one."""
        return tuple(self._reply(request, outcome) for request, outcome in zip(requests, outcomes, strict=True))

    def _reply(self, request: Request, outcome: Outcome) -> Message:
        return self._make(request, outcome, REPLY) or self.silence(request)

    def silence(self, request: Request) -> Message:
        """The empty reply that finishes a request of which nothing is said."""
        return Message(request.request_id, REPLY, b"", b"", self._context.clock.now(), request.reply_to)

    async def receipt(self, invoice: OwnInvoice, received: Received) -> tuple[Message, ...]:
        """The receipt for the caller that asked for the invoice; empty where its wire sends none."""
        request = await self._context.store.request(invoice.request_id) if invoice.request_id else None
        made = None if request is None else self._make(request, received, RECEIPT)
        return () if made is None else (made,)

    def _make(self, request: Request, outcome: Outcome, kind: str) -> Message | None:
        encoded = self._context.encode(request.reply_to, kind, outcome, self._context.clock.now())
        if encoded is None:
            return None
        event, at, is_no = encoded.event, encoded.signed_at, isinstance(outcome, Refused)
        return Message(request.request_id, kind, encoded.plaintext, event, at, request.reply_to, is_no)

    # ------------------------------------------------------------ stored

    async def store(self, request: Request, outcome: Outcome) -> None:
        """Finish a request that was never claimed. Raises KitestringError when the disk refuses; nothing was said."""
        answer = Answer(request, self.replies((request,), (outcome,)), self._context.clock.now())
        self._repeat(await self._context.store.apply(answer))

    async def finish(self, request: Request, outcome: Outcome) -> None:
        """Finish a request that waits in the ledger, however often the disk refuses."""
        (reply,) = self.replies((request,), (outcome,))
        await self.finish_with(request, reply)

    async def finish_with(self, request: Request, reply: Message) -> None:
        """Finish a request that waits in the ledger with a reply that is made already, however often the disk
        refuses."""
        self._repeat(await self._context.record(Answer(request, (reply,), self._context.clock.now())))

    async def refuse(self, incoming: Incoming, refused: Refused) -> None:
        """Refuse a request, so that a replay of the same event never executes later. A stranger's leaves no row."""
        if await self.known(incoming.request_id):
            return
        self._context.refused(incoming, refused)
        request = unclaimed_request(incoming, self._context.clock.now())
        if not incoming.grant_id:
            self._context.deliver(self.replies((request,), (refused,)))
        elif incoming.refused_until is None:
            await self.store(request, refused)
        else:
            await self.refuse_until(incoming.refused_until, request, refused)

    async def pass_over(self, incoming: Incoming) -> None:
        """Refuse a request of a connection without a word, so that a replay of the same event never executes later."""
        if await self.known(incoming.request_id):
            return
        now = self._context.clock.now()
        request = unclaimed_request(incoming, now)
        if incoming.refused_until is None:
            self._repeat(await self._context.store.apply(Answer(request, (self.silence(request),), now)))
        else:
            await self.refuse_until(incoming.refused_until, request, None)

    async def confirm(self, incoming: Incoming, outcome: Outcome, grant_id: str = "") -> None:
        """Answer what needs no claim, because nothing is changed by it: kept as other answers are, in bounds of its
        own. ``grant_id``: the grant under which it is, if it is not the one that it came by. Raises KitestringError
        when the disk refuses; then nothing was said."""
        now = self._context.clock.now()
        request = unclaimed_request(incoming, now)
        request = replace(request, grant_id=grant_id or request.grant_id)
        if incoming.refused_until is None:
            await self.store(request, outcome)
        else:
            until = max(incoming.refused_until, now + ANSWER_KEPT_S)
            await self.answer_until(until, request, outcome, MAX_ANSWER_BYTES)

    async def refuse_until(self, until: int, request: Request, refused: Refused | None) -> None:
        """Refuse a request until its age does (``until``, Unix seconds), with silence if ``refused`` is None. Raises
        KitestringError when the disk refuses; then nothing was said."""
        await self.answer_until(until, request, refused, MAX_REFUSAL_BYTES)

    async def answer_until(self, until: int, request: Request, outcome: Outcome | None, max_bytes: int) -> None:
        """The same for any answer to a request that was never claimed. Of its kind ``max_bytes`` are kept of a grant;
        beyond that it is said once."""
        now = self._context.clock.now()
        reply = None if outcome is None else self._make(request, outcome, REPLY)
        answer = await self._context.store.apply(Refuse(request, until, now, reply, max_bytes, MAX_REFUSALS))
        if isinstance(answer, Unstored) and reply is not None:
            self._context.deliver((reply,))
        elif not isinstance(answer, Unstored):
            self._repeat(answer)

    async def known(self, request_id: str, may_say: Callable[[], bool] = always) -> bool:
        """Whether the request was claimed or refused before. Then its stored answer is delivered again, if it ``may``
        be. A request that is still running is answered by the task that carries it out: a refusal would deny what is
        under way."""
        request = await self._context.store.request(request_id)
        if request is None:
            return False
        messages = await told(self._context.store, request) if may_say() else ()
        if messages:
            self._context.deliver(messages)
        return True

    def _repeat(self, answer: Done | Finished | Running) -> None:
        """Send the answer that was there before. ``Running``: a copy of the request was claimed meanwhile, nothing of
        ours was stored, and whoever claimed it answers."""
        if isinstance(answer, Finished):
            self._context.deliver(answer.messages)


def new_request(incoming: Incoming, now: int, payment_id: str = "") -> Request:
    """The row of a request that is claimed now."""
    return Request(
        incoming.request_id,
        incoming.wire,
        incoming.grant_id,
        freeze(incoming.command),
        incoming.reply_to,
        incoming.sent_at,
        now,
        payment_id,
    )


def unclaimed_request(incoming: Incoming, now: int) -> Request:
    """The row of a request that is answered without having been claimed. What it asked for is kept only where no age
    ever refuses it, as with an idempotency key: told again, it has to ask for the same."""
    command = freeze(incoming.command) if incoming.refused_until is None else b""
    return replace(new_request(incoming, now), command=command)
