"""A backend and the outside world around it, the same for every backend: what the contract suite speaks to."""

import asyncio
import base64
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol, Self

from kitestring.backend.registry import open_backend
from kitestring.backend.sandbox.file import OPENING_BALANCE_MSAT, open_file
from kitestring.backend.sandbox.payments import Behaviour
from kitestring.backend.sandbox.world import World
from kitestring.base.destinations import PREIMAGE_RECORD, Bolt11
from kitestring.base.money import Msat
from kitestring.base.node import Backend, PayOrder
from kitestring.codec import bolt11
from kitestring.transport.clock import SystemClock
from tests.kit.backend.lnd import FakeLnd
from tests.kit.chance import entropy
from tests.kit.codec.invoices import invoice
from tests.kit.waiting import until
from tests.rig.network import LightningRig
from tests.rig.process import free_port

#: Enough for one hop of either network, in millisatoshi.
FEE_CAP = Msat(10_000)


class Side(Protocol):
    """``broken`` are backends whose node breaks off or spoils the answer to the given invoice, by name."""

    backend: Backend

    async def invoice(self, amount_msat: int | None) -> str:
        """Of an outsider, payable with a fee."""
        ...

    async def refused_invoice(self, amount_msat: int) -> str:
        """Of an outsider who refuses its payment."""
        ...

    async def held_invoice(self, amount_msat: int) -> tuple[str, Callable[[], Awaitable[None]]]:
        """One whose payment stays in flight, and how to end it."""
        ...

    async def receive(self, text: str, amount_msat: int | None = None) -> None:
        """An outsider pays an invoice of the backend."""
        ...

    async def node_key(self) -> str:
        """The key of an outsider that takes what it has not asked for, payable with a fee."""
        ...

    async def arrived(self, payment_hash: str) -> tuple[int, tuple[tuple[int, str], ...]]:
        """What that outsider has received: an amount in millisatoshi, and the records beside the preimage."""
        ...

    async def pay_held(self, text: str) -> Callable[[], Awaitable[bool]]:
        """An outsider begins to pay a hold invoice of the backend; whether they have paid, as soon as it is decided."""
        ...

    def cursors_of_another_epoch(self) -> tuple[bytes, ...]:
        """Cursors whose settlement this node does not know: numbered beyond its newest, and below it."""
        ...

    async def forget_payments(self) -> None:
        """The node loses the records of payments that have ended; the money stays where it is."""
        ...

    def unreachable(self) -> Backend: ...
    def on_a_wire(self) -> AbstractAsyncContextManager[tuple[Backend, Callable[[], None]]]:
        """An open backend of the same node, and how to cut it off from the node until the end of the context."""
        ...

    def exchanged(self) -> AbstractAsyncContextManager[tuple[Backend, Callable[[], None], Callable[[], None]]]:
        """An open backend of the same node, how to put another node in its place, and how to put it back."""
        ...

    def broken(self) -> AsyncIterator[tuple[str, Backend, str]]:
        """(how it is broken, backend, an invoice to pay)"""
        ...


def order(text: str, amount_msat: int | None = None, fee_cap: Msat = FEE_CAP, timeout_s: int = 15) -> PayOrder:
    """To pay an invoice; ``amount_msat`` only where it has none."""
    invoice = bolt11.decode(text)
    amount = invoice.amount_msat if invoice.amount_msat is not None else Msat(amount_msat or 0)
    return PayOrder(Bolt11(text, invoice.amount_msat is None), invoice.payment_hash, amount, fee_cap, timeout_s)


def stranger_invoice(amount_msat: int, timestamp: int, network: str = "regtest", *, name_payee: bool = False) -> str:
    """An invoice of a node that is not there."""
    payment_hash = sha256(f"stranger {timestamp} {amount_msat} {network}".encode()).hexdigest()
    return invoice(
        amount_msat,
        payment_hash=payment_hash,
        network=network,
        at=timestamp,
        description="from nowhere",
        name_payee=name_payee,
    )


def open_url(url: str, data_dir: Path) -> Backend:
    return open_backend(url, clock=SystemClock(), entropy=entropy, data_dir=data_dir)


class Wire:
    """A TCP relay to a port of this machine. After :meth:`cut` its connections are broken and no new one is taken."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._ends: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self.port = free_port()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()

    def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        self.turn(self._target)

    def turn(self, target: int) -> None:
        """Break all connections, and lead new ones to another port."""
        self._target = target
        for end in self._ends:
            end.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._ends += [writer, far_writer]
        await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))


async def _pass_on(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65_536):
            to.write(data)
            await to.drain()
    to.close()


class NumberedSettlements:
    """Of a node whose cursor is a number and a payment hash."""

    def cursors_of_another_epoch(self) -> tuple[bytes, ...]:
        return (b"5000", *(f"{number} {entropy(32).hex()}".encode() for number in (5_000, 1)))


class OnASandbox:
    """What the outside of a simulated network does, the same to whoever stands on it."""

    world: World

    async def invoice(self, amount_msat: int | None) -> str:
        return self.world.invoice(None if amount_msat is None else Msat(amount_msat), "outside")

    async def refused_invoice(self, amount_msat: int) -> str:
        return self.world.invoice(Msat(amount_msat), behaviour=Behaviour.FAIL)

    async def node_key(self) -> str:
        return self.world.node()

    async def arrived(self, payment_hash: str) -> tuple[int, tuple[tuple[int, str], ...]]:
        (found,) = (one for one in self.world.payments() if one.payment_hash == payment_hash)
        return int(found.amount_msat), found.records

    async def pay_held(self, text: str) -> Callable[[], Awaitable[bool]]:
        self.world.pay(text)

        async def has_paid() -> bool:
            payment_hash = bolt11.decode(text).payment_hash
            return payment_hash in {one.payment_hash for one in self.world.payments() if one.direction == "in"}

        return has_paid


@dataclass
class SandboxSide(OnASandbox, NumberedSettlements):
    backend: Backend
    world: World
    directory: Path

    async def held_invoice(self, amount_msat: int) -> tuple[str, Callable[[], Awaitable[None]]]:
        text = self.world.invoice(Msat(amount_msat), behaviour=Behaviour.HANG)

        async def release() -> None:
            self.world.release(bolt11.decode(text).payment_hash)

        return text, release

    async def receive(self, text: str, amount_msat: int | None = None) -> None:
        self.world.pay(text, None if amount_msat is None else Msat(amount_msat))

    async def forget_payments(self) -> None:
        """The file of a sandbox can only be exchanged: as if an older copy had been put back."""
        with closing(sqlite3.connect(self.directory / "sandbox.db")) as file, file:
            gone = "(SELECT coalesce(sum(amount_msat + fee_msat), 0) FROM payments WHERE outcome = 'settled')"
            file.execute(f"UPDATE node SET opening_msat = opening_msat - {gone}")
            file.execute("DELETE FROM payments")

    def unreachable(self) -> Backend:
        open_file(self.directory / "offline.db", opening_msat=OPENING_BALANCE_MSAT).close()
        with World(self.directory / "offline.db") as world:
            world.set_offline(True)
        return open_url(f"sandbox://{self.directory / 'offline.db'}", self.directory)

    @asynccontextmanager
    async def on_a_wire(self) -> AsyncIterator[tuple[Backend, Callable[[], None]]]:
        backend = open_url("sandbox://?latency_ms=5", self.directory)
        await backend.open()
        try:
            yield backend, lambda: self.world.set_offline(True)
        finally:
            self.world.set_offline(False)
            await backend.close()

    @asynccontextmanager
    async def exchanged(self) -> AsyncIterator[tuple[Backend, Callable[[], None], Callable[[], None]]]:
        with closing(sqlite3.connect(self.directory / "sandbox.db", isolation_level=None)) as file:
            (secret,) = file.execute("SELECT node_secret FROM node").fetchone()

            def put(key: bytes) -> None:
                file.execute("UPDATE node SET node_secret = ?", (key,))

            async with self.on_a_wire() as (backend, _):
                try:
                    yield backend, lambda: put(b"\x07" * 32), lambda: put(secret)
                finally:
                    put(secret)

    async def broken(self) -> AsyncIterator[tuple[str, Backend, str]]:
        for behaviour in (Behaviour.LOST, Behaviour.LOST_FAIL, Behaviour.ERROR):
            yield behaviour.value, self.backend, self.world.invoice(Msat(1000), behaviour=behaviour)


@asynccontextmanager
async def sandbox_side(directory: Path) -> AsyncIterator[SandboxSide]:
    backend = open_url("sandbox://?latency_ms=5", directory)
    await backend.open()
    with World(directory / "sandbox.db") as world:
        try:
            yield SandboxSide(backend, world, directory)
        finally:
            await backend.close()


@dataclass
class LndSide(NumberedSettlements):
    backend: Backend
    rig: LightningRig
    directory: Path

    async def invoice(self, amount_msat: int | None) -> str:
        return (await self.rig.c.invoice(amount_msat or 0, "outside")).bolt11

    async def refused_invoice(self, amount_msat: int) -> str:
        made = await self.rig.c.invoice(amount_msat)
        await self.rig.c.cancel(made.payment_hash)
        return made.bolt11

    async def held_invoice(self, amount_msat: int) -> tuple[str, Callable[[], Awaitable[None]]]:
        preimage = entropy(32)
        text = await self.rig.c.hold_invoice(sha256(preimage).hexdigest(), amount_msat)

        async def release() -> None:
            """The money may still be on its way to C; only then can C take it."""
            payment_hash = sha256(preimage).hexdigest()

            async def arrived() -> bool:
                return bool((await self.rig.c.lookup(payment_hash))["state"] == "ACCEPTED")

            await until(arrived, pause_s=0.02)
            await self.rig.c.settle(preimage.hex())

        return text, release

    async def receive(self, text: str, amount_msat: int | None = None) -> None:
        payment = await self.rig.c.pay(text, amount_msat or 0)
        assert payment.status == "SUCCEEDED", payment

    async def node_key(self) -> str:
        return await self.rig.c.pubkey()

    async def arrived(self, payment_hash: str) -> tuple[int, tuple[tuple[int, str], ...]]:
        made = await self.rig.c.lookup(payment_hash)
        (part,) = made["htlcs"]
        records = {int(number): base64.b64decode(value).hex() for number, value in part["custom_records"].items()}
        del records[PREIMAGE_RECORD]
        return int(made["amt_paid_msat"]), tuple(sorted(records.items()))

    async def pay_held(self, text: str) -> Callable[[], Awaitable[bool]]:
        paying = asyncio.create_task(self.rig.c.pay(text))

        async def has_paid() -> bool:
            return (await paying).status == "SUCCEEDED"

        return has_paid

    async def forget_payments(self) -> None:
        await self.rig.a.delete("/v1/payments?all_payments=true")

    def unreachable(self) -> Backend:
        url = self.rig.a.backend_url.replace(f":{self.rig.a.rest_port}", ":1")
        return open_url(url, self.directory)

    @asynccontextmanager
    async def on_a_wire(self) -> AsyncIterator[tuple[Backend, Callable[[], None]]]:
        async with Wire(self.rig.a.rest_port) as wire:
            backend = open_url(
                self.rig.a.backend_url.replace(f":{self.rig.a.rest_port}", f":{wire.port}"), self.directory
            )
            await backend.open()
            try:
                yield backend, wire.cut
            finally:
                await backend.close()

    @asynccontextmanager
    async def exchanged(self) -> AsyncIterator[tuple[Backend, Callable[[], None], Callable[[], None]]]:
        """C at the address of A: it shows another certificate. One that shows the same is a fake's business."""
        a, c = self.rig.a, self.rig.c
        async with Wire(a.rest_port) as wire:
            url = a.backend_url.replace(f":{a.rest_port}", f":{wire.port}")
            backend = open_url(url, self.directory)
            await backend.open()
            try:
                yield backend, lambda: wire.turn(c.rest_port), lambda: wire.turn(a.rest_port)
            finally:
                await backend.close()

    async def broken(self) -> AsyncIterator[tuple[str, Backend, str]]:
        async with FakeLnd(self.directory) as fake:
            for number, fault in enumerate(fake.FAULTS):
                fake.fault = fault
                backend = open_url(fake.url, self.directory)
                await backend.open()
                yield fault, backend, stranger_invoice(1000 + number, int(time.time()))
                await backend.close()


@asynccontextmanager
async def lnd_side(rig: LightningRig, directory: Path) -> AsyncIterator[LndSide]:
    backend = open_url(rig.a.backend_url, directory)
    await backend.open()
    try:
        yield LndSide(backend, rig, directory)
    finally:
        await backend.close()
