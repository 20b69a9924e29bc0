"""Accounts that come and go: named anew, closed once nothing of them is open, and what comes for them late."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from kitestring.base.grants import Account, Grant
from kitestring.base.transactions.invoices import ExpireInvoices
from kitestring.base.transactions.owner import CloseAccount, SaveAccount, SaveGrant, Write
from tests.kit.changed import replace
from tests.kit.ledger.values import hash_of, move
from tests.prove.moving import Moving

#: What keeps an account open.
KEEPS = st.sampled_from(["nothing", "nothing", "money", "a grant", "an invoice"])


class Closing(Moving):
    """The lives of accounts."""

    @precondition(lambda self: not self.model.is_too_old(self.now))
    @rule(amount=st.integers(1, 60_000), keeps=KEEPS, is_late=st.booleans())
    def open_and_close(self, amount: int, keeps: str, is_late: bool) -> None:
        """A new account is funded, gets an app and an invoice, and another name; then it is to be closed with all that
        it has, while maybe something is left."""
        name, sold = f"purse-{self.number()}", self.fresh("sold to a purse")
        grant = Grant(grant_id=f"of-{name}", name=name, wire="nwc", account_id=name)
        self.model.funds[name] = 0
        self.command(SaveAccount(Account(account_id=name, name=name, created_at=self.now)), SaveGrant(grant))
        self.fund(name, amount)
        assert self.make(sold, name, 500, 3_600, of_offer=False, is_hold=False) is not None
        self.command(SaveAccount(Account(account_id=name, name=f"once-{name}")))
        if keeps != "an invoice":
            self.apply(ExpireInvoices((hash_of(sold),), 0, self.there, self.now))
            self.model.invoices[sold].state = "expired"
        if keeps != "a grant":
            self.command(SaveGrant(replace(grant, revoked_at=self.now, version=2)))
        self._close(name, keeps)
        if keeps == "nothing" and is_late:
            self.credit(self.there, sold, 500)
            self.reach("account closed, and paid late")

    def _close(self, name: str, keeps: str) -> None:
        """With what it has, in one command, unless its money is to keep it open."""
        owned, writes = self.model.funds[name], list[Write]()
        if owned and keeps != "money":
            writes.append(move(f"t{self.number()}", name, "owner", owned))
        may_close = keeps == "nothing" or (keeps == "money" and not owned)
        assert self.execute(*writes, CloseAccount(name, self.now)) == ("Claimed" if may_close else "Stale")
        self.reach("account closed" if may_close else f"account kept open by {keeps}")
        if may_close:
            self.model.hear(f"command{self.count}", self.now, self.now)
            self.model.owner += owned
            self.model.funds[name] = 0
