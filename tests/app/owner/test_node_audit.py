"""The books beside those of the live node: a difference counts when a second look finds it too."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from kitestring.app.owner.node_audit import SECOND_LOOK_S, AuditedService, Findings, examine
from kitestring.base.commands import MakeInvoice, PayInvoice
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import Msat
from kitestring.base.node import InvoiceStatus, NodeInvoiceState, PayOrder
from kitestring.base.payments import Settled
from kitestring.engine.context import Incoming
from tests.kit.app.desk import Office
from tests.kit.changed import replace
from tests.kit.clock import EPOCH, WalkingClock
from tests.kit.engine.rig import AMOUNT, SERVICE


class Books:
    """A service whose node has paid once and was paid once."""

    def __init__(self, office: Office) -> None:
        self.office, self.rig, self.node, self.clock = office, office.rig, office.node, WalkingClock()
        self.paid = ""

    async def fill(self) -> None:
        await self.rig.grant("app")
        text, self.paid = self.node.outside_invoice()
        await self.rig.pay("r1", "app", (text, self.paid), AMOUNT)
        await self.office.has_state(self.paid, "settled")
        await self.rig.engine.handle(Incoming("i1", "nwc", "app", MakeInvoice(amount_msat=Msat(1_000)), b"", EPOCH))
        (made,) = await self.rig.store.invoices(InvoiceState.OPEN)
        self.node.pay_in(made.payment_hash)
        await self.rig.engine._incoming.sweep()

    async def look(self, *, whole_node: bool = True) -> Findings:
        return await examine(AuditedService(self.rig.life.path, SERVICE, whole_node), self.rig.backend, self.clock)

    @property
    def waited_s(self) -> float:
        return self.clock.monotonic() - EPOCH


@pytest.fixture
async def books(office: Office) -> Books:
    found = Books(office)
    await found.fill()
    return found


async def test_books_that_agree_are_looked_at_once_and_counted(books: Books) -> None:
    assert await books.look() == Findings((), payments=1, invoices=1)
    assert books.waited_s == 0


async def test_a_difference_that_lasts_is_a_violation(books: Books) -> None:
    books.node._sent[books.paid].fee += 7
    (sentence,) = (await books.look()).violations
    assert books.paid[:16] in sentence
    assert books.waited_s == SECOND_LOOK_S


async def test_what_was_only_under_way_at_the_first_look_is_none(books: Books) -> None:
    listed, looks = books.node.list_invoices, list[int]()

    async def late() -> AsyncIterator[tuple[str, InvoiceStatus]]:
        looks.append(len(looks))
        async for payment_hash, status in listed():
            yield payment_hash, replace(status, state=NodeInvoiceState.OPEN) if len(looks) == 1 else status

    books.node.replace("list_invoices", late)  # type: ignore[arg-type]  # a method that iterates
    assert (await books.look(), len(looks)) == (Findings((), payments=1, invoices=1), 2)


@pytest.mark.parametrize(("whole_node", "violations"), [(True, 1), (False, 0)])
async def test_what_only_the_node_knows_is_wrong_where_nobody_else_uses_it(
    books: Books, whole_node: bool, violations: int
) -> None:
    _, payment_hash = books.node.outside_invoice()
    await books.node.pay(PayOrder(Bolt11("lnbcrt-elsewhere"), payment_hash, Msat(5), Msat(1), 60))
    assert len((await books.look(whole_node=whole_node)).violations) == violations


async def test_a_node_that_cannot_be_asked_is_no_violation_but_an_error(books: Books) -> None:
    books.node.offline = True
    with pytest.raises(KitestringError, match="switched off") as caught:
        await books.look()
    assert caught.value.reason is Reason.UNAVAILABLE


async def test_rows_of_an_earlier_node_are_left_alone(books: Books) -> None:
    info = await books.node.info()

    async def another() -> object:
        return replace(info, node_id="03" + "cd" * 32)

    books.node.replace("info", another)
    assert (await books.look(whole_node=False)).payments == 0


async def test_a_preimage_of_the_callers_choice_makes_no_payment_of_the_node_its_own(books: Books) -> None:
    """The node was told by hand to pay an invoice. Its payee sends something to the node itself, under that hash."""
    await books.rig.grant("payee", methods="pay_keysend")
    text, payment_hash = books.node.outside_invoice()
    paid = await books.node.pay(PayOrder(Bolt11(text), payment_hash, Msat(AMOUNT), Msat(AMOUNT), 60))
    assert isinstance(paid, Settled)
    to_itself = Keysend(books.node.there, paid.preimage)
    command = PayInvoice(destination=to_itself, payment_hash=payment_hash, amount_msat=Msat(1))
    await books.rig.handle("r2", "payee", command)
    await books.office.has_state(payment_hash, "settled")
    assert (await books.look(whole_node=False)).violations == ()
    (unknown,) = (await books.look()).violations
    assert unknown == f"the node paid {payment_hash} ({AMOUNT} msat), which the ledger does not know"
