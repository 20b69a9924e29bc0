"""The checks of ``kitestring doctor``: facts from the directory, service and relays, each judged in one line."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from kitestring.app.doors.unix_client import ControlClient
from kitestring.app.home.config import Config
from kitestring.app.home.datadir import PRIVATE, DataDir
from kitestring.app.home.marker import read_marker
from kitestring.app.owner.node import about_old_relays, how_it_is
from kitestring.app.owner.offline import run_offline
from kitestring.app.owner.stops import WAYS_OUT, spending_is_stopped
from kitestring.app.service import exchange
from kitestring.app.service.clock_words import findings
from kitestring.app.service.kept_relays import KeptRelay
from kitestring.app.service.node_words import node_of
from kitestring.base.clocks import ClockReading, Comparison, compare
from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.errors import KitestringError
from kitestring.base.money import MAX_MSAT, Msat
from kitestring.base.node import Finding, FindingState
from kitestring.base.records import StopCause
from kitestring.transport.clock import SystemClock
from kitestring.transport.dates import read_relay_clock
from kitestring.transport.dial import Dialer
from kitestring.transport.proxies import is_socks
from kitestring.transport.trouble import trouble

OK, INFO, WARN, FAIL = FindingState.OK, FindingState.INFO, FindingState.WARN, FindingState.FAIL

#: Two writers on one WAL file could corrupt it before this version.
SAFE_SQLITE: Final = (3, 51, 3)
#: Below the first, the ledger may soon fail to write; below the second it is about to.
LOW_DISK_BYTES, NO_DISK_BYTES = 1_000_000_000, 50_000_000
RELAY_TIMEOUT_S: Final = 8.0
#: Connections that one finding names.
NAMES_SHOWN: Final = 5


#: What is said of a full share, by what it is of.
_FULL: Final = {
    "payments": "{} payments are under way, no more begin until one ends; see `kitestring transactions --unpaid`",
    "invoices": "{} invoices are unpaid, no more are made until one ends; see `kitestring transactions --unpaid`",
}


class Examined(NamedTuple):
    """The findings, in the order in which one would mend things, and the clocks that were compared."""

    checks: list[Finding]
    clocks: Comparison


async def examine(config: Config, home: DataDir) -> Examined:
    """All checks."""
    checks = [*directory(home)]
    if not home.path.is_dir():
        return Examined(checks, compare(()))
    checks += [disk(home.path), sqlite_version()]
    facts = service(home)
    if isinstance(facts, Finding):
        checks += [*await ledger(config, home), facts, *await node_in_settings(config, home)]
        relays = config.relays  # the embedded one stands and falls with the service
        clocks = compare(await relay_clocks(config))
        checks += findings(clocks) if relays else []
    else:
        checks += [Finding("service", OK, "running, and it answers"), *judge(facts)]
        relays = ()  # the service has proven what they carry
        clocks = compare_clocks(facts)
    checks += [await relay(url, config) for url in relays]
    checks += await exchange.findings(config, home.path, SystemClock())
    return Examined(checks, clocks)


def directory(home: DataDir) -> Iterator[Finding]:
    """Check that nobody else can read the directory and the seed."""
    if not home.path.is_dir():
        yield Finding("directory", FAIL, f"{home.path} is not there yet: start with `kitestring up`")
        return
    mode = stat.S_IMODE(home.path.stat().st_mode)
    if mode & PRIVATE:
        yield Finding("directory", WARN, f"{home.path} is open to others: run chmod 700 {home.path}")
    else:
        yield Finding("directory", OK, f"{home.path} is yours alone")
    try:
        home.read_seed()
    except KitestringError as error:
        yield Finding("key", FAIL, error.message)
    else:
        yield Finding("key", OK, f"{home.key_file.name} is in order; keep a copy of it elsewhere")


def disk(path: Path) -> Finding:
    free = shutil.disk_usage(path).free
    room = f"{free / 1e9:.1f} GB free"
    if free < NO_DISK_BYTES:
        return Finding("disk", FAIL, f"{room}: make room, or payments stop")
    return Finding("disk", WARN, f"{room}: make room soon") if free < LOW_DISK_BYTES else Finding("disk", OK, room)


def sqlite_version() -> Finding:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info >= SAFE_SQLITE:
        return Finding("sqlite", OK, version)
    return Finding("sqlite", INFO, f"{version}: has a fault with two writers; kitestring has one, so this is safe")


async def ledger(config: Config, home: DataDir) -> tuple[Finding, ...]:
    """Judge the ledger of a stopped service by reading it; nothing is said where there is no key for one yet."""
    if not home.key_file.exists():
        return ()
    try:
        home.need_ledger()
    except KitestringError as gone:
        return (Finding("ledger", FAIL, gone.message),)
    if not home.ledger.exists():
        lost = f"there is none beside {home.key_file.name}: the next start begins an empty one"
        return (Finding("ledger", WARN, f"{lost}; put {home.ledger.name} back first, if you had one"),)
    try:
        card = await run_offline(config, "card", {})
    except KitestringError as error:
        return (Finding("ledger", FAIL, error.message),)
    kept = msgspec.convert(card["old_relays"], list[KeptRelay])
    return (
        Finding("ledger", OK, "can be read; `kitestring audit` proves it"),
        *marker(home),
        *about_old_relays((), kept),
    )


def marker(home: DataDir) -> Iterator[Finding]:
    """Say beforehand that the next start will not spend: there is no marker to compare the ledger with."""
    if read_marker(home.marker_file) is None:
        yield Finding(
            "marker", WARN,
            f"{home.marker_file.name} is not there: if money was moved before, the next start does not spend until "
            "`kitestring audit --node` is clean",
        )  # fmt: skip


def service(home: DataDir) -> dict[str, Any] | Finding:
    """Ask the running service about itself; where it does not answer, say why."""
    try:
        return ControlClient(home).call("doctor", {})
    except KitestringError as error:
        return Finding("service", FAIL, error.message)


def judge(facts: dict[str, Any]) -> Iterator[Finding]:
    """The service's own facts."""
    node = facts["node"]
    if node["reachable"]:
        able, room = f"{Msat(node['spendable_msat'])} to spend", node["receivable_msat"]
        able += f", room for {Msat(room)}" if room < MAX_MSAT else ""  # some nodes cannot tell
        yield Finding("node", OK, f"{node['alias'] or 'unnamed'} on {node['network']}, {able}")
    else:
        yield Finding("node", FAIL, f"not reachable: {'; '.join(filter(None, (node['why'], node['mend'])))}")
    for found in facts["findings"]:
        yield Finding(found["name"], FindingState(found["state"]), found["message"])
    yield from findings(compare_clocks(facts))
    for row in facts["relays"]:
        yield carries(row)
    for stop in facts["spending_stopped"]:
        cause = StopCause(stop["cause"])
        yield Finding(WAYS_OUT[cause].check, FAIL, spending_is_stopped(cause, stop["why"]))
    for alarm in facts["alarms"]:
        at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(alarm["happened_at"]))
        yield Finding("alarm", WARN, f"{at}: {alarm['sentence']}")
    for full in facts["full_shares"]:
        yield Finding("share", WARN, f"{full['holder']}: {_FULL[full['what']].format(full['number'])}")
    yield from questions(facts)
    for payment_hash in facts["unknown_payments"]:
        yield Finding("payment", WARN, f"{payment_hash} has no known end; see `kitestring resolve --help`")
    yield from _accounts(facts)


def _accounts(facts: dict[str, Any]) -> Iterator[Finding]:
    """Tell of accounts that have spent more than they had, and of money that came for closed ones."""
    for name in facts["overdrawn_accounts"]:
        if name == OWNER_ACCOUNT:
            mend = "the mark goes with the next payment that the node's balance covers"
        else:
            mend = f"fund it with `kitestring account fund {name}`"
        yield Finding("account", WARN, f"{name} is overdrawn: {mend}")
    for late in facts["late_money"]:
        name, came = late["account"], Msat(late["available_msat"])
        mend = f"take it back with `kitestring account withdraw {name} --all`"
        yield Finding("account", WARN, f"{name} is closed and has {came}, which came late: {mend}")


def questions(facts: dict[str, Any]) -> Iterator[Finding]:
    """Tell of questions that wait for the owner: whoever asks waits some minutes and no longer."""
    number = facts["questions"]["waiting"]
    if not number:
        return
    age_min = max(0, facts["asked_at"] - facts["questions"]["oldest_at"]) // 60
    age = f"{age_min} min" if age_min else "less than a minute"
    who = "1 question waits for your word" if number == 1 else f"{number} questions wait for your word"
    yield Finding("approvals", INFO, f"{who}, the oldest for {age}; see `kitestring approvals`")


def compare_clocks(facts: dict[str, Any]) -> Comparison:
    read = [{**row, "machine": row["machine"] or ""} for row in facts["clocks"]]
    return compare(msgspec.convert(read, list[ClockReading]))


def carries(row: dict[str, Any]) -> Finding:
    """Judge one relay by the requests that the service has sent itself over it."""
    url, unheard, said = row["url"], row["unheard"], f": {row['words']}" if row["words"] else ""
    bad = WARN if row["old"] else FAIL  # what is made now does not name an old one
    if not row["connected"]:
        return Finding("relay", bad, f"{url} cannot be reached{said}; nobody can pay or ask through it")
    if not unheard:
        return Finding("relay", OK, f"{url} carries what is addressed to every key ({row['asked']} requests came back)")
    shown = ", ".join(unheard[:NAMES_SHOWN]) + (
        f" and {len(unheard) - NAMES_SHOWN} more" if unheard[NAMES_SHOWN:] else ""
    )
    return Finding("relay", bad, f"{url} does not carry requests to {shown}{said}; choose another relay for these")


async def node_in_settings(config: Config, home: DataDir) -> tuple[Finding, ...]:
    """Judge the node in the settings while no service runs, without connecting to it."""
    try:
        node = node_of(config, home.path, SystemClock(), os.urandom)
    except KitestringError as error:
        return (Finding("node", WARN, f"cannot be looked at from here: {error.message}"),)
    return await how_it_is(node)


async def relay_clocks(config: Config) -> list[ClockReading]:
    """Compare the clock with those of the relays in the settings."""
    clock = SystemClock()
    async with Dialer(config.proxies) as dialer:
        found = await asyncio.gather(*(read_relay_clock(dialer, url, clock) for url in config.relays))
    return [reading for reading in found if reading is not None]


async def relay(url: str, config: Config) -> Finding:
    """Whether a relay answers."""
    import aiohttp  # noqa: PLC0415 - only the doctor dials from here

    proxy = config.proxies.for_url(url)
    if proxy is not None and is_socks(proxy):
        return Finding("relay", INFO, f"{url} is behind a SOCKS proxy and was not asked")
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=RELAY_TIMEOUT_S)) as session:
            before = time.monotonic()
            async with asyncio.timeout(RELAY_TIMEOUT_S), session.ws_connect(url, proxy=proxy):
                return Finding("relay", OK, f"{url} answers in {(time.monotonic() - before) * 1000:.0f} ms")
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return Finding("relay", FAIL, f"{url} cannot be reached ({trouble(error)}): nobody can pay or ask through it")
