"""One relay: its socket, reconnected for as long as the pool lives, its reader and its writer."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Protocol

import aiohttp

from kitestring.base.errors import KitestringError
from kitestring.base.ports import Clock, Entropy
from kitestring.base.text import one_line
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.relay import (
    MAX_FRAME_BYTES,
    AuthChallenge,
    Authenticated,
    ClientConversation,
    ClosedMessage,
    EoseMessage,
    EventMessage,
    Ignored,
    NoticeMessage,
    OkMessage,
    ReceivedFrame,
    auth_event,
    reason_prefix,
)
from kitestring.transport.dial import CLOSE_TIMEOUT_S, CONNECT_TIMEOUT_S, Dialer, Socket
from kitestring.transport.publications import RelayAnswer, read_ok
from kitestring.transport.subscriptions import Chunk
from kitestring.transport.trouble import trouble

#: Pauses between attempts to connect, in seconds: doubled from the first to the longest, then jittered by half.
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
#: Frames and bytes that wait for one socket. A relay that reads slower than this is dropped; nothing is lost, because
#: subscriptions are asked again and unanswered events sent again on the next connection.
MAX_QUEUED_FRAMES: Final = 16_384
MAX_QUEUED_BYTES: Final = 32 * 1_048_576
#: NIP-42 answers per second and socket, so that a service with many keys does not look like an attack.
MAX_AUTHS_PER_S: Final = 50
#: Seconds for the answers to our AUTHs: then a REQ that waits for them is sent without.
AUTH_TIMEOUT_S: Final = 10.0

#: Failures of a connection. A failed dial says why in its text.
FAILURES: Final = (OSError, TimeoutError, aiohttp.ClientError, KitestringError, ValueError)

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RelayStatus:
    """``last_error`` is the reason of the latest failure, also after a reconnect; ``connects`` counts successes.

    ``refused`` are its words about a subscription that it does not serve now, ``rejected`` those about the latest event
    of ours if it did not take it. ``ignored`` counts frames without effect, ``notice`` is the relay's latest NOTICE,
    ``auth_error`` its last refusal of one of our keys. It has asked who we are, and ``auth_s`` is how many seconds it
    takes from now until all of our keys have said so.
    """

    url: str
    connected: bool
    connects: int
    last_error: str
    ignored: int
    notice: str
    auth_error: str
    rejected: str
    auth_s: float = 0
    refused: str = ""


class LinkHub(Protocol):
    """The pool as a link tells it what happens."""

    def link_up(self, link: Link) -> None: ...
    def link_down(self, link: Link) -> None: ...
    def link_ok(self, link: Link, message: OkMessage) -> None: ...
    def link_wants_later(self, link: Link, chunk: Chunk, due: float) -> None: ...


class Link:
    """Owned by the pool, which starts :meth:`run` as a task and cancels it."""

    def __init__(
        self, url: str, *, foreign: bool, hub: LinkHub, dialer: Dialer, clock: Clock, entropy: Entropy,
        signers: Mapping[str, SecretKey], max_frame_bytes: int = MAX_FRAME_BYTES,
    ) -> None:  # fmt: skip
        self.url: Final = url
        self.connected = False
        self._foreign: Final = foreign
        self._hub: Final = hub
        self._dialer: Final = dialer
        self._clock: Final = clock
        self._entropy: Final = entropy
        self._signers: Final = signers
        self._max_frame_bytes: Final = max_frame_bytes
        self._talk = ClientConversation(url, max_frame_bytes)
        self._chunks: Final[dict[str, Chunk]] = {}
        self._queue: Final[deque[bytes]] = deque()
        self._queued_bytes = 0
        self._wake: asyncio.Future[None] | None = None
        self._overflow = False
        self._was_of_use = False
        self._limit: asyncio.Timeout | None = None
        self._auth_task: asyncio.Task[None] | None = None
        self._auth_until = 0.0
        self._connects = 0
        self._ignored = 0
        self._last_error = self._notice = self._auth_error = self._rejected = ""

    def status(self) -> RelayStatus:
        return RelayStatus(
            self.url, self.connected, self._connects, self._last_error, self._ignored, self._notice, self._auth_error,
            self._rejected, self._talk.auths_left / MAX_AUTHS_PER_S if self.connected else 0,
        )  # fmt: skip

    # ------------------------------------------------------------ connecting

    async def run(self) -> None:
        """Connect, talk, reconnect; until cancelled."""
        pause_s = FIRST_PAUSE_S
        while True:
            began = self._clock.monotonic()
            self._was_of_use = False
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S) as self._limit:
                    await self._once(self._limit)
            except FAILURES as error:
                why = one_line(trouble(error))
                self._last_error = "the relay reads too slowly" if self._overflow else why
            except Exception:  # noqa: BLE001 - whatever a caller's filters or callbacks raise must not leave us deaf
                self._last_error = "an error on our side, see the log"
                _log.exception("the conversation with %s failed", self.url)
            # A relay that closes now and then is no broken one: what counts is that it was of use, for longer than it
            # was waited for. One that drops everybody at once is not asked each second.
            if self._was_of_use and self._clock.monotonic() - began >= pause_s:
                pause_s = FIRST_PAUSE_S
            await self._clock.sleep(self._jittered(pause_s))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _jittered(self, pause_s: float) -> float:
        return pause_s * (0.5 + int.from_bytes(self._entropy(2)) / 131_072)

    async def _once(self, limit: asyncio.Timeout) -> None:
        socket = await self._dialer.open(self.url, foreign=self._foreign)
        limit.reschedule(None)
        writer = asyncio.create_task(self._write(socket))
        try:
            self._up()
            await self._read(socket)
        finally:
            self._down()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await socket.close()

    def _up(self) -> None:
        self._talk = ClientConversation(self.url, self._max_frame_bytes)
        self._queue.clear()
        self._queued_bytes = 0
        self._overflow = False
        self.connected = True
        self._connects += 1
        # A relay that asks anew who we are each second keeps no REQ back forever.
        self._auth_until = self._clock.monotonic() + AUTH_TIMEOUT_S + len(self._signers) / MAX_AUTHS_PER_S
        self._hub.link_up(self)

    def _down(self) -> None:
        self.connected = False
        if self._auth_task is not None:
            self._auth_task.cancel()
            self._auth_task = None
        for chunk in self._chunks.values():
            chunk.owner.note_lost(self.url)
        self._chunks.clear()
        self._hub.link_down(self)

    # ------------------------------------------------------------ writing

    def send(self, frame: bytes) -> bool:
        """Queue a frame; whether there is a connection. On overflow it ends, and what it carried is sent again on the
        next one."""
        if not self.connected:
            return False
        self._queued_bytes += len(frame)
        self._queue.append(frame)
        if len(self._queue) > MAX_QUEUED_FRAMES or self._queued_bytes > MAX_QUEUED_BYTES:
            self._end_slow_connection()
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        return True

    def _end_slow_connection(self) -> None:
        if not self._overflow and self._limit is not None:
            self._overflow = True
            self._limit.reschedule(asyncio.get_running_loop().time())

    async def _write(self, socket: Socket) -> None:
        loop, queue, text = asyncio.get_running_loop(), self._queue, aiohttp.WSMsgType.TEXT
        with suppress(aiohttp.ClientError, OSError):  # a broken connection is the reader's news
            while True:
                while queue:
                    frame = queue.popleft()
                    self._queued_bytes -= len(frame)
                    await socket.send_frame(frame, text)
                self._wake = loop.create_future()
                await self._wake

    # ------------------------------------------------------------ reading

    async def _read(self, socket: Socket) -> None:
        receive, text = socket.receive, aiohttp.WSMsgType.TEXT
        while True:
            message = await receive()
            if message.type is not text:
                raise ConnectionError(_why_ended(socket, message.type))
            received = self._talk.receive(message.data)
            if type(received) is EventMessage:
                self._was_of_use = True
                await self._deliver(received)
            else:
                _ACTIONS[type(received)](self, received)

    async def _deliver(self, message: EventMessage) -> None:
        chunk = self._chunks.get(message.subscription_id)
        if chunk is None:
            return
        try:
            wait = chunk.owner.handler(message.event, self.url)
            if wait is not None:
                await wait
        except Exception:  # noqa: BLE001 - one consumer's fault must not silence the others on this socket
            _log.exception("the handler of subscription %s failed", chunk.owner.name)

    def _on_ok(self, message: OkMessage) -> None:
        self._was_of_use |= message.accepted
        answer = read_ok(message.accepted, message.message).answer
        if answer is not RelayAnswer.UNHEARD:  # that is no word about the event
            self._rejected = "" if answer is RelayAnswer.ACCEPTED else one_line(message.message)
        self._hub.link_ok(self, message)

    def _on_eose(self, message: EoseMessage) -> None:
        chunk = self._chunks.get(message.subscription_id)
        if chunk is not None:
            self._was_of_use = True
            chunk.owner.note_eose(self.url, message.subscription_id)

    def _on_closed(self, message: ClosedMessage) -> None:
        chunk = self._chunks.get(message.subscription_id)
        if chunk is None:
            return
        if reason_prefix(message.message) == "auth-required" and self.authenticate(chunk.keys):
            self._block(chunk)
            return
        self._later(chunk, self._jittered(chunk.owner.note_refused(self.url, chunk, one_line(message.message))))

    def _later(self, chunk: Chunk, pause_s: float) -> None:
        self._hub.link_wants_later(self, chunk, self._clock.monotonic() + pause_s)

    def _on_notice(self, message: NoticeMessage) -> None:
        self._notice = one_line(message.message)

    def _on_challenge(self, _: AuthChallenge) -> None:
        self._start_auth()

    def _on_authenticated(self, message: Authenticated) -> None:
        if not message.accepted:
            self._auth_error = one_line(message.message)
        self._resend()

    def _on_ignored(self, _: Ignored) -> None:
        self._ignored += 1

    # ------------------------------------------------------------ subscriptions and NIP-42

    def subscribe(self, chunk: Chunk) -> None:
        """Send (again) the REQ of a chunk. A relay that wants to know who asks is told all keys of the chunk before: it
        may give each of them only what is addressed to it, and say nothing about the others."""
        if not self.connected:
            return
        self._chunks[chunk.subscription_id] = chunk
        chunk.owner.note_asked(self.url, chunk.subscription_id)
        frame = self._talk.subscribe(chunk.subscription_id, chunk.filters())
        if self._talk.wants_auth and self.authenticate(chunk.keys):
            self._block(chunk)
        else:
            self.send(frame)

    def _block(self, chunk: Chunk) -> None:
        """Keep its REQ until its own keys are known to the relay."""
        self._talk.block_subscription(chunk.subscription_id, self._authenticating(chunk.keys))
        self._later(chunk, AUTH_TIMEOUT_S)

    def ask_again(self, chunk: Chunk) -> None:
        """Send the REQ of a chunk once more, or at last where it still waits for an authentication."""
        if self._talk.is_blocked(chunk.subscription_id):
            self._ask_unanswered(chunk)
        elif not chunk.owner.is_live(self.url, chunk.subscription_id):
            self.subscribe(chunk)

    def _ask_unanswered(self, chunk: Chunk) -> None:
        """Ask without the answers to our AUTHs, but not before all of its keys had their turn: a full service has more
        of them than go out in ten seconds."""
        keys = self._authenticating(chunk.keys)
        if self._talk.is_wanted(keys) and self._clock.monotonic() < self._auth_until:
            self._later(chunk, AUTH_TIMEOUT_S)
        else:
            self.send(self._talk.release(chunk.subscription_id, keys))
            self._resend()

    def unsubscribe(self, chunk: Chunk) -> None:
        if self._chunks.pop(chunk.subscription_id, None) is not None:
            self.send(self._talk.close(chunk.subscription_id))

    def authenticate(self, pubkeys: Mapping[str, Any]) -> bool:
        """Begin to authenticate with these keys (or the first of all, if none); False if that was tried already."""
        began = self._talk.want_auth(self._authenticating(pubkeys))
        self._start_auth()
        return began

    def _authenticating(self, pubkeys: Mapping[str, Any]) -> dict[str, None]:
        return dict.fromkeys(key for key in pubkeys if key in self._signers) or dict.fromkeys(islice(self._signers, 1))

    def hold_event(self, event_id: str, frame: bytes, pubkeys: Mapping[str, Any]) -> None:
        """Send this frame once more as soon as the authentication with these keys is answered."""
        self._talk.block_event(event_id, frame, self._authenticating(pubkeys))

    def let_go(self, event_id: str) -> None:
        """Nobody waits for this event any more."""
        self._talk.let_go(event_id)

    def _start_auth(self) -> None:
        if self._auth_task is None or self._auth_task.done():
            self._auth_task = asyncio.create_task(self._authenticate_all())

    async def _authenticate_all(self) -> None:
        while (challenge := self._talk.challenge) and (pubkey := self._talk.next_auth()) is not None:
            signer = self._signers.get(pubkey)
            if signer is None:
                self._talk.skip_auth(pubkey)
                continue
            self.send(self._talk.authenticate(auth_event(signer, self.url, challenge, self._clock.now())))
            await self._clock.sleep(1 / MAX_AUTHS_PER_S)

    def _resend(self) -> None:
        for frame in self._talk.resend():
            self.send(frame)


_ACTIONS: Final[dict[type[ReceivedFrame], Callable[[Link, Any], None]]] = {
    OkMessage: Link._on_ok,  # noqa: SLF001 - the table of this class
    EoseMessage: Link._on_eose,  # noqa: SLF001 - as above
    ClosedMessage: Link._on_closed,  # noqa: SLF001 - as above
    NoticeMessage: Link._on_notice,  # noqa: SLF001 - as above
    AuthChallenge: Link._on_challenge,  # noqa: SLF001 - as above
    Authenticated: Link._on_authenticated,  # noqa: SLF001 - as above
    Ignored: Link._on_ignored,  # noqa: SLF001 - as above
}


def _why_ended(socket: Socket, kind: aiohttp.WSMsgType) -> str:
    if kind is aiohttp.WSMsgType.BINARY:
        return "the relay sent a binary frame, which Nostr does not have"
    error = socket.exception()
    if error is not None:
        return f"the connection failed: {error}"
    return f"the relay closed the connection (code {socket.close_code})"
