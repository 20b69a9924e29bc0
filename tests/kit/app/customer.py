"""Somebody whose service of debits is asked by the command line: on the relay of a running service, paying its invoices
out of the sandbox's world."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from click.testing import Result

from kitestring.backend.sandbox.world import World
from kitestring.codec import pointers
from kitestring.crypto.keys import SecretKey
from tests.kit.app.console import Service
from tests.kit.chance import entropy
from tests.kit.client.debtor import Answer, Answers, Debtor
from tests.kit.client.hostile import Request, ndebit
from tests.kit.clock import StandingClock


@dataclass
class Payer:
    """``answers`` may pay first: see :meth:`pays`."""

    service: Service
    world: World
    debtor: Debtor

    @property
    def asked(self) -> list[dict[str, Any]]:
        return self.debtor.asked

    def code(self, k1: str | None = None) -> str:
        return pointers.encode(ndebit(self.debtor.url, k1=k1, key=self.debtor.key))

    def pays(self, request: Request) -> Answer:
        """Grants every budget, and pays."""
        if "bolt11" not in request.members:
            return {"res": "ok"}
        return {"res": "ok", "preimage": self.world.pay(request.members["bolt11"])}

    async def run(self, *args: str, stdin: str = "") -> Result:
        """The command, in a thread, so that it can be answered from here."""
        return await asyncio.to_thread(self.service.run, *args, stdin=stdin)


@asynccontextmanager
async def payer(service: Service, answers: Answers | None = None) -> AsyncIterator[Payer]:
    """Without ``answers`` it pays whatever it is asked for. It has a key of its own: the relay still knows what others
    were asked a moment ago."""
    clock, here = StandingClock(int(time.time())), list[Payer]()

    def pays(request: Request) -> Answer:
        return here[0].pays(request)

    key = SecretKey.generate(entropy)
    debtor = Debtor(service.card["relays"][0], answers or pays, clock, key)
    with World(service.home / "sandbox.db") as world:
        here.append(Payer(service, world, debtor))
        async with debtor:
            yield here[0]
