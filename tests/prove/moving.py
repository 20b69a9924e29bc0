"""Another node at the address, and another ledger in the file, in the middle of all that is under way."""

from __future__ import annotations

from copy import deepcopy
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from kitestring.base.records import BUNDLE, Node, StopCause
from kitestring.base.transactions.invoices import LeaveInvoices
from kitestring.base.transactions.service import SaveNode, SetSpending
from tests.kit.ledger.values import NODE
from tests.prove.bundling import Bundling
from tests.prove.model import Model
from tests.prove.reached import states
from tests.prove.rows import OPEN

#: The other node.
OTHER: Final = "02" + "ef" * 32


class Moving(Bundling):
    """Whatever the service is put on."""

    @initialize()
    def keep_nothing_yet(self) -> None:
        self.kept: tuple[bytes, Model] | None = None

    def _note(self, what: str) -> None:
        """What was open as this happened."""
        payments = [one for one in self.model.payments.values() if one.state in OPEN]
        held = [one for one in self.model.invoices.values() if one.state == "accepted"]
        is_there = {
            "a keysend": any(one.key for one in payments),
            "a bundle": bool(self.model.waiting(BUNDLE)),
            "a held payment": any(not one.held_by for one in held),
            "a held payment inside": any(one.held_by for one in held),
        }
        for kind in (kind for kind, is_one in is_there.items() if is_one):
            self.reach(f"{what} in the middle of {kind}")

    @rule(leaves=st.booleans(), ahead_s=st.sampled_from([0, 90_000, 90_000]))
    def exchange(self, leaves: bool, ahead_s: int) -> None:
        """The service starts on the other node, or the first one is back. What was sent there is unknown, what never
        was fails, and invoices that have ended by then are left aside, unless it dies before."""
        self._note("node exchanged")
        self.there = OTHER if self.there == NODE else NODE
        self.apply(SaveNode(Node(self.there, 1, "a test", "regtest")))
        if not leaves:
            return
        for payment_id, paid in tuple(self.model.payments.items()):
            if paid.node != self.there and paid.state in ("dispatched", "reserved"):
                said = self._replies(payment_id) if paid.state == "reserved" else ()
                self.record(payment_id, "failed" if paid.state == "reserved" else "unknown", 0, said)
        self.apply(LeaveInvoices(self.there, self.now + ahead_s))
        self.model.leave(self.there, self.now + ahead_s)

    @rule()
    def back_up(self) -> None:
        self.runner.run(self.store.close())
        self.kept = self.path.read_bytes(), deepcopy(self.model)
        self._open()

    @precondition(lambda self: self.kept is not None)
    @rule(goes_on=st.sampled_from([True, True, False]))
    def restore(self, goes_on: bool) -> None:
        """The ledger is what it was; the nodes and all who have asked are not. Spending stops until the owner says that
        it may go on."""
        assert self.kept is not None
        self._note("ledger restored")
        self.runner.run(self.store.close())
        for beside in ("-wal", "-shm"):
            self.path.with_name(self.path.name + beside).unlink(missing_ok=True)
        data, model = self.kept
        self.path.write_bytes(data)
        names, self.model = self.model.names, deepcopy(model)
        self.model.names = names
        self.states = states(self.model)  # nothing of it is new
        self._open()
        for is_stopped in (True, False) if goes_on else (True,):
            self.apply(SetSpending(is_stopped, "restored", self.now, StopCause.LEDGER))
            (self.model.stops.add if is_stopped else self.model.stops.discard)("ledger")

    @precondition(lambda self: "ledger" in self.model.stops)
    @rule()
    def allow_again(self) -> None:
        self.apply(SetSpending(False, "it may go on", self.now, StopCause.LEDGER))
        self.model.stops.discard("ledger")
