"""What a wallet can stand on, and what all of it is made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kitestring.base.commands import ListTransactions, PayInvoice
from kitestring.base.money import Msat
from kitestring.base.outcomes import Info, Paid, Transaction
from kitestring.base.ports import Clock, Entropy
from kitestring.client.session import DEFAULT_WAITS, Waits
from kitestring.transport.proxies import Proxies


class Purse(Protocol):
    """Where the money is: behind a NWC connection, or in a Lightning node asked directly. All raise KitestringError."""

    #: Relays that the owner has configured himself by choosing this purse.
    relays: tuple[str, ...]

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    async def pay(self, command: PayInvoice, timeout_s: float | None) -> Paid:
        """Never reports a failure that is not proven: PAYMENT_IN_FLIGHT instead, with the hash."""
        ...

    async def make_invoice(self, amount_msat: Msat | None, description: str, expiry_s: int) -> Transaction: ...
    async def balance(self) -> Msat: ...
    async def lookup(self, payment_hash: str) -> Transaction: ...
    async def transactions(self, query: ListTransactions) -> tuple[Transaction, ...]: ...
    async def info(self) -> Info: ...

    async def network(self) -> str:
        """``bitcoin``, ``regtest`` …, or "" where it is not told."""
        ...


@dataclass(frozen=True, slots=True)
class Setting:
    """What every purse is made with. ``data_dir`` None = the user's own; ``environment`` serves ``env:NAME``."""

    clock: Clock
    entropy: Entropy
    waits: Waits = DEFAULT_WAITS
    proxies: Proxies = field(default_factory=Proxies)
    data_dir: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
