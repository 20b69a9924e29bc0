from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kitestring.relay import outbox
from kitestring.relay.limits import RelayLimits
from kitestring.relay.outbox import Outbox
from kitestring.relay.shares import Shares
from tests.kit.waiting import until


class Reader:
    """Takes a frame only when it is told to."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.may_take = asyncio.Semaphore(0)

    async def send_frame(self, frame: bytes, _: object) -> None:
        await self.may_take.acquire()
        self.taken.append(frame)


def new_outbox(reader: Any, unread: Shares[Outbox], gone: list[str], name: str = "") -> Outbox:
    return Outbox(reader, RelayLimits(max_queued_frames=100), unread, lambda: gone.append(name))


async def test_the_slowest_reader_goes_when_all_together_leave_too_much() -> None:
    gone: list[str] = []
    unread: Shares[Outbox] = Shares(1_000, Outbox.cut)
    slow, fast = (new_outbox(Reader(), unread, gone, name) for name in ("slow", "fast"))
    slow.push(b"x" * 600)
    fast.push(b"x" * 300, b"x" * 50)
    assert gone == []
    fast.push(b"x" * 100)
    assert (gone, slow.cut_off, fast.cut_off) == (["slow"], True, False)
    slow.push(b"x" * 2_000)
    assert gone == ["slow"]


async def test_what_was_taken_is_not_unread_and_parts_are_one_frame() -> None:
    gone: list[str] = []
    reader, unread = Reader(), Shares[Outbox](100, Outbox.cut)
    box = new_outbox(reader, unread, gone)
    writing = asyncio.create_task(box.write())
    for number in range(10):
        box.push(b"a" * 30, b"b" * 30)
        reader.may_take.release()
        await until(lambda: len(reader.taken) > number)  # noqa: B023 - awaited in the same round
    assert reader.taken == [b"a" * 30 + b"b" * 30] * 10
    assert gone == []
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)


async def test_a_reader_that_takes_nothing_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "STALLED_S", 0.01)
    gone: list[str] = []
    box = new_outbox(Reader(), Shares(10**9, Outbox.cut), gone, "stalled")
    for _ in range(51):
        box.push(b"x")
    await box.room()
    assert gone == ["stalled"]


async def test_publishers_wait_from_half_until_a_quarter_is_left() -> None:
    reader = Reader()
    box = new_outbox(reader, Shares(10**9, Outbox.cut), [])
    behind = []
    for _ in range(51):
        box.push(b"x")
        behind.append(box.behind)
    assert behind == [False] * 50 + [True]
    writing = asyncio.create_task(box.write())
    for taken in range(1, 26):
        reader.may_take.release()
        await until(lambda: len(reader.taken) == taken)  # noqa: B023 - awaited in the same round
    behind.append(box.behind)
    waiting = asyncio.create_task(box.headroom())
    reader.may_take.release()
    async with asyncio.timeout(20):
        await waiting
    assert (behind[-1], box.behind) == (True, False)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)


async def test_publishers_do_not_wait_for_who_is_slower_than_any_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "PACE_S", 0.01)
    monkeypatch.setattr(outbox, "PACE_FRAMES", 2)
    gone: list[str] = []
    box = new_outbox(Reader(), Shares(10**9, Outbox.cut), gone, "slow")
    for _ in range(51):
        box.push(b"x")
    async with asyncio.timeout(20):
        await box.headroom()
    assert gone == []
    for _ in range(50):
        box.push(b"x")
        assert not box.behind
    assert gone == ["slow"]


async def test_publishers_do_not_wait_for_who_is_gone() -> None:
    for end in (Outbox.cut, Outbox.leave):
        box = new_outbox(Reader(), Shares(10**9, Outbox.cut), [])
        for _ in range(51):
            box.push(b"x")
        waiting = asyncio.create_task(box.headroom())
        await asyncio.sleep(0)
        end(box)
        async with asyncio.timeout(20):
            await waiting


def test_who_listens_for_the_owner_has_a_larger_queue() -> None:
    gone: list[str] = []
    box = new_outbox(Reader(), Shares(10**9, Outbox.cut), gone, "service")
    box.is_own = box.behind = True
    for _ in range(800):
        box.push(b"x")
    assert gone == []
    box.push(b"x")
    assert gone == ["service"]
