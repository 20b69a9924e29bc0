"""The sandbox as a world of its own: its clock, its processes, its books."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from kitestring.backend.sandbox.node import SandboxFaultError
from kitestring.backend.sandbox.payments import Behaviour, routing_fee_msat
from kitestring.backend.sandbox.world import World
from kitestring.base.money import sat
from kitestring.base.node import NodeUnreachableError
from kitestring.base.payments import Failed, InFlight, NeverSeen, Settled
from tests.kit.backend.sandbox import make, make_world, new_file
from tests.kit.backend.sides import order
from tests.kit.clock import EPOCH, WalkingClock
from tests.kit.waiting import until


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
        await until(world.payments)
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
        bill = world.invoice(sat(5), behaviour=Behaviour.LATE, delay_ms=60_000)
        wanted = order(bill)
        child = payer(tmp_path, [bill])
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
