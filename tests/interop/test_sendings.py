"""How often an answer is sent over a real relay: a tap between the service and the relay counts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Container, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kitestring import Service
from kitestring.app.embedded import host
from kitestring.codec.uri import decode_nwc
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event
from kitestring.nostr.kinds import NWC_REQUEST, NWC_RESPONSE
from kitestring.transport.clock import SystemClock
from kitestring.transport.publications import OK_TIMEOUT_S, PUBLISH_DEADLINE_S
from kitestring.transport.relays import TICK_S
from kitestring.wire.envelope import request_event, shared_secret
from tests.kit.chance import entropy
from tests.kit.interop.line import line_to
from tests.kit.interop.tap import Tap, tapped
from tests.kit.waiting import until
from tests.rig.relays import Running

#: Half of them are stored, half are not.
METHODS = ("make_invoice", "get_balance")
PARAMS: Mapping[str, Mapping[str, object]] = {
    "make_invoice": {"amount": 21_000}, "get_balance": {}, "list_transactions": {"unpaid": True},
}  # fmt: skip
EACH = 75
ANSWERS = EACH * len(METHODS)
#: Records whose list is longer than one of the relays takes.
MANY = 12
#: Sendings of one answer to a relay that says nothing about it.
MOST = 3
#: Seconds of the service after which nothing more is sent: the pool has given the answers back twice by then.
LONG_S = 3 * PUBLISH_DEADLINE_S
#: Seconds after which the pool has sent what nobody confirmed a second time.
AGAIN_S = OK_TIMEOUT_S + 3 * TICK_S


class HastyClock:
    """The time of this machine, ``speed`` times as fast."""

    def __init__(self, speed: int) -> None:
        self._speed = speed
        self._system = SystemClock()
        self._began, self._began_at = self._system.monotonic(), self._system.now()

    def monotonic(self) -> float:
        return (self._system.monotonic() - self._began) * self._speed

    def now(self) -> int:
        return self._began_at + int(self.monotonic())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)


class Counted:
    """A service behind a tap, and requests to a connection of it that nobody listens to the answers of."""

    def __init__(self, tap: Tap, uri: str, clock: HastyClock) -> None:
        self.tap, self.clock = tap, clock
        found = decode_nwc(uri)
        self._key, self._service = SecretKey(found.secret), found.service_pubkey
        self._shared = shared_secret(self._key, self._service, "nip44")

    def request(self, method: str) -> Event:
        return request_event(
            self._key, kind=NWC_REQUEST, service=self._service, cipher="nip44", shared=self._shared,
            plaintext=json.dumps({"method": method, "params": PARAMS[method]}), entropy=entropy,
            now=self.clock.now(), expires_at=None,
        )  # fmt: skip

    async def ask(self, requests: list[Event]) -> None:
        """Send them all, and see each answered at least once."""
        async with line_to(self.tap.relay) as line:
            await line.publish(*requests)
            wanted = {request.id for request in requests}
            await until(lambda: wanted <= self.tap.times(NWC_RESPONSE).keys(), "every request is answered", pause_s=0.1)

    async def later(self, seconds: float) -> None:
        """Let so many seconds of the service pass."""
        end = self.clock.monotonic() + seconds
        await until(lambda: self.clock.monotonic() > end, pause_s=0.1)


@asynccontextmanager
async def counted(
    relay: str, room: Path, patch: pytest.MonkeyPatch, loses: Container[str] = (), speed: int = 10
) -> AsyncIterator[Counted]:
    clock = HastyClock(speed)
    patch.setattr(host, "SystemClock", lambda: clock)
    async with tapped(relay, loses) as tap:
        service = Service(relays=[tap.url], store=room / "shop.db")
        connection = await asyncio.to_thread(service.grant, "counted")
        assert connection.nwc_uri is not None
        async with service:
            yield Counted(tap, connection.nwc_uri, clock)


@pytest.mark.parametrize("foreign", ["khatru"], indirect=True)
async def test_150_answers_on_a_relay_that_confirms_nothing_end_in_450_events(
    foreign: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with counted(foreign.url, tmp_path, monkeypatch, loses={"OK"}) as there:
        requests = [there.request(method) for method in METHODS for _ in range(EACH)]
        await there.ask(requests)
        await there.later(LONG_S)
        times = there.tap.times(NWC_RESPONSE)
    assert {times[request.id] for request in requests} == {MOST}
    assert times.total() == MOST * ANSWERS == 450


@pytest.mark.parametrize("foreign", ["khatru"], indirect=True)
async def test_an_answer_that_a_relay_has_nobody_for_is_sent_once(
    foreign: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with counted(foreign.url, tmp_path, monkeypatch) as there:
        requests = [there.request(method) for method in METHODS]
        await there.ask(requests)
        await there.later(LONG_S)
        assert there.tap.times(NWC_RESPONSE) == {request.id: 1 for request in requests}


@pytest.mark.parametrize("foreign", ["nostr-relay"], indirect=True)
async def test_an_answer_that_a_relay_refuses_without_naming_it_is_sent_once(
    foreign: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The relay takes two seconds for its refusal, so time must not be faster.
    async with counted(foreign.url, tmp_path, monkeypatch, speed=1) as there:
        await there.ask(made := [there.request("make_invoice") for _ in range(MANY)])
        await there.ask([long := there.request("list_transactions")])
        await there.later(AGAIN_S)
        times = there.tap.times(NWC_RESPONSE)
    assert times == {request.id: 1 for request in (*made, long)}
