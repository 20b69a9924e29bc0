"""Pages of invoices."""

from kitestring.base.invoices import InvoiceState
from kitestring.base.transactions.invoices import ExpireInvoices
from tests.kit.changed import replace
from tests.kit.ledger.plans import WALK, Plans
from tests.kit.ledger.values import (
    NODE,
    NOW,
    invoice,
    record_invoice,
    setting,
)


async def test_pages_of_invoices_bring_each_once_and_also_when_the_last_one_went_meanwhile(plans: Plans) -> None:
    store, explained = plans
    await store.apply(setting())
    made = [invoice(f"i{number}", expires_at=NOW + number // 3) for number in range(10)]
    made[4] = replace(made[4], grant_id="", offer_id="tea", account_id="owner")
    for number, one in enumerate(made):
        await store.apply(record_invoice(f"i{number}", one))
    seen: list[str] = []
    after = None
    while page := await store.invoices(InvoiceState.OPEN, after=after, limit=4):
        assert len(page) <= 4
        after = page[-1]
        seen += [one.invoice_id for one in page]
    assert seen == [one.invoice_id for one in made]
    for ended in ((made[4].payment_hash,), ()):
        await store.apply(ExpireInvoices(ended, NOW + 99, NODE, NOW))
    assert await store.invoice_by_hash(NODE, made[4].payment_hash) is None
    again = await store.invoices(InvoiceState.OPEN, after=made[4], limit=4)
    assert [one.invoice_id for one in again] == ["inv-i3", "inv-i5", "inv-i6", "inv-i7"]
    early = await store.invoices(InvoiceState.OPEN, expires_before=NOW + 1)
    assert [one.invoice_id for one in early] == ["inv-i0", "inv-i1", "inv-i2"]
    assert await store.invoices(InvoiceState.SETTLED, after=made[0], limit=1) == []
    reads = [step for step in explained() if "FROM invoices" in step[0] and "UPDATE" not in step[0]]
    assert [step for step in reads if WALK.search(step[1])] == []
