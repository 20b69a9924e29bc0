"""The log tells when a relay begins to deny us something, in its own words, and when that is over."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kitestring.app.service.relay_watch import (
    ASKS_WHO,
    AWAY,
    LOOK_S,
    REFUSED,
    REJECTED,
    UNKNOWN_KEY,
    RelayWatch,
    troubles,
)
from kitestring.app.service.relay_word import auth_words
from kitestring.transport.link import RelayStatus
from tests.kit.changed import replace
from tests.kit.clock import ManualClock

URL = "wss://relay.example"
WELL = RelayStatus(URL, True, 1, "", 0, "", "", "")


class Pool:
    def __init__(self) -> None:
        self.row = WELL

    def status(self) -> list[RelayStatus]:
        return [self.row]


def watched() -> tuple[Pool, RelayWatch]:
    pool: Any = Pool()
    return pool, RelayWatch(pool, ManualClock())


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    found = [(record.levelname, record.getMessage()) for record in caplog.records]
    caplog.clear()
    return found


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (WELL, {}),
        (replace(WELL, last_error="the relay closed the connection"), {}),
        (replace(WELL, auth_s=12.5), {ASKS_WHO: auth_words(12.5)}),
        (replace(WELL, connected=False), {AWAY: "no answer"}),
        (replace(WELL, connected=False, last_error="refused"), {AWAY: "refused"}),
        (
            replace(WELL, refused="blocked: no", rejected="invalid: kind", auth_error="restricted: who"),
            {REFUSED: "blocked: no", REJECTED: "invalid: kind", UNKNOWN_KEY: "restricted: who"},
        ),
    ],
)
def test_each_trouble_has_the_words_of_the_relay(row: RelayStatus, told: dict[object, str]) -> None:
    assert troubles(row) == told


def test_a_refusal_is_one_line_when_it_begins_and_one_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    pool, watch = watched()
    watch.look()
    assert lines(caplog) == []
    pool.row = replace(WELL, refused="rate-limited: 35 a second")
    watch.look()
    assert lines(caplog) == [("WARNING", f"{URL} does not serve our subscriptions: rate-limited: 35 a second")]
    pool.row = replace(WELL, refused="rate-limited: 36 a second")
    watch.look()
    assert lines(caplog) == []
    pool.row = WELL
    watch.look()
    assert lines(caplog) == [("INFO", f"{URL} serves our subscriptions again")]
    watch.look()
    assert lines(caplog) == []


def test_a_relay_that_comes_back_soon_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    pool, watch = watched()
    away = replace(WELL, connected=False, last_error="refused")
    for looks, told in ((AWAY.looks - 1, []), (AWAY.looks + 2, [f"{URL} is away: refused", f"{URL} is back"])):
        pool.row = away
        for _ in range(looks):
            watch.look()
        pool.row = WELL
        watch.look()
        assert [words for _, words in lines(caplog)] == told


async def test_it_looks_every_five_seconds(caplog: pytest.LogCaptureFixture) -> None:
    pool: Any = Pool()
    clock = ManualClock()
    watching = asyncio.create_task(RelayWatch(pool, clock).watch())
    pool.row = replace(WELL, rejected="blocked: no")
    await clock.pass_sleep(LOOK_S, LOOK_S)
    await clock.asleep(LOOK_S, LOOK_S)
    watching.cancel()
    assert lines(caplog) == [("WARNING", f"{URL} does not take our events: blocked: no")]
