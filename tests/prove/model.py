"""The ledger as a child would write it: dictionaries and sums, no batch, no index, no file.

It says what each transaction must answer, and what everybody owns afterwards. What a node says is true and is booked,
however odd: a fee below zero counts as none, and nothing received moves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kitestring.base.records import Charge
from kitestring.base.shares import Share

OPEN = ("dispatched", "reserved", "unknown")
#: Where each outcome may be recorded. An outcome of the node is never refused where a state leads to it.
ALLOWED = {
    "dispatched": ("settled", "failed", "unknown"),
    "reserved": ("settled", "failed"),
    "unknown": ("settled", "failed", "resolved"),
    "resolved": ("settled",),
}


@dataclass
class Paid:
    name: str  # of the hash
    account: str
    amount: int
    cap: int
    state: str
    bucket: int | None
    internal: bool = False
    fee: int = 0

    @property
    def taken(self) -> int:
        """What it takes of its budget."""
        if self.state in ("failed", "resolved"):
            return 0
        return self.amount + (self.fee if self.state == "settled" else self.cap)


@dataclass
class Made:
    """An invoice of ours."""

    account: str
    amount: int | None
    expires_at: int
    of_offer: bool
    state: str = "open"
    internal: bool = False


@dataclass
class Window:
    """A budget: its time never goes back, whatever clocks and owners do."""

    limit: int = 0
    oldest: int | None = None


@dataclass
class Model:
    accounts: tuple[str, ...]
    funds: dict[str, int] = field(default_factory=dict)
    overdrawn: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)
    windows: dict[str, Window] = field(default_factory=dict)
    payments: dict[str, Paid] = field(default_factory=dict)
    answered: dict[str, bool] = field(default_factory=dict)
    invoices: dict[str, Made] = field(default_factory=dict)
    credits: set[tuple[str, str]] = field(default_factory=set)
    stopped: bool = False
    spent: int = 0
    owner: int = 0

    def __post_init__(self) -> None:
        self.funds = dict.fromkeys(self.accounts, 0)
        self.windows = {account: Window() for account in self.accounts}

    # ------------------------------------------------------------ sums

    def held(self, account: str) -> int:
        return sum(p.amount + p.cap for p in self.payments.values() if p.account == account and p.state in OPEN)

    def available(self, account: str) -> int:
        return self.funds[account] - self.held(account)

    def used(self, account: str) -> int:
        """Of the budget, from its oldest bucket on."""
        oldest = self.windows[account].oldest
        mine = [p for p in self.payments.values() if p.account == account and p.bucket is not None]
        return sum(p.taken for p in mine if oldest is not None and p.bucket is not None and p.bucket >= oldest)

    def gain(self, account: str, amount: int) -> None:
        self.funds[account] += amount
        if self.available(account) >= 0:
            self.overdrawn.discard(account)

    # ------------------------------------------------------------ payments

    def has_place(self, account: str, share: Share) -> bool:
        """Whether one more payment of it may be open; ``most`` 0 is the owner."""
        open_ones = [p.account for p in self.payments.values() if p.state in OPEN]
        own, free = open_ones.count(account), share.places - len(open_ones)
        return free > 0 and (not share.most or (own < share.most and own < free))

    def claim(self, request: str, new: str, paid: Paid, charge: Charge, share: Share) -> str:
        answer = self._refusal(request, paid, charge, share)
        if answer is not None:
            return answer
        window = self.windows[paid.account]
        window.oldest = charge.oldest if window.oldest is None else max(window.oldest, charge.oldest)
        paid.bucket = max(charge.bucket, window.oldest)
        self.payments[new] = paid
        self.answered[request] = False
        return "Claimed"

    def _refusal(self, request: str, paid: Paid, charge: Charge, share: Share) -> str | None:
        if request in self.answered:
            return "Finished" if self.answered[request] else "Running"
        if paid.account in self.revoked:
            return "Stale"
        holder = self.holder(paid.name)
        if holder is not None:
            return self._held(request, paid, holder)
        if self.stopped:
            return "spending_stopped"
        made = self.invoices.get(paid.name)
        is_ours = made is not None and made.state == "open"
        if is_ours != paid.internal or (made is not None and paid.internal and not _covers(made, paid)):
            return "Stale"
        if not self.has_place(paid.account, share):
            return "rate_limited"
        if paid.account in self.overdrawn or paid.amount + paid.cap > self.available(paid.account):
            return "insufficient_funds"
        return "over_budget" if self._after(paid, charge) > int(charge.limit_msat) else None

    def _after(self, paid: Paid, charge: Charge) -> int:
        """What would be used of the budget with this payment."""
        window = self.windows[paid.account]
        before = window.oldest
        window.oldest = charge.oldest if before is None else max(before, charge.oldest)
        used = self.used(paid.account)
        window.oldest = before
        return used + paid.amount + paid.cap

    def holder(self, name: str) -> Paid | None:
        return next((p for p in self.payments.values() if p.name == name and p.state != "failed"), None)

    def _held(self, request: str, paid: Paid, holder: Paid) -> str:
        is_the_same = (holder.account, holder.amount) == (paid.account, paid.amount)
        if not is_the_same or holder.state == "resolved":
            return "invoice_taken"
        if holder.state == "settled":
            return "AlreadyPaid"
        self.answered[request] = False
        return "Joined"

    def end(self, payment_id: str, state: str, fee: int) -> str:
        paid = self.payments[payment_id]
        if state not in ALLOWED.get(paid.state, ()):
            return "illegal"
        made = self.invoices.get(paid.name)
        if state == "settled" and paid.internal and (made is None or made.state != "open"):
            return "InvoiceNotOpen"
        paid.state = state
        if state == "settled":
            self._settle(paid, fee if fee >= 0 else paid.cap)  # what cannot be is booked as the most that was allowed
        return "Recorded"

    def _settle(self, paid: Paid, fee: int) -> None:
        paid.fee = fee
        self.funds[paid.account] -= paid.amount + fee
        if paid.internal:
            made = self.invoices[paid.name]
            made.state, made.internal = "settled", True
            self.gain(made.account, paid.amount)
        else:
            self.spent += paid.amount + fee
        if fee > paid.cap or self.available(paid.account) < 0:
            self.overdrawn.add(paid.account)

    # ------------------------------------------------------------ what comes in

    def credit(self, name: str, received: int) -> str:
        made = self.invoices.get(name)
        kind = "invoice"
        if made is None or (not made.internal and made.amount is not None and received < made.amount):
            kind = "unknown"
        elif made.internal:
            kind = "surplus"
        if {kind, "invoice", "unknown"} & {found for of, found in self.credits if of == name}:
            return "AlreadyCredited"
        self.credits.add((name, kind))
        if kind == "unknown" or made is None:
            self.owner += received
        else:
            made.state = "settled"
            self.gain(made.account, received)
        return "Credited"

    def expire(self, before: int, drop_before: int) -> None:
        gone = [
            n for n, m in self.invoices.items() if m.of_offer and m.state == "expired" and m.expires_at < drop_before
        ]
        for name in gone:
            del self.invoices[name]
        for made in self.invoices.values():
            if made.state == "open" and made.expires_at < before:
                made.state = "expired"

    def transfer(self, source: str, target: str, amount: int) -> str:
        if self.stopped:
            return "spending_stopped"
        if source in self.overdrawn or amount > self.available(source):
            return "insufficient_funds"
        self.funds[source] -= amount
        self.gain(target, amount)
        return "Claimed"


def _covers(made: Made, paid: Paid) -> bool:
    return made.amount is None or made.amount <= paid.amount
