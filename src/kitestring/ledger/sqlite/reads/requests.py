"""Requests, and the answers that are stored with them."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from typing import Final

from kitestring.base.records import Message, Request
from kitestring.base.store import Unclaimed
from kitestring.ledger import rows
from kitestring.ledger.sqlite.reads.statements import Statements

_BEFORE_INVOICE: Final = "SELECT EXISTS (SELECT 1 FROM requests WHERE service = ?1 AND request_id = ?2)"
_NUMBER: Final = (
    ", coalesce((SELECT number FROM open_invoices WHERE service = ?1 AND node_id = ?3 AND holder = ?{}), 0)"
)
_UNCLAIMED: Final = """
SELECT coalesce(f.answer_bytes, 0), max(t.pruned_before, t.refused_before, coalesce(f.refused_before, 0))
FROM totals t LEFT JOIN refusals f ON f.service = t.service AND f.grant_id = ?2 WHERE t.service = ?1"""


class RequestReads(Statements):
    """Requests, and the answers that are stored with them."""

    async def before_invoice(
        self, request_id: str, node_id: str, names: tuple[str, ...]
    ) -> tuple[bool, tuple[int, ...]]:
        sql = _BEFORE_INVOICE + "".join(_NUMBER.format(4 + place) for place in range(len(names)))
        is_known, *numbers = self._run(sql, (self._service, request_id, node_id, *names))[0]
        return bool(is_known), tuple(numbers)

    async def unclaimed(self, grant_id: str) -> Unclaimed:
        (row,) = self._run(_UNCLAIMED, (self._service, grant_id))
        return Unclaimed(*row)

    async def waiting(self, payment_id: str) -> list[Request]:
        found = self._all(
            f"SELECT {rows.REQUEST} FROM requests"
            " WHERE service = ? AND payment_id = ? AND finished_at IS NULL ORDER BY received_at",
            payment_id,
        )
        return [rows.read_request(row) for row in found]

    async def request(self, request_id: str) -> Request | None:
        row = self._one(f"SELECT {rows.REQUEST} FROM requests WHERE service = ? AND request_id = ?", request_id)
        return None if row is None else rows.read_request(row)

    async def running_requests(self) -> list[Request]:
        found = self._all(
            f"SELECT {rows.REQUEST} FROM requests INDEXED BY requests_unanswered"
            " WHERE service = ? AND finished_at IS NULL ORDER BY received_at, rowid"
        )
        return [rows.read_request(row) for row in found]

    async def messages(self, request_id: str) -> tuple[Message, ...]:
        row = self._one("SELECT request, reply FROM requests WHERE service = ? AND request_id = ?", request_id)
        if row is None:
            return ()
        number, reply = row
        found = self._run(f"SELECT {rows.MESSAGE} FROM outbox WHERE message = ?", (reply,))
        found += self._run(
            f"SELECT {rows.MESSAGE} FROM outbox WHERE request = ? AND kind <> 'reply' ORDER BY message", (number,)
        )
        return tuple(Message(request_id, *one) for one in found)
