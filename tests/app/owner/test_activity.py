"""The owner looks on: what becomes true comes from a real ledger, what is refused from a real engine."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from kitestring.app.owner import activity
from kitestring.app.owner.activity import (
    MAX_READERS,
    MAX_WAITING,
    ActivityReader,
    ActivityReaders,
    LogLines,
    read_position,
)
from kitestring.base.budgets import Budget
from kitestring.base.commands import AskOffer
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.base.transactions.feed import ForgetNews
from kitestring.engine.feed import Feed
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.app.desk import Office
from tests.kit.clock import PATIENCE_S
from tests.kit.engine.node import Script
from tests.kit.engine.rig import PAYER_OF_OFFERS


@pytest.fixture
def looking(office: Office) -> ActivityReaders:
    office.rig.context.refused = lambda incoming, refused: office.desk.activity.refused(
        incoming.wire, incoming.grant_id, refused, incoming.command
    )
    return ActivityReaders(office.store, Feed(office.store, office.rig.clock), office.desk.activity, office.rig.clock)


async def told(reader: ActivityReader, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(PATIENCE_S):
        found = [await reader.next() for _ in range(count)]
    return [one for one in found if one is not None]


async def test_a_payment_a_refusal_a_connection_and_a_command_are_told_in_order(
    office: Office, looking: ActivityReaders
) -> None:
    with await looking.begin() as reader:
        await office.run("pay", "k1", target=office.node.outside_bolt11(50_000, Script(fee=1_005)))
        paid, *_ = await told(reader, 1)
        await office.set_owner(budgets=(Budget.total(Msat(5_000)),))
        await told(reader, 1)
        await office.refused("pay", "k2", target=office.node.outside_bolt11(60_000))
        await office.run("account_create", "k3", name="alice")
        refused, command = await told(reader, 2)
        await office.set_owner(budgets=())
        await told(reader, 1)
        await office.run("connect", "k4", name="shop")
        made, *_ = await told(reader, 1)
    assert (paid["event"], paid["amount_msat"], paid["fee_msat"], paid["position"]) == (
        "payment_sent", 50_000, 1_005, f"feed:{await office.store.last_event() - 3}",
    )  # fmt: skip
    assert (refused["event"], refused["reason"], refused["amount_msat"]) == ("refused", "over_budget", 60_000)
    assert (command["event"], command["detail"]) == ("command", "account create alice")
    assert (made["event"], made["connection"], made["wire"]) == ("connection_made", "shop", "nwc")
    assert refused["position"] == command["position"], "what leaves no row has the position before it"
    assert set(refused) == set(made) == set(paid)


async def test_a_payment_that_failed_is_told_with_its_reason(office: Office, looking: ActivityReaders) -> None:
    with await looking.begin() as reader:
        await office.refused("pay", "k1", target=office.node.outside_bolt11(50_000, Script(fails="no_route")))
        (failed,) = await told(reader, 1)
    assert (failed["event"], failed["amount_msat"], failed["reason"]) == ("payment_failed", 50_000, "payment_failed")
    assert (failed["preimage"], failed["fee_msat"], bool(failed["detail"])) == (None, 0, True)


async def test_a_command_that_changes_nothing_is_not_told(office: Office, looking: ActivityReaders) -> None:
    with await looking.begin() as reader:
        for key in ("k1", "k1", "k2"):
            await office.run("account_create", key, name="alice")
        await office.run("invoice", "k3", amount_msat=5_000)
        assert [one["detail"] for one in await told(reader, 2)] == ["account create alice", "invoice 5 sat"]


async def test_a_command_is_told_without_its_secrets(office: Office, looking: ActivityReaders) -> None:
    made = await office.run("hold_create", "k1", amount_msat=5_000)
    with await looking.begin() as reader:
        await office.run("hold_create", "k2", amount_msat=6_000)
        (command,) = await told(reader, 1)
    assert command["detail"] == "hold create 6 sat"
    assert made["payment_hash"] not in json.dumps(command)


async def test_whoever_gives_a_position_back_goes_on_after_it(office: Office, looking: ActivityReaders) -> None:
    with await looking.begin(0) as reader:
        await office.run("connect", "k1", name="shop")
        first = (await told(reader, await office.store.last_event()))[-1]
    await office.run("connect", "k2", name="bot")
    with await looking.begin(read_position(first["position"])) as reader:
        (second,) = await told(reader, 1)
        assert await reader.next(0.01) is None, "nothing comes twice"
    assert (first["connection"], second["connection"]) == ("shop", "bot")


async def test_what_was_forgotten_meanwhile_is_counted(office: Office, looking: ActivityReaders) -> None:
    for key in ("k1", "k2", "k3"):
        await office.run("connect", key, name=key)
    last = await office.store.last_event()
    await office.store.apply(ForgetNews(office.rig.clock.now(), 0, max_events=1))
    with await looking.begin(0) as reader:
        missed, made = await told(reader, 2)
    assert (missed["event"], missed["count"], made["connection"]) == ("missed", last - 1, "k3")


async def test_a_slow_reader_holds_nobody_and_is_told_how_much_it_missed(
    office: Office, looking: ActivityReaders
) -> None:
    with await looking.begin() as reader:
        for number in range(MAX_WAITING + 5):
            office.desk.activity.did(str(number))
        found = await told(reader, MAX_WAITING + 1)
    assert [one["detail"] for one in found[:-1]] == [str(number) for number in range(MAX_WAITING)]
    assert (found[-1]["event"], found[-1]["count"]) == ("refused_more", 5)


async def test_what_becomes_true_waits_in_the_ledger_for_a_slow_reader(
    office: Office, looking: ActivityReaders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "MAX_WAITING", 2)
    with await looking.begin() as reader:
        for number in range(6):
            await office.run("connect", f"k{number}", name=f"app{number}")
        assert [one["connection"] for one in await told(reader, 6)] == [f"app{number}" for number in range(6)]


async def test_a_reader_that_is_cancelled_while_it_reads_loses_nothing(
    office: Office, looking: ActivityReaders, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, really = asyncio.Event(), SqliteStore.grant

    async def hangs(_store: SqliteStore, _grant_id: str) -> Any:
        begun.set()
        await asyncio.Event().wait()

    with await looking.begin() as reader:
        await office.run("connect", "k1", name="shop")
        monkeypatch.setattr(SqliteStore, "grant", hangs)
        reading = asyncio.create_task(reader.next())
        await begun.wait()
        reading.cancel()
        await asyncio.wait((reading,))
        monkeypatch.setattr(SqliteStore, "grant", really)
        (made,) = await told(reader, 1)
    assert made["connection"] == "shop"


async def test_a_ledger_that_cannot_be_read_for_a_while_loses_nothing(
    office: Office, looking: ActivityReaders, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails, really = [2], SqliteStore.grant

    async def grant(store: SqliteStore, grant_id: str) -> Any:
        if fails[0]:
            fails[0] -= 1
            raise KitestringError(Reason.INTERNAL, "the disk sleeps")
        return await really(store, grant_id)

    monkeypatch.setattr(activity, "AGAIN_S", 0.01)
    with await looking.begin() as reader:
        await office.run("connect", "k1", name="shop")
        monkeypatch.setattr(SqliteStore, "grant", grant)
        (made,) = await told(reader, 1)
    assert (made["connection"], fails) == ("shop", [0])


async def test_a_position_ahead_of_this_ledger_is_refused(looking: ActivityReaders) -> None:
    with pytest.raises(KitestringError, match="another ledger was put in its place"):
        await looking.begin(1_000)


async def test_readers_are_counted_and_leave_their_places(looking: ActivityReaders) -> None:
    readers = [await looking.begin() for _ in range(MAX_READERS)]
    with pytest.raises(KitestringError, match="end one of them first"):
        await looking.begin()
    with readers[0]:
        pass
    await looking.begin()


@pytest.mark.parametrize("text", ["", "17", "feed:", "feed:-1", "feed:017", "feed:1\n", "kite1:5:", "x" * 9_000])
def test_what_is_no_position_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(KitestringError, match="is no position of this service") as caught:
        read_position(text)
    assert len(caught.value.message) < 200


async def test_an_unknown_payer_s_words_come_as_an_object(office: Office, looking: ActivityReaders) -> None:
    await office.rig.offer("tea", price_msat=sat(5), payer_data=("name",))
    with await looking.begin() as reader:
        await office.rig.engine.start()
        asked = AskOffer(offer_id="tea", payer_data={"name": "Bob"})
        await office.rig.handle("o1", "", asked, PAYER_OF_OFFERS)
        office.node.pay_in(next(reversed(office.node._made)))
        (received,) = await told(reader, 1)
    assert (received["event"], received["offer"]) == ("payment_received", "tea")
    assert received["payer_data"] == {"name": "Bob"}


async def test_the_log_has_a_line_for_each_with_its_fields_and_no_preimage(
    office: Office, looking: ActivityReaders, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kitestring.activity")
    lines = LogLines(await looking.begin(), office.store)
    lines.begin()
    paid = await office.run("pay", "k1", target=office.node.outside_bolt11(50_000, Script(fee=1_005)))
    office.desk.activity.did("account create alice")
    await lines.finish()
    records = [record for record in caplog.records if record.name == "kitestring.activity"]
    assert {record.getMessage() for record in records} == {
        "paid      -50 sat and 1.005 sat fee  tea", "owner     account create alice",
    }  # fmt: skip
    fields: dict[str, Any] = next(vars(record)["fields"] for record in records if "paid" in record.getMessage())
    assert (fields["payment_hash"], fields["amount_msat"]) == (paid["payment_hash"], 50_000)
    assert paid["preimage"] not in str([vars(record) for record in records])


async def test_a_log_that_never_began_writes_nothing_and_ends(
    office: Office, looking: ActivityReaders, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kitestring.activity")
    lines = LogLines(await looking.begin(), office.store)
    await office.run("connect", "k1", name="shop")
    await lines.finish()
    assert caplog.records == []
