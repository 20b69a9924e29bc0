"""The connection to a wallet: made at the first question, kept until it is closed, and what its refusals mean."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

from kitestring.backend.nostr.link import WalletLink
from kitestring.backend.registry import BackendContext
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.node import NodeUnreachableError
from kitestring.client.net import Net, Waits
from kitestring.client.nwc import NwcClient
from kitestring.client.session import NothingSentError

T = TypeVar("T")


class WalletAnswerError(Exception):
    """The wallet has refused, or said what cannot be used; its own words, for the owner."""


class WalletLine:
    """Over the relays of a link. Raises NodeUnreachableError while it is not open."""

    def __init__(self, link: WalletLink, context: BackendContext, waits: Waits) -> None:
        self._link: Final = link
        self._net: Final = Net(context.clock, context.entropy, context.proxies, waits)
        self._client: NwcClient | None = None
        self._entering: asyncio.Future[NwcClient] | None = None
        self._nip44_seen = link.encryption == "nip44"
        self._connecting: Final = asyncio.Lock()
        self._is_open = False

    @property
    def is_entering(self) -> bool:
        """Whether it is connecting now."""
        return self._entering is not None

    def open(self) -> None:
        """Connects to nothing yet."""
        self._is_open = True

    async def close(self) -> None:
        self._is_open = False
        if self._entering is not None:
            self._entering.cancel()
        async with self._connecting:
            with suppress(KitestringError):
                await self._enter()
            client, self._client = self._client, None
            if client is not None:
                self._nip44_seen = client.nip44_seen
                await client.__aexit__(None, None, None)

    def _new_client(self) -> NwcClient:
        legacy = self._link.encryption == "legacy"
        return NwcClient(self._link.uri, self._net, legacy=legacy, nip44_seen=self._nip44_seen)

    async def reached(self) -> NwcClient:
        """The client, with a relay to speak over. Raises NodeUnreachableError: nothing was sent."""
        try:
            client = await self._connected()
            await client.reach()
        except NothingSentError as away:
            raise NodeUnreachableError(away.message) from away
        return client

    async def _connected(self) -> NwcClient:
        """The client, which is made at the first question: a wallet that is away at the start may come back."""
        async with self._connecting:
            if self._client is None and self._is_open:
                self._entering = self._entering or asyncio.ensure_future(self._new_client().__aenter__())
            await self._enter()
        client = self._client
        if client is None or not self._is_open:
            raise NodeUnreachableError("the connection to the wallet is not open")
        return client

    async def _enter(self) -> None:
        """Wait for the client that is being made, if one is. Whoever goes away meanwhile leaves it to the next one."""
        if self._entering is not None:
            await asyncio.wait((self._entering,))
            entering, self._entering = self._entering, None
            self._client = None if entering.cancelled() else entering.result()

    async def ask(self, question: Callable[[NwcClient], Awaitable[T]]) -> T:
        """Ask without money in it. Raises NodeUnreachableError, WalletAnswerError, TimeoutError."""
        client = await self.reached()
        try:
            return await question(client)
        except NothingSentError as away:
            raise NodeUnreachableError(away.message) from away
        except KitestringError as failure:
            if failure.reason is Reason.UNAVAILABLE and "code" not in failure.details:
                raise TimeoutError(failure.message) from failure
            raise WalletAnswerError(failure.message) from failure

    async def tell(self, order: Callable[[NwcClient], Awaitable[object]]) -> str:
        """Tell the wallet what is to become of an invoice; its words where it does not do so. Its record alone says
        whether it did. Raises NodeUnreachableError."""
        try:
            await self.ask(order)
        except (WalletAnswerError, TimeoutError) as refused:
            return str(refused)
        return "it does not say why"

    async def of_the_doctor(self, question: Callable[[NwcClient], Awaitable[T]]) -> T | None:
        """The answer also where this is not open, None where there is none."""
        try:
            if self._client is not None:
                return await question(self._client)
            async with self._new_client() as client:
                return await question(client)
        except KitestringError:
            return None
