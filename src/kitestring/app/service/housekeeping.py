"""Housekeeping: what is too old is forgotten."""

from __future__ import annotations

import logging
from typing import Final

from kitestring.base.errors import KitestringError
from kitestring.base.ports import Clock
from kitestring.base.store import Store
from kitestring.base.transactions.answers import More
from kitestring.base.transactions.feed import ForgetNews
from kitestring.base.transactions.requests import ForgetRefusals, Prune

log = logging.getLogger("kitestring")

#: How long what has ended is kept: requests with their replies (protocols: at least 7 days for money), events, notices.
KEEP_S: Final = 30 * 86_400
PRUNE_EVERY_S: Final = 86_400
#: The first time after a start: once it has caught up with what came while it was away.
FIRST_PRUNE_S: Final = 300
#: Refusals are forgotten when the age of their requests refuses these: an app may cause ten of them a second.
FORGET_EVERY_S: Final = 300
#: How long a refusal that no relay takes is kept and tried.
UNSENT_S: Final = 86_400


async def prune_daily(store: Store, clock: Clock) -> None:
    """Forget old requests, events and notices, forever. The first round comes soon: a service that is restarted every
    night never lives a day."""
    wait_s = FIRST_PRUNE_S
    while True:
        await clock.sleep(wait_s)
        wait_s, now = PRUNE_EVERY_S, clock.now()
        for old in (Prune(now, KEEP_S), ForgetNews(now, KEEP_S)):
            await _forget(store, old)


async def forget_refusals(store: Store, clock: Clock) -> None:
    """Forget refusals whose time is over, forever."""
    while True:
        await clock.sleep(FORGET_EVERY_S)
        now = clock.now()
        await _forget(store, ForgetRefusals(now, now - UNSENT_S))


async def _forget(store: Store, old: Prune | ForgetNews | ForgetRefusals) -> None:
    try:
        while isinstance(await store.apply(old), More):
            pass  # payments went in between
    except KitestringError as failure:
        log.warning("what is old is not forgotten yet: %s", failure.message)
