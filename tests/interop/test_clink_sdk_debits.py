"""clink-sdk asks for debits, in two generations, of a service before lnd A; what it takes goes to lnd C.

The relay is a process of its own (`kitestring relay`), as it is where strangers ask: they do not come back to one that
has gone away with its service.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from kitestring.codec import bolt11
from kitestring.codec.pointers import Ndebit, decode
from tests.conftest import NodeJs
from tests.kit.interop.line import line_to
from tests.kit.interop.program import PROGRAM, Json, Kitestring, Script, Witness, eventually, running, tag, witnessing
from tests.rig.network import LightningRig
from tests.rig.process import Process, free_port, spawn, wait_until

#: How long clink-sdk waits for an answer; the owner of these tests decides within seconds.
TIMEOUT_S = 60
DENIED = {"res": "GFY", "code": 1, "error": "Request Denied: this is not permitted"}
WEEKLY = {"number": 1, "unit": "week"}


@dataclass(frozen=True, slots=True)
class Generation:
    """A version of clink-sdk: what it is imported as, and what of it asks for a debit."""

    sdk: str
    calls: str


#: 1.5.4 subscribes to the answer before it asks. 1.1.7 asks first, and its class forgets to return the promise. It is
#: the oldest that can be served: 1.0.4 does not name its version of the protocol, which is an invalid request.
GENERATIONS = {
    "1.5.4": Generation("@shocknet/clink-sdk", "Ndebit"),
    "1.1.7": Generation("clink-sdk-old", "SendNdebitRequest"),
}


@dataclass(slots=True)
class Stranger:
    """clink-sdk, unmodified, in a script of ours, with a key of its own."""

    command: list[str]
    generation: Generation
    secret: str = field(default_factory=lambda: secrets.token_hex(32))

    @asynccontextmanager
    async def asking(self, ndebit: str, *requests: Json) -> AsyncIterator[Script]:
        """It has asked for the first of them, and will ask for each of the others when it has its answer."""
        given = {
            "sdk": self.generation.sdk, "calls": self.generation.calls, "secret": self.secret,
            "ndebit": ndebit, "requests": requests, "timeout_s": TIMEOUT_S,
        }  # fmt: skip
        async with running(self.command, given) as script:
            assert (await script.line())["pointer"]["type"] == "ndebit"
            yield script

    async def ask(self, ndebit: str, *requests: Json) -> list[Json]:
        """The answers to requests that nobody is asked about."""
        async with self.asking(ndebit, *requests) as script:
            replies = [await _reply(script) for _ in requests]
            await script.end()
        return replies


async def _reply(script: Script) -> Json:
    assert "asked" in await script.line()
    said = await script.line()
    assert "reply" in said, said
    reply: Json = said["reply"]
    return reply


def _start_relay(room: Path, port: int) -> Process:
    room.mkdir(exist_ok=True)
    options = ["--port", str(port), "--memory", "--data-dir", str(room / "relay"), "--json"]
    process = spawn("relay", [*PROGRAM, "relay", *options], room)
    wait_until(lambda: '{"relay"' in process.last_lines(1), "the relay is up", process)
    return process


@contextmanager
def _serving(home: Path, node: str, relay: str) -> Iterator[Kitestring]:
    """A service for a while. Whatever becomes of it, its books are right at the end."""
    home.mkdir(parents=True)
    (home / "kitestring.toml").write_text(f'relays = ["{relay}"]\n')  # so that commands know it as one of their own
    service = Kitestring(home, "--node", node)
    service.start()
    try:
        yield service
        assert service.ask("audit", "--node")["violations"] == []
    finally:
        stopped = service.stop()
    assert stopped == 0


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of our relay, alone in a process."""
    port = free_port()
    process = _start_relay(tmp_path_factory.mktemp("relay"), port)
    yield f"ws://127.0.0.1:{port}"
    assert process.stop() == 0


@pytest.fixture(scope="module")
def till(rig: LightningRig, relay: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kitestring]:
    """The service that is asked for money, before lnd A."""
    with _serving(tmp_path_factory.mktemp("till") / "till", rig.a.backend_url, relay) as service:
        yield service


@pytest.fixture(scope="module")
def other(rig: LightningRig, relay: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kitestring]:
    """Somebody else's kitestring, before lnd C."""
    with _serving(tmp_path_factory.mktemp("other") / "other", rig.c.backend_url, relay) as service:
        yield service


@pytest.fixture
async def seen(relay: str) -> AsyncIterator[Witness]:
    """Sees everything on our relay from before the test on."""
    async with witnessing(relay) as one:
        yield one


@pytest.fixture(params=list(GENERATIONS))
def generation(request: pytest.FixtureRequest) -> Generation:
    return GENERATIONS[request.param]


@pytest.fixture
def stranger(generation: Generation, node_js: NodeJs, scripts: Path) -> Stranger:
    return Stranger(node_js.command(scripts / "debits.mjs"), generation)


_number = count(1)


@dataclass(frozen=True, slots=True)
class Pointer:
    label: str
    ndebit: str


@pytest.fixture
def pointer(till: Kitestring) -> Pointer:
    """A debit pointer of this test's own, at which the owner is asked."""
    label = f"pointer {next(_number)}"
    return Pointer(label, till.ask("debit", "pointer", "create", label)["ndebit"])


async def _question(till: Kitestring, kind: str = "payment") -> Json:
    """The one question that waits, as soon as it is there."""
    found: list[Json] = []

    async def asked() -> bool:
        found[:] = (await till.ask_apart("approvals"))["approvals"]
        return bool(found)

    await eventually(asked, "somebody asks")
    (question,) = found
    assert question["kind"] == kind
    return question


async def _bill(rig: LightningRig, sats: int) -> Json:
    return {"bolt11": (await rig.c.invoice(sats * 1_000)).bolt11}


def _proves(reply: Json, bill: Json) -> bool:
    """Whether the answer is the preimage of the invoice and nothing else."""
    assert set(reply) == {"res", "preimage"}, reply
    found = hashlib.sha256(bytes.fromhex(reply["preimage"])).hexdigest()
    return bool(reply["res"] == "ok" and found == bolt11.decode(bill["bolt11"]).payment_hash)


# ---------------------------------------------------------------- one payment


async def test_a_payment_that_the_owner_approves_is_answered_with_the_preimage_of_the_invoice(
    till: Kitestring, rig: LightningRig, stranger: Stranger, pointer: Pointer, seen: Witness
) -> None:
    bill = await _bill(rig, 2_100)
    async with stranger.asking(pointer.ndebit, bill) as script:
        question = await _question(till)
        assert (question["amount_msat"], question["dealings"]["payments"]) == (2_100_000, 0)
        done = await till.ask_apart("approve", question["id"])
        assert (done["outcome"], done["amount_msat"], done["grant"]) == ("paid", 2_100_000, None)
        reply = await _reply(script)
        await script.end()
    assert _proves(reply, bill)
    request = await seen.one(21002, to=till.card["service_pubkey"])
    (answer,) = seen.of(21002, answers=request["id"])
    assert answer["tags"] == [["p", request["pubkey"]], ["e", request["id"]], ["clink_version", "1"]]
    assert tag(request, "clink_version") == "1"


async def test_who_is_denied_is_told_code_1_and_nothing_is_paid(
    till: Kitestring, rig: LightningRig, stranger: Stranger, pointer: Pointer
) -> None:
    bill = await _bill(rig, 2_100)
    async with stranger.asking(pointer.ndebit, bill) as script:
        await till.ask_apart("deny", (await _question(till))["id"])
        assert await _reply(script) == DENIED
        await script.end()
    assert till.rows("SELECT 1 FROM payments WHERE bolt11 = ?", bill["bolt11"]) == []


async def test_a_pointer_that_is_closed_denies_payments_budgets_and_everything_without_asking(
    till: Kitestring, rig: LightningRig, stranger: Stranger, pointer: Pointer
) -> None:
    till.ask("debit", "pointer", "policy", pointer.label, "deny")
    wanted: tuple[Json, ...] = (
        await _bill(rig, 1_000),
        {"amount_sats": 5_000, "frequency": {"number": 1, "unit": "month"}},
        {},
    )
    assert await stranger.ask(pointer.ndebit, *wanted) == [DENIED] * 3
    assert till.ask("approvals")["approvals"] == []


async def test_what_is_no_invoice_is_refused_with_code_6(
    till: Kitestring, stranger: Stranger, pointer: Pointer
) -> None:
    (reply,) = await stranger.ask(pointer.ndebit, {"bolt11": "lnbcrt1nonsense"})
    assert (reply["res"], reply["code"]) == ("GFY", 6)
    assert till.ask("approvals")["approvals"] == []


async def test_the_same_event_again_is_given_the_answer_of_the_first_and_pays_nothing(
    rig: LightningRig, stranger: Stranger, tmp_path: Path
) -> None:
    """Over a relay that has forgotten both of them."""
    port = free_port()
    relay = _start_relay(tmp_path, port)
    try:
        with _serving(tmp_path / "till", rig.a.backend_url, f"ws://127.0.0.1:{port}") as till:
            bill = await _bill(rig, 1_000)
            async with witnessing(till.card["relay"]) as seen, stranger.asking(till.card["ndebit"], bill) as script:
                await till.ask_apart("approve", (await _question(till))["id"])
                assert _proves(await _reply(script), bill)
                request = await seen.one(21002, to=till.card["service_pubkey"])
                first = await seen.one(21002, answers=request["id"])
            paid = await rig.a.payments()
            assert relay.stop() == 0
            relay = _start_relay(tmp_path / "again", port)
            async with line_to(till.card["relay"]) as line:
                await line.ask("answers", {"kinds": [21002], "#e": [request["id"]]})
                assert line.heard("answers") == []
                await line.say("EVENT", request)
                assert await line.until(lambda: bool(line.heard("answers")), limit_s=TIMEOUT_S)
            assert line.heard("answers") == [first["id"]]
            assert await rig.a.payments() == paid
    finally:
        assert relay.stop() == 0


# ---------------------------------------------------------------- budgets


async def _allow(till: Kitestring, rig: LightningRig, stranger: Stranger, pointer: Pointer, budget: str) -> int:
    """The owner gives it a budget with its first payment, of 2,100 sat; returns what is left, in msat."""
    bill = await _bill(rig, 2_100)
    async with stranger.asking(pointer.ndebit, bill) as script:
        done = await till.ask_apart("approve", (await _question(till))["id"], "--budget", budget)
        assert _proves(await _reply(script), bill)
    (given,) = done["grant"]["budgets"]
    assert given["left_msat"] == given["limit_msat"] - done["amount_msat"] - done["fee_msat"]
    return int(given["left_msat"])


def _grant(till: Kitestring, pointer: Pointer) -> Json:
    (grant,) = till.ask("debit", "grants", "--pointer", pointer.label)["grants"]
    found: Json = grant
    return found


async def test_a_budget_is_taken_without_asking_until_exactly_its_end(
    till: Kitestring, rig: LightningRig, stranger: Stranger, pointer: Pointer
) -> None:
    await _allow(till, rig, stranger, pointer, "5000/week")
    within = await _bill(rig, 1_000)
    paid, over = await stranger.ask(pointer.ndebit, within, await _bill(rig, 2_000))
    assert _proves(paid, within)
    (budget,) = _grant(till, pointer)["budgets"]
    left_sats = budget["left_msat"] // 1_000
    assert (over["res"], over["code"], over["range"]) == ("GFY", 5, {"min": 1, "max": left_sats})
    rest = {"bolt11": (await rig.b.invoice(left_sats * 1_000)).bolt11}  # a neighbour of A, whom it costs no fee to pay
    all_of_it, one_more = await stranger.ask(pointer.ndebit, rest, await _bill(rig, 1))
    assert _proves(all_of_it, rest)
    assert (one_more["code"], one_more.get("range")) == (5, None)
    (budget,) = _grant(till, pointer)["budgets"]
    assert budget["left_msat"] < 1_000
    assert till.ask("approvals")["approvals"] == []


async def test_a_budget_that_was_asked_for_and_granted_is_taken_without_asking(
    till: Kitestring, rig: LightningRig, stranger: Stranger, pointer: Pointer
) -> None:
    async with stranger.asking(pointer.ndebit, {"amount_sats": 3_000, "frequency": WEEKLY}) as script:
        question = await _question(till, "budget")
        asked = {"limit_msat": 3_000_000, "period": "rolling", "length_s": 604_800}
        assert question["budget"] == {**asked, "currency": None, "limit_minor": None}
        assert (await till.ask_apart("approve", question["id"]))["outcome"] == "granted"
        assert await _reply(script) == {"res": "ok"}
    bill = await _bill(rig, 2_000)
    (reply,) = await stranger.ask(pointer.ndebit, bill)
    assert _proves(reply, bill)


async def test_a_larger_budget_is_asked_about_while_the_old_one_goes_on(
    till: Kitestring, rig: LightningRig, stranger: Stranger, pointer: Pointer
) -> None:
    await _allow(till, rig, stranger, pointer, "5000/week")
    async with stranger.asking(pointer.ndebit, {"amount_sats": 20_000, "frequency": WEEKLY}) as script:
        question = await _question(till, "budget")
        assert [one["limit_msat"] for one in question["grant"]["budgets"]] == [5_000_000]
        bill = await _bill(rig, 1_000)
        (paid,) = await stranger.ask(pointer.ndebit, bill)
        assert _proves(paid, bill)
        assert [one["id"] for one in till.ask("approvals")["approvals"]] == [question["id"]]
        await till.ask_apart("approve", question["id"])
        assert await _reply(script) == {"res": "ok"}
    assert [one["limit_msat"] for one in _grant(till, pointer)["budgets"]] == [20_000_000]


# ---------------------------------------------------------------- sessions


async def test_a_session_pays_whoever_shows_it_once_and_a_second_use_is_code_6(
    till: Kitestring, rig: LightningRig, stranger: Stranger, pointer: Pointer
) -> None:
    till.ask("debit", "pointer", "policy", pointer.label, "--sessions", "minted")
    ndebit = till.ask("debit", "session", pointer.label, "1500")["ndebit"]
    shown = decode(ndebit)
    assert isinstance(shown, Ndebit)
    first, second = [{**await _bill(rig, 1_500), "k1": shown.k1} for _ in range(2)]
    paid, again = await stranger.ask(ndebit, first, second)  # the SDK finds key, relay and pointer; k1 it passes on
    assert _proves(paid, first)
    assert (again["res"], again["code"]) == ("GFY", 6)
    assert till.rows("SELECT 1 FROM payments WHERE bolt11 = ?", second["bolt11"]) == []


# ---------------------------------------------------------------- death


async def test_a_question_outlives_the_service_and_its_end_reaches_whoever_has_waited(
    till: Kitestring, rig: LightningRig, stranger: Stranger, pointer: Pointer
) -> None:
    bill = await _bill(rig, 2_500)
    async with stranger.asking(pointer.ndebit, bill) as script:
        question = await _question(till)
        till.kill()
        assert (await _question(till))["id"] == question["id"]  # read without a service
        till.start()
        assert (await _question(till))["id"] == question["id"]
        await till.ask_apart("approve", question["id"])
        assert _proves(await _reply(script), bill)


async def test_who_has_not_waited_asks_again_for_the_same_invoice_and_it_is_paid_once(
    till: Kitestring, rig: LightningRig, stranger: Stranger, pointer: Pointer
) -> None:
    bill = await _bill(rig, 2_500)
    async with stranger.asking(pointer.ndebit, bill):
        question = await _question(till)
        till.kill()
    till.start()
    async with stranger.asking(pointer.ndebit, bill) as script:
        assert "asked" in await script.line()
        assert (await _question(till))["id"] == question["id"]
        await till.ask_apart("approve", question["id"])
        said = await script.line()
    assert _proves(said["reply"], bill)
    assert len(till.rows("SELECT 1 FROM payments WHERE bolt11 = ?", bill["bolt11"])) == 1


# ---------------------------------------------------------------- our own requestor


async def test_kitestring_asks_kitestring_for_a_payment_and_for_a_budget(
    till: Kitestring, other: Kitestring, rig: LightningRig, pointer: Pointer
) -> None:
    asking = asyncio.create_task(other.ask_apart("debit", "request", pointer.ndebit, "1500", "--description", "tea"))
    question = await _question(till)
    assert (question["amount_msat"], question["description"]) == (1_500_000, "tea")
    await till.ask_apart("approve", question["id"])
    paid = await asking
    assert paid["payment_hash"] == question["payment_hash"]
    assert hashlib.sha256(bytes.fromhex(paid["preimage"])).hexdigest() == paid["payment_hash"]
    asking = asyncio.create_task(other.ask_apart("debit", "budget", pointer.ndebit, "3000/week"))
    await till.ask_apart("approve", (await _question(till, "budget"))["id"])
    assert await asking == {"amount_msat": 3_000_000, "every": "week", "number": 1}
    paid = await other.ask_apart("debit", "request", pointer.ndebit, "1000")
    assert paid["amount_msat"] == 1_000_000
    assert till.ask("approvals")["approvals"] == []
    over = other.run("debit", "request", pointer.ndebit, "5000", "--json")
    (budget,) = _grant(till, pointer)["budgets"]
    left_sats = budget["left_msat"] // 1_000
    assert (over.code, over.json["error"]["details"]["range"]) == (2, {"min": 1, "max": left_sats})
