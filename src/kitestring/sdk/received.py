"""Whether an invoice of this wallet was paid: the wallet's own word, and when that is the last one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Direction, Transaction, TransactionState
from kitestring.base.payments import preimage_fits

#: Seconds after the expiry of an invoice in which a payment that was on its way may still be booked.
GRACE_S: Final = 300


class Till(Protocol):
    """The wallet that is to be paid. All methods raise KitestringError."""

    async def make_invoice(self, amount_msat: Msat | None, description: str, expiry_s: int) -> Transaction:
        """``amount_msat`` None = the payer names the amount."""
        ...

    async def lookup(self, payment_hash: str) -> Transaction:
        """One payment or invoice by its hash; UNKNOWN_TARGET where there is none."""
        ...

    async def network(self) -> str:
        """``bitcoin``, ``regtest`` …, or "" where it is not told."""
        ...


@dataclass(frozen=True, slots=True)
class TillWord:
    """The word of the wallet about one of its invoices.

    ``received`` and ``unpaid`` are final, ``open`` is not, ``foreign`` is an invoice that it has not made, and
    ``unknown`` that it could not be asked (``why``). ``preimage`` and ``settled_at`` (Unix seconds) are set where it
    was received, as far as the wallet tells them.
    """

    state: Literal["received", "unpaid", "open", "foreign", "unknown"]
    preimage: str | None = None
    settled_at: int | None = None
    why: str = ""


async def ask_till(till: Till | None, payment_hash: str, expires_at: int, now: int) -> TillWord:
    """Ask the wallet about an invoice that expires at ``expires_at``. Never raises KitestringError.

    An invoice is unpaid for good only when it has expired by ``now`` *and* by the wallet's own word: of two clocks one
    may be wrong. One that the wallet goes on calling pending stays open.
    """
    if till is None:
        return TillWord("foreign")
    try:
        found = await till.lookup(payment_hash)
    except KitestringError as error:
        return TillWord("foreign" if error.reason is Reason.UNKNOWN_TARGET else "unknown", why=error.message)
    if found.type is not Direction.INCOMING:
        return TillWord("foreign")
    if found.state is TransactionState.SETTLED:
        preimage = found.preimage if preimage_fits(found.preimage, payment_hash) else None
        return TillWord("received", preimage, found.settled_at)
    is_over = found.state is not TransactionState.PENDING and now >= expires_at + GRACE_S
    return TillWord("unpaid" if is_over else "open")
