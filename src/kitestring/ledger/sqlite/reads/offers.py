"""Offers, and how many an app has made."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from kitestring.base.grants import Offer
from kitestring.base.store import OffersOf
from kitestring.ledger import rows
from kitestring.ledger.sqlite.reads.statements import Statements


class OfferReads(Statements):
    """Offers, and how many an app has made."""

    async def offers(self) -> list[Offer]:
        found = self._all(f"SELECT {rows.OFFER} FROM offers WHERE service = ? ORDER BY offer_id")
        return [rows.read_offer(row) for row in found]

    async def offer(self, offer_id: str) -> Offer | None:
        row = self._one(f"SELECT {rows.OFFER} FROM offers WHERE service = ? AND offer_id = ?", offer_id)
        return None if row is None else rows.read_offer(row)

    async def offers_of(self, maker: OffersOf, *, before: Offer | None = None, limit: int) -> list[Offer]:
        index, whose = "offers_by_account", "account_id = ?"
        values: tuple[str, ...] = (maker.account_id,)
        if not maker.account_id:
            index, whose = "offers_by_creator", "pointer_id = ? AND creator = ? AND creator <> ''"
            values = (maker.pointer_id, maker.creator)
        behind = "" if before is None else " AND (created_at, offer_id) < (?, ?)"
        found = self._all(
            f"SELECT {rows.OFFER} FROM offers INDEXED BY {index}"
            f" WHERE service = ? AND state <> 'deleted' AND state <> 'moved' AND {whose}{behind}"
            " ORDER BY created_at DESC, offer_id DESC LIMIT ?",
            *values,
            *(() if before is None else (before.created_at, before.offer_id)),
            limit,
        )
        return [rows.read_offer(row) for row in found]

    async def count_offers(self, pointer_id: str, creator: str = "") -> int:
        whose = " AND creator = ?" if creator else ""
        row = self._one(
            "SELECT count(*) FROM offers INDEXED BY offers_by_creator"
            " WHERE service = ? AND state <> 'deleted' AND state <> 'moved' AND creator <> ''"
            f" AND pointer_id = ?{whose}",
            pointer_id,
            *((creator,) if creator else ()),
        )
        return 0 if row is None else int(row[0])
