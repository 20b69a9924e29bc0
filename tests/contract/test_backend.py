"""One suite for every backend: each check against the sandbox, a real lnd, and wallets over Nostr Wallet Connect and
CLINK."""

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from kitestring.backend.sandbox.node import SandboxFaultError, SandboxNode
from kitestring.base.money import Msat
from kitestring.base.node import PayOrder
from kitestring.base.payments import Failed, PayAnswer
from tests.kit.backend.alby import alby_side
from tests.kit.backend.clink import LACKS as CLINK_LACKS
from tests.kit.backend.clink import clink_side
from tests.kit.backend.sides import SandboxSide, Side, lnd_side, sandbox_side
from tests.kit.backend.wallet import ALBY_LACKS, LACKS, wallet_side
from tests.kit.interop.program import Kitestring

from .backend_checks import CHECKS, check_a_spoiled_answer_is_never_a_failure

#: Kind of backend → checks that cannot hold for it, and why.
KINDS: Mapping[str, Mapping[str, str]] = {
    "sandbox": {},
    "lnd": {},
    "wallet": LACKS,
    "alby": ALBY_LACKS,
    "clink": CLINK_LACKS,
}
_REAL = {"lnd", "alby"}
#: What a key without a grant may take of the wallet of ``clink``.
BUDGET = "100000000/day"
_SERVICE = Path(__file__).parents[1] / "interop" / "scripts" / "service.mjs"
_PAIRS = [
    pytest.param(kind, check, marks=[pytest.mark.real] if kind in _REAL else [])
    for kind, lacks in KINDS.items()
    for check in CHECKS
    if check not in lacks
]


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kitestring]:
    """A service on a sandbox, as the wallet of another one."""
    service = Kitestring(tmp_path_factory.mktemp("upstream") / "home", "--node", "sandbox://?latency_ms=5")
    service.start()
    try:
        yield service
        assert service.ask("audit", "--node")["violations"] == []
    finally:
        code = service.stop()
    assert code == 0


@pytest.fixture(scope="session")
def codes(upstream: Kitestring) -> tuple[str, str]:
    """An offer and a debit pointer of it, for whoever asks: each backend has a key of its own."""
    pointer = upstream.ask("debit", "pointer", "create", "everybody", "--policy", "budget", "--budget", BUDGET)
    return upstream.offer("everybody"), pointer["ndebit"]


@pytest.fixture
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Side]:
    if request.param == "wallet":
        upstream = request.getfixturevalue("upstream")
        link = upstream.connect(tmp_path.name)
        async with wallet_side(link, upstream.home / "sandbox.db", tmp_path) as wallet:
            yield wallet
    elif request.param == "clink":
        upstream = request.getfixturevalue("upstream")
        codes = request.getfixturevalue("codes")
        held = Msat(upstream.ask("balance")["balance_msat"])
        async with clink_side(codes, held, upstream.home / "sandbox.db", tmp_path) as clink:
            yield clink
    elif request.param == "alby":
        node_js = request.getfixturevalue("node_js")
        async with alby_side(tmp_path, node_js.command(_SERVICE)) as alby:
            yield alby
            assert alby.world.books().balanced
    elif request.param == "sandbox":
        async with sandbox_side(tmp_path) as sandbox:
            yield sandbox
            assert sandbox.world.books().balanced
    else:
        async with lnd_side(request.getfixturevalue("rig"), tmp_path) as lnd:
            yield lnd


@pytest.mark.parametrize(("side", "check"), _PAIRS, indirect=["side"])
async def test_backend(side: Side, check: str) -> None:
    await CHECKS[check](side)


def _abilities(kind: str) -> set[str]:
    return {"alby": {"keysend"}, "clink": set[str]()}.get(kind, {"keysend", "hold"})


@pytest.mark.parametrize(
    ("side", "abilities"),
    [pytest.param(kind, _abilities(kind), marks=[pytest.mark.real] * (kind in _REAL)) for kind in KINDS],
    indirect=["side"],
)
async def test_what_a_backend_declares_is_what_its_checks_are_about(side: Side, abilities: set[str]) -> None:
    """A check of what is not declared passes without a question."""
    assert side.backend.capabilities.names & {"keysend", "hold"} == abilities


def test_what_is_left_out_is_a_check() -> None:
    assert {check for lacks in KINDS.values() for check in lacks} <= set(CHECKS)


class _SaysFailedOnAReadError(SandboxNode):
    async def pay(self, order: PayOrder) -> PayAnswer:
        try:
            return await super().pay(order)
        except SandboxFaultError as error:
            return Failed(str(error))


async def test_a_backend_that_says_failed_on_a_read_error_does_not_pass(tmp_path: Path) -> None:
    async with sandbox_side(tmp_path) as sound:
        assert isinstance(sound.backend, SandboxNode)
        sound.backend.__class__ = _SaysFailedOnAReadError
        with pytest.raises(AssertionError, match="lost: Failed"):
            await check_a_spoiled_answer_is_never_a_failure(SandboxSide(sound.backend, sound.world, sound.directory))
