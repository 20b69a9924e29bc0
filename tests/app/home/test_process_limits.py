from __future__ import annotations

import asyncio
import resource
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.home.config import Config
from kitestring.app.home.process_limits import OPEN_FILES, set_process_limits
from kitestring.app.relay_alone import serve


def asked_for(monkeypatch: pytest.MonkeyPatch, what: int = resource.RLIMIT_NOFILE) -> list[Any]:
    """The limits of one kind that are asked for from now on; none is set."""
    asked: list[Any] = []

    def note(kind: int, limits: Any) -> None:
        if kind == what:
            asked.append(limits)

    monkeypatch.setattr(resource, "setrlimit", note)
    return asked


def test_a_crash_leaves_no_core_file_and_what_this_process_starts_may_leave_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = asked_for(monkeypatch, resource.RLIMIT_CORE)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 4_096))
    set_process_limits()
    assert asked == [(0, 4_096)]


def test_more_open_files_are_asked_for_where_they_may_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asked_for(monkeypatch)
    for limits in ((1_024, 4_096), (1_024, resource.RLIM_INFINITY), (4_096, 4_096), (resource.RLIM_INFINITY,) * 2):
        monkeypatch.setattr(resource, "getrlimit", lambda _, limits=limits: limits)
        set_process_limits()
    assert asked == [(4_096, 4_096), (OPEN_FILES, resource.RLIM_INFINITY)]


async def test_a_relay_alone_asks_for_them_before_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asked_for(monkeypatch)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 4_096))
    up: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(Config(tmp_path, runtime_dir=tmp_path), lambda _: up.set_result(asked[:])))
    async with asyncio.timeout(20):
        assert await up == [(4_096, 4_096)]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
