"""One request to a service over the relays and the replies to it: the exchange under NWC and offers.

Subscribe, wait for EOSE, only then publish. Which replies count is decided here and not by the relays' filters; an
event that does not count never ends the wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from types import TracebackType
from typing import Final, Self, TypeVar

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.client.net import Net, Waits
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, encode_event
from kitestring.nostr.filter import Filter
from kitestring.nostr.relay import reason_prefix
from kitestring.transport.changes import Changes
from kitestring.transport.publications import PublishResult
from kitestring.transport.relays import RelayPool
from kitestring.transport.subscriptions import Subscription
from kitestring.wire.envelope import Expected, decrypt, is_reply, request_event, shared_secret
from kitestring.wire.reply_to import Cipher

T = TypeVar("T")

#: A reply's clock may be this many seconds behind ours.
SINCE_S: Final = 60
#: Replies taken from one exchange: an answer, a receipt, and room for a service that repeats itself.
MAX_REPLIES: Final = 16
#: Characters of relay trouble that an error shows.
MAX_TROUBLE_CHARS: Final = 200
#: Room for a service whose clock is ahead of ours, on top of the time that somebody waits for a payment.
CLOCKS_S: Final = 60


@dataclass(frozen=True, slots=True)
class Dialog:
    """The two ends of a conversation and what encrypts it."""

    key: SecretKey
    service: str
    cipher: Cipher
    request_kind: int
    reply_kind: int
    shared: bytes = field(repr=False)

    @classmethod
    def nwc(cls, key: SecretKey, service: str, cipher: Cipher) -> Dialog:
        """To a NWC wallet service. Raises CodecError when ``service`` is no public key."""
        shared = shared_secret(key, service, cipher)
        return cls(key, service, cipher, kinds.NWC_REQUEST, kinds.NWC_RESPONSE, shared)

    @classmethod
    def offers(cls, key: SecretKey, service: str) -> Dialog:
        """To the service of an offer. Raises CodecError when ``service`` is no public key."""
        return cls(key, service, "nip44", kinds.OFFER, kinds.OFFER, shared_secret(key, service, "nip44"))

    def request(self, plaintext: str, net: Net, lasts_s: float | None = None) -> Event:
        """A request that nobody carries out when it is older than ``lasts_s`` (None = that is up to the service).
        Raises CodecError when the text is too long."""
        now = net.clock.now()
        return request_event(
            self.key, kind=self.request_kind, service=self.service, plaintext=plaintext, cipher=self.cipher,
            shared=self.shared, entropy=net.entropy, now=now,
            expires_at=None if lasts_s is None else now + ceil(lasts_s) + CLOCKS_S,
        )  # fmt: skip


async def reach(pool: RelayPool, waits: Waits) -> None:
    """Wait for a first relay. Raises KitestringError(UNAVAILABLE): then nothing was sent to anybody."""
    if await pool.connected(1, waits.reach_s):
        return
    still_trying = any(not row.last_error for row in pool.status())
    if still_trying and await pool.connected(1, max(waits.connect_s - waits.reach_s, 0)):
        return
    trouble = "; ".join(f"{row.url}: {row.last_error or 'no answer'}" for row in pool.status())
    raise KitestringError(
        Reason.UNAVAILABLE,
        f"no relay can be reached ({trouble[:MAX_TROUBLE_CHARS]}); check that it runs and that you are online",
    )


class Exchange:
    """Publishes one request when opened and hears the replies until closed; also an async context manager.

    ``undelivered`` says why no relay took the request, as far as that is known. What a relay says about that proves
    nothing: it may have passed the request on.
    """

    def __init__(
        self, pool: RelayPool, dialog: Dialog, plaintext: str, net: Net, *, lasts_s: float | None = None
    ) -> None:
        self.request: Final = dialog.request(plaintext, net, lasts_s)
        self.undelivered = ""
        self.unreadable = ""
        self._pool: Final = pool
        self._dialog: Final = dialog
        self._clock: Final = net.clock
        self._waits: Final = net.waits
        self._expected: Final = Expected(dialog.reply_kind, dialog.service, dialog.key.public_hex, self.request.id)
        self._changes: Final = Changes(net.clock)
        self._subscriptions: Final[list[Subscription]] = []
        self._seen: Final[set[str]] = set()
        self._heard: Final[deque[str]] = deque()

    async def open(self) -> None:
        """Subscribe, then publish. Raises KitestringError(UNAVAILABLE) when no relay is reachable."""
        await reach(self._pool, self._waits)
        try:
            await self._listen()
        except BaseException:
            self.close()
            raise
        self._pool.send(
            self.request.id, self.request.pubkey, encode_event(self.request), self._published,
            deadline_s=self._waits.publish_s,
        )  # fmt: skip

    def close(self) -> None:
        """Stop listening."""
        while self._subscriptions:
            self._subscriptions.pop().close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def next(self, read: Callable[[str], T], timeout_s: float, *, patient: bool = False) -> T | None:
        """The next reply that ``read`` can read, None when the time is up.

        A reply for which ``read`` raises CodecError is left out (its complaint is in ``unreadable``). The wait ends
        early when no relay took the request, unless ``patient``.
        """
        deadline = self._clock.monotonic() + timeout_s
        while True:
            while self._heard:
                try:
                    return read(self._heard.popleft())
                except CodecError as error:
                    self.unreadable = str(error)
            left_s = deadline - self._clock.monotonic()
            if left_s <= 0 or (self.undelivered and not patient):
                return None
            await self._changes.until(lambda: self._is_news(patient), left_s)

    def trouble(self) -> str:
        """The known causes of a reply that did not come: part of a sentence, or nothing."""
        known = self.undelivered or (self.unreadable and f"its reply could not be read: {self.unreadable}")
        return f" ({known[:MAX_TROUBLE_CHARS]})" if known else ""

    def _is_news(self, patient: bool) -> bool:
        return bool(self._heard) or (bool(self.undelivered) and not patient)

    async def _listen(self) -> None:
        narrow = self._subscribe("e", tags={"e": {self.request.id}})
        live = await narrow.wait_eose(self._waits.eose_s)
        if not live or any(reason_prefix(words) == "unsupported" for words in narrow.refusals.values()):
            # Some relays have no index of e tags; the reply is found among all that is addressed to this key.
            await self._subscribe("p", tags={}).wait_eose(self._waits.eose_s)

    def _subscribe(self, name: str, tags: dict[str, set[str]]) -> Subscription:
        wanted = Filter(
            kinds={self._dialog.reply_kind}, authors={self._dialog.service}, since=self.request.created_at - SINCE_S,
            tags={"p": {self._dialog.key.public_hex}, **tags},
        )  # fmt: skip

        def source(_: Sequence[str]) -> Sequence[Filter]:
            return (wanted,)

        subscription = self._pool.subscribe(f"{name}-{self.request.id[:32]}", source, self._hear)
        self._subscriptions.append(subscription)
        return subscription

    def _hear(self, event: Event, _: str) -> None:
        if event.id in self._seen or len(self._seen) >= MAX_REPLIES or not is_reply(event, self._expected):
            return
        self._seen.add(event.id)
        try:
            self._heard.append(decrypt(event.content, self._dialog.cipher, self._dialog.shared))
        except CodecError as error:
            self.unreadable = str(error)
        self._changes.notify()

    def _published(self, result: PublishResult) -> None:
        if not result.accepted:
            words = [f"{url}: {verdict.message}" for url, verdict in result.relays.items() if verdict.message]
            self.undelivered = "no relay took the request" + (f", {'; '.join(words)}" if words else "")
            self._changes.notify()
