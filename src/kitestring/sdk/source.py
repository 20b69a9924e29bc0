"""A wallet asks this of the source of its money, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

from kitestring.base.commands import ListTransactions, PayInvoice
from kitestring.base.errors import KitestringError
from kitestring.base.money import Msat
from kitestring.base.outcomes import BudgetState, Direction, Info, Paid, Transaction
from kitestring.wire.ask.nwc.notifications import Notification

#: ``auto`` follows the wallet's info event, and takes NIP-44 where there is none; ``nip44`` never takes less;
#: ``legacy`` takes NIP-04 unless the wallet offers NIP-44.
Encryption = Literal["auto", "nip44", "legacy"]


class Hears(Protocol):
    """Hears what a source says unasked about its payments of these ``directions``.

    ``has_missed``: something may have been said that was not heard, as at the beginning; whoever looks at the list
    takes it back.
    """

    directions: frozenset[Direction]
    has_missed: bool

    @property
    def is_promised(self) -> bool:
        """Whether the source has said that it tells."""
        ...

    async def open(self, timeout_s: float) -> None:
        """Begin to listen, and wait for that up to ``timeout_s`` seconds."""
        ...

    async def next(self, timeout_s: float) -> Notification | None:
        """The next one; None when the time is up, something more was missed, or this is closed."""
        ...

    async def close(self) -> None:
        """Stop listening; whoever waits is told so."""
        ...


class PaymentSource(Protocol):
    """Behind a NWC connection, or in a Lightning node asked directly. All methods raise KitestringError."""

    #: Relays that the owner has configured by choosing this source.
    relays: tuple[str, ...]

    async def open(self) -> None:
        """Connect to where the money is."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...

    async def pay(self, command: PayInvoice, timeout_s: float | None) -> Paid:
        """Never reports a failure that is not proven: PAYMENT_IN_FLIGHT instead, with the hash."""
        ...

    async def pay_many(self, commands: Sequence[PayInvoice], timeout_s: float | None) -> list[Paid | KitestringError]:
        """Each payment for itself, in one request where the source takes several."""
        ...

    async def make_invoice(self, amount_msat: Msat | None, description: str, expiry_s: int) -> Transaction:
        """``amount_msat`` None = the payer names the amount."""
        ...

    async def make_hold_invoice(
        self, payment_hash: str, amount_msat: Msat, description: str, expiry_s: int
    ) -> Transaction:
        """An invoice of this hash (64 hex digits), whose payment is held until it is settled or cancelled."""
        ...

    async def settle_hold(self, preimage: str) -> None:
        """Take what is held for the hash of this preimage (64 hex digits)."""
        ...

    async def cancel_hold(self, payment_hash: str) -> None:
        """Give back what is held for this hash, and let nobody pay it."""
        ...

    async def balance(self) -> Msat:
        """The amount that can be spent now."""
        ...

    async def budget(self) -> BudgetState:
        """The budget of this source as it stands."""
        ...

    async def lookup(self, payment_hash: str) -> Transaction:
        """One payment or invoice by its hash."""
        ...

    async def transactions(self, query: ListTransactions) -> tuple[Transaction, ...]:
        """One page of payments and invoices."""
        ...

    def hearing(self, since: int) -> Hears:
        """A listener, not open yet, to what happens from ``since`` (Unix seconds) on; it ends with this source."""
        ...

    async def sign_message(self, message: str) -> str:
        """The signature of a text by the key of the node."""
        ...

    async def info(self) -> Info:
        """Facts about the node, and what this source may do."""
        ...

    async def network(self) -> str:
        """``bitcoin``, ``regtest`` …, or "" where it is not told."""
        ...


@runtime_checkable
class CallSource(Protocol):
    """A source that can be asked for methods of its own: a wallet behind a connection."""

    async def call(self, method: str, params: Mapping[str, object], timeout_s: float | None) -> dict[str, object]:
        """The result of ``method``, a JSON object."""
        ...

    def announces(self, method: str) -> bool:
        """Whether it says that it serves ``method``."""
        ...
