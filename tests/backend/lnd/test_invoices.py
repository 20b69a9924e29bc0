"""lnd's invoices are read page by page, and "there is none" is lnd's own word alone."""

from __future__ import annotations

import pytest

from kitestring.backend.http import NodeAnswerError, NodeRefusedError
from kitestring.backend.lnd import invoices as module
from kitestring.backend.lnd.invoices import NO_INVOICE, every_invoice, find_invoice, pages_from_the_newest
from kitestring.backend.lnd.wire import from_base64
from tests.kit.backend.lnd_invoices import Invoices


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INVOICE_PAGE", 3)


async def test_an_invoice_is_found_by_its_hash() -> None:
    lnd = Invoices()
    (made,) = lnd.make()
    async with lnd.served() as http:
        found = await find_invoice(http, made.payment_hash)
        assert found is not None
        assert from_base64(found.r_hash) == made.payment_hash
        assert await find_invoice(http, "ab" * 32) is None


@pytest.mark.parametrize("words", NO_INVOICE)
async def test_lnds_own_words_mean_that_there_is_none(words: str) -> None:
    lnd = Invoices()
    lnd.fault = 404, {"code": 5, "message": words}
    async with lnd.served() as http:
        assert await find_invoice(http, "ab" * 32) is None


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ((404, {"code": 5, "message": "Not Found"}), NodeRefusedError),
        ((500, {"code": 2, "message": NO_INVOICE[0]}), NodeRefusedError),
        ((404, {"message": NO_INVOICE[0]}), NodeAnswerError),
        ((502, "Bad Gateway"), NodeAnswerError),
    ],
)
async def test_whatever_else_is_answered_proves_nothing(fault: tuple[int, object], error: type[Exception]) -> None:
    lnd = Invoices()
    lnd.fault = fault
    async with lnd.served() as http:
        with pytest.raises(error):
            await find_invoice(http, "ab" * 32)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7])
async def test_every_invoice_is_listed_once_from_the_oldest_on(count: int) -> None:
    lnd = Invoices()
    made = [one.payment_hash for one in lnd.make(count)]
    async with lnd.served() as http:
        assert [from_base64(found.r_hash) async for found in every_invoice(http)] == made


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7])
async def test_pages_from_the_newest_on_hold_all_of_them(count: int) -> None:
    lnd = Invoices()
    made = [one.payment_hash for one in lnd.make(count)]
    async with lnd.served() as http:
        pages = [[from_base64(found.r_hash) for found in page] async for page in pages_from_the_newest(http)]
    assert [one for page in reversed(pages) for one in page] == made
    assert len(pages) == max(1, -(-count // 3))
