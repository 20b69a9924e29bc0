"""What the model of the ledger keeps of each thing."""

from __future__ import annotations

from dataclasses import dataclass, field

from kitestring.base.approvals import DebitSession, Token
from kitestring.base.clocks import AHEAD_S

OPEN = ("dispatched", "reserved", "unknown")
#: How a question ends without a yes.
REFUSED = ("denied", "expired", "superseded")
#: Where each outcome may be recorded. An outcome of the node is never refused where a state leads to it.
ALLOWED = {
    "dispatched": ("settled", "failed", "unknown"),
    "reserved": ("settled", "failed"),
    "unknown": ("settled", "failed", "resolved"),
    "resolved": ("settled",),
}


#: A budget: the grant, and its number there.
Key = tuple[str, int]


@dataclass
class Paid:
    name: str  # of the hash
    account: str
    amount: int
    cap: int
    state: str
    internal: bool = False
    grant: str = ""
    requestor: str = ""
    node: str = ""
    key: str = ""  # of the node that is paid without an invoice
    buckets: dict[Key, int] = field(default_factory=dict)
    fee: int = 0
    tax: int = 0  # what the service takes for it, if it settles

    @property
    def held(self) -> int:
        return self.amount + self.cap + self.tax

    @property
    def taken(self) -> int:
        """What it takes of its budgets."""
        if self.state in ("failed", "resolved"):
            return 0
        return self.amount + self.fee + self.tax if self.state == "settled" else self.held

    @property
    def whose(self) -> tuple[str, str, int, str]:
        """What another claim of its hash must have in common with it to be the same; of a requestor its grant may be
        another one by then."""
        return "" if self.requestor else self.grant, self.requestor, self.amount, self.key


@dataclass
class Asked:
    """A request that was claimed. ``waits`` is the payment, the question or the hold invoice that it waits for, or
    waited."""

    at: int
    waits: str
    answered_at: int | None = None
    is_refused: bool = False


@dataclass
class Word:
    """A token; ``good`` (least, most, since, until) where it is one of ours."""

    holder: str = ""
    good: tuple[int, int, int, int] | None = None


class Words(dict[tuple[str, str], Word]):
    """All tokens that are held, and ours that are free, by their scope and value."""

    def refused(self, token: Token, amount: int, now: int, mine: str) -> str | None:
        """Why it is not good for ``mine``, if it is not."""
        word = self.get((token.scope, token.value))
        if word is not None and word.holder not in ("", mine):
            return "already_used"
        if word is None or word.good is None:
            return "unknown_target" if token.minted else None
        least, most, since, until = word.good
        if not since - AHEAD_S <= now < until:
            return "unknown_target"
        return None if least <= amount <= most else "amount_out_of_range"

    def take(self, token: Token, holder: str) -> None:
        self.setdefault((token.scope, token.value), Word()).holder = holder

    def free(self, holder: str) -> None:
        for key, word in tuple(self.items()):
            if word.holder == holder:
                word.holder = ""
                if word.good is None:
                    del self[key]

    def mint(self, session: DebitSession) -> str | None:
        key = session.scope, session.value
        if key in self:
            return "already_used"
        self[key] = Word(good=(int(session.min_msat), int(session.max_msat), session.minted_at, session.expires_at))
        return None

    def forget(self, before: int) -> None:
        """Ours that nobody used and that ended before."""
        for key, word in tuple(self.items()):
            if not word.holder and word.good is not None and word.good[-1] < before:
                del self[key]


@dataclass
class Made:
    """An invoice of ours. ``held_by`` is the payment of ours that is held for it, "" for one that the node holds."""

    account: str
    amount: int | None
    expires_at: int
    of_offer: bool
    request: str
    state: str = "open"
    internal: bool = False
    id: str = ""
    is_hold: bool = False
    decision: str = ""
    held_by: str = ""
    node: str = ""

    @property
    def waits(self) -> bool:
        """Whether it has its place among the open ones."""
        return self.state in ("open", "accepted")

    @property
    def is_kept(self) -> bool:
        """Whether it is left aside by nobody, because something may be held for it that is decided about."""
        return self.is_hold and bool(self.decision)


@dataclass
class Window:
    """A budget: its time never goes back, whatever clocks and owners do."""

    limit: int = 0
    oldest: int | None = None
    ends: int = 0
    last_at: int = 0
    before: int = 0
    before_at: int = 0
