"""The ledger as a child would write it: dictionaries and sums, no batch, no index, no file."""

from __future__ import annotations

from dataclasses import dataclass, field

OPEN = ("dispatched", "reserved", "unknown")
BUDGET = 20_000


@dataclass
class Paid:
    hash_name: str
    account: str
    amount: int
    cap: int
    state: str
    fee: int = 0


@dataclass
class Model:
    funds: dict[str, int] = field(default_factory=lambda: {"alice": 0, "bob": 0})
    overdrawn: set[str] = field(default_factory=set)
    payments: dict[str, Paid] = field(default_factory=dict)
    answered: dict[str, bool] = field(default_factory=dict)
    invoices: dict[str, str] = field(default_factory=dict)
    credited: set[str] = field(default_factory=set)
    spent: int = 0

    def fund(self, account: str, amount: int) -> None:
        self.funds[account] += amount
        if self.funds[account] >= self.held(account):
            self.overdrawn.discard(account)

    def held(self, account: str) -> int:
        return sum(p.amount + p.cap for p in self.payments.values() if p.account == account and p.state in OPEN)

    def used(self, account: str) -> int:
        counted = [p for p in self.payments.values() if p.account == account and p.state not in ("failed", "resolved")]
        return sum(p.amount + (p.fee if p.state == "settled" else p.cap) for p in counted)

    def has_place(self, account: str, places: int, most: int) -> bool:
        """Whether one more payment of it may be open among so many places; ``most`` 0 is the owner."""
        open_ones = [p.account for p in self.payments.values() if p.state in OPEN]
        own, free = open_ones.count(account), places - len(open_ones)
        return free > 0 and (not most or (own < most and own < free))

    def claim(self, request: str, new: str, paid: Paid, places: int = 10**9, most: int = 0) -> str:
        if request in self.answered:
            return "Finished" if self.answered[request] else "Running"
        holder = next(
            (p for p in self.payments.values() if p.hash_name == paid.hash_name and p.state != "failed"), None
        )
        if holder is not None:
            is_the_same = (holder.account, holder.amount) == (paid.account, paid.amount)
            if not is_the_same or holder.state == "resolved":
                return "invoice_taken"
            if holder.state == "settled":
                return "AlreadyPaid"
            self.answered[request] = False
            return "Joined"
        if paid.hash_name in self.invoices and paid.hash_name not in self.credited:
            return "Stale"
        if paid.hash_name in self.invoices:
            return "invoice_taken"
        if not self.has_place(paid.account, places, most):
            return "rate_limited"
        total = paid.amount + paid.cap
        if paid.account in self.overdrawn or total > self.funds[paid.account] - self.held(paid.account):
            return "insufficient_funds"
        if self.used(paid.account) + total > BUDGET:
            return "over_budget"
        self.payments[new] = paid
        self.answered[request] = False
        return "Claimed"

    def refuse(self, request: str, *, has_room: bool) -> str:
        if request in self.answered:
            return "Finished" if self.answered[request] else "Running"
        self.answered[request] = True
        return "Done" if has_room else "Unstored"

    def end(self, payment_id: str, state: str, fee: int) -> str:
        paid = self.payments[payment_id]
        allowed = {
            "dispatched": ("settled", "failed", "unknown"),
            "unknown": ("settled", "failed", "resolved"),
            "resolved": ("settled",),
        }
        if state not in allowed.get(paid.state, ()):
            return "illegal"
        paid.state = state
        if state == "settled":
            paid.fee = fee
            self.funds[paid.account] -= paid.amount + fee
            self.spent += paid.amount + fee
            available = self.funds[paid.account] - self.held(paid.account)
            if fee > paid.cap or available < 0:
                self.overdrawn.add(paid.account)
        return "Recorded"
