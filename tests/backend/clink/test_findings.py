"""What the doctor says of a wallet that cannot be asked what it allows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kitestring.backend.clink.book import WalletBook
from kitestring.backend.clink.findings import findings
from kitestring.base.node import FindingState
from kitestring.codec import pointers
from tests.kit.backend.clink import link_to
from tests.kit.changed import replace
from tests.kit.client.hostile import CLIENT, STRANGER, ndebit
from tests.kit.clock import NOW

from .test_book import HASH, INVOICE, ORDER

LINK = link_to("wss://relay.example.com")
KEY = CLIENT.public_hex


@pytest.fixture
def book(tmp_path: Path) -> Iterator[WalletBook]:
    found = WalletBook(tmp_path, LINK.wallet_id)
    yield found
    found.close()


def test_before_the_first_start_there_is_no_key_to_allow() -> None:
    first, last = findings(LINK, "", None)
    assert (first.name, first.state) == ("allowance", FindingState.INFO)
    assert "made at the first start" in first.sentence
    assert last.name == "reckoning"


def test_the_key_is_named_with_the_command_that_asks_for_a_budget(book: WalletBook) -> None:
    allowance = findings(LINK, KEY, book)[0]
    assert (allowance.name, allowance.state) == ("allowance", FindingState.INFO)
    assert KEY in allowance.sentence
    assert f"`kitestring debit budget {pointers.encode(LINK.ndebit)} SAT/month`" in allowance.sentence
    assert "debit budget" not in findings(replace(LINK, secret=CLIENT.hex()), KEY, book)[0].sentence


def test_the_last_refusal_is_told_until_something_is_paid(book: WalletBook) -> None:
    book.begin(ORDER)
    book.note(HASH, "code 1 (Request\n Denied)" + "x" * 500)
    allowance = findings(LINK, KEY, book)[0]
    assert allowance.state is FindingState.WARN
    assert "code 1 (Request" in allowance.sentence
    assert allowance.sentence.isprintable()
    assert KEY in allowance.sentence


def test_receipts_that_prove_something_else_are_told(book: WalletBook) -> None:
    book.add_invoice(INVOICE, NOW)
    book.doubt(HASH)
    (receipts,) = (found for found in findings(LINK, KEY, book) if found.name == "receipts")
    assert receipts.state is FindingState.WARN
    assert "calls open invoices paid (1 so far) with preimages of others" in receipts.sentence


def test_codes_of_two_services_are_told(book: WalletBook) -> None:
    apart = replace(LINK, ndebit=ndebit("wss://relay.example.com", key=STRANGER))
    assert "codes" in {found.name for found in findings(apart, KEY, book)}
    assert "codes" not in {found.name for found in findings(LINK, KEY, book)}
