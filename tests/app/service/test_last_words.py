"""Ids that are kept without a disk that has room: durable, in a file of one size, for as long as they must be."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterable
from pathlib import Path

import pytest

from kitestring.app.service.last_words import SLOTS, LastWords
from tests.kit.clock import NOW, ManualClock

SIZE = 65_536


def size_of(file: Path) -> int:
    return file.stat().st_size


def mode_of(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def event_id(number: int) -> str:
    return f"{number:064x}"[::-1]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kitestring.refused"


async def keep(words: LastWords, number: int, until: int, created_at: int = NOW) -> bool:
    return await words.keep(event_id(number), created_at, until)


def refused(words: LastWords, numbers: Iterable[int], created_at: int = NOW) -> list[int]:
    return [number for number in numbers if words.refuse(event_id(number), created_at)]


async def test_an_id_is_known_after_a_restart_until_its_time_is_over(file: Path) -> None:
    clock = ManualClock()
    words = LastWords(file, clock)
    assert refused(words, [1]) == []
    assert await keep(words, 1, NOW + 360)
    for known in (words, LastWords(file, clock)):
        assert refused(known, [1, 2]) == [1]
    clock.advance(360)
    assert refused(LastWords(file, clock), [1]) == []


async def test_the_file_has_its_room_from_the_beginning_and_never_grows(file: Path) -> None:
    words = LastWords(file, ManualClock())
    assert size_of(file) == SIZE
    assert mode_of(file) == 0o600, "as everything in the directory"
    for number in range(1, SLOTS + 1):
        assert await keep(words, number, NOW + 360)
    assert not await keep(words, SLOTS + 1, NOW + 360)
    assert await keep(words, 7, NOW + 360)  # it is there already
    assert size_of(file) == SIZE


async def test_room_whose_time_is_over_is_used_again(file: Path) -> None:
    clock = ManualClock()
    words = LastWords(file, clock)
    for number in range(1, SLOTS + 1):
        await keep(words, number, NOW + 10 * number, NOW + number)
    clock.advance(10)
    assert await keep(words, SLOTS + 1, NOW + 360, NOW + 10)
    for known in (words, LastWords(file, clock)):
        assert refused(known, [1, 2, SLOTS + 1], NOW + 10) == [2, SLOTS + 1]


async def test_what_has_made_room_stays_refused_when_the_clock_goes_back(file: Path) -> None:
    clock = ManualClock()
    words = LastWords(file, clock)
    for number in range(1, SLOTS + 1):
        assert await keep(words, number, NOW + 360)
    clock.advance(400 * 86_400)
    later = clock.now()
    assert await keep(words, SLOTS + 1, later + 360, later)
    clock.advance(-400 * 86_400)
    for known in (words, LastWords(file, clock)):
        assert refused(known, [1, SLOTS]) == [1, SLOTS]
        assert refused(known, [SLOTS + 2], NOW + 1) == [], "what is newer than all that is forgotten is new"


async def test_an_id_that_is_kept_again_is_kept_for_the_longer_time(file: Path) -> None:
    clock = ManualClock()
    words = LastWords(file, clock)
    assert await keep(words, 1, NOW + 10)
    clock.advance(20)
    assert await keep(words, 1, NOW + 360)
    for known in (words, LastWords(file, clock)):
        assert refused(known, [1]) == [1]


async def test_nothing_is_kept_before_it_is_written(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = LastWords(file, ManualClock())
    monkeypatch.setattr(os, "fsync", broken)
    assert await asyncio.gather(*(keep(words, 1, NOW + 360) for _copy in range(2))) == [False, False]


async def test_what_cannot_be_written_is_not_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = LastWords(file, ManualClock())
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        assert not await keep(words, 1, NOW + 360)
    assert refused(words, [1]) == []
    assert await keep(words, 1, NOW + 360)


def broken(_: int) -> None:
    raise OSError(5, "Input/output error")


async def test_where_the_file_cannot_be_made_nothing_is_kept_and_the_service_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = LastWords(tmp_path / "gone" / "kitestring.refused", ManualClock())
    assert not await keep(words, 1, NOW + 360)
    assert "while the disk is full will get no answer" in caplog.text


def written(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


@pytest.mark.parametrize("content", [b"", b"x", bytes(SIZE + 1)])
async def test_a_file_of_another_size_is_made_anew(file: Path, content: bytes) -> None:
    assert await keep(LastWords(written(file, content), ManualClock()), 1, NOW + 360)
    assert size_of(file) == SIZE
