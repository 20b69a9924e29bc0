"""What is kept of a wallet: orders before they are sent, invoices before they are shown, and the sums of both."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kitestring.backend.clink import book as room
from kitestring.backend.clink.book import (
    FILE_NAME,
    FORGET_LIMIT,
    KEEP_S,
    KEEP_UNPAID_S,
    InvoiceRow,
    OrderRow,
    WalletBook,
    copy_book,
)
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.payments import Failed, FailureReason, Settled
from tests.kit.changed import replace
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PREIMAGE

HASH, OTHER = "aa" * 32, "bb" * 32
ORDER = OrderRow(HASH, "lnbc1…", Msat(21_000), Msat(500), NOW + 3_600, b"{}", NOW)
INVOICE = InvoiceRow(HASH, "lnbc1…", Msat(7_000), NOW + 3_600, b"{}")
PAID = Settled(PREIMAGE, Msat(500))
NOT_PAID = Failed("no", FailureReason.REFUSED)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[WalletBook]:
    found = WalletBook(tmp_path, "wallet")
    yield found
    found.close()


def test_an_order_is_open_until_it_has_ended_and_that_is_never_undone(book: WalletBook) -> None:
    assert book.begin(ORDER)
    assert book.order(HASH) == ORDER
    assert book.open_orders() == [ORDER]
    book.end_order(HASH, PAID)
    for _ in range(2):
        assert (row := book.order(HASH))
        assert row.end == PAID
        assert not book.open_orders()
        book.end_order(HASH, NOT_PAID)
        book.note(HASH, "something")
        assert not book.begin(ORDER)


def test_an_order_that_is_open_is_not_begun_again_and_one_that_has_failed_is(book: WalletBook) -> None:
    assert book.begin(ORDER)
    book.repeat(HASH)
    book.note(HASH, "wait")
    assert not book.begin(ORDER)
    assert book.order(HASH) == replace(ORDER, is_repeated=True, said="wait")
    book.end_order(HASH, NOT_PAID)
    assert (row := book.order(HASH))
    assert row.end == replace(NOT_PAID, attempt_at=NOW)
    assert book.begin(again := replace(ORDER, sent_at=NOW + 5))
    assert book.order(HASH) == again


def test_what_went_out_is_counted_once_with_its_fee_and_while_it_may_go_out(book: WalletBook) -> None:
    assert book.change_msat() == 0
    book.begin(ORDER)
    book.begin(replace(ORDER, payment_hash=OTHER))
    assert book.change_msat() == -2 * 21_500
    book.end_order(OTHER, NOT_PAID)
    for _ in range(2):
        book.end_order(HASH, PAID)
        assert book.change_msat() == -21_500


def test_an_invoice_is_settled_once_in_the_order_of_receipts(book: WalletBook) -> None:
    for number in range(3):
        assert book.add_invoice(replace(INVOICE, payment_hash=f"{number:064x}"), NOW)
    for number in (2, 0):
        assert book.settle(f"{number:064x}", PREIMAGE, NOW + number)
        assert not book.settle(f"{number:064x}", "", NOW + 99)
    told = book.settled_after(0, 10)
    assert [(row.payment_hash, row.place, row.settled_at) for row in told] == [
        (f"{2:064x}", 1, NOW + 2), (f"{0:064x}", 2, NOW),
    ]  # fmt: skip
    assert book.settled_after(1, 10) == told[1:]
    assert book.settled_after(0, 1) == told[:1]
    assert book.change_msat() == 14_000
    assert [row.payment_hash for row in book.open_invoices()] == [f"{1:064x}"]


def test_an_invoice_that_was_given_up_is_settled_all_the_same(book: WalletBook) -> None:
    book.add_invoice(INVOICE, NOW)
    book.give_up(HASH)
    assert not book.open_invoices()
    assert book.invoice(HASH) == replace(INVOICE, is_over=True)
    assert book.settle(HASH, "", NOW)
    book.give_up(HASH)
    assert [row.place for row in book.settled_after(0, 10)] == [1]


def test_what_was_given_up_before_its_time_is_taken_back(book: WalletBook) -> None:
    for number, settles in enumerate((False, True, False)):
        name = f"{number:064x}"
        book.add_invoice(replace(INVOICE, payment_hash=name, expires_at=NOW + number), NOW)
        book.give_up(name)
        if settles:
            book.settle(name, "", NOW)
    assert [row.payment_hash for row in book.reopen(NOW + 1)] == [f"{2:064x}"]
    assert [row.payment_hash for row in book.open_invoices()] == [f"{2:064x}"]
    assert book.reopen(NOW + 1) == []


def test_the_same_invoice_is_not_taken_twice(book: WalletBook, monkeypatch: pytest.MonkeyPatch) -> None:
    assert book.add_invoice(INVOICE, NOW)
    assert not book.add_invoice(replace(INVOICE, amount_msat=Msat(1)), NOW)
    assert book.invoice(HASH) == INVOICE
    monkeypatch.setattr(room, "MAX_OPEN_INVOICES", 2)
    assert book.add_invoice(replace(INVOICE, payment_hash="01" * 32), NOW)
    assert not book.add_invoice(replace(INVOICE, payment_hash="02" * 32), NOW)


def test_a_false_receipt_is_remembered_while_the_invoice_is_open(book: WalletBook) -> None:
    book.add_invoice(INVOICE, NOW)
    book.doubt(HASH)
    assert book.false_receipts() == 1
    book.settle(HASH, PREIMAGE, NOW)
    assert book.false_receipts() == 0


def test_the_last_words_about_an_order_are_kept_until_one_is_paid(book: WalletBook) -> None:
    book.begin(ORDER)
    book.note(HASH, "x" * 1_000)
    assert book.refusal == "x" * 500
    book.end_order(HASH, NOT_PAID)
    assert book.refusal == "no"
    book.begin(ORDER)
    book.end_order(HASH, PAID)
    assert book.refusal == ""


def test_what_ended_long_ago_is_forgotten_and_its_sums_and_all_that_is_open_stay(book: WalletBook) -> None:
    hashes = {"paid": "01" * 32, "open": "02" * 32}
    for payment_hash in hashes.values():
        book.begin(replace(ORDER, payment_hash=payment_hash))
        book.add_invoice(replace(INVOICE, payment_hash=payment_hash), NOW)
    book.end_order(hashes["paid"], PAID)
    book.settle(hashes["paid"], PREIMAGE, NOW)
    before, later = book.change_msat(), NOW + 3_600 + KEEP_S + 1
    book.begin(replace(ORDER, sent_at=later))
    book.add_invoice(INVOICE, later)
    assert book.order(hashes["paid"]) is None
    assert book.invoice(hashes["paid"]) is None
    assert book.order(hashes["open"])
    assert book.invoice(hashes["open"])
    assert book.change_msat() == before - 21_500
    assert book.settle(hashes["open"], PREIMAGE, later)
    assert [row.place for row in book.settled_after(0, 10)] == [2]


def steps_of(book: WalletBook, change: Callable[[], object]) -> int:
    """How many hundreds of steps SQLite takes for a change."""
    steps: list[None] = []
    book._db.set_progress_handler(lambda: steps.append(None), 100)
    change()
    book._db.set_progress_handler(None, 0)
    return len(steps)


def test_no_order_and_no_invoice_costs_more_for_those_that_are_kept(book: WalletBook) -> None:
    """With as many as a busy quarter brings each one held up the whole service for seconds."""
    with book._db:
        book._db.execute("BEGIN")
        for number in range(5_000):
            key = ("wallet", f"{number * 7919 % 5_000:064x}", "lnbc1…", 1_000)
            book._db.execute("INSERT INTO orders VALUES (?,?,?,?,9,?,x'',?,0,'settled','','')", (*key, NOW, NOW))
            book._db.execute("INSERT INTO invoices VALUES (?,?,?,?,?,x'','over','',0,NULL,0)", (*key, NOW))
    assert steps_of(book, lambda: book.begin(ORDER)) < 20
    assert steps_of(book, lambda: book.add_invoice(INVOICE, NOW)) < 20
    assert steps_of(book, lambda: book.reopen(NOW + 1)) < 20
    assert steps_of(book, lambda: book.begin(replace(ORDER, payment_hash=OTHER, sent_at=NOW + KEEP_S + 1))) < 50
    left = book._db.execute("SELECT count(*) FROM orders WHERE state <> 'open'").fetchone()[0]
    assert left == 5_000 - FORGET_LIMIT


def test_an_invoice_that_nobody_paid_is_forgotten_sooner_than_one_that_was(book: WalletBook) -> None:
    for number, name in enumerate((HASH, OTHER)):
        book.add_invoice(replace(INVOICE, payment_hash=name), NOW)
        book.give_up(name)
        assert not number or book.settle(name, "", NOW)
    later = INVOICE.expires_at + KEEP_UNPAID_S
    for now, is_there in ((later, True), (later + 1, False)):
        book.add_invoice(replace(INVOICE, payment_hash=f"{now:064x}"), now)
        assert (book.invoice(HASH) is not None) is is_there
    assert book.invoice(OTHER) is not None


def test_a_file_that_was_made_without_its_indexes_gets_them(book: WalletBook, tmp_path: Path) -> None:
    for name in ("orders_ended", "invoices_ended"):
        book._db.execute(f"DROP INDEX {name}")
    again = WalletBook(tmp_path, "wallet")
    assert again.begin(ORDER)
    assert again.add_invoice(INVOICE, NOW)
    again.close()


def test_wallets_have_books_of_their_own_in_one_file_for_the_owner_alone(book: WalletBook, tmp_path: Path) -> None:
    book.begin(ORDER)
    book.learn_network("regtest")
    other = WalletBook(tmp_path, "other")
    assert (other.order(HASH), other.network, other.change_msat()) == (None, "", 0)
    other.close()
    again = WalletBook(tmp_path, "wallet")
    assert (again.order(HASH), again.network) == (ORDER, "regtest")
    again.close()
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


def test_a_copy_has_all_of_it_and_no_copy_is_made_of_nothing(book: WalletBook, tmp_path: Path) -> None:
    book.begin(ORDER)
    (target := tmp_path / "copy").mkdir()
    copy_book(target, tmp_path / "nowhere")
    copy_book(tmp_path, target)
    assert [path.name for path in target.iterdir()] == [FILE_NAME]
    assert stat.S_IMODE((target / FILE_NAME).stat().st_mode) == 0o600
    copied = WalletBook(target, "wallet")
    assert copied.order(HASH) == ORDER
    copied.close()


def test_a_file_of_something_else_and_of_a_newer_program_are_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 100)
    with pytest.raises(KitestringError, match="put it back from a copy"):
        WalletBook(tmp_path, "wallet")
    (tmp_path / FILE_NAME).unlink()
    WalletBook(tmp_path, "wallet").close()
    with sqlite3.connect(tmp_path / FILE_NAME) as file:
        file.execute("PRAGMA user_version = 2")
    with pytest.raises(KitestringError) as caught:
        WalletBook(tmp_path, "wallet")
    assert caught.value.reason is Reason.UNSUPPORTED
