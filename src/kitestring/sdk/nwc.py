"""A wallet behind a NWC connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from kitestring.base.commands import ListTransactions, PayInvoice
from kitestring.base.destinations import Keysend
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import BudgetState, Info, Paid, Transaction
from kitestring.client.net import Net
from kitestring.client.nwc import NwcClient
from kitestring.codec.bolt11 import PREFIXES
from kitestring.codec.uri import decode_nwc
from kitestring.sdk.source import Encryption, Hears


class NwcSource:
    """``uri`` is ``nostr+walletconnect://…``. Raises KitestringError for a bad one."""

    def __init__(self, uri: str, net: Net, encryption: Encryption = "auto") -> None:
        try:
            decoded = decode_nwc(uri)
            self._client: Final = NwcClient(
                decoded, net, legacy=encryption == "legacy", nip44_seen=encryption == "nip44"
            )
        except CodecError as error:
            raise KitestringError(Reason.MALFORMED, f"the wallet URI cannot be read: {error}") from error
        self.relays = decoded.relays
        self._network: str | None = None

    async def open(self) -> None:
        await self._client.__aenter__()

    async def close(self) -> None:
        await self._client.__aexit__(None, None, None)

    async def pay(self, command: PayInvoice, timeout_s: float | None) -> Paid:
        if isinstance(command.destination, Keysend):
            return await self._client.pay_keysend(command, timeout_s=timeout_s)
        return await self._client.pay(command, timeout_s=timeout_s)

    async def pay_many(self, commands: Sequence[PayInvoice], timeout_s: float | None) -> list[Paid | KitestringError]:
        return await self._client.pay_many(commands, timeout_s=timeout_s)

    async def make_invoice(self, amount_msat: Msat | None, description: str, expiry_s: int) -> Transaction:
        return await self._client.make_invoice(amount_msat, description=description, expiry_s=expiry_s)

    async def make_hold_invoice(
        self, payment_hash: str, amount_msat: Msat, description: str, expiry_s: int
    ) -> Transaction:
        return await self._client.make_hold_invoice(
            payment_hash, amount_msat, description=description, expiry_s=expiry_s
        )

    async def settle_hold(self, preimage: str) -> None:
        await self._client.settle_hold_invoice(preimage)

    async def cancel_hold(self, payment_hash: str) -> None:
        await self._client.cancel_hold_invoice(payment_hash)

    async def balance(self) -> Msat:
        return await self._client.get_balance()

    async def budget(self) -> BudgetState:
        return await self._client.get_budget()

    async def lookup(self, payment_hash: str) -> Transaction:
        return await self._client.lookup_invoice(payment_hash)

    async def transactions(self, query: ListTransactions) -> tuple[Transaction, ...]:
        return await self._client.list_transactions(query)

    def hearing(self, since: int) -> Hears:
        return self._client.listening()

    async def call(self, method: str, params: Mapping[str, object], timeout_s: float | None) -> dict[str, object]:
        return await self._client.call(method, params, timeout_s=timeout_s)

    def announces(self, method: str) -> bool:
        service = self._client.service
        return service is not None and method in service.methods

    async def sign_message(self, message: str) -> str:
        return (await self._client.sign_message(message)).signature

    async def info(self) -> Info:
        return await self._client.get_info()

    async def network(self) -> str:
        """Asked once. A wallet that refuses the question checks the network itself."""
        if self._network is None:
            try:
                told = (await self._client.get_info()).network
                self._network = told if told in PREFIXES else ""
            except KitestringError as error:
                if error.reason is Reason.UNAVAILABLE:
                    raise
                self._network = ""
        return self._network
