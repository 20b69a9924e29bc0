"""What an app asks for and nobody pays: it leaves no row for good."""

from __future__ import annotations

from pathlib import Path

import pytest

from kitestring.base.commands import OWNER_GRANT
from kitestring.base.invoices import InvoiceState
from kitestring.base.store import Store
from kitestring.base.transactions.answers import Credited
from kitestring.base.transactions.invoices import ExpireInvoices
from kitestring.ledger.apply import holds
from kitestring.ledger.audit.checks import audit
from tests.kit.clock import NOW
from tests.kit.ledger.holding import end, record_hold
from tests.kit.ledger.values import NODE, SERVICE, credit, hash_of, invoice, record_invoice


async def expire(store: Store, *names: str, before: int = NOW + 9_999, most: int = 2) -> list[str]:
    await store.apply(ExpireInvoices(tuple(map(hash_of, names)), 0, NODE, NOW, before, most))
    return [one.invoice_id for one in await store.invoices(InvoiceState.EXPIRED)]


async def test_of_what_a_connection_asked_for_and_nobody_paid_the_newest_are_kept(store: Store, ledger: Path) -> None:
    """An app asks for invoices all day long: each left its row, its request and its answer."""
    await store.apply(record_invoice("paid"))
    await store.apply(credit("paid"))
    for number in range(6):
        await store.apply(record_invoice(f"i{number}", invoice(f"i{number}", expires_at=NOW + 100 + number)))
    # What ends in this very step is not forgotten in it, too.
    assert await expire(store, "i0", "i1", "i2", "i3") == ["inv-i0", "inv-i1", "inv-i2", "inv-i3"]
    assert await expire(store) == ["inv-i0", "inv-i1", "inv-i2", "inv-i3"]
    assert await expire(store, "i4", before=NOW + 101) == ["inv-i1", "inv-i2", "inv-i3", "inv-i4"]
    assert await expire(store, "i5") == ["inv-i4", "inv-i5"]
    assert await store.request("want-i1") is None
    assert await store.messages("want-i1") == ()
    assert [await store.messages(f"want-{name}") != () for name in ("paid", "i4", "i5")] == [True] * 3
    assert isinstance(await store.apply(credit("i0")), Credited)
    assert audit(ledger, SERVICE) == []


async def test_what_the_owner_asked_for_himself_stays(store: Store) -> None:
    for number in range(4):
        made = invoice(f"i{number}", grant_id=OWNER_GRANT, account_id="owner", expires_at=NOW + 100 + number)
        await store.apply(record_invoice(f"i{number}", made))
    assert await expire(store, "i0", "i1", "i2") == ["inv-i0", "inv-i1", "inv-i2"]
    assert len(await expire(store, "i3", most=1)) == 4


async def test_of_hold_invoices_that_an_app_cancels_the_newest_are_kept(
    store: Store, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holds, "MAX_UNPAID", 2)
    monkeypatch.setattr(holds, "KEEP_UNPAID_S", -9_999)
    for number in range(4):
        await store.apply(record_hold(f"h{number}", expires_at=NOW + 100 + number))
        await store.apply(end(f"h{number}"))
    assert [one.invoice_id for one in await store.invoices(InvoiceState.CANCELED)] == ["inv-h2", "inv-h3"]
    assert await store.request("want-h0") is None
    assert audit(ledger, SERVICE) == []
