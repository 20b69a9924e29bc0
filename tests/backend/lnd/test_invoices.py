"""lnd's invoices are read page by page, and "there is none" is lnd's own word alone."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import cast

import pytest

from kitestring.backend.http import NodeAnswerError, NodeRefusedError
from kitestring.backend.lnd import invoices as module
from kitestring.backend.lnd.invoices import (
    NO_INVOICE,
    every_invoice,
    find_invoice,
    follow_invoice,
    pages_from_the_newest,
)
from kitestring.backend.lnd.wire import from_base64, to_base64
from kitestring.base.money import Msat
from kitestring.base.node import HashTakenError, HoldBackend, HoldOrder, NodeInvoiceState
from tests.kit.backend.lnd import FakeLnd
from tests.kit.backend.lnd_invoices import Invoices
from tests.kit.backend.sides import open_url

PREIMAGE = "5a" * 32
HASH = sha256(bytes.fromhex(PREIMAGE)).hexdigest()


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


# ------------------------------------------------------------ hold invoices


async def test_what_lnd_still_holds_after_it_was_told_to_settle_is_no_settlement(tmp_path: Path) -> None:
    async with FakeLnd(tmp_path) as fake:
        backend = open_url(fake.url, tmp_path)
        await backend.open()
        held = {"r_hash": to_base64(HASH), "state": "ACCEPTED", "htlcs": [{"state": "ACCEPTED", "expiry_height": 9}]}
        fake.invoice = 200, json.dumps(held).encode()
        node = cast(HoldBackend, backend)
        with pytest.raises(NodeAnswerError, match="did not settle what it holds: it does not say why"):
            await node.settle_invoice(PREIMAGE)
        with pytest.raises(NodeAnswerError, match="did not cancel"):
            await node.cancel_invoice(HASH)
        await backend.close()


@pytest.mark.parametrize(
    ("words", "error"),
    [("invoice with payment hash already exists", HashTakenError), ("the database is closed", NodeRefusedError)],
)
async def test_only_lnds_own_word_means_that_a_hash_is_taken(
    tmp_path: Path, words: str, error: type[Exception]
) -> None:
    async with FakeLnd(tmp_path) as fake:
        backend = open_url(fake.url, tmp_path)
        await backend.open()
        fake.invoice = 500, json.dumps({"code": 2, "message": words}).encode()
        with pytest.raises(error, match=words):
            await cast(HoldBackend, backend).make_hold_invoice(HoldOrder(HASH, Msat(1_000), "", "", 600))
        await backend.close()


async def test_a_stream_that_ends_without_news_leaves_the_state_of_before() -> None:
    lnd = Invoices()
    (made,) = lnd.make()
    async with lnd.served() as http:
        found = await follow_invoice(http, made.payment_hash, NodeInvoiceState.OPEN)
        assert found.state == "open"
