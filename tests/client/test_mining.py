"""Work for a request: dated freshly, seen by whoever waits, and ended by whoever gives up."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from kitestring.base.errors import CodecError
from kitestring.client import mining
from kitestring.client.mining import mined_request
from kitestring.client.session import Dialog
from kitestring.nostr.event import verify_event
from kitestring.nostr.pow import proven_bits
from kitestring.nostr.work import MAX_WORK_BITS
from kitestring.wire.envelope import decrypt
from tests.kit.client.hostile import CLIENT, SERVICE, net
from tests.kit.clock import NOW, StandingClock

DIALOG = Dialog.enroll(CLIENT, SERVICE.public_hex)


class Ticking(StandingClock):
    """Each look at it is a second later."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        self.advance(1)
        return float(self.looks)


async def test_a_mined_request_is_a_request_with_a_committed_target_that_was_reached() -> None:
    event = await mined_request(DIALOG, "{}", net(), 10)
    assert verify_event(event)
    assert (event.kind, event.created_at) == (21_004, NOW)
    assert event.tags[:2] == [["p", SERVICE.public_hex], ["clink_version", "1"]]
    assert event.tags[2][::2] == ["nonce", "10"]
    assert len(event.tags) == 3
    assert proven_bits(event.id, event.tags) == 10
    assert decrypt(event.content, "nip44", DIALOG.shared) == "{}"


async def test_it_is_dated_anew_while_the_work_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mining, "ROUNDS", 1)
    monkeypatch.setattr(mining, "NONCES", 1_000)
    clock, told = Ticking(), list[tuple[int, int]]()
    event = await mined_request(DIALOG, "{}", replace(net(), clock=clock), 17, lambda *how: told.append(how))
    assert clock.now() - event.created_at <= mining.FRESH_S + 2
    assert verify_event(event)
    assert proven_bits(event.id, event.tags) == 17
    assert [tried for tried, _ in told] == [1_000 * number for number in range(1, len(told) + 1)]
    assert all(average == 1 << 17 for _, average in told)


async def test_others_go_on_meanwhile_and_who_gives_up_is_let_go_at_once() -> None:
    heard = asyncio.Event()
    work = asyncio.create_task(mined_request(DIALOG, "{}", net(), MAX_WORK_BITS, lambda *_: heard.set()))
    await heard.wait()  # which the loop could not tell if the work were done on it
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


@pytest.mark.parametrize("bits", [0, MAX_WORK_BITS + 1])
async def test_work_without_end_is_not_begun(bits: int) -> None:
    with pytest.raises(ValueError, match="1 to 24 bits"):
        await mined_request(DIALOG, "{}", net(), bits)


async def test_a_text_that_is_too_long_is_refused_before_the_work() -> None:
    long: Any = "x" * 50_000
    with pytest.raises(CodecError):
        await mined_request(DIALOG, long, net(), 24)
