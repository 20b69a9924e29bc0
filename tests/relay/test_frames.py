from __future__ import annotations

import random
from itertools import pairwise

import pytest

from kitestring.relay.frames import MESSAGE_OVERHEAD_BYTES, FrameMeter

TEXT, CONTINUED, PING = 1, 0, 9


def frame(opcode: int, payload: bytes, *, last: bool = True, masked: bool = True) -> bytes:
    size, mask = len(payload), 0x80 if masked else 0
    wide = b"" if size < 126 else size.to_bytes(2) if size < 65_536 else size.to_bytes(8)
    length = size if not wide else 126 if len(wide) == 2 else 127
    return bytes([opcode | (0x80 if last else 0), mask | length]) + wide + bytes(4 if masked else 0) + payload


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
@pytest.mark.parametrize("masked", [True, False])
def test_a_message_counts_when_it_has_come_to_its_end_and_half_a_one_as_unfinished(size: int, masked: bool) -> None:
    meter, sent = FrameMeter(), frame(TEXT, b"x" * size, masked=masked)
    meter.feed(sent[:-1])
    assert meter.take_finished() == (0, 0)
    assert meter.unfinished_bytes == max(0, size - 1)
    between = [meter.is_between_messages]
    meter.feed(sent[-1:])
    assert meter.take_finished() == (1, size + MESSAGE_OVERHEAD_BYTES)
    assert [*between, meter.is_between_messages] == [False, True]
    assert meter.take_finished() == (0, 0)


def test_frames_of_one_message_add_up_and_a_ping_between_them_counts_for_itself() -> None:
    meter = FrameMeter()
    meter.feed(frame(TEXT, b"x" * 1_000, last=False))
    meter.feed(frame(PING, b"hello"))
    assert meter.take_finished() == (1, MESSAGE_OVERHEAD_BYTES)
    for _ in range(3):
        meter.feed(frame(CONTINUED, b"", last=False))
    assert (meter.frames, meter.unfinished_bytes) == (4, 1_000)
    meter.feed(frame(CONTINUED, b"y"))
    assert meter.take_finished() == (1, 1_001 + MESSAGE_OVERHEAD_BYTES)
    assert (meter.frames, meter.unfinished_bytes) == (0, 0)


def test_it_makes_no_difference_how_the_bytes_arrive() -> None:
    chance = random.Random(1)
    sizes = [chance.choice((0, 5, 125, 126, 300, 70_000)) for _ in range(60)]
    sent = b"".join(frame(TEXT, b"x" * size) for size in sizes)
    for _ in range(20):
        meter, cuts = FrameMeter(), sorted({0, len(sent), *(chance.randrange(len(sent)) for _ in range(200))})
        for start, end in pairwise(cuts):
            meter.feed(sent[start:end])
        assert meter.take_finished() == (60, sum(sizes) + 60 * MESSAGE_OVERHEAD_BYTES)
        assert meter.is_between_messages
    meter = FrameMeter()
    for number in range(2_000):
        meter.feed(sent[number : number + 1])
    whole = FrameMeter()
    whole.feed(sent[:2_000])
    assert (meter.take_finished(), meter.unfinished_bytes) == (whole.take_finished(), whole.unfinished_bytes)
