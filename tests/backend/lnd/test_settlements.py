"""lnd's settlements: none is missed and none told twice, over reconnects, silence and a new database."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from kitestring.backend.http import NodeAnswerError, NodeHttp
from kitestring.backend.lnd import invoices, settlements
from kitestring.backend.lnd.settlements import BEGINNING, SettledAt
from kitestring.base.money import Msat
from kitestring.base.node import Settlement
from tests.kit.backend.lnd_invoices import Invoices, Made
from tests.kit.clock import NOW
from tests.kit.transport.relays import within
from tests.kit.waiting import until


def cursor(one: Made) -> bytes:
    return bytes(SettledAt(one.number, one.payment_hash))


async def take(http: NodeHttp, count: int, after: bytes = b"") -> list[Settlement]:
    """The next so many settlements."""
    found: list[Settlement] = []
    async with aclosing(settlements.settlements(http, after)) as stream:
        while len(found) < count:
            found.append(await within(anext(stream)))
    return found


def hashes(found: list[Settlement]) -> list[str]:
    return [one.payment_hash for one in found]


@pytest.fixture
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is short."""
    monkeypatch.setattr(settlements, "EMPTY_IDLE_S", 0.01)
    monkeypatch.setattr(settlements, "STREAM_IDLE_S", 0.05)


@pytest.mark.parametrize("place", [SettledAt(7, "ab" * 32), SettledAt(2**63, "00" * 32), BEGINNING])
def test_a_place_is_read_as_it_was_written(place: SettledAt) -> None:
    assert SettledAt.of(bytes(place)) == place


def test_a_number_alone_is_read_and_is_no_place() -> None:
    assert SettledAt.of(b"5000") == SettledAt(5_000, "")
    with pytest.raises(ValueError, match="invalid literal"):
        SettledAt.of(b"here")


async def test_a_settlement_has_amount_time_preimage_and_the_cursor_right_after_it() -> None:
    lnd = Invoices()
    first, second = lnd.make(2)
    await lnd.settle(first, second)
    async with lnd.served() as http:
        (found,) = await take(http, 1, cursor(first))
    assert found == Settlement(second.payment_hash, Msat(2_000), NOW + 2, second.preimage.hex(), cursor(second))


async def test_they_come_in_the_order_in_which_they_settled_and_resume_after_the_cursor() -> None:
    lnd = Invoices()
    made = lnd.make(5)
    order = [made[index] for index in (3, 0, 4, 1, 2)]
    await lnd.settle(*order)
    async with lnd.served() as http:
        for count in range(1, 5):
            found = await take(http, 5 - count, cursor(order[count - 1]))
            assert hashes(found) == [one.payment_hash for one in order[count:]]


async def test_without_a_cursor_the_stream_begins_at_the_newest_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invoices, "INVOICE_PAGE", 2)
    lnd = Invoices()
    old, *_ = lnd.make(7)
    await lnd.settle(old)
    (new,) = lnd.make()
    async with lnd.served() as http, aclosing(settlements.settlements(http, b"")) as stream:
        waiting = asyncio.ensure_future(anext(stream))
        await until(lambda: lnd.began)
        await lnd.settle(new)
        assert (await within(waiting)).payment_hash == new.payment_hash
    assert (lnd.began, lnd.pages) == ([1], ["0", "7", "5", "3"])


@pytest.mark.usefixtures("_hasty")
async def test_what_settles_first_of_all_is_told_although_the_stream_has_no_backlog_then() -> None:
    lnd = Invoices()
    (one,) = lnd.make()
    async with lnd.served() as http, aclosing(settlements.settlements(http, b"")) as stream:
        waiting = asyncio.ensure_future(anext(stream))
        await until(lambda: len(lnd.began) >= 2)
        await lnd.settle(one)
        assert (await within(waiting)).payment_hash == one.payment_hash


@pytest.mark.usefixtures("_hasty")
async def test_a_silent_stream_is_made_again_from_the_last_place() -> None:
    lnd = Invoices()
    first, second = lnd.make(2)
    await lnd.settle(first)
    async with lnd.served() as http, aclosing(settlements.settlements(http, cursor(first))) as stream:
        waiting = asyncio.ensure_future(anext(stream))
        await until(lambda: len(lnd.began) >= 3)
        await lnd.settle(second)
        assert (await within(waiting)).payment_hash == second.payment_hash
    assert set(lnd.began) == {1}


@pytest.mark.parametrize("settled", [1, 2, 3])
async def test_a_new_database_at_the_node_is_told_from_its_beginning(settled: int) -> None:
    lnd, new = Invoices(), Invoices("second")
    old = lnd.make(2)
    await lnd.settle(*old)
    known = cursor(old[-1])
    made = new.make(settled)
    await new.settle(*made)
    lnd.begin_again(new)
    async with lnd.served() as http:
        assert hashes(await take(http, settled, known)) == [one.payment_hash for one in made]


async def test_a_number_whose_invoice_nobody_knows_hides_nothing() -> None:
    lnd = Invoices()
    made = lnd.make(2)
    await lnd.settle(*made)
    async with lnd.served() as http:
        for strange in (b"5000", b"1", bytes(SettledAt(2, made[0].payment_hash)), bytes(SettledAt(1, "ab" * 32))):
            assert hashes(await take(http, 2, strange)) == [one.payment_hash for one in made]


async def test_a_look_up_that_fails_is_no_new_epoch() -> None:
    lnd = Invoices()
    (one,) = lnd.make()
    await lnd.settle(one)
    lnd.fault = 502, "Bad Gateway"
    async with lnd.served() as http:
        with pytest.raises(NodeAnswerError):
            await take(http, 1, cursor(one))
    assert lnd.began == []


async def test_a_stream_that_lnd_ends_is_an_error_and_the_caller_resumes() -> None:
    lnd = Invoices()
    first, second = lnd.make(2)
    await lnd.settle(first)
    await lnd.end_streams()
    async with lnd.served() as http:
        with pytest.raises(NodeAnswerError, match="ended the subscription"):
            await take(http, 1, cursor(first))
        lnd.is_ending = False
        await lnd.settle(second)
        assert hashes(await take(http, 1, cursor(first))) == [second.payment_hash]
