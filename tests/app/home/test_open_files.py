from __future__ import annotations

import asyncio
import resource
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.home.config import Config
from kitestring.app.home.open_files import OPEN_FILES, raise_open_files
from kitestring.app.relay_alone import serve


def test_more_open_files_are_asked_for_where_they_may_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    for limits in ((1_024, 4_096), (1_024, resource.RLIM_INFINITY), (4_096, 4_096), (resource.RLIM_INFINITY,) * 2):
        monkeypatch.setattr(resource, "getrlimit", lambda _, limits=limits: limits)
        raise_open_files()
    assert asked == [(4_096, 4_096), (OPEN_FILES, resource.RLIM_INFINITY)]


async def test_a_relay_alone_asks_for_them_before_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 4_096))
    up: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(Config(tmp_path, runtime_dir=tmp_path), lambda _: up.set_result(asked[:])))
    async with asyncio.timeout(20):
        assert await up == [(4_096, 4_096)]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
