"""The sandbox as a world of its own: its clock, its processes, its books."""

import asyncio
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from kitestring.backend.registry import Context
from kitestring.backend.sandbox.file import OPENING_BALANCE_MSAT, open_file
from kitestring.backend.sandbox.node import Sandbox, SandboxFaultError
from kitestring.backend.sandbox.payments import Behaviour, routing_fee_msat
from kitestring.backend.sandbox.world import World
from kitestring.base.errors import KitestringError
from kitestring.base.money import Msat, sat
from kitestring.base.node import InvoiceOrder, NodeUnreachableError, PayOrder
from kitestring.base.payments import Failed, InFlight, NeverSeen, Settled
from kitestring.codec import bolt11
from tests.kit.backend.sides import order
from tests.kit.clock import EPOCH, WalkingClock


def make(
    directory: Path, clock: WalkingClock, opening_msat: Msat = OPENING_BALANCE_MSAT, latency_ms: int = 20
) -> Sandbox:
    context = Context(clock, secrets.token_bytes, directory, clock.now_ms)
    return Sandbox(directory / "sandbox.db", context, opening_msat=opening_msat, latency_ms=latency_ms)


def make_world(directory: Path, clock: WalkingClock) -> World:
    return World(directory / "sandbox.db", now_ms=clock.now_ms)


def new_file(directory: Path) -> Path:
    open_file(directory / "sandbox.db", opening_msat=OPENING_BALANCE_MSAT).close()
    return directory / "sandbox.db"


def an_invoice(amount_msat: int | None = 5000, expiry_s: int = 600) -> InvoiceOrder:
    amount = None if amount_msat is None else Msat(amount_msat)
    return InvoiceOrder(amount, "tea", "", expiry_s, secrets.token_hex(32))


async def test_a_payment_ends_when_the_clock_says_so(tmp_path: Path) -> None:
    clock = WalkingClock()
    node = make(tmp_path, clock)
    await node.open()
    with make_world(tmp_path, clock) as world:
        wanted = order(world.invoice(sat(100), behaviour=Behaviour.LATE, delay_ms=90_000), timeout_s=30)
        assert await node.pay(wanted) == InFlight()
        assert clock.ms == 1_000 * EPOCH + 30_000
        assert world.books().held_msat == sat(100) + routing_fee_msat(sat(100))
        clock.ms = 1_000 * EPOCH + 89_999
        assert await node.lookup_payment(wanted.payment_hash) == InFlight()
        clock.ms += 1
        assert isinstance(settled := await node.lookup_payment(wanted.payment_hash), Settled)
        assert settled.fee_msat == 510
        assert world.books().balanced
    await node.close()


async def test_what_has_settled_stays_settled_when_the_clock_is_set_back(tmp_path: Path) -> None:
    clock = WalkingClock()
    node = make(tmp_path, clock)
    await node.open()
    with make_world(tmp_path, clock) as world:
        wanted = order(world.invoice(sat(1)))
        assert isinstance(await node.pay(wanted), Settled)
        await node.pay(order(world.invoice(sat(1))))
        clock.ms = 1_000 * EPOCH - 1_000_000
        assert isinstance(await node.lookup_payment(wanted.payment_hash), Settled)
        await node.pay(order(world.invoice(sat(1)), timeout_s=0))
        assert isinstance(await node.lookup_payment(wanted.payment_hash), Settled)
    await node.close()


async def test_a_failed_payment_gives_back_what_it_held(tmp_path: Path) -> None:
    clock = WalkingClock()
    node = make(tmp_path, clock)
    await node.open()
    before = await node.balance()
    with make_world(tmp_path, clock) as world:
        wanted = order(world.invoice(sat(100), behaviour=Behaviour.HANG), timeout_s=1)
        assert await node.pay(wanted) == InFlight()
        assert (await node.balance()).spendable_msat == before.spendable_msat - sat(100) - 510
        world.release(wanted.payment_hash, settle=False)
        assert isinstance(await node.track(wanted.payment_hash), Failed)
        assert await node.balance() == before
        world.behave(wanted.payment_hash, Behaviour.SETTLE)
        assert isinstance(await node.pay(wanted), Settled)
        assert world.books().balanced
        assert [payment.state for payment in world.payments()] == ["settled"]
    await node.close()


@pytest.mark.parametrize(
    ("behaviour", "truth"),
    [(Behaviour.LOST, Settled), (Behaviour.LOST_FAIL, Failed), (Behaviour.ERROR, Settled)],
)
async def test_a_lost_answer_can_be_looked_up(tmp_path: Path, behaviour: Behaviour, truth: type) -> None:
    clock = WalkingClock()
    node = make(tmp_path, clock)
    await node.open()
    with make_world(tmp_path, clock) as world:
        wanted = order(world.invoice(sat(1), behaviour=behaviour))
        with pytest.raises(SandboxFaultError):
            await node.pay(wanted)
        assert isinstance(await node.track(wanted.payment_hash), truth)
        assert world.books().balanced
    await node.close()


async def test_a_lying_node_answers_with_a_foreign_preimage(tmp_path: Path) -> None:
    clock = WalkingClock()
    node = make(tmp_path, clock)
    await node.open()
    with make_world(tmp_path, clock) as world:
        wanted = order(world.invoice(sat(1), behaviour=Behaviour.LIE))
        answer = await node.pay(wanted)
        assert isinstance(answer, Settled)
        assert sha256(bytes.fromhex(answer.preimage)).hexdigest() != wanted.payment_hash
    await node.close()


async def test_outsiders_pay_while_the_node_is_dead(tmp_path: Path) -> None:
    clock = WalkingClock()
    node = make(tmp_path, clock)
    await node.open()
    made = await node.make_invoice(an_invoice())
    await node.close()
    with make_world(tmp_path, clock) as world:
        preimage = world.pay(made.bolt11)
    again = make(tmp_path, clock)
    await again.open()
    settlement = await anext(aiter(again.settlements(b"")))
    assert (settlement.payment_hash, settlement.preimage) == (made.payment_hash, preimage)
    assert (settlement.received_msat, settlement.cursor) == (5000, b"1")
    await again.close()


async def test_the_outside_world_pays_only_what_may_be_paid(tmp_path: Path) -> None:
    clock = WalkingClock()
    node = make(tmp_path, clock, latency_ms=0)
    await node.open()
    with make_world(tmp_path, clock) as world:
        paid, cancelled = await node.make_invoice(an_invoice()), await node.make_invoice(an_invoice())
        amountless, brief = await node.make_invoice(an_invoice(None)), await node.make_invoice(an_invoice(expiry_s=1))
        huge = await node.make_invoice(an_invoice(int(sat(200_000_000))))
        await node.cancel_invoice(cancelled.payment_hash)
        clock.ms += 1000
        world.pay(paid.bolt11)
        refusals: list[tuple[Callable[[], object], str]] = [
            (lambda: world.pay(paid.bolt11), "paid already"),
            (lambda: world.pay(cancelled.bolt11), "cancelled"),
            (lambda: world.pay(brief.bolt11), "expired"),
            (lambda: world.pay(amountless.bolt11), "no amount"),
            (lambda: world.pay(amountless.bolt11, Msat(0)), "less than"),
            (lambda: world.pay(huge.bolt11), "full"),
            (lambda: world.pay(world.invoice(sat(1))), "not made by the node"),
            (lambda: world.pay("lnbcrt1"), "short|checksum|invoice|bech32"),
            (lambda: world.release("00" * 32), "in flight"),
        ]
        for attempt, sentence in refusals:
            with pytest.raises(KitestringError, match=sentence):
                attempt()
        assert (await node.lookup_invoice(brief.payment_hash)).state == "canceled"
        assert (world.books().received_msat, world.books().balanced) == (5000, True)
    await node.close()


async def test_an_offline_node_was_never_asked(tmp_path: Path) -> None:
    clock = WalkingClock()
    node = make(tmp_path, clock)
    await node.open()
    with make_world(tmp_path, clock) as world:
        wanted = order(world.invoice(sat(1)))
        world.set_offline(True)
        with pytest.raises(NodeUnreachableError):
            await node.pay(wanted)
        world.set_offline(False)
        assert isinstance(await node.lookup_payment(wanted.payment_hash), NeverSeen)
    await node.close()


async def test_a_node_that_goes_offline_in_mid_payment_was_asked_all_the_same(tmp_path: Path) -> None:
    clock = WalkingClock()
    node = make(tmp_path, clock)
    await node.open()
    with make_world(tmp_path, clock) as world:
        wanted = order(world.invoice(sat(1), behaviour=Behaviour.LATE, delay_ms=5_000), timeout_s=30)
        paying = asyncio.create_task(node.pay(wanted))
        while not world.payments():  # noqa: ASYNC110 (the writer is a thread)
            await asyncio.sleep(0)
        world.set_offline(True)
        with pytest.raises(SandboxFaultError, match="offline"):
            await paying
        world.set_offline(False)
        assert isinstance(await node.track(wanted.payment_hash), Settled)
    await node.close()


async def test_a_failure_is_dated_by_its_own_attempt(tmp_path: Path) -> None:
    clock = WalkingClock()
    node = make(tmp_path, clock)
    await node.open()
    with make_world(tmp_path, clock) as world:
        wanted = order(world.invoice(sat(1), behaviour=Behaviour.FAIL))
        assert isinstance(await node.pay(wanted), Failed)
        clock.ms += 100_000
        world.behave(wanted.payment_hash, Behaviour.LOST_FAIL)
        old = await node.lookup_payment(wanted.payment_hash)
        with pytest.raises(SandboxFaultError):
            await node.pay(wanted)
        new = await node.track(wanted.payment_hash)
        assert isinstance(old, Failed)
        assert isinstance(new, Failed)
        assert (old.attempt_at, new.attempt_at) == (EPOCH, EPOCH + 100)
    await node.close()


async def test_a_disk_that_fails_leaves_no_payment_behind(tmp_path: Path) -> None:
    clock = WalkingClock()
    node = make(tmp_path, clock)
    await node.open()
    with make_world(tmp_path, clock) as world:
        wanted = [order(world.invoice(sat(1))) for _ in range(3)]
        with sqlite3.connect(tmp_path / "sandbox.db", isolation_level=None) as other:
            other.execute(
                "CREATE TRIGGER full BEFORE INSERT ON payments BEGIN SELECT RAISE(ROLLBACK, 'disk full'); END"
            )
        answers = await asyncio.gather(*map(node.pay, wanted), return_exceptions=True)
        assert {type(answer) for answer in answers} <= {sqlite3.IntegrityError, sqlite3.OperationalError}
        assert (world.payments(), world.books().balanced) == ([], True)
        other.execute("DROP TRIGGER full")
        other.close()
        assert isinstance(await node.pay(wanted[0]), Settled)
    await node.close()


async def test_a_file_of_something_else_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "sandbox.db").write_text("a diary, not a database; long enough to be looked at by anybody")
    with pytest.raises(KitestringError, match="cannot be opened"):
        await make(tmp_path, WalkingClock()).open()
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(KitestringError, match="no sandbox of this version"):
        World(tmp_path / "other.db")
    with pytest.raises(KitestringError, match="start its node first"):
        World(tmp_path / "missing.db")
    assert not (tmp_path / "missing.db").exists()
    assert (tmp_path / "sandbox.db").read_text().startswith("a diary")


# ---- processes

PAYER = """
import asyncio, secrets, sys
from pathlib import Path
from kitestring.backend.registry import open_backend
from kitestring.base.money import Msat
from kitestring.base.node import PayOrder
from kitestring.codec import bolt11
from tests.kit.backend.sides import SystemClock, order

async def main(directory, *texts):
    node = open_backend("sandbox://", clock=SystemClock(), entropy=secrets.token_bytes, data_dir=Path(directory))
    await node.open()
    print(*await asyncio.gather(*(node.pay(order(text, timeout_s=60)) for text in texts)), sep="\\n", flush=True)
    await node.close()

asyncio.run(main(*sys.argv[1:]))
"""


def payer(directory: Path, texts: list[str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PAYER, str(directory), *texts]
    root = Path(__file__).resolve().parents[3]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)


def wait_for(ready: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_a_payment_survives_a_kill_between_its_commit_and_its_answer(tmp_path: Path) -> None:
    with World(new_file(tmp_path)) as world:
        wanted = order(world.invoice(sat(5), behaviour=Behaviour.LATE, delay_ms=60_000))
        child = payer(tmp_path, [wanted.bolt11])
        wait_for(world.payments)
        child.send_signal(signal.SIGKILL)
        assert child.communicate()[0] == ""
        assert [payment.state for payment in world.payments()] == ["open"]
    clock = WalkingClock()
    clock.ms = time.time_ns() // 1_000_000 + 61_000
    node = make(tmp_path, clock)
    await node.open()
    assert isinstance(await node.lookup_payment(wanted.payment_hash), Settled)
    assert await node.pay(wanted) == await node.lookup_payment(wanted.payment_hash)
    with make_world(tmp_path, clock) as world:
        assert (world.books().sent_msat, world.books().balanced) == (sat(5), True)
    await node.close()


async def test_two_processes_that_pay_the_same_invoices_at_once_pay_each_once(tmp_path: Path) -> None:
    with World(new_file(tmp_path)) as world:
        texts = [world.invoice(sat(number)) for number in range(1, 11)]
        children = [payer(tmp_path, texts), payer(tmp_path, texts[::-1])]
        answers = [child.communicate(timeout=60)[0].splitlines() for child in children]
        assert answers[0] == answers[1][::-1]
        assert all(answer.startswith("Settled") for answer in answers[0])
        books = world.books()
        assert (books.sent_msat, books.balanced) == (sat(55), True)


def test_of_several_that_make_the_world_at_once_one_wins(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        worlds = set(threads.map(_node_of, [tmp_path] * 8))
    assert len(worlds) == 1
    assert not list(tmp_path.glob("*.new"))
    assert (tmp_path / "sandbox.db").stat().st_mode & 0o777 == 0o600


def _node_of(directory: Path) -> bytes:
    new_file(directory)
    with sqlite3.connect(directory / "sandbox.db") as connection:
        secret: bytes = connection.execute("SELECT node_secret FROM node").fetchone()[0]
    connection.close()
    return secret


async def test_many_payments_both_ways_keep_the_books_balanced(tmp_path: Path) -> None:
    clock = WalkingClock()
    node = make(tmp_path, clock, opening_msat=sat(1000))
    await node.open()
    kinds = list(Behaviour)
    with make_world(tmp_path, clock) as world:
        orders: list[PayOrder] = []
        for number in range(60):
            text = world.invoice(sat(number + 1), behaviour=kinds[number % len(kinds)])
            orders.append(order(text, timeout_s=number % 3))
            world.pay((await node.make_invoice(an_invoice(number + 1))).bolt11)
        answers = await asyncio.gather(*map(node.pay, orders), return_exceptions=True)
        assert any(isinstance(answer, Failed) and answer.reason == "insufficient_funds" for answer in answers)
        assert world.books().balanced
        clock.ms += 3_600_000
        for _ in range(2):
            world.pay((await node.make_invoice(an_invoice(1000))).bolt11)
        books = world.books()
        assert (books.balanced, books.received_msat) == (True, 60 * 61 // 2 + 2000)
        assert (await node.balance()).spendable_msat == books.balance_msat
    await node.close()


def test_every_invoice_is_real(tmp_path: Path) -> None:
    with World(new_file(tmp_path)) as world:
        invoice = bolt11.decode(world.invoice(Msat(1001), "snow ☃"))
        assert (invoice.network, invoice.amount_msat, invoice.description) == ("regtest", 1001, "snow ☃")
