"""What every test can ask for: child processes, free ports, and the real parts behind the marker `real`.

A test marked `real` is skipped on a machine without its part, in one line that says how to get it. With `CI=true` the
part's absence is a failure, and so is any other skip: what is not run there is run nowhere.
"""

import gc
import logging
import os
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from kitestring.app.home.datadir import DataDir
from tests.kit.app.answers import hold_command_line, hold_owners_commands
from tests.kit.app.desk import Office, open_office
from tests.kit.engine.rig import Life
from tests.kit.ledger.place import ledger_path
from tests.rig import parts
from tests.rig.network import LightningRig
from tests.rig.process import Process, free_port, spawn, stop_all

_FIXTURES_OF_PARTS = {"rig", "node_js", "foreign"}
_NOT_BUILT = "not built here: "
#: Rooms that come last, in this order.
_LAST = {"sim": 1, "prove": 2, "docs": 3, "interop": 4, "acceptance": 5, "rig": 6}
#: Where a test may be expected to fail: it plays a finding that is not mended yet.
_FINDINGS = "tests/sim/findings/"
#: What asyncio logs when a result that nobody has looked at is thrown away.
_FORGOTTEN = ("was never retrieved", "was never awaited", "was destroyed but it is pending")


def pytest_configure() -> None:
    """Let Ctrl-C be one again: a shell starts what runs in its background deaf to it, and some tests press it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def in_ci() -> bool:
    """Whether every test has to run."""
    return os.environ.get("CI") == "true"


@dataclass(frozen=True, slots=True)
class NodeJs:
    """Node.js with clink-sdk and nostr-tools at hand."""

    node: Path
    room: Path

    def command(self, script: Path, *arguments: str) -> list[str]:
        """How to run a script that imports the clients; it is copied to where an `import` finds them."""
        copy = self.room / script.name
        shutil.copyfile(script, copy)
        return [str(self.node), str(copy), *arguments]


@pytest.fixture(scope="session")
def rig() -> Iterator[LightningRig]:
    """The Lightning network A - B - C, one for the whole run; its nodes are used from any event loop."""
    need("lnd")
    network = LightningRig()
    network.start()
    try:
        yield network
    finally:
        network.stop()


@pytest.fixture(scope="session")
def node_js(tmp_path_factory: pytest.TempPathFactory) -> NodeJs:
    """Node.js and the foreign clients written for it."""
    need("node", "clients")
    node, modules = parts.find_node(), parts.find_clients()
    assert node is not None
    assert modules is not None
    room = tmp_path_factory.mktemp("node")
    (room / "node_modules").symlink_to(modules)
    return NodeJs(node.node, room)


@pytest.fixture
def spawner(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """`spawner(name, command, environment=None)`: a child process that ends with the test; its log is in `tmp_path`."""
    children: list[Process] = []

    def start(name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Process:
        children.append(spawn(name, command, tmp_path, environment))
        return children[-1]

    yield start
    stop_all(children)


@pytest.fixture
def ledger() -> Iterator[Path]:
    """The path of a ledger of this test's own, which is not there yet."""
    with ledger_path() as path:
        yield path


@pytest.fixture
def life(ledger: Path) -> Iterator[Life]:
    """What lasts over restarts of a service; its ledger is audited at the end, if there is one."""
    life = Life(ledger)
    yield life
    if ledger.exists():
        life.audit()


@pytest.fixture
def home(tmp_path: Path) -> DataDir:
    """A data directory, with a runtime directory beside it."""
    found = DataDir(tmp_path, tmp_path / "run")
    found.create()
    return found


@pytest.fixture
async def office(life: Life) -> AsyncIterator[Office]:
    """The owner's commands on a running service without wires."""
    async with open_office(life) as found:
        yield found


@pytest.fixture
def port() -> int:
    """A free TCP port on 127.0.0.1; `tests.rig.process.free_port` gives more."""
    return free_port()


class _Forgotten(logging.Handler):
    """Keeps what asyncio says about tasks and coroutines that were forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, Exception):
            return  # a kill, which a test has played: nobody is left who could look at it
        if any(words in record.getMessage() for words in _FORGOTTEN):
            self.said.append(record.getMessage())


@pytest.fixture(autouse=True)
def nothing_forgotten() -> Iterator[None]:
    """Fails a test that lets a task's error or a coroutine fall unseen; with PYTHONASYNCIODEBUG=1 it looks for them."""
    handler, logger = _Forgotten(), logging.getLogger("asyncio")
    logger.addHandler(handler)
    yield
    if os.environ.get("PYTHONASYNCIODEBUG"):
        gc.collect()
    logger.removeHandler(handler)
    assert handler.said == []


@pytest.fixture(autouse=True, scope="session")
def contract() -> Iterator[None]:
    """Fails a test in which a command answers something else than its result type says."""
    with pytest.MonkeyPatch.context() as patch:
        hold_owners_commands(patch)
        hold_command_line(patch)
        yield


def need(*names: str) -> None:
    """Skip what asks for a real part that is not there; with CI=true that is a failure."""
    if absent := [name for name in names if name in parts.missing()]:
        reason = f"{_NOT_BUILT}{', '.join(absent)}; {parts.HOW_TO_GET}"
        pytest.fail(reason) if in_ci() else pytest.skip(reason)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that asks for a real part carries the marker, so that `-m 'not real'` leaves out exactly those.

    Rooms whose single tests take long come last: what is broken shows at once, and nobody looks at 0 % for a minute.
    """
    for item in items:
        if _FIXTURES_OF_PARTS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real)
    items.sort(key=lambda item: _LAST.get(item.nodeid.split("/")[1] if "/" in item.nodeid else "", 0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell in one line what was skipped for want of real parts, and each other reason once."""
    absent: set[str] = set()
    others: Counter[str] = Counter()
    skipped = terminalreporter.getreports("skipped")
    for report in skipped:
        reason = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
        if reason.startswith(_NOT_BUILT):
            absent |= set(reason.removeprefix(_NOT_BUILT).partition(";")[0].split(", "))
        else:
            others[reason] += 1
    if absent:
        count = len(skipped) - others.total()
        terminalreporter.write_line(f"{count} skipped: {_NOT_BUILT}{', '.join(sorted(absent))}; {parts.HOW_TO_GET}")
    for reason, count in others.items():
        terminalreporter.write_line(f"{count} skipped: {reason}")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true a skipped test is a failed one."""
    return _without_skips((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """With CI=true a skipped file is a failed one."""
    return _without_skips((yield))


_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)


def _without_skips(report: _Report) -> _Report:
    known = hasattr(report, "wasxfail") and report.nodeid.startswith(_FINDINGS)
    if report.skipped and in_ci() and not known:
        report.outcome = "failed"
        vars(report).pop("wasxfail", None)
        report.longrepr = f"{report.nodeid} was skipped, and with CI=true nothing is: {report.longrepr}"
    return report
