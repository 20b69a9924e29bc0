"""The deliverer of the page carries what the feed tells, through the two rows that the page shows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.service.background import Background
from kitestring.app.service.delivery import Route
from kitestring.app.service.notices import NOTICES, Notice, give_notice
from kitestring.app.service.receptions import RETRY_S, Reception, Rule, until_taken
from kitestring.app.service.routes import ROWS, RouteRow, routes
from kitestring.app.service.seams import Seams
from kitestring.base.events import EventKind
from kitestring.base.records import Message
from kitestring.engine.feed import Feed
from tests.kit.app.door import at_once
from tests.kit.clock import VirtualClock, virtual
from tests.kit.engine.rig import Life
from tests.kit.pages import HOW_TO, blocks, names_of
from tests.rig.process import free_port

CODE, ROW, NOTICE = blocks("add-a-deliverer")
PAGE: dict[str, Any] = names_of(CODE, "till_carrier")


def row() -> RouteRow:
    found: RouteRow = eval(ROW, {"RouteRow": RouteRow, "Rule": Rule, "until_taken": until_taken, **PAGE})
    return found


def carry() -> Any:
    """The deliverer as the table of routes makes it."""
    nothing: Any = None
    clock = VirtualClock()
    seams = Seams(nothing, nothing, nothing, clock, nothing, at_once, nothing, nothing, Background(clock))
    return routes(seams, (row(),))[PAGE["TILL"]].send


@pytest.fixture
def message() -> Message:
    return Message("", PAGE["TILL"], b"invoice-1", b"", 0, f"127.0.0.1:{free_port()}".encode())


async def sent(message: Message) -> list[Reception]:
    said: list[Reception] = []
    over = asyncio.Event()

    def done(reception: Reception) -> None:
        said.append(reception)
        over.set()

    carry()(message, done)
    assert said == []  # it does not block
    await over.wait()
    return said


@pytest.mark.parametrize(
    ("said", "reception"), [(b"OK\n", Reception.TAKEN), (b"no\n", Reception.REFUSED), (b"", Reception.REFUSED)]
)
async def test_a_message_is_taken_when_the_till_says_so(message: Message, said: bytes, reception: Reception) -> None:
    shown: list[bytes] = []

    async def till(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown.append(await reader.readline())
        writer.write(said)
        writer.close()
        await writer.wait_closed()

    port = int(message.address.rpartition(b":")[2])
    async with await asyncio.start_server(till, "127.0.0.1", port):
        assert await sent(message) == [reception]
    assert shown == [b"invoice-1\n"]


async def test_a_till_that_is_not_there_has_taken_nothing(message: Message) -> None:
    assert await sent(message) == [Reception.UNSENT]


@virtual
async def _money_arrives(life: Life) -> list[Message]:
    found: Notice = eval(NOTICE, {"Notice": Notice, "EventKind": EventKind, **PAGE})
    carried: list[Message] = []

    def collect(message: Message, done: Any) -> None:
        carried.append(message)
        done(Reception.TAKEN)

    async with life.service() as rig:
        rig.delivery._routes = {**rig.delivery._routes, PAGE["TILL"]: Route(collect)}
        work = asyncio.ensure_future(
            give_notice(Feed(rig.store, rig.clock), rig.store, rig.clock, (*NOTICES[1:], found))
        )
        await rig.grant("app")
        _, payment_hash = await rig.invoice("r1", "app", 21_000)
        life.node.pay_in(payment_hash)
        await rig.clock.sleep(5)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        invoice = await rig.store.invoice_by_hash(rig.context.node.node_id, payment_hash)
        assert [message.plaintext.decode() for message in carried] == [invoice.invoice_id]
    return carried


def test_money_that_arrives_becomes_a_message_for_the_till(tmp_path: Path) -> None:
    life = Life(tmp_path / "ledger.db", clock=VirtualClock())
    (message,) = _money_arrives(life)
    assert (message.kind, message.address) == (PAGE["TILL"], PAGE["ADDRESS"])
    life.audit()


def test_the_row_of_the_page_is_new_and_the_waits_are_those_of_the_code() -> None:
    assert row().kind not in {one.kind for one in ROWS}
    assert row().rules[Reception.UNSENT].give_up_s == 3_600
    text = (HOW_TO / "add-a-deliverer.md").read_text(encoding="utf-8")
    waits = sorted(set(RETRY_S))
    assert list(RETRY_S) == sorted(RETRY_S)
    for part in (waits[: waits.index(60) + 1], waits[waits.index(60) + 1 :]):
        *first, last = part
        assert f"{', '.join(map(str, first))} and {last} seconds" in " ".join(text.split())
    assert RETRY_S.count(60) * 60 == 15 * 60
    assert f"every {RETRY_S[-1]} seconds from then on" in text
