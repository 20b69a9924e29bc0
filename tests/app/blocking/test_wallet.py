"""The wallet of a program without asyncio does what the one does that is awaited."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import kitestring
from kitestring import KitestringError, Reason, sat
from kitestring.app.blocking.twin import Twin
from kitestring.backend.sandbox.world import World
from kitestring.blocking import DebitClient, Notifications, Wallet

WAITS = """\
import sys
from kitestring import sat
from kitestring.blocking import Wallet

with Wallet.open(sys.argv[1]) as wallet:
    invoice = wallet.invoice(sat(5))
    try:
        print("waiting", flush=True)
        wallet.wait_paid(invoice)
    finally:
        print(wallet.balance(), flush=True)
print("never")
"""


def public(kind: type[object]) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("twin", "awaited"),
    [
        (Wallet, kitestring.Wallet),
        (DebitClient, kitestring.DebitClient),
        (Notifications, kitestring.Notifications),
    ],
)
def test_nothing_that_is_awaited_is_missing(twin: type[Twin], awaited: type[object]) -> None:
    without = {"pointer"} if awaited is kitestring.DebitClient else set[str]()
    assert public(awaited) - public(twin) <= without


def threads_of_ours() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name == "kitestring"}


def test_it_is_paid_and_pays_from_several_threads(tmp_path: Path) -> None:
    before = threads_of_ours()
    with Wallet.open(f"sandbox://{tmp_path}/world.db?latency_ms=1") as wallet:
        invoice = wallet.invoice(sat(210), memo="tea")
        with World(tmp_path / "world.db") as world:
            with ThreadPoolExecutor(4) as threads:
                waiting = threads.submit(wallet.wait_paid, invoice)
                world.pay(invoice.bolt11)
                assert waiting.result().amount_msat == sat(210)
                texts = [world.invoice(sat(number)) for number in (1, 2, 3)]
                receipts = list(threads.map(wallet.pay, texts))
            assert [one.amount for one in receipts] == [sat(1), sat(2), sat(3)]
        assert len(wallet.transactions()) == 4
        with wallet.notifications(since=0) as news:
            assert next(news).transaction.payment_hash == invoice.payment_hash
            assert news.position
    assert threads_of_ours() <= before


def test_it_is_used_inside_with_and_says_so_at_once(tmp_path: Path) -> None:
    wallet = Wallet.open(f"sandbox://{tmp_path}/world.db")
    for _ in range(2):
        with pytest.raises(KitestringError, match=r"write `with Wallet\.open") as refused:
            wallet.balance()
        assert refused.value.reason is Reason.MALFORMED
        with wallet:
            assert wallet.balance() == sat(1_000_000)


def test_a_wallet_that_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    before = threads_of_ours()
    (tmp_path / "world.db").write_text("this is no database " * 100)
    with pytest.raises(Exception, match=r"database|sandbox"), Wallet.open(f"sandbox://{tmp_path}/world.db"):
        raise AssertionError
    assert threads_of_ours() <= before


def test_ctrl_c_ends_the_waiting_and_the_wallet_works_on_until_it_is_closed(tmp_path: Path) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", WAITS, f"sandbox://{tmp_path}/world.db"], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert program.stdout is not None
    assert program.stdout.readline() == "waiting\n"
    program.send_signal(signal.SIGINT)
    said, trouble = program.communicate(timeout=20)
    assert said == "1,000,000 sat\n"
    assert trouble.rstrip().endswith("KeyboardInterrupt")
