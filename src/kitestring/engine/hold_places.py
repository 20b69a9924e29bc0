"""The places at the node for what hold invoices ask at once: streams in turn, questions and orders, each up to a limit.

There are more hold invoices than streams that a node bears. Each that wants one waits in a row for its turn, and asks
from time to time meanwhile; who has had a stream for a while gives it back, and waits behind all others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import islice
from typing import Final

#: Invoices that are followed by streams of the node at once, so that an app hears of its payer at once; of others the
#: state is looked up, soon at first and then once a minute.
MAX_FOLLOWED: Final = 32
#: Questions about hold invoices that the node is asked at once: thousands after a start do not come all together.
MAX_LOOKS: Final = 16
#: Settlements and cancellations that the node is told at once: beside the questions, for which they do not wait.
MAX_ORDERS: Final = 16


class HoldPlaces:
    """The places of one service. ``wake`` is called with the id of an invoice whose turn has come."""

    def __init__(self, wake: Callable[[str], None]) -> None:
        self._wake = wake
        self._row: dict[str, None] = {}
        self._followed = 0
        self.looks: Final = asyncio.Semaphore(MAX_LOOKS)
        self.orders: Final = asyncio.Semaphore(MAX_ORDERS)

    def take(self, invoice_id: str) -> bool:
        """Whether this invoice may be followed now; otherwise it has its place in the row."""
        self._row.setdefault(invoice_id)
        if invoice_id not in islice(self._row, max(0, MAX_FOLLOWED - self._followed)):
            return False
        del self._row[invoice_id]
        self._followed += 1
        return True

    def give_back(self) -> None:
        """Follow one less, and let the next one begin."""
        self._followed -= 1
        for invoice_id in islice(self._row, 1):
            self._wake(invoice_id)

    def leave(self, invoice_id: str) -> None:
        """It has ended: its place in the row goes to whoever is behind it."""
        self._row.pop(invoice_id, None)
