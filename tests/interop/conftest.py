"""One independent relay and three services for all tests of this directory: `shop` before lnd A, `far` before lnd C,
`stall` on a sandbox."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import nostr_sdk
import pytest

from tests.conftest import NodeJs, need
from tests.kit.interop.asked import Asked, asking
from tests.kit.interop.program import Kitestring, Witness, witnessing
from tests.rig import relays
from tests.rig.network import LightningRig
from tests.rig.process import stop_all

# One socket carries all events of a service; nostr-sdk's own limit, 60 a minute, is for one person.
_RATE = nostr_sdk.RateLimit(max_reqs=1_000, notes_per_minute=100_000)


async def _run(relay: nostr_sdk.LocalRelay) -> str:
    await relay.run()
    return str(await relay.url())


@pytest.fixture(scope="session")
def foreign_relay() -> Iterator[str]:
    """The URL of nostr-sdk's relay."""
    relay = nostr_sdk.LocalRelayBuilder().rate_limit(_RATE).build()
    yield asyncio.run(_run(relay))
    relay.shutdown()


@pytest.fixture(scope="session")
def foreign_relays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, relays.Running]]:
    """Every relay of the rig whose part is there, as a process of its own, by its name."""
    running: dict[str, relays.Running] = {}
    try:
        for name in relays.available():
            running[name] = relays.start(name, tmp_path_factory.mktemp(name))
        yield running
    finally:
        stop_all([one.process for one in running.values()])


@pytest.fixture(scope="session", params=list(relays.RELAYS))
def foreign(request: pytest.FixtureRequest, foreign_relays: dict[str, relays.Running]) -> Iterator[relays.Running]:
    """Each relay of the rig in turn. Whatever is done to it, it goes on."""
    need(*filter(None, [relays.RELAYS[request.param].part]))
    relay = foreign_relays[request.param]
    yield relay
    assert relay.process.is_running(), relay.process.last_lines()


def _serve_what_apps_of_before_ask_for(service: Kitestring) -> None:
    service.home.mkdir(mode=0o700, parents=True)
    (service.home / "kitestring.toml").write_text("[nwc]\nlegacy_methods = true\nconnection_requests = true\n")


@pytest.fixture(scope="session")
def services(
    rig: LightningRig, foreign_relay: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Kitestring]]:
    rooms = tmp_path_factory.mktemp("services")
    pair = [
        Kitestring(rooms / name, "--node", node.backend_url, "--relay", foreign_relay)
        for name, node in (("shop", rig.a), ("far", rig.c))
    ]
    _serve_what_apps_of_before_ask_for(pair[0])
    try:
        for service in pair:
            service.start()
        yield pair
        assert [service.ask("audit", "--node")["violations"] for service in pair] == [[], []]
    finally:
        codes = [service.stop() for service in pair if service.card]
    assert codes == [0, 0]


@pytest.fixture
def shop(services: list[Kitestring]) -> Iterator[Kitestring]:
    """A service in front of lnd A. Whatever a test does with it, it goes on, and listens on no TCP port."""
    service = services[0]
    assert service.listening() == []
    yield service
    assert service.process.is_running(), service.process.last_lines()
    assert service.listening() == []


@pytest.fixture
def far(services: list[Kitestring]) -> Kitestring:
    """A service in front of lnd C, two hops away: somebody else's."""
    return services[1]


@pytest.fixture(scope="session")
def stall(foreign_relay: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kitestring]:
    """A service on a sandbox, with the same relay between. It serves what apps of before ask for, too."""
    service = Kitestring(tmp_path_factory.mktemp("stall") / "stall", "--node", "sandbox://", "--relay", foreign_relay)
    _serve_what_apps_of_before_ask_for(service)
    service.start()
    try:
        yield service
        assert service.ask("audit", "--node")["violations"] == []
    finally:
        code = service.stop()
    assert code == 0


@pytest.fixture
async def witness(foreign_relay: str) -> AsyncIterator[Witness]:
    """Sees everything on the relay from before the test on."""
    async with witnessing(foreign_relay) as one:
        yield one


@pytest.fixture
def scripts() -> Path:
    """Where our scripts for node are."""
    return Path(__file__).parent / "scripts"


ForeignWallet = Callable[[str, str], AbstractAsyncContextManager[Asked]]


@pytest.fixture
def foreign_wallet(node_js: NodeJs, scripts: Path) -> ForeignWallet:
    """`foreign_wallet(client, uri)`: a client of `scripts/wallets.mjs` on a connection, as a process of its own."""
    return lambda client, uri: asking(node_js.command(scripts / "wallets.mjs"), client, uri)
