from __future__ import annotations

import asyncio

import pytest

from kitestring.relay import inflow as module
from kitestring.relay.inflow import Inflow, Inflows
from kitestring.relay.limits import MAX_FRAGMENTS, MAX_REQUEST_BYTES, WAITING_BYTES
from tests.kit.waiting import until
from tests.relay.test_frames import CONTINUED, PING, TEXT, frame

REQUEST = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"


class Line:
    """A connection that notes its end and its going on."""

    def __init__(self, all_of_them: Inflows, *, served: bool = True) -> None:
        self.notes: list[str] = []
        self.inflow = Inflow(all_of_them, lambda: self.notes.append("cut"), lambda: self.notes.append("goes on"))
        if served:
            assert self.inflow.came(REQUEST)
            self.inflow.serve()


async def test_all_half_messages_together_are_bounded_and_who_holds_most_goes() -> None:
    lines = [Line(all_of_them) for all_of_them in [Inflows(100_000)] for _ in range(3)]
    half = frame(TEXT, b"x" * 60_000)[:-1]
    assert lines[0].inflow.came(half)
    assert lines[1].inflow.came(half[:30_000])
    assert lines[2].inflow.came(half[:20_000])
    assert [line.notes for line in lines] == [["cut"], [], []]
    assert not lines[0].inflow.came(b"x")
    assert lines[1].inflow.came(half[30_000:] + b"x")
    lines[1].inflow.took(60_000)  # it was whole, and nobody has to go for it any more
    assert lines[2].inflow.came(half[20_000:])
    assert [line.notes for line in lines[1:]] == [[], []]


async def test_whoever_is_known_is_not_cut_for_what_strangers_hold() -> None:
    all_of_them = Inflows(100_000)
    known, stranger = Line(all_of_them), Line(all_of_them)
    known.inflow.vouch()
    assert known.inflow.came(frame(TEXT, b"x" * 90_000)[:-1])
    assert stranger.inflow.came(frame(TEXT, b"x" * 90_000)[:-1])
    assert known.notes == stranger.notes == []


async def test_a_message_that_does_not_come_to_its_end_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MESSAGE_TIMEOUT_S", 0.05)
    all_of_them = Inflows(10**6)
    half, parts, busy, quiet = (Line(all_of_them) for _ in range(4))
    assert half.inflow.came(frame(TEXT, b"x" * 100)[:50])
    assert parts.inflow.came(frame(TEXT, b"x", last=False))
    assert quiet.inflow.came(frame(TEXT, b"x"))
    async with asyncio.timeout(20):
        while len(half.notes + parts.notes) < 2:
            assert busy.inflow.came(frame(TEXT, b"x") + frame(TEXT, b"xx")[:-1])
            assert parts.inflow.came(frame(CONTINUED, b"", last=False) + frame(PING, b"")) or parts.notes
            await asyncio.sleep(0.005)
            assert busy.inflow.came(frame(TEXT, b"xx")[-1:])
    assert (half.notes, parts.notes, busy.notes, quiet.notes) == (["cut"], ["cut"], [], [])


async def test_nobody_watches_when_nothing_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MESSAGE_TIMEOUT_S", 0.01)
    all_of_them = Inflows(10**6)
    line = Line(all_of_them)
    assert line.inflow.came(frame(TEXT, b"xx")[:-1])
    assert line.inflow.came(b"x")
    await until(lambda: all_of_them._watch is None)
    assert line.notes == []


async def test_a_message_in_too_many_pieces_ends_its_connection() -> None:
    line = Line(Inflows(10**6))
    piece = frame(CONTINUED, b"", last=False)
    assert line.inflow.came(frame(TEXT, b"", last=False) + piece * (MAX_FRAGMENTS - 1))
    assert not line.inflow.came(piece)
    assert line.notes == ["cut"]


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nX: ", REQUEST], ids=["a head", "what follows a head"])
async def test_a_request_without_end_ends_its_connection(sent: bytes) -> None:
    line = Line(Inflows(10**6), served=False)
    assert line.inflow.came(sent)
    assert line.inflow.came(b"x" * (MAX_REQUEST_BYTES // 2))
    assert not line.inflow.came(b"x" * MAX_REQUEST_BYTES)


async def test_the_end_of_a_request_is_found_in_pieces_and_what_follows_it_counts() -> None:
    all_of_them = Inflows(10**6)
    line = Line(all_of_them, served=False)
    for number in range(len(REQUEST)):
        assert line.inflow.came(REQUEST[number : number + 1])
    line.inflow.serve()
    assert all_of_them.held.of(line.inflow) == 0
    assert line.inflow.came(frame(TEXT, b"x" * 100)[:-1])
    assert all_of_them.held.of(line.inflow) == 99


async def test_nothing_more_is_read_while_too_much_waits_to_be_taken() -> None:
    line = Line(Inflows(10**6))
    message = frame(TEXT, b"x" * (WAITING_BYTES // 2))
    assert line.inflow.came(message)
    full = [line.inflow.is_full]
    assert line.inflow.came(message)
    full.append(line.inflow.is_full)
    line.inflow.took(WAITING_BYTES // 2)
    assert [*full, line.inflow.is_full] == [False, True, False]
    assert line.notes == ["goes on"]
    line.inflow.took(WAITING_BYTES // 2)
    assert line.notes == ["goes on"]


async def test_a_connection_that_is_gone_holds_nothing() -> None:
    all_of_them = Inflows(10**6)
    line = Line(all_of_them)
    assert line.inflow.came(frame(TEXT, b"x" * 100)[:-1])
    for _ in range(2):
        line.inflow.leave()
    assert all_of_them.held.of(line.inflow) == 0
    assert all_of_them._begun == {}
