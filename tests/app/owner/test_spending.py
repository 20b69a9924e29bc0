"""What was stopped by a doubt goes on after a clean audit, or by the owner's word."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from kitestring.app.owner import spending
from kitestring.app.owner.node_audit import Findings
from kitestring.base.errors import Reason
from kitestring.base.events import EventKind, FeedEvent
from kitestring.base.records import StopCause
from kitestring.base.transactions.service import SetSpending
from tests.kit.app.desk import Office


@pytest.fixture
def agrees(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the comparison with the node finds; nothing as long as it is empty."""
    found: list[str] = []

    async def against_node(*_: object, **__: object) -> Findings:
        return Findings(tuple(found), 0, 0)

    monkeypatch.setattr(spending, "against_node", against_node)
    monkeypatch.setattr(spending, "audit", lambda *_: [])
    return found


async def stop(office: Office, *causes: StopCause) -> None:
    for cause in causes:
        await office.store.apply(SetSpending(True, f"a doubt, {cause.value}", office.desk.clock.now(), cause))


async def stops(office: Office) -> list[str]:
    return [one.cause.value for one in await office.store.stops()]


async def test_a_doubt_about_the_ledger_goes_with_books_that_agree(office: Office, agrees: list[str]) -> None:
    await stop(office, StopCause.LEDGER)
    agrees.append("one payment is missing")
    refused = await office.refused("spending_allow")
    assert (refused.reason, "1 violations" in refused.message) == (Reason.SPENDING_STOPPED, True)
    assert await stops(office) == ["ledger"]
    agrees.clear()
    assert await office.run("spending_allow", "k2") == {"allowed": ["ledger"], "spending_stopped": None}
    assert await stops(office) == []
    assert (await office.store.totals()).spending_stopped == ""


@pytest.mark.usefixtures("agrees")
async def test_a_second_service_is_ended_by_the_owners_word_alone_and_told_in_an_event(office: Office) -> None:
    await stop(office, StopCause.TWIN)
    refused = await office.refused("spending_allow")
    assert "end the other service" in refused.message
    assert await office.run("spending_allow", "k2", note="it is off") == {"allowed": ["twin"], "spending_stopped": None}
    assert await office.store.alarms(0, 10) == []
    *_, last = await office.store.events(0, 100)
    assert isinstance(last, FeedEvent)
    assert (last.kind, last.detail) == (EventKind.ALLOWED, "spending is allowed again: it is off")


@pytest.mark.usefixtures("agrees")
@pytest.mark.parametrize(("cause", "end"), [(StopCause.DRIFT, "goes by itself"), (StopCause.FILE, "put the file back")])
async def test_nobodys_word_lifts_what_is_still_so(office: Office, cause: StopCause, end: str) -> None:
    await stop(office, cause, StopCause.LEDGER)
    left = await office.run("spending_allow", note="sure")
    assert left == {"allowed": ["ledger"], "spending_stopped": f"a doubt, {cause.value}"}
    refused = await office.refused("spending_allow", "k2", note="sure")
    assert end in refused.message
    assert await stops(office) == [cause.value]


async def test_where_nothing_is_stopped_nothing_is_done(office: Office) -> None:
    assert await office.run("spending_allow") == {"allowed": [], "spending_stopped": None}
    assert await office.store.alarms(0, 10) == []


async def test_the_ledger_that_goes_on_is_another_one_from_then_on(office: Office) -> None:
    before = await office.store.generation()
    await stop(office, StopCause.LEDGER)
    await office.run("spending_allow", note="sure")
    after = await office.store.generation()
    assert before.ledger_id != after.ledger_id
    with closing(sqlite3.connect(office.rig.life.path)) as raw:
        assert raw.execute("SELECT count(*) FROM stops").fetchone() == (0,)
