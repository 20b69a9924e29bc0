"""What the doctor says where no service runs, and what it makes of the facts of one that does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from kitestring.app.doctor import examine, judge, marker
from kitestring.app.home.config import Config, RateSettings
from kitestring.app.home.datadir import DataDir
from kitestring.app.home.keyring import Keyring
from kitestring.app.home.marker import write_marker
from kitestring.app.service.exchange import exchange_rates
from kitestring.backend.lnd.macaroon import USED
from kitestring.base.clocks import ClockReading, Wrong
from kitestring.base.money import MAX_MSAT
from kitestring.base.node import Finding, FindingState
from kitestring.base.records import Generation, StopCause
from kitestring.client.exchange import FILE_NAME
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.transport.clock import SystemClock
from tests.kit.changed import replace
from tests.kit.client.exchange import exchanges
from tests.kit.clock import STEPS_S
from tests.kit.crypto.macaroons import macaroon
from tests.kit.transport.relays import served

#: Of a relay elsewhere that agrees with this machine.
RELAYS_CLOCK = ClockReading("wss://a.example", "a.example", -1, 1)
CLOCKS_AGREE = Finding("clock", FindingState.OK, "agrees with wss://a.example to 1 s")
#: Nobody listens there.
NODE = "lnd+https://127.0.0.1:1"


@pytest.fixture
def home(tmp_path: Path) -> DataDir:
    made = DataDir(tmp_path / "home", tmp_path / "run")
    made.create()
    return made


async def found_at(home: DataDir, node_url: str, **environment: str) -> dict[str, Finding]:
    """The findings about the node in the settings, by name."""
    config = replace(Config(home.path, node_url=node_url), environment=environment, runtime_dir=home.path / "run")
    return {
        found.name: found
        for found in (await examine(config, home)).checks
        if found.name not in {"directory", "key", "disk", "sqlite", "service"}
    }


async def test_the_credential_in_the_settings_is_judged_although_nothing_runs(home: DataDir) -> None:
    (home.path / "m").write_bytes(macaroon([*sorted(USED), "onchain:write"]))
    found = (await found_at(home, f"{NODE}?macaroon={home.path}/m"))["macaroon"]
    assert found.state == "warn"
    assert "allows more than is needed (onchain:write)" in found.sentence


async def test_a_credential_in_the_environment_is_judged_where_it_is_set(home: DataDir) -> None:
    smallest = macaroon(sorted(USED)).hex()
    assert (await found_at(home, f"{NODE}?macaroon=env:LND", LND=smallest))["macaroon"].state == "ok"
    elsewhere = (await found_at(home, f"{NODE}?macaroon=env:LND"))["node"]
    assert elsewhere.state == "warn"
    assert elsewhere.sentence == (
        "cannot be looked at from here: the setting node: macaroon=env:LND leads to no macaroon: LND is not set here"
    )


@pytest.mark.parametrize("url", [f"{NODE}?macaroon=/nowhere/m", f"{NODE}?macaroon=/dev/null&cert=/nowhere/c", "x://y"])
async def test_settings_that_name_no_usable_node_are_a_finding_and_no_failure_of_the_doctor(
    home: DataDir, url: str
) -> None:
    found = await found_at(home, url)
    assert list(found) == ["node"]
    assert found["node"].sentence.startswith("cannot be looked at from here: the setting node: ")


async def test_a_sandbox_has_nothing_to_find_and_is_not_made_by_looking(home: DataDir) -> None:
    assert await found_at(home, "sandbox://") == {}
    assert not (home.path / "sandbox.db").exists()


async def ledger_at(home: DataDir) -> Finding | None:
    config = Config(home.path, runtime_dir=home.path / "run")
    return next((found for found in (await examine(config, home)).checks if found.name == "ledger"), None)


async def test_the_ledger_of_a_stopped_service_is_looked_at(home: DataDir) -> None:
    assert await ledger_at(home) is None
    keyring = Keyring(home.seed(bytes))
    lost = await ledger_at(home)
    assert lost == Finding(
        "ledger", FindingState.WARN,
        "there is none beside service.key: the next start begins an empty one; put kitestring.db back first, if you"
        " had one",
    )  # fmt: skip
    await (await SqliteStore.open(home.ledger, keyring.service_id)).close()
    assert [found.name for found in marker(home)] == ["marker"]
    write_marker(home.marker_file, Generation("ab", 0, 0, 0, 0))
    assert list(marker(home)) == []
    assert await ledger_at(home) == Finding("ledger", FindingState.OK, "can be read; `kitestring audit` proves it")
    home.ledger.write_bytes(b"no ledger at all")
    broken = await ledger_at(home)
    assert broken is not None
    assert (broken.state, "put it back from your backup" in broken.sentence) == (FindingState.FAIL, True)
    await asyncio.to_thread(home.ledger.unlink)
    gone = await ledger_at(home)
    assert gone is not None
    assert (gone.state, "kitestring.marker tells that there was one" in gone.sentence) == (FindingState.FAIL, True)


async def test_the_embedded_relay_of_a_stopped_service_is_not_called_broken(home: DataDir) -> None:
    home.keep_relay_port(1)
    assert await found_at(home, "sandbox://") == {}


def facts(**more: Any) -> dict[str, Any]:
    node = {"reachable": True, "alias": "a", "network": "regtest", "spendable_msat": 5_000, "receivable_msat": 0}
    return {
        "node": node,
        "findings": [],
        "alarms": [],
        "spending_stopped": [],
        "full_shares": [],
        "questions": {"waiting": 0, "oldest_at": None},
        "unknown_payments": [],
        "overdrawn_accounts": [],
        "late_money": [],
        "clocks": msgspec.to_builtins([RELAYS_CLOCK]),
        "relays": [],
        **more,
    }


def test_what_the_backend_of_a_running_service_has_found_follows_the_node() -> None:
    found = [{"name": "macaroon", "state": "warn", "message": "too much"}]
    assert list(judge(facts(findings=found))) == [
        Finding("node", FindingState.OK, "a on regtest, 5 sat to spend, room for 0 sat"),
        Finding("macaroon", FindingState.WARN, "too much"),
        CLOCKS_AGREE,
    ]


def test_room_is_not_told_of_a_node_that_cannot_tell_it() -> None:
    node = {**facts()["node"], "receivable_msat": MAX_MSAT}
    assert next(judge(facts(node=node))).sentence == "a on regtest, 5 sat to spend"


def test_every_trouble_of_the_service_is_told_with_what_to_do() -> None:
    away = {"reachable": False, "why": "no route", "mend": "is it running?"}
    found = list(
        judge(
            facts(
                node=away,
                spending_stopped=[{"cause": "drift", "why": "drift"}],
                alarms=[{"happened_at": 0, "sentence": "a fee of -5 msat cannot be"}],
                full_shares=[
                    {"holder": "agent", "what": "payments", "number": 87},
                    {"holder": "offer:ab", "what": "invoices", "number": 1_000},
                ],
                unknown_payments=["ab"],
                overdrawn_accounts=["owner", "shop"],
                late_money=[{"account": "old", "available_msat": 7_000}],
            )
        )
    )
    assert [(entry.name, entry.state) for entry in found] == [
        ("node", "fail"),
        ("clock", "ok"),
        ("spending", "fail"),
        ("alarm", "warn"),
        ("share", "warn"),
        ("share", "warn"),
        ("payment", "warn"),
        ("account", "warn"),
        ("account", "warn"),
        ("account", "warn"),
    ]
    assert found[0].sentence == "not reachable: no route; is it running?"
    assert "kitestring audit --node" in found[2].sentence
    assert found[3].sentence == "1970-01-01 00:00 UTC: a fee of -5 msat cannot be"
    assert found[4].sentence.startswith("agent: 87 payments are under way, no more begin until one ends;")
    assert found[5].sentence.startswith("offer:ab: 1000 invoices are unpaid")
    assert "kitestring resolve" in found[6].sentence
    assert "kitestring account fund shop" in found[8].sentence
    assert found[9].sentence == (
        "old is closed and has 7 sat, which came late: take it back with `kitestring account withdraw old --all`"
    )


@pytest.mark.parametrize(
    ("waiting", "oldest_at", "words"),
    [
        (1, 1_000, "1 question waits for your word, the oldest for 2 min; see `kitestring approvals`"),
        (7, 1_000, "7 questions wait for your word, the oldest for 2 min; see `kitestring approvals`"),
        (1, 1_100, "1 question waits for your word, the oldest for less than a minute; see `kitestring approvals`"),
    ],
)
def test_questions_that_wait_for_the_owner_are_counted(waiting: int, oldest_at: int, words: str) -> None:
    found = judge(facts(asked_at=1_150, questions={"waiting": waiting, "oldest_at": oldest_at}))
    assert Finding("approvals", FindingState.INFO, words) in list(found)
    assert "approvals" not in {one.name for one in judge(facts())}


def test_each_cause_for_which_nothing_is_spent_has_a_name_and_a_way_out() -> None:
    stopped = [{"cause": cause.value, "why": f"because of {cause.value}"} for cause in StopCause]
    _, _, *found = judge(facts(spending_stopped=stopped))
    assert [(one.name, one.state) for one in found] == [
        ("spending", "fail"), ("node", "fail"), ("ledger", "fail"), ("ledger", "fail"), ("copy", "fail"),
    ]  # fmt: skip
    assert all(f"because of {cause.value}; " in one.sentence for cause, one in zip(StopCause, found, strict=True))


@pytest.mark.parametrize(
    ("more", "state", "sentence"),
    [
        ({}, "ok", "carries what is addressed to every key (7 requests came back)"),
        (
            {"connected": False, "asked": 0, "words": "no route"},
            "fail",
            "cannot be reached: no route; nobody can pay or ask through it",
        ),
        ({"connected": False, "asked": 0}, "fail", "cannot be reached; nobody can pay or ask through it"),
        (
            {"unheard": ["all offers", "app"], "words": "blocked: kind 23194"},
            "fail",
            "does not carry requests to all offers, app: blocked: kind 23194; choose another relay for these",
        ),
        (
            {"connected": False, "asked": 0, "words": "no route", "old": True},
            "warn",
            "cannot be reached: no route; nobody can pay or ask through it",
        ),
        (
            {"unheard": ["all offers"], "old": True},
            "warn",
            "does not carry requests to all offers; choose another relay for these",
        ),
        (
            {"unheard": [f"app {number}" for number in range(7)]},
            "fail",
            "does not carry requests to app 0, app 1, app 2, app 3, app 4 and 2 more; choose another relay for these",
        ),
    ],
    ids=["good", "away", "away without a word", "refusing", "old and away", "old and deaf", "deaf to many"],
)
def test_each_relay_is_judged_by_what_came_back_over_it(more: dict[str, Any], state: str, sentence: str) -> None:
    row = {"url": "wss://r.example", "connected": True, "asked": 7, "unheard": [], "words": "", "old": False, **more}
    (found,) = [one for one in judge(facts(relays=[row])) if one.name == "relay"]
    assert (found.state, found.sentence) == (state, f"wss://r.example {sentence}")


# ------------------------------------------------------------ the clock


@asynccontextmanager
async def relay_behind(seconds: int) -> AsyncIterator[str]:
    """A relay whose clock is so many seconds behind ours."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if "Upgrade" in request.headers:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.receive()
            return socket
        return web.Response(headers={"Date": formatdate(time.time() - seconds, usegmt=True)})

    async with served(answer) as address:
        yield f"ws://{address}"


@pytest.mark.parametrize("behind_s", [sign * step for step in STEPS_S for sign in (1, -1)])
async def test_a_relay_in_the_settings_whose_clock_differs_is_named_although_nothing_runs(
    home: DataDir, behind_s: int
) -> None:
    async with relay_behind(behind_s) as url:
        config = Config(home.path, relays=(url,), runtime_dir=home.path / "run")
        checks, clocks = await examine(config, home)
    found = {one.name: one for one in checks}
    assert found["relay"].state == "ok"
    ((theirs, wrong),) = clocks.sides
    assert theirs.whose == url
    assert abs(theirs.ahead_s - behind_s) <= 1
    if abs(behind_s) == 1:
        assert (found["clock"].state, wrong) == ("info", Wrong.NOBODY)
        assert found["clock"].sentence.startswith(f"agrees with {url} to ")
    else:
        assert (found["clock"].state, wrong) == ("fail", Wrong.UNKNOWN)
        assert (
            f" {'ahead of' if behind_s > 0 else 'behind'} that of {url}, and nothing tells" in found["clock"].sentence
        )


async def test_a_relay_that_cannot_be_reached_says_nothing_about_the_clock(home: DataDir) -> None:
    config = Config(home.path, relays=("ws://127.0.0.1:1",), runtime_dir=home.path / "run")
    checks, clocks = await examine(config, home)
    found = {one.name: one.state for one in checks}
    assert (found["relay"], found["clock"], clocks.sides) == ("fail", "info", ())


async def test_of_a_running_service_its_own_word_about_the_clocks_counts(
    home: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = [ClockReading(url, url, 3_599, 3_601) for url in ("wss://a.example", "wss://b.example")]
    told = facts(clocks=msgspec.to_builtins(wrong), relays=[])
    monkeypatch.setattr("kitestring.app.doctor.service", lambda _: told)
    checks, clocks = await examine(Config(home.path, runtime_dir=home.path / "run"), home)
    (found,) = (one for one in checks if one.name == "clock")
    assert found.sentence.startswith("this clock is 60 min ahead of wss://a.example and wss://b.example")
    assert [side for _, side in clocks.sides] == [Wrong.OURS] * 2


async def test_the_sources_of_rates_are_shown_where_a_currency_is_used_and_only_there(home: DataDir) -> None:
    async with exchanges("97000", "97000") as two:
        config = replace(
            Config(home.path), exchange=RateSettings((), tuple(source.pattern for source in two)),
            private_hosts=tuple(source.address for source in two),
        )  # fmt: skip
        await exchange_rates(config, home.path, SystemClock()).rate("EUR")
        (found,) = (check for check in (await examine(config, home)).checks if check.name == "rates")
        assert found.state is FindingState.OK
        assert found.sentence.startswith("1 BTC = 97,000 EUR, told ")
    (home.path / FILE_NAME).unlink()
    assert "rates" not in {check.name for check in (await examine(Config(home.path), home)).checks}
