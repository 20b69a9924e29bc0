"""Accounts: their names, what is open of them, and what moved between them."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py and constants, never a value

from __future__ import annotations

from typing import Final

from kitestring.base.enrolments import PREFIX, PREFIX_END
from kitestring.base.grants import Account, Grant
from kitestring.base.money import Msat
from kitestring.base.records import AccountMove, OwnInvoice
from kitestring.ledger import rows
from kitestring.ledger.sqlite.reads.statements import Statements

#: The accounts that the owner has named. Those of enrolled keys have the keys for their names.
_NAMED: Final = f"kind = 'sub' AND (account_id < '{PREFIX}' OR account_id >= '{PREFIX_END}')"
_MOVES: Final = "SELECT transfer, debited, credited, amount_msat, note, created_at FROM transfers"


class AccountReads(Statements):
    """Accounts, and what moved between them."""

    async def accounts(self) -> list[Account]:
        found = self._all(
            f"SELECT {rows.ACCOUNT} FROM accounts"
            " WHERE service = ? AND kind IN ('owner', 'sub') ORDER BY kind, account_id"
        )
        return [rows.read_account(row) for row in found]

    async def account(self, account_id: str) -> Account | None:
        row = self._one(
            f"SELECT {rows.ACCOUNT} FROM accounts WHERE service = ? AND account_id = ? AND kind IN ('owner', 'sub')",
            account_id,
        )
        return None if row is None else rows.read_account(row)

    async def account_named(self, name: str) -> Account | None:
        row = self._one(
            f"SELECT {rows.ACCOUNT} FROM accounts INDEXED BY accounts_by_name"
            f" WHERE service = ? AND name = ? AND {_NAMED}",
            name,
        )
        return None if row is None else rows.read_account(row)

    async def renamed_accounts(self) -> dict[str, str]:
        found = self._all(
            "SELECT account_id, name FROM accounts INDEXED BY accounts_renamed"
            f" WHERE service = ? AND name <> account_id AND {_NAMED}"
        )
        return dict(found)

    async def account_grants(self, account_id: str) -> list[Grant]:
        found = self._all(
            f"SELECT {rows.GRANT} FROM grants INDEXED BY grants_by_account"
            " WHERE service = ? AND account_id = ? AND revoked_at IS NULL ORDER BY grant_id",
            account_id,
        )
        return [rows.read_grant(row) for row in found]

    async def account_invoices(self, account_id: str, limit: int) -> list[OwnInvoice]:
        found = [
            row
            for state in ("open", "accepted")
            for row in self._all(
                f"SELECT {rows.INVOICE} FROM invoices INDEXED BY invoices_unpaid"
                " WHERE service = ? AND state = ? AND state <> 'settled' AND account_id = ?"
                " ORDER BY expires_at DESC LIMIT ?",
                state,
                account_id,
                limit,
            )
        ]
        return [rows.read_invoice(row) for row in found]

    async def account_moves(self, account_id: str, limit: int) -> list[AccountMove]:
        sides = ("debited", "credited")
        found = {
            row[0]: row
            for side in sides
            for row in self._all(
                f"{_MOVES} INDEXED BY transfers_{side} WHERE service = ? AND {side} = ? AND kind = 'transfer'"
                " ORDER BY transfer DESC LIMIT ?",
                account_id,
                limit,
            )
        }
        newest = [found[number] for number in sorted(found, reverse=True)[:limit]]
        return [AccountMove(row[1], row[2], Msat(row[3]), row[4], row[5]) for row in newest]
