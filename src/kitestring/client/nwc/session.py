"""A session with the wallet of one NWC connection: reach it, ask, and read what it says.

The cipher follows what the wallet announces and what it has answered in, and is never lowered again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from kitestring.base.commands import AnyCommand
from kitestring.base.errors import TABLE, KitestringError, Reason
from kitestring.base.outcomes import Outcome, Refused
from kitestring.client.clocks import MAX_AHEAD_S, clock_words
from kitestring.client.hearing import StandingReplies
from kitestring.client.net import Net
from kitestring.client.session import MAX_REPLIES, Dialog, Exchange, reach
from kitestring.client.wallet_info import WalletInfo
from kitestring.codec.uri import NwcUri
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.transport.relays import RelayPool
from kitestring.wire.ask.nwc.announcement import ServiceInfo, client_cipher, refuse_unannounced
from kitestring.wire.ask.nwc.methods import decode_response, encode_request
from kitestring.wire.envelope import Expected

_log: Final = logging.getLogger(__name__)
#: What may be wrong where nobody answers: services meet the link that a newer one has replaced with silence.
_NO_ANSWER: Final = "check that its service is running, and that the link is the newest one of this connection"
T = TypeVar("T", bound=Outcome)
A = TypeVar("A")

#: Refusals that a clock which differs may be the cause of.
_TIMED: Final = frozenset({Reason.CONNECTION_ENDED, Reason.STALE_REQUEST, Reason.MALFORMED})


class NwcSession:
    """Over the relays of ``uri``; ``legacy`` and ``nip44_seen`` as for
    :class:`~kitestring.client.nwc.client.NwcClient`. ``ahead_s``: seconds by which the wallet's clock is ahead."""

    def __init__(self, uri: NwcUri, net: Net, *, legacy: bool, nip44_seen: bool) -> None:
        self.net: Final = net
        self.service_pubkey: Final = uri.service_pubkey
        self.key: Final = SecretKey(uri.secret)
        self.pool: Final[RelayPool] = net.pool(uri.relays, self.key)
        expected = Expected(kinds.NWC_RESPONSE, uri.service_pubkey, self.key.public_hex, "")
        self._standing: Final = StandingReplies(self.pool, expected, net.clock)
        self.ahead_s = 0
        self._legacy: Final = legacy
        self._info: Final = WalletInfo(self.pool, uri.service_pubkey, nip44_seen=nip44_seen)
        self._dialog: Dialog | None = None

    @property
    def service(self) -> ServiceInfo | None:
        """The contents of the wallet's info event, None when there is none."""
        return self._info.latest

    @property
    def nip44_seen(self) -> bool:
        """Whether the wallet has ever offered NIP-44, or answered in it."""
        return self._info.nip44_seen

    async def open(self) -> None:
        """Raises NothingSentError when no relay can be reached, and leaves nothing open then."""
        await self.pool.start()
        try:
            await self.reach()
            await self._info.open(self.net.waits)
        except BaseException:
            await self.close()
            raise
        if self.service is None:
            _log.warning("the wallet %s… publishes no info event; going on without", self.service_pubkey[:16])

    async def close(self) -> None:
        """Leave the relays."""
        await self._standing.close()
        await self.pool.stop()

    async def reach(self) -> None:
        """Wait for a relay where all are away. Raises NothingSentError."""
        await reach(self.pool, self.net.waits)

    async def expected(self, command: AnyCommand, kind: type[T]) -> T:
        """The outcome of a question without money in it. Raises KitestringError as :meth:`ask`, UNSUPPORTED without
        asking where the wallet does not announce it, and the wallet's refusal."""
        self.check_announced(command)
        return self.expect(await self.ask(command, partial(decode_response, command=command)), kind)

    def check_announced(self, command: AnyCommand) -> None:
        """Raise KitestringError(UNSUPPORTED) where the wallet says what it serves, and this is not among it."""
        refused = refuse_unannounced(command, self.service)
        if refused is not None:
            raise KitestringError(refused.reason, refused.message)

    async def ask(self, command: AnyCommand, read: Callable[[str], A]) -> A:
        """A question without money in it. Raises KitestringError: UNAVAILABLE when no reply comes, INTERNAL when it
        cannot be read."""
        return await self.answer(self.exchange(encode_request(command)), read)

    async def answer(self, exchange: Exchange, read: Callable[[str], A], timeout_s: float | None = None) -> A:
        """The reply as ``read`` reads it. Raises KitestringError: UNAVAILABLE when none comes within ``timeout_s``
        seconds (default as for all questions), INTERNAL when it cannot be read."""
        async with exchange:
            answer = await exchange.next(read, self.net.waits.read_s if timeout_s is None else timeout_s)
        self.note(exchange)
        if answer is not None:
            return answer
        if exchange.unreadable:
            raise KitestringError(Reason.INTERNAL, f"the wallet's reply cannot be read: {exchange.unreadable}")
        hint = exchange.trouble() or self.clock_words() or self._cipher_words()
        raise KitestringError(Reason.UNAVAILABLE, f"the wallet did not answer{hint}: {_NO_ANSWER}")

    def exchange(self, text: str, *, lasts_s: float | None = None, max_replies: int = MAX_REPLIES) -> Exchange:
        """A request that is sent on entering; after ``lasts_s`` seconds the wallet is to begin nothing any more."""
        cipher = client_cipher(self.service, legacy=self._legacy, nip44_seen=self.nip44_seen)
        if self._dialog is None or self._dialog.cipher != cipher:
            self._dialog = Dialog.nwc(self.key, self.service_pubkey, cipher)
        if lasts_s is not None:  # until when, it decides by its own clock
            lasts_s += min(max(self.ahead_s, 0), MAX_AHEAD_S)
        return Exchange(
            self.pool, self._dialog, self._dialog.request(text, self.net, lasts_s), self.net,
            max_replies=max_replies, standing=self._standing,
        )  # fmt: skip

    def note(self, exchange: Exchange) -> None:
        """Keep what an exchange has shown about the wallet."""
        if exchange.cipher == "nip44":
            self._info.nip44_seen = True
        if exchange.ahead_s is not None:
            self.ahead_s = exchange.ahead_s

    def expect(self, outcome: Outcome, kind: type[T]) -> T:
        """The outcome of this ``kind``. Raises KitestringError for a refusal."""
        if isinstance(outcome, Refused):
            raise self.refusal(outcome)
        assert isinstance(outcome, kind), "decode_response gives the outcome of its command"  # noqa: S101 - our own
        return outcome

    def refusal(self, refused: Refused) -> KitestringError:
        """The error of a refusal, in the wallet's words."""
        words = self.clock_words() if refused.reason in _TIMED else ""
        return KitestringError(refused.reason, f"the wallet refused: {said(refused)}{words}", **refused.details)

    def clock_words(self) -> str:
        """The difference of the wallet's clock as the end of a sentence; "" where there is none."""
        words = clock_words(self.ahead_s)
        return f" ({words})" if words else ""

    def _cipher_words(self) -> str:
        """A cause of silence that only the owner of the connection can know of."""
        guessed = self.service is None and not self._legacy and not self.nip44_seen
        return " (it publishes no info event, and may be one that knows NIP-04 only)" if guessed else ""


def said(refused: Refused) -> str:
    """The wallet's words for a refusal, else ours."""
    return refused.message or TABLE[refused.reason].sentence
