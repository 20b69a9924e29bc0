"""The desk of a running service in front of a real engine and a real ledger; nothing is announced anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kitestring.app.home.config import Config
from kitestring.app.home.keyring import Keyring
from kitestring.app.service.owner_wire import encode_control
from kitestring.app.service.service_desk import ServiceDesk
from kitestring.app.service.waiters import Waiters
from kitestring.base.outcomes import Outcome
from kitestring.base.ports import Encoded
from tests.kit.engine.rig import Rig


class Heard:
    """In the place of the connections: which grants were to be served anew."""

    def __init__(self) -> None:
        self.changed: list[str] = []

    async def grant_changed(self, grant_id: str) -> None:
        self.changed.append(grant_id)


def real_desk(rig: Rig) -> ServiceDesk:
    heard: Any = Heard()
    waiters = Waiters()
    rig.store.subscribe(waiters.hear)
    rig.context.encode, rig.context.deliver = _encode, waiters.tell
    return ServiceDesk(
        config=Config(Path("/nowhere")), keyring=Keyring(b"\x07" * 32), store=rig.store, backend=rig.backend,
        clock=rig.clock, entropy=rig.life.entropy, engine=rig.engine, waiters=waiters, connections=heard,
        relays=("ws://127.0.0.1:1",), network="regtest",
    )  # fmt: skip


def _encode(_: bytes, part: str, outcome: Outcome, now: int) -> Encoded | None:
    return encode_control(part, outcome, now)
