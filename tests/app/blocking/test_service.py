"""The service of a program without asyncio, with a wallet beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import kitestring
from kitestring import Budget, KitestringError, Transaction, sat
from kitestring.app.blocking.worker import Worker
from kitestring.backend.sandbox.world import World
from kitestring.blocking import Service, Wallet
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock


@pytest.fixture
def relay() -> Iterator[str]:
    with running_relay() as url:
        yield url


@contextmanager
def running_relay() -> Iterator[str]:
    """In a loop of its own, for a test without one."""
    worker = Worker()
    relay = Relay(None, clock=SystemClock(), entropy=os.urandom)
    worker.wait(relay.__aenter__)
    try:
        yield relay.url
    finally:
        worker.wait(lambda: relay.__aexit__(None, None, None))
        worker.stop()


def test_nothing_that_is_awaited_is_missing() -> None:
    awaited, twin = dir(kitestring.Service), dir(Service)
    assert [name for name in awaited if not name.startswith("_") and name not in twin] == []


def test_a_shop_without_asyncio_is_paid_and_told(relay: str, tmp_path: Path) -> None:
    service = Service(relays=[relay], store=tmp_path / "kite.db")
    till = service.grant("till", methods=["make_invoice", "lookup_invoice"])
    spender = service.grant("spender", budget=Budget.daily(sat(50)))
    told, is_told = list[Transaction](), threading.Event()

    @service.on_paid
    def paid(transaction: Transaction) -> None:
        told.append(transaction)
        assert service.balance() > sat(1_000_000)  # it may use the service
        is_told.set()

    with service, Wallet.open(str(till.nwc_uri)) as wallet:
        invoice = wallet.invoice(sat(21), memo="tea")
        with World(tmp_path / "kite.sandbox.db") as world:
            world.pay(invoice.bolt11)
            assert wallet.wait_paid(invoice).state == "settled"
            assert is_told.wait(20)
            with Wallet.open(str(spender.nwc_uri)) as agent, pytest.raises(KitestringError) as refused:
                agent.pay(world.invoice(sat(60)))
        first = next(service.events(since=0, kinds=["received"]))
        unread = service.events()
    assert refused.value.details["left_msat"] == 50_000
    assert (told[0].description, first.transaction) == ("tea", told[0])
    assert list(unread) == []
    assert [one.name for one in service.grants()] == ["spender", "till"]
    assert [one.amount_msat for one in service.transactions()] == [sat(21)]


def test_run_serves_until_it_is_told_to_stop(relay: str, tmp_path: Path) -> None:
    program = f"""
from kitestring.blocking import Service
service = Service(relays=[{relay!r}], store="kite.db")
print(service.grant("agent").name, flush=True)
service.run()
print("bye")
"""
    child = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, text=True, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == "agent\n"
    child.send_signal(signal.SIGTERM)
    said, _ = child.communicate(timeout=30)
    assert child.returncode in {0, -signal.SIGTERM}
    assert said in {"bye\n", ""}
