"""The sub-accounts of a service: balances of others in its ledger."""

from __future__ import annotations

from kitestring.app.embedded import values
from kitestring.app.embedded.host import Host
from kitestring.app.embedded.results import AccountInfo, account_info
from kitestring.base.money import Msat


class Accounting(Host):
    """Making accounts, funding them, ending them."""

    def account(self, name: str) -> AccountInfo:
        """Make a sub-account, or return the one of that name: a balance that cannot go below zero. It is filled by
        offers and invoices of its own, and by :meth:`fund`. Raises KitestringError for a name that no account can have.
        """
        return account_info(self._alone("account_create", {"name": name}))

    async def add_account(self, name: str) -> AccountInfo:
        """As :meth:`account`, also while the service runs."""
        return account_info(await self._ask("account_create", {"name": name}))

    async def accounts(self) -> list[AccountInfo]:
        """The sub-accounts and their balances; those of keys that have enrolled come last."""
        return [account_info(row) for row in (await self._ask("account_list", {}))["accounts"]]

    async def fund(self, account: str | AccountInfo, amount: Msat, *, note: str = "", key: str = "") -> Msat:
        """Give a sub-account some of the owner's money, and return what it has then. Nothing moves on the Lightning
        network.

        A program that may be killed and ask again names a ``key`` (1 to 128 visible ASCII characters without spaces):
        with the same one it is done once. Raises KitestringError: INSUFFICIENT_FUNDS, UNKNOWN_TARGET when there is no
        such account, UNAVAILABLE while the service does not run.
        """
        params = {"account": _name(account), "amount_msat": values.amount(amount), "note": note}
        return Msat((await self._ask("account_fund", params, key))["available_msat"])

    async def withdraw(
        self, account: str | AccountInfo, amount: Msat | None = None, *, note: str = "", key: str = ""
    ) -> Msat:
        """Take money of a sub-account back to the owner, and return what was taken; ``amount`` None = all that is free.
        What is reserved for payments under way stays. ``key`` as in :meth:`fund`. Raises KitestringError:
        INSUFFICIENT_FUNDS with the detail ``remaining_msat``, UNKNOWN_TARGET when there is no such account."""
        params = {"account": _name(account), "amount_msat": values.amount(amount), "note": note}
        return Msat((await self._ask("account_withdraw", params, key))["amount_msat"])

    async def transfer(
        self, source: str | AccountInfo, target: str | AccountInfo, amount: Msat | None = None, *, note: str = "",
        key: str = "",
    ) -> Msat:  # fmt: skip
        """Move money from one sub-account to another, and return what was moved; everything else as in
        :meth:`withdraw`."""
        named = {"from_account": _name(source), "to_account": _name(target), "note": note}
        moved = await self._ask("account_transfer", {**named, "amount_msat": values.amount(amount)}, key)
        return Msat(moved["amount_msat"])

    async def rename_account(self, account: str | AccountInfo, new_name: str) -> AccountInfo:
        """Give a sub-account another name; its balance, connections and codes stay. Raises KitestringError:
        UNKNOWN_TARGET when there is no such account, CONFLICT where another one has that name."""
        return account_info(await self._ask("account_rename", {"account": _name(account), "new_name": new_name}))

    async def close_account(self, account: str | AccountInfo, *, withdraw: bool = False) -> Msat:
        """Close a sub-account for ever, and return what went back to the owner: with ``withdraw`` all that it had. Its
        history stays; closing twice is as once. Raises KitestringError: NOT_PERMITTED while anything of it is open (the
        detail ``in_the_way`` says what, ``open_invoices`` has the payment hashes of those that ``cancel_invoice``
        ends), UNKNOWN_TARGET when there is no such account."""
        params = {"account": _name(account), "withdraw": withdraw}
        return Msat((await self._ask("account_close", params))["withdrawn_msat"])


def _name(given: str | AccountInfo) -> str:
    return given if isinstance(given, str) else given.account
