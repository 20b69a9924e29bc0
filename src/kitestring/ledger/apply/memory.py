"""The writer's memory of payments it has just claimed, so that recording their end need not look them up.

A memory is never the truth: it is forgotten with every transaction that is rolled back and as soon as another
connection has written, and every statement that trusts it still compares the state it changes.
"""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from kitestring.base.payments import State
from kitestring.base.records import Charge, Payment

#: Payments remembered (about 2 kB each): more than an engine has open at once. Beyond it they are looked up.
REMEMBERED: Final = 2_048


class Reservation(msgspec.Struct, frozen=True):
    """An open payment with the numbers of its rows. ``request`` is the number of the one request that waits for it, 0
    where there may be others; ``request_id`` is its id."""

    payment: Payment
    state: State
    number: int
    charges: tuple[Charge, ...]
    request: int = 0
    request_id: str = ""


class Memory:
    """Belongs to one connection that writes."""

    __slots__ = ("_claimed", "_version")

    def __init__(self) -> None:
        self._claimed: dict[str, Reservation] = {}
        self._version = -1

    def begin(self, connection: sqlite3.Connection) -> None:
        """Called inside each transaction: what another connection may have changed is forgotten."""
        version = connection.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version:
            self._version = version
            self._claimed.clear()

    def forget(self) -> None:
        self._claimed.clear()

    def claimed(self, reservation: Reservation) -> None:
        if len(self._claimed) < REMEMBERED:
            self._claimed[reservation.payment.payment_id] = reservation

    def take(self, payment_id: str) -> Reservation | None:
        """Hand a reservation out, once: its taker changes it."""
        return self._claimed.pop(payment_id, None)
