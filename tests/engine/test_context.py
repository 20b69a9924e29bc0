"""The seams that the parts of the engine share: ids, work on its own, and records that are kept at until stored."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.payments import IllegalStepError, Unknown
from kitestring.base.transactions.payments import RecordPayment
from kitestring.engine.context import LOOK_AGAIN_S, pauses
from tests.kit.clock import virtual
from tests.kit.engine.rig import Life
from tests.kit.ledger.values import settle

FULL = KitestringError(Reason.INTERNAL, "the disk is full")


def test_pauses_grow_to_a_minute_and_never_end() -> None:
    first = list(itertools.islice(pauses(), len(LOOK_AGAIN_S) + 3))
    assert first == sorted(first)
    assert first[-4:] == [60] * 4


@virtual
async def test_ids_are_unlike_and_stand_in_the_order_of_time(life: Life) -> None:
    async with life.service() as rig:
        ids = [rig.context.new_id(now) for now in (1_800_000_000, 1_800_000_000, 1_800_000_001, 1_900_000_000)]
        assert len(set(ids)) == 4
        assert [found[:8] for found in ids] == sorted(found[:8] for found in ids)
        assert {len(bytes.fromhex(found)) for found in ids} == {16}


@virtual
async def test_the_preimage_of_a_request_is_always_the_same_and_of_no_other(life: Life) -> None:
    async with life.service() as rig:
        drawn = {name: rig.context.preimage_of(name) for name in ("a", "b")}
        assert drawn == {name: rig.context.preimage_of(name) for name in ("a", "b")}
        assert len({*drawn.values()}) == 2
        assert {len(one) for one in drawn.values()} == {32}
        assert str(rig.context.keysend_secret) not in repr(rig.context)
        rig.context.keysend_secret = b""
        rig.context.__post_init__()  # a secret of its own, which nobody knows
        assert rig.context.preimage_of("a") != drawn["a"]


@virtual
async def test_who_waits_for_work_on_its_own_cannot_cancel_it_by_going_away(life: Life) -> None:
    async with life.service() as rig:
        done: list[str] = []

        async def work() -> None:
            await rig.clock.sleep(5)
            done.append("done")

        waiting = asyncio.create_task(_shielded(rig.context.spawn(work())))
        await rig.clock.sleep(1)
        assert len(rig.context.tasks) == 1
        waiting.cancel()
        await rig.clock.sleep(10)
        assert done == ["done"]
        assert not rig.context.tasks


async def _shielded(task: asyncio.Task[None]) -> None:
    await asyncio.shield(task)


@virtual
async def test_work_that_breaks_off_is_told_in_the_log_and_work_that_is_stopped_is_not(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    async with life.service() as rig:

        async def breaks() -> None:
            raise RuntimeError("a fault nobody thought of")

        broken, stopped = rig.context.spawn(breaks()), rig.context.spawn(rig.clock.sleep(60))
        rig.context.spawn(rig.clock.sleep(0))
        await rig.clock.sleep(1)
        stopped.cancel()
        await asyncio.wait((broken, stopped))
        await rig.clock.sleep(1)
        (record,) = [one for one in caplog.records if "broke off" in one.message]
        assert record.exc_info is not None
        assert "a fault nobody thought of" in str(record.exc_info[1])


@virtual
async def test_the_truth_is_given_to_the_ledger_until_it_is_stored(life: Life) -> None:
    async with life.service(start=False) as rig:
        begun, answers = rig.clock.monotonic(), [FULL, FULL, "stored"]

        async def apply(_: object) -> Any:
            answer = answers.pop(0)
            if isinstance(answer, KitestringError):
                raise answer
            return answer

        rig.store.apply = apply
        stored: object = await rig.context.record(settle("a"))
        assert (stored, answers) == ("stored", [])
        assert rig.clock.monotonic() - begun == pytest.approx(sum(LOOK_AGAIN_S[:2]))


@virtual
async def test_a_step_that_the_table_forbids_is_not_tried_again(life: Life) -> None:
    async with life.service(start=False) as rig:
        await rig.grant("app")
        await rig.pay("r1", "app", life.node.outside_invoice(), 1_000)
        await rig.answer("r1")
        payment_id = (await rig.store.request("r1")).payment_id
        with pytest.raises(IllegalStepError):
            await rig.context.record(RecordPayment(payment_id, Unknown("the connection broke"), rig.clock.now()))
