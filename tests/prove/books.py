"""The sums and the requests of the model: who owns what, who waits for what, and what is forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field

from kitestring.base.approvals import Approval
from kitestring.base.grants import Grant, Offer
from kitestring.base.records import BUNDLE, REPLY, Message, Request
from kitestring.base.transactions.payments import ClaimBundle, EndBundle
from kitestring.base.transactions.requests import Answer, Prune
from tests.prove.rows import OPEN, REFUSED, Asked, Key, Made, Paid, Window, Words


@dataclass
class Books:
    """``names`` are those of the payment hashes. ``times`` says when each request was received, and the earlier one of
    that and of when it was sent."""

    accounts: tuple[str, ...]
    names: dict[str, str] = field(default_factory=dict)
    funds: dict[str, int] = field(default_factory=dict)
    overdrawn: set[str] = field(default_factory=set)
    grants: dict[str, Grant] = field(default_factory=dict)
    offers: dict[str, Offer] = field(default_factory=dict)
    windows: dict[Key, Window] = field(default_factory=dict)
    payments: dict[str, Paid] = field(default_factory=dict)
    requests: dict[str, Asked] = field(default_factory=dict)
    times: dict[str, tuple[int, int]] = field(default_factory=dict)  # of all requests there ever were
    pruned_before: int = 0
    questions: dict[str, Approval] = field(default_factory=dict)
    words: Words = field(default_factory=Words)
    blocked: set[str] = field(default_factory=set)
    tightest: int = 0  # the budget that was in the way last
    invoices: dict[str, Made] = field(default_factory=dict)
    credits: set[tuple[str, str, str]] = field(default_factory=set)
    stops: set[str] = field(default_factory=set)
    spent: int = 0
    owner: int = 0
    taxed: int = 0  # what the service has taken in fees of its own

    def __post_init__(self) -> None:
        self.funds = dict.fromkeys(self.accounts, 0)

    # ------------------------------------------------------------ sums

    def held(self, account: str) -> int:
        return sum(p.held for p in self.payments.values() if p.account == account and p.state in OPEN)

    def available(self, account: str) -> int:
        return self.funds[account] - self.held(account)

    def used(self, key: Key, oldest: int | None = None) -> int:
        """Of a budget, from its oldest bucket on."""
        since = self.windows[key].oldest if oldest is None else oldest
        if since is None:
            return 0
        return sum(p.taken for p in self.payments.values() if key in p.buckets and p.buckets[key] >= since)

    def gain(self, account: str, amount: int) -> None:
        self.funds[account] += amount
        if self.available(account) >= 0:
            self.overdrawn.discard(account)

    # ------------------------------------------------------------ requests

    def is_too_old(self, sent_at: int) -> bool:
        return sent_at < self.pruned_before

    def waiting(self, whom: str) -> set[str]:
        """The requests that wait for a payment or a question."""
        return {name for name, one in self.requests.items() if one.waits == whom and one.answered_at is None}

    def left(self) -> dict[str, str]:
        """Requests whose answer is certain and not said yet, as a crash leaves them, with what they waited for."""
        found = {}
        for name, one in self.requests.items():
            if one.waits == BUNDLE:
                continue  # its parts wait for themselves
            paid, asked = self.payments.get(one.waits), self.questions.get(one.waits)
            made = next((made for made in self.invoices.values() if made.id == one.waits), None)
            is_over = paid.state in ("settled", "failed") if paid else asked is None or asked.state != "open"
            if made is not None:
                is_over = not made.waits
            if one.answered_at is None and is_over:
                found[name] = one.waits
        return found

    def answer(self, messages: tuple[Message, ...]) -> None:
        for message in messages:
            one = self.requests.get(message.request_id)
            if one is not None and one.answered_at is None and message.kind == REPLY:
                one.answered_at = message.signed_at
                asked = self.questions.get(one.waits)
                if asked is not None and asked.state in REFUSED:  # from now on it is kept as refusals are
                    one.waits, one.is_refused = "", True
                    self.times.pop(message.request_id, None)

    def _known(self, request: Request) -> str | None:
        return self._seen(request) or ("stale_request" if self.is_too_old(request.sent_at) else None)

    def _seen(self, request: Request) -> str | None:
        known = self.requests.get(request.request_id)
        if known is None:
            return None
        return "Running" if known.answered_at is None else "Finished"

    def _wait(self, request: Request, whom: str) -> None:
        self.requests[request.request_id] = Asked(max(request.sent_at, request.received_at), whom)
        self.hear(request.request_id, request.sent_at, request.received_at)

    def hear(self, name: str, sent_at: int, received_at: int) -> None:
        self.times[name] = (received_at, min(sent_at, received_at))

    def finish(self, tx: Answer) -> str:
        """The answer to one request, whether it waits or was never claimed."""
        seen = self._seen(tx.request)
        if seen is None:
            self._wait(tx.request, tx.request.payment_id)
        elif seen == "Finished" or self.requests[tx.request.request_id].waits != tx.request.payment_id:
            return seen
        self.answer(tx.messages)
        return "Done"

    def claim_bundle(self, tx: ClaimBundle) -> str:
        known = self._known(tx.request)
        if known is not None:
            return known
        self._wait(tx.request, BUNDLE)
        return "Claimed"

    def end_bundle(self, tx: EndBundle) -> str:
        asked = self.requests.get(tx.request_id)
        if asked is not None and asked.waits == BUNDLE and asked.answered_at is None:
            asked.answered_at = tx.now
        return "Done"

    def bundles(self) -> list[str]:
        """Those that are not carried out."""
        return sorted(self.waiting(BUNDLE))

    def prune(self, tx: Prune) -> None:
        if not self.times:
            return
        _, newest = max(reversed(self.times.values()), key=lambda one: one[0])  # of one second the last one
        before = min(tx.now, newest) - tx.keep_s
        self.pruned_before = max(self.pruned_before, before)
        for name, one in tuple(self.requests.items()):
            if one.answered_at is not None and not one.is_refused and one.at < before and one.answered_at < before:
                del self.requests[name]
        for name, asked in tuple(self.questions.items()):
            is_over = asked.state != "open" and name not in self.payments and not self.waiting(name)
            if is_over and asked.asked_at < before:
                del self.questions[name]
        self.words.forget(before)
