"""The checks of ``kitestring doctor``: facts from the directory, service and relays, each judged in one line."""

from __future__ import annotations

import asyncio
import email.utils
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kitestring.app.doors.unix_client import ControlClient
from kitestring.app.home.config import Config
from kitestring.app.home.datadir import PRIVATE, DataDir
from kitestring.app.home.marker import read_marker
from kitestring.app.owner.node import how_it_is
from kitestring.app.owner.offline import run_offline
from kitestring.backend.registry import open_backend
from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.errors import KitestringError
from kitestring.base.money import Msat
from kitestring.base.node import Finding, FindingState
from kitestring.transport.clock import SystemClock
from kitestring.transport.proxies import is_socks
from kitestring.transport.trouble import trouble

if TYPE_CHECKING:
    import aiohttp

OK, INFO, WARN, FAIL = FindingState.OK, FindingState.INFO, FindingState.WARN, FindingState.FAIL

#: Two writers on one WAL file could corrupt it before this version.
SAFE_SQLITE: Final = (3, 51, 3)
#: Clients and relays refuse events that are older or newer than this.
MAX_SKEW_S: Final = 30
#: Below the first, the ledger may soon fail to write; below the second it is about to.
LOW_DISK_BYTES, NO_DISK_BYTES = 1_000_000_000, 50_000_000
RELAY_TIMEOUT_S: Final = 8.0

#: The name and the way out of each cause for which spending is stopped.
_STOPPED: Final = {"drift": "spending", "node": "node", "ledger": "ledger", "file": "ledger", "twin": "copy"}
_MEND: Final = {
    "drift": "run `kitestring audit --node`",
    "node": "put the right one back, and it goes by itself; or start the service again on the new one",
    "ledger": "run `kitestring audit --node`, which allows it again, or decide with `kitestring allow-spending`",
    "file": "stop the service and look for the file before you start it again",
    "twin": "end one of the two, then run `kitestring allow-spending`",
}


async def examine(config: Config, home: DataDir) -> list[Finding]:
    """All checks, in the order in which one would mend things."""
    checks = [*directory(home)]
    if not home.path.is_dir():
        return checks
    checks += [disk(home.path), sqlite_version()]
    facts = service(home)
    if isinstance(facts, Finding):
        checks += [*await ledger(config, home), facts, *await node_in_settings(config, home)]
        relays = config.relays  # the embedded one stands and falls with the service
    else:
        checks += [Finding("service", OK, "running, and it answers"), *judge(facts)]
        relays = tuple(facts["relays"])  # what it was started with may be more than what is in the settings file
    for url in relays:
        checks += await relay(url, config)
    return checks


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
        await run_offline(config, "account_list", {})
    except KitestringError as error:
        return (Finding("ledger", FAIL, error.message),)
    return (Finding("ledger", OK, "can be read; `kitestring audit` proves it"), *marker(home))


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
        able = f"{Msat(node['spendable_msat'])} to spend, room for {Msat(node['receivable_msat'])}"
        yield Finding("node", OK, f"{node['alias'] or 'unnamed'} on {node['network']}, {able}")
    else:
        yield Finding("node", FAIL, f"not reachable: {node['why']}; is it running, and is its address right?")
    for found in facts["findings"]:
        yield Finding(found["name"], FindingState(found["state"]), found["message"])
    for stop in facts["spending_stopped"]:
        yield Finding(_STOPPED[stop["cause"]], FAIL, f"spending is stopped: {stop['why']}; {_MEND[stop['cause']]}")
    for alarm in facts["alarms"]:
        at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(alarm["at"]))
        yield Finding("alarm", WARN, f"{at}: {alarm['sentence']}")
    for payment_hash in facts["unknown_payments"]:
        yield Finding("payment", WARN, f"{payment_hash} has no known end; see `kitestring resolve --help`")
    for name in facts["overdrawn_accounts"]:
        if name == OWNER_ACCOUNT:
            mend = "the mark goes with the next payment that the node's balance covers"
        else:
            mend = f"fund it with `kitestring account fund {name}`"
        yield Finding("account", WARN, f"{name} is overdrawn: {mend}")


async def node_in_settings(config: Config, home: DataDir) -> tuple[Finding, ...]:
    """Judge the node in the settings while no service runs, without connecting to it."""
    try:
        node = open_backend(
            config.node_url,
            clock=SystemClock(),
            entropy=os.urandom,
            data_dir=home.path,
            environment=config.environment,
        )
    except KitestringError as error:
        return (Finding("node", WARN, f"the one in the settings cannot be looked at from here: {error.message}"),)
    return await how_it_is(node)


async def relay(url: str, config: Config) -> list[Finding]:
    """Whether a relay answers, and what it thinks the time is."""
    import aiohttp  # noqa: PLC0415 - only the doctor dials from here

    proxy = config.proxies.for_url(url)
    if proxy is not None and is_socks(proxy):
        return [Finding("relay", INFO, f"{url} is behind a SOCKS proxy and was not asked")]
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=RELAY_TIMEOUT_S)) as session:
            before = time.monotonic()
            async with asyncio.timeout(RELAY_TIMEOUT_S), session.ws_connect(url, proxy=proxy):
                checks = [Finding("relay", OK, f"{url} answers in {(time.monotonic() - before) * 1000:.0f} ms")]
            skew = _skew_s(await _date(session, url, proxy), time.time())
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return [Finding("relay", FAIL, f"{url} cannot be reached ({trouble(error)}): nobody can pay or ask through it")]
    if skew is not None:
        checks.append(_clock(skew, url))
    return checks


async def _date(session: aiohttp.ClientSession, url: str, proxy: str | None) -> str:
    """The relay's time, from the page about itself (NIP-11); "" from relays without one."""
    import aiohttp  # noqa: PLC0415 - as above

    headers = {"Accept": "application/nostr+json"}
    try:
        async with session.get("http" + url[2:], headers=headers, proxy=proxy, allow_redirects=False) as answer:
            return answer.headers.get("Date", "")
    except (aiohttp.ClientError, OSError, TimeoutError):
        return ""


def _clock(skew_s: int, url: str) -> Finding:
    if abs(skew_s) <= MAX_SKEW_S // 2:
        return Finding("clock", OK, f"agrees with {url} to {max(abs(skew_s), 1)} s")
    state = FAIL if abs(skew_s) > MAX_SKEW_S else WARN
    where = "ahead of" if skew_s > 0 else "behind"
    return Finding("clock", state, f"this clock is {abs(skew_s)} s {where} {url}: set it, peers refuse {MAX_SKEW_S} s")


def _skew_s(date: str, now: float) -> int | None:
    """Seconds by which this clock is ahead; HTTP dates have whole seconds."""
    try:
        return int(now - email.utils.parsedate_to_datetime(date).timestamp())
    except (ValueError, TypeError):
        return None
