"""What the owner changes of a grant in the random transactions, whatever is under way of it: a pause and its end,
another key, another name, budgets, limits and methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from kitestring.base.budgets import Budget
from kitestring.base.grants import Grant
from kitestring.base.money import Msat
from kitestring.base.transactions.answers import Tx
from kitestring.base.transactions.owner import SaveGrant
from tests.kit.changed import replace
from tests.prove.ground import NUMBERED, PAYING, Ground
from tests.prove.reached import CHANGES
from tests.prove.rows import OPEN

#: How often whoever asks or decides is mistaken about what there is.
CAREFUL: Final = st.sampled_from([True, True, True, True, False])
#: What one payment may cost: of the amounts that are paid, one fits with the usual fee cap and one does not.
LIMITS: Final = st.none() | st.sampled_from([Msat(12_000), Msat(20_000)])
FEE_CAPS: Final = st.none() | st.sampled_from([Msat(0), Msat(50), Msat(3_000)])
METHODS: Final = st.sampled_from([PAYING, PAYING, PAYING, frozenset({"pay_keysend"}), frozenset({"get_balance"})])


class Editing(Ground):
    """Whatever an edit does, claims that were decided before it are Stale, and what is under way goes on."""

    def _changed(self, data: st.DataObject, grant: Grant, *, careful: bool = True) -> tuple[str, Grant]:
        """What is changed, and the grant after it; who is not ``careful`` has read an older one."""
        what = data.draw(st.sampled_from([one for one in CHANGES if one != "rotated" or grant.wire == "nwc"]))
        changes: dict[str, Callable[[], dict[str, Any]]] = {
            "paused": lambda: {"paused_at": self.now},
            "resumed": lambda: {"paused_at": None},
            "rotated": lambda: {"caller": f"{self.number():064x}", "link_salt": bytes(32), "nip44_seen": False},
            "renamed": lambda: {"name": f"name {self.number()}"},
            "limited": lambda: {"per_payment_msat": data.draw(LIMITS), "fee_cap_msat": data.draw(FEE_CAPS)},
            "allowed otherwise": lambda: {"methods": data.draw(METHODS)},
            "told less": lambda: {"shown_balance": "full" if grant.shown_balance == "budget" else "budget"},
        }
        return what, replace(grant, **changes[what](), version=grant.version + careful)

    def _an_edit(self, data: st.DataObject) -> Tx[object]:
        """Of any grant, as a command of the owner."""
        grant = self.model.grants[data.draw(st.sampled_from(sorted(self.model.grants)))]
        _, anew = self._changed(data, grant, careful=data.draw(CAREFUL))
        return self.owners(SaveGrant(anew))

    def _edit(self, data: st.DataObject, grant: Grant) -> None:
        what, anew = self._changed(data, grant, careful=data.draw(CAREFUL))
        if self.command(SaveGrant(anew)) != "Claimed":
            return
        pays = any(one.grant == grant.grant_id and one.state in OPEN for one in self.model.payments.values())
        self.reach(f"grant {what}{' while it pays' if pays else ''}")
        if grant.strangers == "ask" and any(one.state == "open" for one in self.model.questions.values()):
            self.reach("pointer edited while somebody asks")

    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        self._edit(data, self.model.grants[data.draw(st.sampled_from(sorted(self.model.grants)))])

    @precondition(lambda self: self.plays("budget edited"))
    @rule(data=st.data(), budgets=NUMBERED)
    def edit_budgets(self, data: st.DataObject, budgets: tuple[Budget, ...]) -> None:
        """A budget that keeps its number keeps what is used of it."""
        grant = self.model.grants[data.draw(st.sampled_from(sorted(self.model.grants)))]
        self.command(SaveGrant(replace(grant, budgets=budgets, version=grant.version + 1)))
