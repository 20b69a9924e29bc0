"""A service that does not run: what needs neither node nor relay can be looked at and managed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection

from kitestring.app.home.config import Config
from kitestring.app.home.keyring import Keyring
from kitestring.app.owner.command import Manage, Read
from kitestring.app.owner.commands import OwnerCommands, all_commands
from kitestring.app.owner.desk import Managing
from kitestring.app.owner.offline import LedgerDesk
from kitestring.app.service.execute import Result, execute
from kitestring.app.service.relay_word import RelayWord
from kitestring.base.grants import Grant, Webhook
from kitestring.base.ports import Entropy
from kitestring.base.store import Store
from kitestring.base.transactions.owner import Write
from kitestring.crypto.keys import SecretKey
from kitestring.transport.webhooks import check_webhook


class StoppedDesk(LedgerDesk, Managing):
    """A stopped service whose ledger is open for writing: what needs neither node nor relay can be managed."""

    def __init__(self, config: Config, keyring: Keyring, store: Store, relays: tuple[str, ...]) -> None:
        super().__init__(config, keyring.service_id, store, relays)
        self._config, self._ledger, self._keyring = config, store, keyring
        self._one_at_a_time = asyncio.Lock()

    @property
    def one_at_a_time(self) -> asyncio.Lock:
        return self._one_at_a_time

    @property
    def entropy(self) -> Entropy:
        return os.urandom

    def relays_for_codes(self) -> tuple[str, ...]:
        return self.relay_urls()

    def connection_pubkey(self, grant_id: str) -> str:
        return self._keyring.connection_key(grant_id).public_hex

    async def execute(self, request_id: str, grant_id: str, writes: tuple[Write, ...], result: Result) -> Result | None:
        return await execute(self._ledger, request_id, grant_id, writes, result, self.clock.now())

    def client_key(self, salt: bytes) -> SecretKey:
        return self._keyring.client_key(salt)

    def webhook_secret(self, offer_id: str) -> str:
        return self._keyring.webhook_secret(offer_id)

    def check_webhook(self, webhook: Webhook, payer_data: Collection[str], *, own: bool) -> None:
        check_webhook(webhook, payer_data, own=own, private_hosts=self._config.private_hosts)

    async def grant_changed(self, grant_id: str) -> None:
        """Served from the next start on."""

    async def relay_words(self, _grant: Grant) -> tuple[RelayWord, ...]:
        """Told to no relay before the next start."""
        return ()

    def live_relays(self) -> list[str]:
        """No relay is connected before the next start."""
        return []


def stopped_commands(desk: StoppedDesk) -> OwnerCommands[Managing]:
    fitting = {name: spec for name, spec in all_commands().items() if isinstance(spec, Read | Manage)}
    return OwnerCommands[Managing](desk, fitting)
