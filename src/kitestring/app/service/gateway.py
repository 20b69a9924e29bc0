"""Between the relays and the engine: an event becomes a command, once, and its answer finds the way back.

The steps are the same for every protocol: receive → check → who → known → decrypt → throttle → read → carry out →
answer. What differs between them is in the value of each wire. Nothing here decides about money, and nothing that could
move money is refused here but by the ledger: who was told no, or was passed over in silence, is never served by a late
copy.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec

from kitestring.app.service.callers import Caller, Callers
from kitestring.app.service.in_hand import InHand
from kitestring.app.service.last_words import LastWords
from kitestring.app.service.refused import RefusedStrangers
from kitestring.app.service.served import Served
from kitestring.app.service.throttling import Throttles
from kitestring.app.service.wires import Wires
from kitestring.base.commands import Journaled
from kitestring.base.errors import CodecError, KitestringError, NotStoredError, Reason
from kitestring.base.grants import Grant
from kitestring.base.outcomes import Outcome, Refused
from kitestring.base.ports import Clock, Encoded
from kitestring.base.records import Request
from kitestring.engine.context import Incoming
from kitestring.engine.engine import Engine
from kitestring.nostr.event import Event
from kitestring.nostr.inbox import Accept, Drop, Inbox, Lookup, expires_at
from kitestring.nostr.work import work_bits
from kitestring.wire.encryption import Choice
from kitestring.wire.envelope import decrypt
from kitestring.wire.grammar import Asked, Facts
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.registry import WINDOWS, over_at
from kitestring.wire.reply_to import Cipher, ReplyTo

log = logging.getLogger("kitestring.gateway")

#: What is said of a request that cannot be stored, and so is not carried out.
_NOT_STORED: Final = Refused(Reason.INTERNAL, "the service can store nothing now: nothing was done")
#: Seconds by which the time of a start may be too early, which follows from two clocks in whole seconds.
ROUNDED_S: Final = 2
#: Seconds between two lines in the log about what was dropped unread: a flood must not fill the disk.
DROPPED_LINE_S: Final = 60.0


def _unheard(_wire: str, _grant_id: str, _refused: Refused, _command: Journaled | None) -> None:
    """Nobody is told."""


class Gateway:
    """Reads events for the service key and for every connection's key.

    ``used`` is told about the first request of a connection, and about the first in NIP-44 of one that was made for
    both encryptions; its second argument says whether it was such a one. ``refused`` is told of each refusal that is
    decided here: the wire, the grant of the caller ("" for a stranger), and the command where it was read.
    """

    def __init__(
        self, *, service_pubkey: str, facts: Facts, wires: Wires, engine: Engine, send_once: Callable[[Encoded], None],
        clock: Clock, throttles: Throttles, last_words: LastWords, used: Callable[[Grant, bool], None],
        seen: Callable[[str], None], refused: Callable[[str, str, Refused, Journaled | None], None] = _unheard,
    ) -> None:  # fmt: skip
        self._facts: Final = facts
        self._wires: Final = wires
        self._engine: Final = engine
        self._send_once: Final = send_once
        self._clock: Final = clock
        self._last_words: Final = last_words
        self._used: Final = used
        self._seen: Final = seen
        self._tell_refused: Final = refused
        self._callers: Final = Callers(service_pubkey, throttles)
        self._inbox: Final = Inbox(self._callers.is_ours, self._callers.find, WINDOWS)
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self._in_hand: Final = InHand()
        self._served: Final = Served(clock)
        self._refused: Final = RefusedStrangers(clock)
        self._looked_up: Final = Served(clock)
        self._dropped = 0
        self._dropped_line_due = 0.0

    def set_grant(self, grant: Grant) -> None:
        """See :meth:`Callers.set_grant`."""
        self._callers.set_grant(grant)

    def keys(self) -> list[str]:
        """The public keys that requests are addressed to."""
        return self._callers.keys()

    # ------------------------------------------------------------ receive, check, who

    def receive(self, event: Event, relay_url: str) -> None:
        """Called by the relay pool for every event; never blocks, never raises for what a peer sent."""
        if not self._in_hand.has_any_room():
            self._drop(relay_url)
            return
        verdict = self._inbox.check(event, self._clock.now())
        if isinstance(verdict, Drop):
            return
        caller = verdict.speaker
        if not self._in_hand.take(caller):
            self._inbox.done(event.id)
            self._drop(relay_url)
        elif isinstance(verdict, Accept):
            self._spawn(event.id, caller, self._serve(event, caller))
        else:
            self._spawn(event.id, caller, self._serve_late(event, caller, verdict))

    def _drop(self, relay_url: str) -> None:
        self._dropped += 1
        now = self._clock.monotonic()
        if now >= self._dropped_line_due:
            log.warning("too many requests in hand: %d were dropped, the last from %s", self._dropped, relay_url)
            self._dropped, self._dropped_line_due = 0, now + DROPPED_LINE_S

    def _spawn(self, event_id: str, caller: Caller, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._inbox.done(event_id)
            self._in_hand.give_back(caller)

        task.add_done_callback(done)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """One request's failure is its own: it is logged, nothing was half done, the service goes on."""
        try:
            await work
        except KitestringError as failure:
            log.warning("a request was not carried out: %s", failure.message)
        except Exception:
            log.exception("a request ended in an unexpected error")

    # ------------------------------------------------------------ the steps of a request

    async def _serve(self, event: Event, caller: Caller) -> None:
        since = self._refused.since
        if await self._is_answered(event, caller, since):
            return
        choice = caller.wire.cipher(event, caller.grant)
        to = _reply_to(event, caller, choice.cipher)
        try:
            text = self._decrypt(event, choice, caller, to)
            if caller.known:
                self._seen(caller.known)
            self._heed_last_words(event, text, caller, to)
            self._heed_start(event, caller, to, since)
            self._admit(text, caller, to)
            self._heed_cipher(text, choice, caller, to)
            asked = caller.wire.read(text, event, to, self._facts)
            self._charge(event, asked, caller)
        except WireRefusalError as refusal:
            await self._refuse(event, caller, refusal)
        else:
            await self._carry_out(event, caller, asked)

    async def _is_answered(self, event: Event, caller: Caller, since: int) -> bool:
        """Whether this is a copy: then the stored answer is said again, whatever limits and prices are, or nothing if
        none was stored or it was said just now. What may have been answered before this run (dated before ``since``, of
        a stranger also as far ahead as its clock may be), or of a stranger since memory has lost some, is looked for
        before it costs anything; any other copy is met by the claim itself."""
        if event.id in self._refused:
            return True
        if event.id in self._served:
            if caller.throttle.may_repeat(caller.name, event.id):
                await self._engine.known(event.id)
            return True
        ahead_s = 0 if caller.known else WINDOWS[event.kind].ahead_s + ROUNDED_S
        is_lost = not caller.known and not self._served.is_whole
        may_be_older = is_lost or event.created_at <= since + ahead_s
        return may_be_older and await self._is_known(event, caller)

    async def _is_known(self, event: Event, caller: Caller) -> bool:
        """Whether the ledger has an answer, or will: then it is said again, not more often than is good."""
        return await self._engine.known(event.id, lambda: caller.throttle.may_repeat(caller.name, event.id))

    def _heed_last_words(self, event: Event, text: str, caller: Caller, to: ReplyTo) -> None:
        if self._last_words.refuse(event.id, event.created_at):
            raise WireRefusalError(to.named(caller.wire.method(text)), _NOT_STORED)

    def _heed_start(self, event: Event, caller: Caller, to: ReplyTo, since: int) -> None:
        """Of strangers nothing is stored: what was asked before this service was started may have been refused. So may
        what somebody had asked who is known since."""
        if caller.known:
            since = min(since, caller.known_since + 1 + WINDOWS[event.kind].ahead_s)
        if event.created_at < since:
            raise WireRefusalError(to, Refused(Reason.STALE_REQUEST, "the service was away: ask again"))

    def _decrypt(self, event: Event, choice: Choice, caller: Caller, to: ReplyTo) -> str:
        try:
            return decrypt(event.content, to.cipher, self._wires.secret(to, is_known=bool(caller.known)))
        except CodecError:
            reason = caller.wire.unreadable if choice.allowed else Reason.UNSUPPORTED_ENCRYPTION
            preferred = msgspec.structs.replace(to, cipher=choice.preferred)
            raise WireRefusalError(preferred, Refused(reason), read=False) from None

    def _admit(self, text: str, caller: Caller, to: ReplyTo) -> None:
        limited = caller.throttle.admit(caller.name)
        if limited is not None:
            raise WireRefusalError(to.named(caller.wire.method(text)), limited)

    def _heed_cipher(self, text: str, choice: Choice, caller: Caller, to: ReplyTo) -> None:
        if not choice.allowed:
            raise WireRefusalError(to.named(caller.wire.method(text)), Refused(Reason.UNSUPPORTED_ENCRYPTION))
        if caller.grant is not None and (choice.raises or caller.grant.link_salt):
            self._used(caller.grant, choice.raises)

    def _charge(self, event: Event, asked: Asked, caller: Caller) -> None:
        limited = caller.throttle.charge(caller.name, asked, 0 if caller.known else work_bits(event))
        if limited is not None:
            raise WireRefusalError(asked.to, limited)

    async def _refuse(self, event: Event, caller: Caller, refusal: WireRefusalError) -> None:
        """Refuse in words, or in silence where the wire has none or there were too many lately."""
        wire, reason, to = caller.wire, refusal.refused.reason, refusal.to
        self._tell_refused(wire.name, caller.known, refusal.refused, None)
        is_told = wire.codes[reason] is not None and caller.throttle.may_tell(caller.name, reason, read=refusal.read)
        refused = refusal.refused if is_told else None
        if caller.known and to.method not in wire.questions:
            await self._refuse_for_good(event, caller, to, refused)
        elif refused is not None:
            await self._turn_away(event, caller, to, refused)

    async def _refuse_for_good(self, event: Event, caller: Caller, to: ReplyTo, refused: Refused | None) -> None:
        """The ledger keeps it from being carried out, before anybody is told. What was answered before, which memory
        may have lost, keeps its answer; of what an earlier life may have paid nobody says that it was not."""
        now = self._clock.now()
        if refused is not None and await self._may_be_paid(event, caller, to):
            refused = None
        reply_to = b"" if refused is None else to.freeze()
        request = Request(event.id, to.wire, caller.known, b"", reply_to, event.created_at, now)
        until = over_at(event.created_at, now)
        try:
            await self._engine.refuse(request, until, refused)
        except NotStoredError:
            if not await self._said_last(event, caller, to, until):
                raise
        else:
            self._served.add(event.id)

    async def _said_last(self, event: Event, caller: Caller, to: ReplyTo, until: int) -> bool:
        """Refuse a request that the ledger cannot store, once it is sure that no copy of it will be carried out;
        whether that is so. Of strangers nothing is stored anyway."""
        if await self._engine.known(event.id, lambda: False):
            return False
        if caller.known and not await self._last_words.keep(event.id, event.created_at, until):
            return False
        is_silent = await self._may_be_paid(event, caller, to)
        if not is_silent and caller.throttle.may_tell(caller.name, _NOT_STORED.reason, read=True):
            await self._turn_away(event, caller, to, _NOT_STORED)
        return True

    async def _turn_away(self, event: Event, caller: Caller, to: ReplyTo, refused: Refused) -> None:
        """Refuse a question, or a stranger, of whom nothing is stored. Of what an earlier life may have paid for one
        nobody says that it was not; while the node cannot tell, a copy of it is looked at anew."""
        if not caller.known:
            is_silent = await self._may_be_paid(event, caller, to)
            self._refused.add(event.id, event.created_at)
            if is_silent:
                return
        self._reply(to, refused)

    async def _may_be_paid(self, event: Event, caller: Caller, to: ReplyTo) -> bool:
        """Whether an earlier life may have paid for a request that the ledger does not know, or a later one may.

        A ledger that was put back knows nothing of what was paid since, and no witness has to know of it: only the node
        does. And a stranger's request from the future, of whom nothing is kept, comes into its time after the next
        start. Who is told no of such a one pays in another way.
        """
        sent_at = event.created_at
        if self._engine.may_have_answered(sent_at):
            return True
        if not caller.wire.spends:
            return False
        if not caller.known and sent_at > self._clock.now() + WINDOWS[event.kind].ahead_s:
            return True
        return sent_at < self._refused.since and await self._is_at_the_node(event, caller, to)

    async def _is_at_the_node(self, event: Event, caller: Caller, to: ReplyTo) -> bool:
        """Whether the node has paid what is asked for. Nobody has paid for what cannot be read. Raises KitestringError
        when the node cannot say it now."""
        try:
            text = decrypt(event.content, to.cipher, self._wires.secret(to, is_known=bool(caller.known)))
            command = caller.wire.read(text, event, to, self._facts).command
        except (CodecError, WireRefusalError):
            return False
        return await self._engine.may_be_at_the_node(event.id, command)

    async def _carry_out(self, event: Event, caller: Caller, asked: Asked) -> None:
        grant_id = "" if caller.grant is None else caller.grant.grant_id
        command, sent_at = asked.command, event.created_at
        if isinstance(command, Journaled):
            refused_until = over_at(sent_at, self._clock.now())
            author, app = ("", event.pubkey) if grant_id else (event.pubkey, "")
            incoming = Incoming(
                event.id, asked.to.wire, grant_id, command, asked.to.freeze(), sent_at,
                expires_at(event), refused_until, author, caller.known, app,
            )  # fmt: skip
            try:
                refused = await self._engine.handle(incoming)
            except NotStoredError:
                # "Nothing was done" would deny a payment of the same invoice, asked for in another request.
                is_denied = await self._engine.has_paid(event.id, command)
                if is_denied or not await self._said_last(event, caller, asked.to, refused_until):
                    raise
                return
            if refused is None:
                self._served.add(event.id)
            else:  # nothing is stored: so it is a stranger's, whoever that was when it came
                self._tell_refused(asked.to.wire, "", refused, command)
                await self._turn_away(event, msgspec.structs.replace(caller, known=""), asked.to, refused)
        else:
            self._reply(asked.to, await self._engine.ask(grant_id, command))

    async def _serve_late(self, event: Event, caller: Caller, late: Lookup[Caller]) -> None:
        """Too old, from the future or expired: only a stored answer is said again; otherwise the sender learns about
        its clock. Relays that keep requests show all of them at every reconnect: that is looked at once, to the end."""
        if event.id not in self._looked_up:
            await self._look_up(event, caller, late)
            self._looked_up.add(event.id)

    async def _look_up(self, event: Event, caller: Caller, late: Lookup[Caller]) -> None:
        if await self._is_known(event, caller) or event.id in self._served or event.id in self._refused:
            return
        is_told = late.answerable and caller.throttle.may_tell(caller.name, Reason.STALE_REQUEST, read=True)
        to = _reply_to(event, caller, caller.wire.cipher(event, caller.grant).unread)
        to = self._named(event, caller, to) if is_told else to
        if not caller.known:
            if is_told:
                await self._turn_away(event, caller, to, _stale(late))
        else:
            await self._refuse_for_good(event, caller, to, _stale(late) if is_told else None)

    def _named(self, event: Event, caller: Caller, to: ReplyTo) -> ReplyTo:
        """The same with the method, if that can be read: clients pass over a refusal of a request they do not know."""
        try:
            return to.named(caller.wire.method(decrypt(event.content, to.cipher, self._wires.secret(to))))
        except CodecError:
            return to

    # ------------------------------------------------------------ answer

    def _reply(self, to: ReplyTo, outcome: Outcome) -> None:
        """An answer that changes nothing and is not stored; a lost one is made again for a client's new request."""
        self._served.add(to.event_id)
        encoded = self._wires.encode_to(to, outcome, self._clock.now())
        if encoded is not None:
            self._send_once(encoded)

    async def drain(self, grace_s: float) -> None:
        """Let requests that are being decided finish; what is claimed is the engine's."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=grace_s)


def _reply_to(event: Event, caller: Caller, cipher: Cipher) -> ReplyTo:
    return ReplyTo(caller.wire.name, caller.key_id, event.pubkey, cipher, event.id, event.created_at)


def _stale(late: Lookup[Caller]) -> Refused:
    details = {"delta": {"max_delta_ms": 1000 * late.max_delta_s, "actual_delta_ms": 1000 * late.actual_delta_s}}
    return Refused(Reason.STALE_REQUEST, "the request is too old or from the future: check the clock", details)
