"""What is said in one turn of the loop leaves in one write."""

import asyncio
from typing import Final, cast

from kitestring.transport.cork import MAX_GATHERED_BYTES, Cork

TEXT: Final = b"\x81"
PING: Final = b"\x89"


class Wire:
    """A transport that notes each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        self.writes.append(data)


def corked() -> tuple[Cork, Wire]:
    wire = Wire()
    return Cork(cast("asyncio.Transport", wire), asyncio.get_running_loop()), wire


async def test_frames_of_one_turn_leave_together_and_in_order() -> None:
    cork, wire = corked()
    for letter in (b"a", b"b", b"c"):
        cork.write(TEXT + letter)
    assert wire.writes == []
    await asyncio.sleep(0)
    assert wire.writes == [b"\x81a\x81b\x81c"]
    cork.write(TEXT + b"d")
    await asyncio.sleep(0)
    assert wire.writes[1:] == [b"\x81d"]


async def test_a_ping_or_the_end_waits_for_nothing_and_passes_nothing() -> None:
    cork, wire = corked()
    cork.write(TEXT + b"a")
    cork.write(PING)
    assert wire.writes == [b"\x81a\x89"]


async def test_more_than_the_limit_leaves_at_once() -> None:
    cork, wire = corked()
    frame = TEXT + bytes(MAX_GATHERED_BYTES)
    cork.write(frame)
    assert wire.writes == [frame]
    await asyncio.sleep(0)
    assert wire.writes == [frame], "nothing is sent twice"


async def test_a_connection_that_closes_is_not_written_to() -> None:
    cork, wire = corked()
    cork.write(TEXT + b"a")
    wire.closing = True
    assert cork.is_closing()
    await asyncio.sleep(0)
    assert wire.writes == []
    wire.closing = False
    cork.write(TEXT + b"b")
    await asyncio.sleep(0)
    assert wire.writes == [b"\x81b"], "what was lost with a connection is not said later"
