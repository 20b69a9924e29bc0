"""Wait until an invoice is paid: the wallet tells it, and is asked where it may not have been heard."""

from __future__ import annotations

import logging
from typing import Final

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.outcomes import Direction, Transaction, TransactionState
from kitestring.base.ports import Clock
from kitestring.sdk.received import GRACE_S
from kitestring.sdk.source import Hears, PaymentSource

_log: Final = logging.getLogger(__name__)

#: Seconds that the relays have to begin telling, before the first look.
LISTEN_S: Final = 10.0
#: Seconds between two looks at a wallet that tells, and at one that does not.
LOOK_S: Final = 60.0
POLL_S: Final = 5.0
#: Seconds beyond the time in which it may still be booked, for the last look.
LAST_S: Final = 60.0
#: The wallet does not let itself be asked, now and later.
_CLOSED: Final = frozenset({Reason.NOT_PERMITTED, Reason.UNSUPPORTED})
#: There is nothing to wait for.
_OVER: Final = frozenset({Reason.UNKNOWN_TARGET, Reason.CONNECTION_ENDED, Reason.MALFORMED})


async def paid(
    source: PaymentSource, clock: Clock, payment_hash: str, expires_at: int, timeout_s: float | None
) -> Transaction:
    """The invoice of this hash, which expires at ``expires_at`` (Unix seconds), once it is settled. Raises as
    ``Wallet.wait_paid``."""
    limit_s = max(0, expires_at - clock.now()) + GRACE_S + LAST_S if timeout_s is None else timeout_s
    until = clock.monotonic() + limit_s
    hearing, may_look = source.hearing(clock.now()), True
    try:
        await hearing.open(min(LISTEN_S, limit_s))
        while True:
            if may_look:
                hearing.has_missed = False
                found, may_look = await _look(source, hearing, payment_hash)
                if found is not None and found.state is TransactionState.SETTLED:
                    return found
                if found is not None and _is_over(found, expires_at, clock.now()):
                    raise KitestringError(Reason.EXPIRED_INVOICE, "nobody has paid this invoice, and nobody can")
            left_s = until - clock.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"invoice {payment_hash[:16]}… was not paid within {limit_s:g} seconds")
            pause_s = LOOK_S if hearing.is_promised else POLL_S
            heard = await _hear(hearing, clock, payment_hash, min(left_s, pause_s))
            if heard is not None:
                return heard
    finally:
        await hearing.close()


async def _look(source: PaymentSource, hearing: Hears, payment_hash: str) -> tuple[Transaction | None, bool]:
    """The invoice as the wallet has it, None where it cannot say now; and whether it may be asked again."""
    try:
        found = await source.lookup(payment_hash)
    except KitestringError as failure:
        if failure.reason in _OVER or (failure.reason in _CLOSED and not hearing.is_promised):
            raise
        _log.debug("invoice %s… cannot be looked up: %s", payment_hash[:16], failure.message)
        return None, failure.reason not in _CLOSED
    if found.type is not Direction.INCOMING:
        raise KitestringError(Reason.UNKNOWN_TARGET, "this is a payment, and no invoice of this wallet")
    return found, True


def _is_over(found: Transaction, expires_at: int, now: int) -> bool:
    """Whether it is unpaid for good: by its time *and* by the wallet's own word, for one of two clocks may be wrong."""
    return found.state is TransactionState.EXPIRED and now >= expires_at + GRACE_S


async def _hear(hearing: Hears, clock: Clock, payment_hash: str, limit_s: float) -> Transaction | None:
    """The invoice, once the wallet says that it is settled; None when the time is up, or something was missed."""
    until = clock.monotonic() + limit_s
    while (left_s := until - clock.monotonic()) > 0:
        heard = await hearing.next(left_s)
        if heard is None:
            return None
        found = heard.transaction
        if found.payment_hash == payment_hash and (found.type, found.state) == (
            Direction.INCOMING,
            TransactionState.SETTLED,
        ):
            return found
    return None
