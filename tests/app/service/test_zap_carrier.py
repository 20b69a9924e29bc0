"""The receipt of a zap is found where its sender looks for it, whatever happens on the way."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import Any

import pytest

from kitestring.app.home.keyring import Keyring
from kitestring.app.service.background import Background
from kitestring.app.service.notices import NOTICES
from kitestring.app.service.receptions import Reception
from kitestring.app.service.rendezvous import Rendezvous
from kitestring.app.service.wires import Wires
from kitestring.app.service.zap_carrier import MAX_SENT, ZAP, ZapCarrier
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.events import EventKind, FeedEvent
from kitestring.base.records import Message
from kitestring.client.net import Net
from kitestring.nostr import kinds
from kitestring.nostr.event import verify_event
from kitestring.relay.limits import RelayLimits
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock
from kitestring.transport.relays import RelayPool
from tests.kit.clock import NOW
from tests.kit.relay.client import client
from tests.kit.wire.samples import SERVICE, zap_request

CLOCK = SystemClock()
KEYRING = Keyring(b"\x09" * 32)
MESSAGE = Message("", ZAP, b"", b"", NOW, b"invoice-1")


class Invoices:
    """The look-up of the one invoice of these tests."""

    def __init__(self, zap: str) -> None:
        self.found: Any = SimpleNamespace(zap=zap, bolt11="lnbcrt210n1…", settled_at=NOW, created_at=NOW - 60)
        self.failure: KitestringError | None = None

    async def invoice(self, invoice_id: str) -> Any:
        assert invoice_id == "invoice-1"
        if self.failure is not None:
            raise self.failure
        return self.found


def a_relay() -> Relay:
    return Relay(None, clock=CLOCK, entropy=os.urandom, limits=RelayLimits(kinds=None))


async def carried(invoices: Invoices, own: RelayPool, *, private: bool = True) -> Reception:
    """One attempt to send the receipt."""
    seams: Any = SimpleNamespace(
        pool=own, store=invoices, wires=Wires(KEYRING, os.urandom), clock=CLOCK, background=Background(CLOCK),
        rendezvous=Rendezvous(Net(CLOCK, os.urandom, allow_private=private)),
    )  # fmt: skip
    said: list[Reception] = []
    carrier = ZapCarrier(seams)
    carrier.carry(MESSAGE, said.append)
    for task in tuple(seams.background._tasks):
        await task
    return said[0]


def pool(*relays: Relay) -> RelayPool:
    return RelayPool([relay.url for relay in relays], clock=CLOCK, entropy=os.urandom)


async def receipts(relay: Relay) -> list[Any]:
    async with client(relay) as reader:
        return list(await reader.ask("zaps", {"kinds": [kinds.ZAP_RECEIPT]}))


async def test_every_relay_that_the_sender_has_named_is_given_the_same_receipt_also_one_of_ours() -> None:
    async with a_relay() as here, a_relay() as one, a_relay() as two, pool(here) as own:
        await own.connected()
        text = zap_request(relays=(one.url, here.url, two.url))
        invoices = Invoices(text)
        assert await carried(invoices, own) is Reception.TAKEN
        (first,) = await receipts(here)
        assert await carried(invoices, own) is Reception.TAKEN  # after a crash
        assert [[found.id for found in await receipts(relay)] for relay in (here, one, two)] == [[first.id]] * 3
    assert verify_event(first)
    assert (first.pubkey, first.created_at, first.content) == (KEYRING.service_id, NOW, "")
    assert dict(tag[:2] for tag in first.tags)["description"] == text
    assert dict(tag[:2] for tag in first.tags)["p"] == SERVICE.public_hex


async def test_one_that_no_relay_takes_yet_is_tried_again() -> None:
    async with pool() as own:
        invoices = Invoices(zap_request(relays=("ws://127.0.0.1:1",)))
        rendezvous = Rendezvous(Net(CLOCK, os.urandom, allow_private=True))

        async def never(*_: object) -> bool:
            return False

        seams: Any = SimpleNamespace(
            pool=own, store=invoices, wires=Wires(KEYRING, os.urandom), clock=CLOCK, background=Background(CLOCK),
            rendezvous=SimpleNamespace(elsewhere=rendezvous.elsewhere, tell_each=never),
        )  # fmt: skip
        said: list[Reception] = []
        ZapCarrier(seams).carry(MESSAGE, said.append)
        for task in tuple(seams.background._tasks):
            await task
    assert said == [Reception.UNSENT]


async def test_relays_in_a_private_network_are_never_dialled_and_not_tried_again() -> None:
    async with a_relay() as there, pool() as own:
        assert await carried(Invoices(zap_request(relays=(there.url,))), own, private=False) is Reception.TAKEN
        assert await receipts(there) == []


async def test_a_ledger_that_cannot_be_read_and_an_invoice_that_is_gone_keep_nobody_waiting() -> None:
    invoices = Invoices(zap_request())
    async with pool() as own:
        invoices.failure = KitestringError(Reason.UNAVAILABLE, "the disk is full")
        assert await carried(invoices, own) is Reception.UNSENT
        invoices.failure, invoices.found = None, None
        assert await carried(invoices, own) is Reception.TAKEN


async def test_a_request_that_cannot_be_read_any_more_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with pool() as own:
        assert await carried(Invoices(json.dumps({"kind": 1})), own) is Reception.TAKEN
    assert "a zap gets no receipt" in caplog.text


async def test_beyond_some_at_once_receipts_are_tried_later() -> None:
    async with pool() as own:
        background = Background(CLOCK)
        seams: Any = SimpleNamespace(
            pool=own, store=Invoices(zap_request(relays=("ws://10.0.0.1",))), wires=Wires(KEYRING, os.urandom),
            clock=CLOCK, background=background, rendezvous=Rendezvous(Net(CLOCK, os.urandom)),
        )  # fmt: skip
        carrier, said = ZapCarrier(seams), list[Reception]()
        for _ in range(MAX_SENT + 1):
            carrier.carry(MESSAGE, said.append)
        assert said == [Reception.UNSENT]
        for task in tuple(background._tasks):
            await task
        assert said == [Reception.UNSENT] + [Reception.TAKEN] * MAX_SENT


def test_a_zap_that_was_paid_becomes_one_message_about_its_invoice() -> None:
    (notice,) = [row for row in NOTICES if row.kinds == {EventKind.ZAPPED}]
    make: Any = notice.make
    assert list(make(FeedEvent(7, NOW, EventKind.ZAPPED, "invoice-1"))) == [MESSAGE]
