"""Nodes that lose what they knew, and an address behind which they are exchanged."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

from kitestring.base.money import Msat
from kitestring.base.node import Capabilities, HoldOrder, InvoiceOrder, NodeInvoice, PayOrder
from kitestring.base.ports import Clock
from tests.kit.changed import replace
from tests.kit.codec.invoices import invoice
from tests.kit.engine.node import ABILITIES, OPENING, FaultyBackend, Made, Script, Sent

#: The identity of the first node, unless it is given another one.
FIRST = "02" + "ab" * 32


class Records(NamedTuple):
    """A copy of what a node keeps; ``earlier`` is the number of payments that others made with it."""

    earlier: int
    sent: dict[str, Sent]
    made: dict[str, Made]


class HostileNode(FaultyBackend):
    """A :class:`FaultyBackend` with an identity, whose records can be lost while its money is gone all the same.

    ``ever`` is the book that nobody can touch: what it has really paid, with the time of each (monotonic seconds).
    """

    def __init__(
        self, clock: Clock, node_id: str = FIRST, capabilities: Capabilities = ABILITIES, opening: Msat = OPENING
    ) -> None:
        super().__init__(clock, capabilities, opening)
        self.there = self.node_id = node_id
        self.ever: list[tuple[str, Sent, float]] = []

    async def make_invoice(self, order: InvoiceOrder) -> NodeInvoice:
        """As a text that can be read."""
        made = await super().make_invoice(order)
        kept = self._made[made.payment_hash]
        if kept.invoice.bolt11.startswith("lnbcrt-"):
            amount = None if order.amount_msat is None else int(order.amount_msat)
            text = invoice(amount, payment_hash=made.payment_hash, at=self._clock.now(), expiry_s=order.expiry_s)
            kept.invoice = replace(made, bolt11=text)
        return kept.invoice

    async def make_hold_invoice(self, order: HoldOrder) -> NodeInvoice:
        """As a text that can be read."""
        made = await super().make_hold_invoice(order)
        kept = self._made[made.payment_hash]
        text = invoice(
            int(order.amount_msat), payment_hash=made.payment_hash, at=self._clock.now(), expiry_s=order.expiry_s
        )
        kept.invoice = replace(made, bolt11=text)
        return kept.invoice

    def _send(self, order: PayOrder, script: Script) -> None:
        before = self._sent.get(order.payment_hash)
        super()._send(order, script)
        after = self._sent[order.payment_hash]
        if after is not before:
            self.ever.append((order.payment_hash, after, self._clock.monotonic()))

    def times_paid(self) -> list[str]:
        """The hash of every payment that has left it, forgotten ones too, or that still may."""
        return [payment_hash for payment_hash, sent, _ in self.ever if not sent.fails]

    def lend_world(self, other: FaultyBackend) -> None:
        """The network is the same for both: either can pay what the other was asked to pay."""
        other.scripts, other._preimages, other.keysends = self.scripts, self._preimages, self.keysends
        other._numbers = self._numbers

    # ------------------------------------------------------------ losing

    def forget(self, *hashes: str) -> None:
        """Delete its records of these payments, of all without any; it has paid all the same."""
        if not hashes:
            self.earlier = 0
        for payment_hash in hashes or tuple(self._sent):
            self._sent.pop(payment_hash, None)

    def state(self) -> Records:
        """Its records as they are now."""
        return copy.deepcopy(Records(self.earlier, self._sent, self._made))

    def restore(self, state: Records) -> None:
        """Put older records in place of its own."""
        self.earlier, self._sent, self._made = copy.deepcopy(state)
        self._ring()

    def new_invoice_database(self) -> None:
        """What was settled is gone, what is open stays, and the settle index begins again."""
        self._made = {name: made for name, made in self._made.items() if made.state != "settled"}
        self._indexes = iter(range(1, 1_000_000))  # type: ignore[assignment]  # both are asked for the next one only

    def received_all(self, payment_hash: str, amount: int) -> bool:
        """As :meth:`pay_in`, with an amount that may be 0 or too little."""
        if not self.pay_in(payment_hash, max(1, amount)):
            return False
        self._made[payment_hash].received = amount
        return True


class Address:
    """What the service is configured with: one node now, another one later, without a restart.

    Everything that :class:`HostileNode` has is reached through it; ``nodes`` are all that ever stood here.
    """

    def __init__(self, node: HostileNode) -> None:
        self.node = node
        self.nodes = [node]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.node, name)

    def __setattr__(self, name: str, value: object) -> None:
        if name in ("node", "nodes"):
            object.__setattr__(self, name, value)
        else:
            setattr(self.node, name, value)

    def exchange(self, node_id: str = "") -> HostileNode:
        """Another node takes the place of the present one, which it tells from now on. Streams break."""
        old = self.node
        new = HostileNode(old._clock, node_id or f"02{len(self.nodes):064x}", old.capabilities, old._opening)
        old.lend_world(new)
        self.node = new
        self.nodes.append(new)
        old.break_streams()
        return new

    def back_to(self, node: HostileNode) -> None:
        """One that stood here before."""
        self.node.break_streams()
        self.node = node

    def times_paid(self) -> list[str]:
        """Of all nodes together."""
        return [payment_hash for node in self.nodes for payment_hash in node.times_paid()]

    def paid_twice(self) -> set[str]:
        """Hashes that more than one order has paid, by whichever node."""
        found = self.times_paid()
        return {payment_hash for payment_hash in found if found.count(payment_hash) > 1}
