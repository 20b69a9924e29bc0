"""The figures of who has how much of what is bounded, in one commit: payments under way, unpaid invoices, refusals.

Open payments are counted in their own rows. The other figures are kept beside theirs, read when a batch first needs
them and written once before it commits; ``audit`` counts them again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from kitestring.base.enrolments import ALL_ENROLLED, PREFIX, PREFIX_END, is_enrolled
from kitestring.base.shares import Share, have_room

#: As the index of open payments says it: it alone is read.
_OPEN_PAYMENTS: Final = (
    "SELECT count(*) FROM payments INDEXED BY payments_open WHERE service = ? AND node_id = ?{}"
    " AND (state = 'reserved' OR state = 'dispatched' OR state = 'unknown')"
)
_OPEN_OF_NODE: Final = _OPEN_PAYMENTS.format("")
_OPEN_OF_GRANT: Final = _OPEN_PAYMENTS.format(" AND grant_id = ?")
_OPEN_OF_ENROLLED: Final = _OPEN_PAYMENTS.format(" AND account_id >= ? AND account_id < ?")
_OPEN_INVOICES: Final = "SELECT number FROM open_invoices WHERE service = ? AND node_id = ? AND holder = ?"
_SET_OPEN: Final = "INSERT INTO open_invoices VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET number = excluded.number"
_NONE_OPEN: Final = "DELETE FROM open_invoices WHERE service = ? AND node_id = ? AND holder = ?"
_REFUSED: Final = "SELECT number, bytes, answer_bytes, refused_before FROM refusals WHERE service = ? AND grant_id = ?"
_ACCOUNT: Final = "SELECT account_id FROM grants WHERE service = ? AND grant_id = ?"
_SET_REFUSED: Final = (
    "INSERT INTO refusals VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET number = excluded.number,"
    " bytes = excluded.bytes, answer_bytes = excluded.answer_bytes, refused_before = excluded.refused_before"
)


class Refusals(NamedTuple):
    """One row of ``refusals``: their number, the bytes of the replies that refuse and of those that do not, and the
    time before which all is refused."""

    number: int
    bytes: int
    answer_bytes: int
    refused_before: int


class Counts:
    """The figures of one service in one open transaction."""

    __slots__ = ("_connection", "_open_invoices", "_open_payments", "_refusals", "_service")

    def __init__(self, connection: sqlite3.Connection, service: int) -> None:
        self._connection, self._service = connection, service
        self._open_invoices: dict[tuple[str, str], int] = {}
        self._open_payments: dict[str, int] = {}
        self._refusals: dict[str, Refusals] = {}

    def flush(self) -> None:
        """Write what has changed; called with the batch's."""
        if self._open_invoices:
            open_now = self._open_invoices
            some = [(self._service, *holder, number) for holder, number in open_now.items() if number]
            none = [(self._service, *holder) for holder, number in open_now.items() if not number]
            self._connection.executemany(_SET_OPEN, some)
            self._connection.executemany(_NONE_OPEN, none)
            self._open_invoices = {}
        if self._refusals:
            rows = [(self._service, grant_id, *figures) for grant_id, figures in self._refusals.items()]
            self._connection.executemany(_SET_REFUSED, rows)
            self._refusals = {}

    # ------------------------------------------------------------ payments under way

    def open_payments(self, node_id: str) -> int:
        """The number of payments at this node whose end is open. They are counted once a batch: there are never more
        than a share of them allows."""
        number = self._open_payments.get(node_id)
        if number is None:
            number = self._connection.execute(_OPEN_OF_NODE, (self._service, node_id)).fetchone()[0]
            self._open_payments[node_id] = number
        return number

    def open_payments_of(self, node_id: str, grant_id: str) -> int:
        """The number of those of one grant among them."""
        number: int = self._connection.execute(_OPEN_OF_GRANT, (self._service, node_id, grant_id)).fetchone()[0]
        return number

    def open_payments_of_enrolled(self, node_id: str) -> int:
        """The number of those out of accounts of enrolled keys among them: their rows are looked at, each."""
        values = (self._service, node_id, PREFIX, PREFIX_END)
        number: int = self._connection.execute(_OPEN_OF_ENROLLED, values).fetchone()[0]
        return number

    def count_payment(self, node_id: str, more: int) -> None:
        """One more (1) or one less (-1) is open, and its row says so."""
        if node_id in self._open_payments:
            self._open_payments[node_id] += more

    # ------------------------------------------------------------ invoices that wait for a payer

    def open_invoices(self, node_id: str, name: str) -> int:
        """The number of unpaid invoices of one holder at one node."""
        number = self._open_invoices.get((node_id, name))
        if number is None:
            row = self._connection.execute(_OPEN_INVOICES, (self._service, node_id, name)).fetchone()
            number = row[0] if row is not None else 0
        return number

    def count_invoice(self, node_id: str, names: Iterable[str], more: int) -> None:
        """One more (1) or one less (-1) of each of its holders."""
        for name in names:
            self._open_invoices[node_id, name] = self.open_invoices(node_id, name) + more

    def take_invoice(self, node_id: str, names: Sequence[str], shares: Sequence[Share]) -> bool:
        """Count one more of each of its holders, if they all have room for it by their shares; () = without a bound."""
        numbers = [self.open_invoices(node_id, name) for name in names]
        if shares and not have_room(shares, numbers):
            return False
        for name, number in zip(names, numbers, strict=True):
            self._open_invoices[node_id, name] = number + 1
        return True

    # ------------------------------------------------------------ what was refused

    def refused_together(self, grant_id: str) -> Refusals | None:
        """The figures of all enrolled keys together, if this grant is one of theirs."""
        row = self._connection.execute(_ACCOUNT, (self._service, grant_id)).fetchone()
        return self.refusals(ALL_ENROLLED) if row is not None and is_enrolled(row[0]) else None

    def refusals(self, grant_id: str) -> Refusals:
        """The figures of what is kept of the refusals of a grant."""
        known = self._refusals.get(grant_id)
        if known is None:
            row = self._connection.execute(_REFUSED, (self._service, grant_id)).fetchone()
            known = Refusals(0, 0, 0, 0) if row is None else Refusals(*row)
        return known

    @property
    def has_refused(self) -> bool:
        """Whether this batch has refused something, so that rows do not say all."""
        return bool(self._refusals)

    def refused_before(self, grant_id: str, looked_up: int | None) -> int:
        """The time before which everything of a grant is refused; ``looked_up`` as its row says it, None to look."""
        if looked_up is None or grant_id in self._refusals:
            return self.refusals(grant_id).refused_before
        return looked_up

    def count_refused(self, grant_id: str, number: int, size: int, answer_size: int = 0) -> None:
        """So many refusals more, or less: their replies have ``size`` bytes, those that answer ``answer_size``."""
        names = (grant_id,) if self.refused_together(grant_id) is None else (grant_id, ALL_ENROLLED)
        for name in names:
            old = self.refusals(name)
            self._refusals[name] = Refusals(
                old.number + number, old.bytes + size, old.answer_bytes + answer_size, old.refused_before
            )

    def refuse_before(self, grant_id: str, sent_at: int) -> None:
        """Refuse what a grant has sent before this time; it moves forward only."""
        old = self.refusals(grant_id)
        self._refusals[grant_id] = old._replace(refused_before=max(old.refused_before, sent_at))
