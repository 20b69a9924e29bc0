"""The desk of a running service in front of a real engine and a real ledger; nothing is announced anywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.home.beacon import BeaconSettings
from kitestring.app.home.config import Config
from kitestring.app.home.keyring import Keyring
from kitestring.app.owner.commands import OwnerCommands, all_commands
from kitestring.app.owner.desk import Desk
from kitestring.app.service.activity import Activity
from kitestring.app.service.beacon import BeaconFacts, BeaconPublisher, clink_kinds
from kitestring.app.service.clocks import Clocks
from kitestring.app.service.courier import Courier
from kitestring.app.service.execute import Result
from kitestring.app.service.owner_wire import encode_control
from kitestring.app.service.relay_word import Carried, RelayWord
from kitestring.app.service.service_desk import ServiceDesk
from kitestring.app.service.waiters import Waiters
from kitestring.base.commands import OWNER_GRANT
from kitestring.base.errors import KitestringError
from kitestring.base.grants import Grant
from kitestring.base.outcomes import Outcome
from kitestring.base.ports import Encoded
from tests.kit.app.receiver import WebDouble
from tests.kit.app.relay import KeepingRelay, RelayDouble
from tests.kit.changed import replace
from tests.kit.clock import EPOCH, StandingClock
from tests.kit.engine.rig import Life, Rig
from tests.kit.rates import SetRates
from tests.kit.waiting import until

RELAY = "ws://127.0.0.1:7777"
#: The host in a private network that the owner has listed.
OPEN_HOST = "10.0.0.5"
#: The owner's grant as a new ledger has it.
OWNER = Grant(grant_id=OWNER_GRANT, name="owner", wire="owner")


class Heard:
    """In the place of the connections: which grants were to be served anew, what relays have carried, and in ``words``
    what they say of any grant."""

    def __init__(self) -> None:
        self.changed: list[str] = []
        self.relays: list[Carried] = []
        self.words: tuple[RelayWord, ...] = ()
        self.live: list[str] = []

    def live_urls(self) -> list[str]:
        return self.live

    async def carried(self) -> list[Carried]:
        return self.relays

    async def relay_words(self, _grant: Grant) -> tuple[RelayWord, ...]:
        return self.words

    async def grant_changed(self, grant_id: str) -> None:
        self.changed.append(grant_id)


def real_desk(rig: Rig, relays: tuple[str, ...] = (RELAY,), data_dir: Path = Path("/nowhere")) -> ServiceDesk:
    heard: Any = Heard()
    alone: Any = RelayDouble(KeepingRelay())
    waiters = Waiters()
    rig.store.subscribe(waiters.hear)
    rig.context.encode, rig.context.deliver = _encode, waiters.tell
    keyring, web = Keyring(b"\x07" * 32), WebDouble(rig.clock)
    courier = Courier(rig.store, web, keyring.webhook_secret, rig.clock)  # type: ignore[arg-type]  # a double
    return ServiceDesk(
        config=Config(data_dir, private_hosts=(OPEN_HOST,)), keyring=keyring, store=rig.store,
        backend=rig.backend, clock=rig.clock, entropy=rig.life.entropy, engine=rig.engine, waiters=waiters,
        connections=heard,
        clocks=Clocks(alone, (), rig.backend, rig.clock), relays=relays, served=relays,
        network="regtest", rates=SetRates(EUR=100_000), beacon=beacon_of(rig, alone, relays),
        courier=courier, activity=Activity(rig.clock),
    )  # fmt: skip


def beacon_of(rig: Rig, pool: Any, relays: tuple[str, ...], **settings: Any) -> BeaconPublisher:
    """The beacon of a service that works."""

    async def no_trouble() -> str:
        return ""

    facts = BeaconFacts(relays, clink_kinds())
    key = Keyring(b"\x07" * 32).service_key
    return BeaconPublisher(pool, key, BeaconSettings(**settings), facts, no_trouble, rig.clock, rig.life.entropy)


def _encode(_: bytes, part: str, outcome: Outcome, now: int) -> Encoded | None:
    return encode_control(part, outcome, now)


class Office:
    """The owner's commands on such a desk, carried out for whoever is the owner by the ledger."""

    def __init__(self, rig: Rig, relays: tuple[str, ...] = (RELAY,), data_dir: Path = Path("/nowhere")) -> None:
        self.rig, self.node, self.store = rig, rig.node, rig.store
        self.desk = real_desk(rig, relays, data_dir)

    @property
    def commands(self) -> OwnerCommands[Desk]:
        return OwnerCommands(self.desk, all_commands())

    async def run(self, command: str, key: str = "k1", /, **params: Any) -> Result:
        commands = self.commands
        return await commands.run(await commands.owner(), command, params, key)

    async def refused(self, command: str, key: str = "k1", /, **params: Any) -> KitestringError:
        with pytest.raises(KitestringError) as caught:
            await self.run(command, key, **params)
        return caught.value

    async def set_owner(self, **changes: Any) -> None:
        """Change the owner's grant behind the service's back."""
        await self.rig.change(OWNER_GRANT, **changes)

    async def has_state(self, payment_hash: str, state: str) -> None:
        """Wait until the payment of this hash is in this state."""

        async def holds() -> bool:
            return await self.rig.state(payment_hash) == state

        await until(holds, pause_s=0.001)

    def relays_say(self, *words: RelayWord) -> None:
        assert isinstance(self.desk.connections, Heard)
        self.desk.connections.words = words

    def relays_are(self, *urls: str) -> None:
        """The settings name these from now on."""
        self.desk = replace(self.desk, relays=urls)

    def relays_live(self, *urls: str) -> None:
        assert isinstance(self.desk.connections, Heard)
        self.desk.connections.live = list(urls)

    @property
    def announced(self) -> list[str]:
        """Grants that were to be served anew."""
        assert isinstance(self.desk.connections, Heard)
        return self.desk.connections.changed


@asynccontextmanager
async def open_office(
    life: Life, relays: tuple[str, ...] = (RELAY,), data_dir: Path = Path("/nowhere")
) -> AsyncIterator[Office]:
    """On a loop of real time, for doors with real sockets; the wall stands still."""
    life.clock = life.node._clock = StandingClock(EPOCH)
    async with life.service(start=False) as rig:
        yield Office(rig, relays, data_dir)
