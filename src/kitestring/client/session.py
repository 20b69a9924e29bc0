"""One request to a service over the relays and the replies to it: the exchange under NWC and offers.

A relay is sent the request once it has ended its list of stored events, or has had its time for that; one that is mute
keeps nobody waiting beside one that is not. Which replies count is decided here and not by the relays' filters; an
event that does not count never ends the wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from types import TracebackType
from typing import Final, Self, TypeVar

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.client.clocks import CLOCKS_S
from kitestring.client.hearing import Hearing, ReplyListener, StandingReplies
from kitestring.client.net import Net, Waits
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, encode_event, first_tag
from kitestring.transport.changes import Changes
from kitestring.transport.publications import PublishResult
from kitestring.transport.relays import RelayPool
from kitestring.wire.encryption import shape
from kitestring.wire.envelope import (
    MAX_REPLY_BYTES,
    Expected,
    decrypt,
    is_reply,
    request_draft,
    request_event,
    shared_secret,
)
from kitestring.wire.grammar import Draft
from kitestring.wire.reply_to import Cipher, Version

T = TypeVar("T")

#: Replies taken from one exchange: an answer, a receipt, and room for a service that repeats itself.
MAX_REPLIES: Final = 16
#: Characters of relay trouble that an error shows.
MAX_TROUBLE_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class Dialog:
    """The two ends of a conversation and what encrypts it."""

    key: SecretKey
    service: str
    cipher: Cipher
    request_kind: int
    reply_kind: int
    shared: bytes = field(repr=False)
    version: Version = "tagged"

    @classmethod
    def nwc(cls, key: SecretKey, service: str, cipher: Cipher) -> Dialog:
        """To a NWC wallet service. Raises CodecError when ``service`` is no public key."""
        shared = shared_secret(key, service, cipher)
        return cls(key, service, cipher, kinds.NWC_REQUEST, kinds.NWC_RESPONSE, shared)

    @classmethod
    def offers(cls, key: SecretKey, service: str, version: Version = "tagged") -> Dialog:
        """To the service of an offer. Raises CodecError when ``service`` is no public key."""
        return cls(key, service, "nip44", kinds.OFFER, kinds.OFFER, shared_secret(key, service, "nip44"), version)

    @classmethod
    def debits(cls, key: SecretKey, service: str) -> Dialog:
        """To a service of debits. Raises CodecError when ``service`` is no public key."""
        return cls(key, service, "nip44", kinds.DEBIT, kinds.DEBIT, shared_secret(key, service, "nip44"))

    @classmethod
    def enroll(cls, key: SecretKey, service: str) -> Dialog:
        """To a service that opens accounts. Raises CodecError when ``service`` is no public key."""
        return cls(key, service, "nip44", kinds.ENROLL, kinds.ENROLL, shared_secret(key, service, "nip44"))

    @classmethod
    def manage(cls, key: SecretKey, service: str) -> Dialog:
        """To a service at which offers are managed. Raises CodecError when ``service`` is no public key."""
        return cls(key, service, "nip44", kinds.MANAGE, kinds.MANAGE, shared_secret(key, service, "nip44"))

    def expected(self, request_id: str) -> Expected:
        """The replies to a request of this id; "" for those to any."""
        return Expected(self.reply_kind, self.service, self.key.public_hex, request_id)

    def read(self, content: str) -> tuple[str, Cipher]:
        """The text of a reply, and its cipher: a NWC wallet that could not read the request may answer in the one that
        it knows. Raises CodecError."""
        cipher = self.cipher
        if self.reply_kind == kinds.NWC_RESPONSE:
            cipher = shape(content) or cipher
        shared = self.shared if cipher == self.cipher else shared_secret(self.key, self.service, cipher)
        return decrypt(content, cipher, shared, MAX_REPLY_BYTES), cipher

    def request(self, plaintext: str, net: Net, lasts_s: float | None = None, work_bits: int = 0) -> Event:
        """A request that nobody carries out when it is older than ``lasts_s`` (None = that is up to the service).
        ``work_bits`` of proof of work take their time. Raises CodecError when the text is too long."""
        now = net.clock.now()
        return request_event(
            self.key, kind=self.request_kind, service=self.service, plaintext=plaintext, cipher=self.cipher,
            shared=self.shared, entropy=net.entropy, now=now,
            expires_at=None if lasts_s is None else now + ceil(lasts_s) + CLOCKS_S, work_bits=work_bits,
            version=self.version,
        )  # fmt: skip

    async def worked_request(self, plaintext: str, net: Net, work_bits: int) -> Event:
        """As :meth:`request`; proof of work is done in a thread, and nothing else is worth one."""
        if not work_bits:
            return self.request(plaintext, net)
        return await asyncio.to_thread(self.request, plaintext, net, None, work_bits)

    def draft(self, plaintext: str, net: Net) -> Draft:
        """A request before it is mined and signed. Raises CodecError when the text is too long."""
        return request_draft(
            kind=self.request_kind, service=self.service, plaintext=plaintext, cipher=self.cipher, shared=self.shared,
            entropy=net.entropy, version=self.version,
        )  # fmt: skip


class NothingSentError(KitestringError):
    """No relay could be reached (UNAVAILABLE), so nothing was sent to anybody."""


async def reach(pool: RelayPool, waits: Waits) -> None:
    """Wait for a first relay. Raises NothingSentError."""
    if await pool.connected(1, waits.reach_s):
        return
    still_trying = any(not row.last_error for row in pool.status())
    if still_trying and await pool.connected(1, max(waits.connect_s - waits.reach_s, 0)):
        return
    trouble = "; ".join(f"{row.url}: {row.last_error or 'no answer'}" for row in pool.status())
    raise NothingSentError(
        Reason.UNAVAILABLE,
        f"no relay can be reached ({trouble[:MAX_TROUBLE_CHARS]}); check that it runs and that you are online",
    )


class Exchange:
    """Publishes one request when opened and hears the replies until closed; also an async context manager. It hears
    them by a REQ of its own, or by one that is ``standing``.

    ``undelivered`` says why no relay took the request, as far as that is known. What a relay says about that proves
    nothing: it may have passed the request on. ``unreadable`` says what is wrong with the latest reply that the service
    has signed and that cannot be read; ``cipher`` is that of the latest one which can. ``ahead_s`` is how far the
    service's clock is ahead of ours at least (negative: behind), as far as its replies show it.
    """

    def __init__(
        self, pool: RelayPool, dialog: Dialog, request: Event, net: Net, *, max_replies: int = MAX_REPLIES,
        standing: StandingReplies | None = None,
    ) -> None:  # fmt: skip
        self.request: Final = request
        self.undelivered = ""
        self.unreadable = ""
        self.cipher: Cipher | None = None
        self.ahead_s: int | None = None
        self._pool: Final = pool
        self._dialog: Final = dialog
        self._clock: Final = net.clock
        self._waits: Final = net.waits
        self._expected: Final = dialog.expected(self.request.id)
        asked_at = self.request.created_at
        self._hearing: Final[ReplyListener] = (
            Hearing(pool, self._expected, lambda: asked_at, self._hear)
            if standing is None
            else standing.replies(self._expected, asked_at, self._hear)
        )
        self._changes: Final = Changes(net.clock)
        self._seen: Final[set[str]] = set()
        self._heard: Final[deque[tuple[str, str]]] = deque()
        self._max_replies: Final = max_replies
        self._unread_at: float | None = None
        self._listening: asyncio.Task[None] | None = None
        self._unsent: Final[dict[str, None]] = {row.url: None for row in pool.status()}
        self._sendings = 0
        self._is_taken = False
        self._words: Final[dict[str, str]] = {}

    async def open(self) -> None:
        """Subscribe, then publish. Raises NothingSentError when no relay is reachable."""
        await reach(self._pool, self._waits)
        if self._hearing.is_settled():
            await self._listen()
            return
        self._listening = asyncio.create_task(self._listen())
        one_is_live = self._pool.until(lambda: bool(self._hearing.live_on()), self._waits.eose_s)
        try:
            await _first(self._listening, asyncio.ensure_future(one_is_live))
            self._send(self._hearing.live_on() or list(self._unsent))
        except BaseException:
            self.close()
            raise

    async def _listen(self) -> None:
        await self._hearing.open(self._waits.eose_s)
        self._send(list(self._unsent))

    def _send(self, urls: Sequence[str]) -> None:
        """To those of these relays that were not sent it yet."""
        new = [url for url in urls if url in self._unsent]
        if not new:
            return
        for url in new:
            del self._unsent[url]
        self._sendings += 1
        self._pool.send(
            self.request.id, self.request.pubkey, encode_event(self.request), self._published, new,
            deadline_s=self._waits.publish_s,
        )  # fmt: skip

    def send_again(self) -> None:
        """Send the same event to every relay once more: a service that was away hears it, one that has answered says it
        again, and none does anything a second time."""
        urls = [row.url for row in self._pool.status() if row.url not in self._unsent]
        if urls:
            self._pool.send(
                self.request.id, self.request.pubkey, encode_event(self.request), lambda _: None, urls,
                deadline_s=self._waits.publish_s,
            )  # fmt: skip

    def close(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening.cancel()
        self._hearing.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def next(self, read: Callable[[str], T], timeout_s: float, *, patient: bool = False) -> T | None:
        """The next reply that ``read`` can read, None when the time is up; see :meth:`next_named`."""
        return await self.next_named(lambda text, _: read(text), timeout_s, patient=patient)

    async def next_named(self, read: Callable[[str, str], T], timeout_s: float, *, patient: bool = False) -> T | None:
        """The next reply that ``read`` can read, None when the time is up. ``read`` is told the text, and the name of
        what it answers where one request has several replies (its ``d`` tag, "" for none).

        A reply for which ``read`` raises CodecError is left out (its complaint is in ``unreadable``). The wait ends
        early, unless ``patient``, when no relay took the request, and soon after a reply that cannot be read: the
        service has spoken, and what it said again would be no better.
        """
        deadline = self._clock.monotonic() + timeout_s
        while True:
            while self._heard:
                try:
                    return read(*self._heard.popleft())
                except CodecError as error:
                    self._note_unread(error)
            left_s = self._deadline(deadline, patient) - self._clock.monotonic()
            if left_s <= 0 or (self.undelivered and not patient):
                return None
            had_unread = self._unread_at is not None
            await self._changes.until(lambda: self._is_news(had_unread, patient), left_s)  # noqa: B023 - is awaited here

    def trouble(self) -> str:
        """The known causes of a reply that did not come: part of a sentence, or nothing."""
        known = (self.unreadable and f"its reply cannot be read: {self.unreadable}") or self.undelivered
        return f" ({known[:MAX_TROUBLE_CHARS]})" if known else ""

    def _deadline(self, latest: float, patient: bool) -> float:
        return latest if patient or self._unread_at is None else min(latest, self._unread_at + self._waits.unread_s)

    def _is_news(self, had_unread: bool, patient: bool) -> bool:
        if self._heard:
            return True
        return not patient and (bool(self.undelivered) or (self._unread_at is not None and not had_unread))

    def _hear(self, event: Event, _: str) -> None:
        if event.id in self._seen or len(self._seen) >= self._max_replies or not is_reply(event, self._expected):
            return
        self._seen.add(event.id)
        # It was written after the request was, and before it is here: only what is outside of that shows a difference.
        now = self._clock.now()
        self.ahead_s = max(event.created_at - now, 0) or min(event.created_at - self.request.created_at, 0)
        try:
            content, self.cipher = self._dialog.read(event.content)
            self._heard.append((content, first_tag(event, "d") or ""))
        except CodecError as error:
            self._note_unread(error)
        self._changes.notify()

    def _note_unread(self, error: CodecError) -> None:
        self.unreadable = str(error)
        if self._unread_at is None:
            self._unread_at = self._clock.monotonic()

    def _published(self, result: PublishResult) -> None:
        self._sendings -= 1
        self._is_taken = self._is_taken or result.accepted
        self._words.update({url: verdict.message for url, verdict in result.relays.items() if verdict.message})
        if not (self._is_taken or self._sendings or self._unsent):
            words = "; ".join(f"{url}: {message}" for url, message in self._words.items())
            self.undelivered = "no relay took the request" + (f", {words}" if words else "")
            self._changes.notify()


async def _first(listening: asyncio.Task[None], one_is_live: asyncio.Future[bool]) -> None:
    """Wait until either is done; the second is not needed any more."""
    try:
        await asyncio.wait((listening, one_is_live), return_when=asyncio.FIRST_COMPLETED)
    finally:
        one_is_live.cancel()
        await asyncio.gather(one_is_live, return_exceptions=True)
    if listening.done():
        listening.result()
