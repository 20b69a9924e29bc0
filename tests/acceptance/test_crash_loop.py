"""The service is killed a hundred times with payments under way: no msat is lost or doubled, no answer is missing."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from kitestring.backend.sandbox.world import World
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.codec import bolt11, pointers
from kitestring.codec.pointers import Nmanage
from kitestring.ledger.audit.checks import audit
from tests.kit.app.process import FORGETFUL, GENEROUS, PATIENCE_S, Service, Wallet, newcomer, relay, requestor, wallet
from tests.kit.ledger.under_way import UNDER_WAY, under_way
from tests.kit.waiting import until

KILLS = 100
#: As many must find a payment that was claimed and not yet answered.
HITS = 90
WALLETS = 16
#: Wallets more, which ask at the very moment of the kill.
HASTY = 4
#: Every so manieth request of a wallet asks for an invoice instead of a payment.
INVOICE_EVERY = 6
#: Wallets that make hold invoices, which somebody outside or another wallet pays; they settle and cancel in turn.
HOLDERS = 2
HELD_MSAT = 30_000
#: Wallets that pay keys without invoices, and wallets that ask for several payments in one request.
SENDERS = 2
BUNDLERS = 2
PARTS = ("first", "second", "third")
SENT_MSAT = 20_000
#: Longer than it takes to see the claims and to kill, so that kills find payments under way.
LATENCY_MS = 400
#: Of the kills so many, at least, must come in the middle of each of these. A payment that is held is decided about
#: within milliseconds on a fast machine, so that none may: `tests/prove` kills at each point of it.
CUT = {
    "keysend": 50,
    "bundle": 50,
    "hold invoice": 1,
    "notification": 20,
}
NODE = f"sandbox://?balance_sat=100000000&latency_ms={LATENCY_MS}"
#: A kill comes up to this many seconds after enough claims were seen.
PAUSE_S = 0.15
#: … and this many seconds after the hasty ones have asked: some of them are claimed, some are not.
HURRY_S = 0.03
SEED = 20261121
#: Requestors of debits that the owner has given full access, and the most strangers about whom he is asked: fewer than
#: may ask in ten minutes.
TAKERS = 3
STRANGERS = 50
#: Seconds between two looks of the owner at who asks.
LOOK_S = 0.1
#: Keys that open an account of their own, one after the other, and the work of each.
NEWCOMERS = 60
WORK_BITS = 6
#: The code of a debit that was not carried out and is to be asked for anew.
ASK_ANEW = 3

ENROLLING = f'[enroll]\nmode = "open"\ndifficulty = {WORK_BITS}\naccounts_per_min = 1000\n'

#: What the feed has told the consumer that tells apps of their payments, and what it has put into the outbox.
TO_BE_TOLD = (
    "SELECT g.grant_id, CASE e.kind WHEN 'settled' THEN 'payment_sent ' WHEN 'received' THEN 'payment_received '"
    " ELSE 'hold_invoice_accepted ' END || e.subject FROM events e"
    " JOIN grants g ON g.service = e.service"
    "  AND (g.grant_id = e.grant_id OR g.shown_history = 'account' AND g.account_id = e.account_id)"
    " JOIN consumers c ON c.service = e.service AND c.name = 'notices' AND c.position >= e.event"
    " WHERE g.wire = 'nwc' AND (e.kind IN ('settled', 'accepted') OR e.kind = 'received' AND e.detail = '')"
)
TOLD = "SELECT CAST(address AS TEXT), CAST(plaintext AS TEXT) FROM outbox WHERE kind = 'notification'"

UNANSWERED = (
    "SELECT r.request_id FROM requests r JOIN payments p ON p.service = r.service AND p.payment_id = r.payment_id"
    " WHERE r.finished_at IS NULL AND NOT p.internal"
)


@dataclass
class Traffic:
    """What the wallets have asked, and which of it waits for its answer."""

    invoice: Callable[[], str]
    paid: dict[str, str] = field(default_factory=dict)  # request id → payment hash
    made: set[str] = field(default_factory=set)
    debits: dict[str, str] = field(default_factory=dict)  # request id → payment hash
    takers: list[Wallet] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)  # payment hashes of hold invoices that were settled
    given_back: list[str] = field(default_factory=list)
    taken_back: list[str] = field(default_factory=list)  # ordinary invoices, by the owner
    bought: list[str] = field(default_factory=list)  # … and those that somebody outside paid first
    inside: set[str] = field(default_factory=set)  # those of them that another wallet of the service has paid
    patient: set[str] = field(default_factory=set)  # requests whose answer waits for the decision of somebody
    sent: dict[str, str] = field(default_factory=dict)  # request id → the key that it pays
    several: dict[str, dict[str, str]] = field(
        default_factory=dict
    )  # request id → by part the payment hash, or the key
    enrolled: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # key → what it was told of its account
    offered: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # label → what the maker of it was told
    waiting: dict[str, Wallet] = field(default_factory=dict)
    open: asyncio.Event = field(default_factory=asyncio.Event)  # nobody asks anew while the service is down
    late: list[asyncio.Task[Any]] = field(default_factory=list)
    stopping: bool = False

    async def flow(self, client: Wallet) -> None:
        """One request after the other until the end of the test; each waits for its answer as long as it takes."""
        for number in itertools.count(1):
            await self.open.wait()
            if self.stopping:
                return
            request_id = await (self._ask_for_one(client) if number % INVOICE_EVERY == 0 else self.pay_one(client))
            await self.finish(client, request_id)

    async def finish(self, client: Wallet, request_id: str) -> dict[str, Any]:
        self.waiting[request_id] = client
        answer = await client.answer(request_id)
        del self.waiting[request_id]
        return answer

    async def holds(self, client: Wallet, payer: Wallet, service: Service, world: World, name: str) -> None:
        """One hold invoice after the other: made, paid from outside or by another wallet of the service, and settled or
        cancelled in turn. A hash is good once, also where a kill has kept its invoice from being stored: then another
        one is taken."""
        for number in itertools.count():
            await self.open.wait()
            if self.stopping:
                return
            preimage = sha256(f"{name} {number}".encode()).hexdigest()
            payment_hash = sha256(bytes.fromhex(preimage)).hexdigest()
            asked = await client.send("make_hold_invoice", payment_hash=payment_hash, amount=HELD_MSAT)
            made = await self.finish(client, asked)
            if made.get("error"):
                assert "payment hash already" in made["error"]["message"], made
                continue
            paying = None
            if number % 4 < 2:
                assert world.pay(made["result"]["invoice"]) == ""
            else:
                paying = asyncio.create_task(self.pay_inside(payer, made["result"]["invoice"]))
                held = "SELECT 1 FROM invoices WHERE payment_hash = ? AND state = 'accepted'"
                await _wait(partial(service.read, held, payment_hash), "a payment inside was never held")
            await self.open.wait()
            if number % 2:
                decided = await client.send("settle_hold_invoice", preimage=preimage)
            else:
                decided = await client.send("cancel_hold_invoice", payment_hash=payment_hash)
            told = await self.finish(client, decided)
            assert told.get("error") is None, told
            (self.taken if number % 2 else self.given_back).append(payment_hash)
            if paying is not None:
                paid = await paying
                assert (paid.get("error") or {}).get("code", "") == ("" if number % 2 else "PAYMENT_FAILED"), paid
                self.inside.add(payment_hash)

    async def pay_inside(self, payer: Wallet, invoice: str) -> dict[str, Any]:
        """Pay a hold invoice of the same service. No answer comes before it is decided about."""
        request_id = await payer.send("pay_invoice", invoice=invoice)
        self.patient.add(request_id)
        return await self.finish(payer, request_id)

    async def repents(self, service: Service, world: World) -> None:
        """The owner takes one invoice after the other back; every other one somebody outside pays in the same moment,
        if he is the first."""
        for number in itertools.count():
            await self.open.wait()
            if self.stopping:
                return
            made = await _insist(service, "invoice", f"sold-{number}", amount_msat=HELD_MSAT)
            assert made is not None
            is_paid = False
            taking = asyncio.create_task(_insist(service, "invoice_cancel", f"back-{number}", invoice=made["bolt11"]))
            if number % 2:
                with suppress(KitestringError):
                    world.pay(made["bolt11"])
                    is_paid = True
            assert (await taking is None) == is_paid, "taken back, and paid"
            (self.bought if is_paid else self.taken_back).append(made["payment_hash"])

    async def sends(self, client: Wallet, world: World) -> None:
        """One keysend after the other, each to a key of its own."""
        while not self.stopping:
            await self.open.wait()
            if not self.stopping:
                key = world.node()
                asked = await client.send("pay_keysend", pubkey=key, amount=SENT_MSAT)
                self.sent[asked] = key
                await self.finish(client, asked)

    async def asks_for_several(self, client: Wallet, world: World) -> None:
        """Several payments in one request, of invoices and to keys in turn."""
        for _ in itertools.count():
            await self.open.wait()
            if self.stopping:
                return
            texts = {name: self.invoice() for name in PARTS}
            bills = [{"id": name, "invoice": text} for name, text in texts.items()]
            asked = await client.send("multi_pay_invoice", invoices=bills)
            self.several[asked] = {name: bolt11.decode(text).payment_hash for name, text in texts.items()}
            await self.finish_all(client, asked)
            await self.open.wait()
            keys = {name: world.node() for name in PARTS}
            gifts = [{"id": name, "pubkey": key, "amount": SENT_MSAT} for name, key in keys.items()]
            asked = await client.send("multi_pay_keysend", keysends=gifts)
            self.several[asked] = keys
            await self.finish_all(client, asked)

    async def finish_all(self, client: Wallet, request_id: str) -> None:
        """Wait for the answer to each part."""
        self.waiting[request_id] = client
        await client.answers(request_id, list(PARTS))
        del self.waiting[request_id]

    async def pay_one(self, client: Wallet) -> str:
        invoice = self.invoice()
        request_id = await client.send("pay_invoice", invoice=invoice)
        self.paid[request_id] = bolt11.decode(invoice).payment_hash
        return request_id

    async def take(self, client: Wallet, pointer: str) -> None:
        """One debit; whether it is paid is in the answer."""
        invoice = self.invoice()
        request_id = await client.debit(invoice, pointer)
        self.debits[request_id] = bolt11.decode(invoice).payment_hash
        await self.finish(client, request_id)

    async def takes(self, client: Wallet, pointer: str) -> None:
        """One debit after the other until the end of the test."""
        self.takers.append(client)
        while not self.stopping:
            await self.open.wait()
            if not self.stopping:
                await self.take(client, pointer)

    async def strangers_ask(self, pubkey: str, relay_url: str, pointer: str) -> None:
        """One stranger after the other asks once, and waits for the owner's word."""
        for _ in range(STRANGERS):
            await self.open.wait()
            if self.stopping:
                return
            async with requestor(pubkey, relay_url) as stranger:
                self.takers.append(stranger)
                await self.take(stranger, pointer)

    async def newcomers(self, pubkey: str, relay_url: str) -> None:
        """One key after the other opens its account, asking anew as often as it takes, and then once more."""
        for _ in range(NEWCOMERS):
            if self.stopping:
                return
            async with newcomer(pubkey, relay_url) as client:
                told = self.enrolled.setdefault(client.key.public_hex, [])
                while len([one for one in told if one["res"] == "ok"]) < 2 and not self.stopping:
                    await self.open.wait()
                    request_id = await client.enroll(WORK_BITS)
                    await self.finish(client, request_id)
                    told += client.replies[request_id]
                if not self.stopping:
                    await self.makes_an_offer(client, next(one["nmanage"] for one in told if one["res"] == "ok"))

    async def makes_an_offer(self, client: Wallet, nmanage: str) -> None:
        """An offer in its own account: the request is sent again where nobody had claimed it."""
        await self.open.wait()
        found, label = pointers.decode(nmanage), f"offer {len(self.offered)}"
        assert isinstance(found, Nmanage)
        request_id = await client.manage(found.pointer or "", label)
        self.offered[label] = []
        await self.finish(client, request_id)
        self.offered[label] = client.replies[request_id]

    async def _ask_for_one(self, client: Wallet) -> str:
        request_id = await client.send("make_invoice", amount=21_000)
        self.made.add(request_id)
        return request_id


#: A service that is killed while it is asked, or starting; and a word that was heard before that.
DEAF = {Reason.UNAVAILABLE, Reason.ALREADY_USED, Reason.PAYMENT_IN_FLIGHT}


async def _say_yes(service: Service, verdict: str = "once") -> None:
    """The owner's word to all who ask. A service that is killed meanwhile has heard it or not; he looks again."""
    try:
        for asked in (await service.call("approvals"))["approvals"]:
            await service.call("approve", f"yes-{asked['id']}", id=asked["id"], verdict=verdict, wait_s=0)
    except KitestringError as failure:
        if failure.reason not in DEAF:
            raise


async def _insist(service: Service, name: str, key: str, **params: Any) -> dict[str, Any] | None:
    """The answer to a command of the owner, who tells it again while the service is away; None where it is too late."""
    while True:
        try:
            return await service.call(name, key, **params)
        except KitestringError as failure:
            if failure.reason is Reason.CONFLICT:
                return None
            if failure.reason not in DEAF | {Reason.INTERNAL}:  # it went away after it was told: nobody knows
                raise
        await asyncio.sleep(LOOK_S)


async def _decides(service: Service) -> None:
    while True:
        await _say_yes(service)
        await asyncio.sleep(LOOK_S)


async def _with_full_access(service: Service, client: Wallet, traffic: Traffic, pointer: str) -> None:
    """The first debit of a requestor, with the owner's word about all that follow."""
    taking = asyncio.create_task(traffic.take(client, pointer))
    while not taking.done():
        await _say_yes(service, "always")
        await asyncio.sleep(LOOK_S)
    await taking


async def _wait(holds: Callable[[], object], what: str) -> None:
    await until(holds, what, limit_s=PATIENCE_S, pause_s=0.01)


async def _kill_in_the_middle(service: Service, traffic: Traffic, hasty: list[Wallet], chance: random.Random) -> bool:
    """Kill while some of the wallets' payments are claimed and unanswered. Whether there was one at the very end."""
    enough = chance.randrange(1, WALLETS - 3)
    await _wait(lambda: len(service.read(UNANSWERED)) >= enough, "too little was claimed")
    await asyncio.sleep(chance.uniform(0, PAUSE_S))
    traffic.open.clear()
    for client in hasty:
        request_id = await traffic.pay_one(client)
        traffic.late.append(asyncio.create_task(traffic.finish(client, request_id)))
    await asyncio.sleep(chance.uniform(0, HURRY_S))
    await service.end(signal.SIGKILL)
    return bool(service.read(UNANSWERED))


async def _send_lost_ones_again(service: Service, traffic: Traffic) -> int:
    """What is in the ledger is answered by itself; the rest died with the old process."""
    known = {request_id for (request_id,) in service.read("SELECT request_id FROM requests")}
    lost = [(request_id, client) for request_id, client in traffic.waiting.items() if request_id not in known]
    for request_id, client in lost:
        await client.send_again(request_id)
    return len(lost)


@asynccontextmanager
async def _wallets(service: Service) -> AsyncIterator[list[Wallet]]:
    async with AsyncExitStack() as stack:
        uris = [await service.connect(f"wallet-{number}", show_history="own") for number in range(WALLETS + HASTY)]
        yield [await stack.enter_async_context(wallet(uri)) for uri in uris]


@asynccontextmanager
async def _others(service: Service, kind: str, number: int) -> AsyncIterator[list[Wallet]]:
    """Wallets that do something of their own."""
    async with AsyncExitStack() as stack:
        uris = [await service.connect(f"{kind}-{one}", show_history="own") for one in range(number)]
        yield [await stack.enter_async_context(wallet(uri)) for uri in uris]


@asynccontextmanager
async def _takers(card: dict[str, Any], relay_url: str) -> AsyncIterator[list[Wallet]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(requestor(card["service_pubkey"], relay_url)) for _ in range(TAKERS)]


@pytest.mark.timeout(600)
async def test_a_hundred_kills_lose_and_double_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(SEED)
    hits = lost = 0
    cut: Counter[str] = Counter()
    async with relay(FORGETFUL) as hub:
        service = Service(tmp_path / "home", hub.url, NODE, f"{GENEROUS}[nwc]\nlegacy_methods = true\n{ENROLLING}")
        card = await service.start()
        with World(service.home.sandbox_db) as world:
            traffic = Traffic(lambda: world.invoice(Msat(chance.randrange(1_000, 50_000))))
            pointer = (await service.call("debit_pointer_create", "till", label="till"))["pointer_id"]
            async with (
                _wallets(service) as wallets, _takers(card, hub.url) as takers,
                _others(service, "holder", HOLDERS) as holders, _others(service, "sender", SENDERS) as senders,
                _others(service, "bundler", BUNDLERS) as bundlers, _others(service, "payer", HOLDERS) as payers,
            ):  # fmt: skip
                for client in takers:
                    await _with_full_access(service, client, traffic, pointer)
                flows = [asyncio.create_task(traffic.flow(client)) for client in wallets[HASTY:]]
                flows += [asyncio.create_task(traffic.takes(client, pointer)) for client in takers]
                flows += [
                    asyncio.create_task(traffic.holds(client, payer, service, world, f"holder {number}"))
                    for number, (client, payer) in enumerate(zip(holders, payers, strict=True))
                ]
                flows += [asyncio.create_task(traffic.sends(client, world)) for client in senders]
                flows += [asyncio.create_task(traffic.asks_for_several(client, world)) for client in bundlers]
                flows.append(asyncio.create_task(traffic.strangers_ask(card["service_pubkey"], hub.url, pointer)))
                flows.append(asyncio.create_task(traffic.newcomers(card["service_pubkey"], hub.url)))
                flows.append(asyncio.create_task(traffic.repents(service, world)))
                owner = asyncio.create_task(_decides(service))
                for _ in range(KILLS):
                    traffic.open.set()
                    hits += await _kill_in_the_middle(service, traffic, wallets[:HASTY], chance)
                    cut += under_way(service.home.ledger)
                    orphans = set(traffic.waiting) - traffic.patient
                    await service.start()
                    lost += await _send_lost_ones_again(service, traffic)
                    await _wait(lambda: not orphans & set(traffic.waiting), "a request was never answered")  # noqa: B023 - awaited in the same round
                traffic.stopping = True
                traffic.open.set()
                async with asyncio.timeout(PATIENCE_S):
                    await asyncio.gather(*flows, *traffic.late)
                assert not owner.done(), owner.exception()
                owner.cancel()
            assert (await service.call("audit_node"))["violations"] == []
            assert await service.end(signal.SIGTERM) == 0
            _check_every_answer(traffic, wallets)
            _check_every_debit(traffic)
            _check_the_nodes_own_list(traffic, world, service)
            _check_every_notification(traffic, service)
            _check_every_enrolment(traffic, service)
            _check_every_offer(traffic, service)
            _check_what_was_held(traffic, holders, world, service)
            _check_what_was_sent(traffic, senders, bundlers, world)
    assert audit(service.home.ledger, card["service_pubkey"]) == []
    with capsys.disabled():
        starts = sorted(service.start_s)
        in_the_middle = ", ".join(f"{kind}: {cut[kind]}" for kind in UNDER_WAY)
        print(  # noqa: T201 - the figures of the run
            f"\n{KILLS} kills, {hits} with a claimed unanswered payment; {len(traffic.paid)} payments and"
            f" {len(traffic.made)} invoices asked, {len(_paid_debits(traffic))} of {len(traffic.debits)} debits paid,"
            f" {len(traffic.takers) - TAKERS} strangers asked, {len(traffic.enrolled)} keys enrolled and made"
            f" {sum(bool(found) and found[0]['res'] == 'ok' for found in traffic.offered.values())} offers;"
            f" {len(traffic.taken)} held payments settled and"
            f" {len(traffic.given_back)} cancelled; {len(traffic.taken_back)} invoices taken back, and"
            f" {len(traffic.bought)} paid first; {len(traffic.sent)} keysends and {len(traffic.several)}"
            f" bundles asked; in the middle of a {in_the_middle}; {lost} requests sent again,"
            " because nobody had claimed them;"
            f" start {starts[len(starts) // 2]:.2f} s (median), {starts[-1]:.2f} s (longest)"
        )
    assert hits >= HITS
    assert {kind: number for kind, number in CUT.items() if cut[kind] < number} == {}


def _check_every_answer(traffic: Traffic, wallets: list[Wallet]) -> None:
    replies = {request_id: found for client in wallets for request_id, found in client.replies.items()}
    assert set(replies) == set(traffic.paid) | traffic.made
    for request_id, found in replies.items():
        assert all(reply == found[0] for reply in found), "one request, two answers"
        assert found[0].get("error") is None, found[0]
        if request_id in traffic.paid:
            preimage = bytes.fromhex(found[0]["result"]["preimage"])
            assert sha256(preimage).hexdigest() == traffic.paid[request_id]


def _paid_debits(traffic: Traffic) -> dict[str, str]:
    """The debits that were answered with yes."""
    replies = {request_id: found[0] for client in traffic.takers for request_id, found in client.replies.items()}
    return {request_id: name for request_id, name in traffic.debits.items() if replies[request_id]["res"] == "ok"}


def _check_every_debit(traffic: Traffic) -> None:
    """Each is paid with its proof, or was to be asked for anew: strangers' are not claimed a second time."""
    for client in traffic.takers:
        for request_id, found in client.replies.items():
            assert all(reply == found[0] for reply in found), "one debit, two answers"
            if found[0]["res"] == "ok":
                preimage = bytes.fromhex(found[0]["preimage"])
                assert sha256(preimage).hexdigest() == traffic.debits[request_id]
            else:
                assert found[0]["code"] == ASK_ANEW, found[0]
    assert len(_paid_debits(traffic)) > KILLS // 2


def _check_every_enrolment(traffic: Traffic, service: Service) -> None:
    """Each key has one account, or none if it was never told of one, and was always told the same."""
    there = {name for (name,) in service.read("SELECT name FROM accounts WHERE account_id LIKE 'enrolled:%'")}
    for key, told in traffic.enrolled.items():
        codes = [one for one in told if one["res"] == "ok"]
        assert all(one == codes[0] for one in codes), "one key, two accounts"
        assert key in there or not codes
        assert {one["code"] for one in told if one["res"] == "GFY"} <= {ASK_ANEW}
    assert there <= set(traffic.enrolled)
    assert len(service.read("SELECT 1 FROM grants WHERE caller = '' AND name LIKE 'enrolled:%'")) == len(there)
    assert len(there) > NEWCOMERS // 2


def _check_every_offer(traffic: Traffic, service: Service) -> None:
    """Each that was told of is there, once, and of every other there is at most one."""
    there = Counter(label for (label,) in service.read("SELECT label FROM offers WHERE label LIKE 'offer %'"))
    told = {label: found for label, found in traffic.offered.items() if found}
    for label, found in told.items():
        assert all(one == found[0] for one in found), "one request, two offers"
        assert found[0]["res"] == "ok" or found[0]["code"] == ASK_ANEW, found[0]
        assert there[label] == (found[0]["res"] == "ok")
    assert set(there) <= set(traffic.offered)
    assert max(there.values()) == 1
    assert len(there) > NEWCOMERS // 3


def _check_what_was_held(traffic: Traffic, holders: list[Wallet], world: World, service: Service) -> None:
    """All that was settled came in, once, and nothing else; nothing is held any more."""
    for client in holders:
        for found in client.replies.values():
            assert all(reply == found[0] for reply in found), "one decision, two answers"
    came_in = [(payment.payment_hash, payment.amount_msat) for payment in world.payments() if payment.direction == "in"]
    outside = [payment_hash for payment_hash in traffic.taken if payment_hash not in traffic.inside]
    assert sorted(came_in) == sorted((payment_hash, HELD_MSAT) for payment_hash in [*outside, *traffic.bought])
    moved = service.read("SELECT payment_hash, amount_msat FROM payments WHERE state = 'settled' AND internal")
    assert sorted(moved) == sorted((one, HELD_MSAT) for one in traffic.taken if one in traffic.inside)
    credited = service.read("SELECT payment_hash, received_msat FROM credits WHERE kind = 'invoice'")
    assert sorted(credited) == sorted(came_in)
    ended = service.read("SELECT payment_hash FROM invoices WHERE hold_blocks > 0 AND state = 'canceled'")
    assert {payment_hash for (payment_hash,) in ended} == set(traffic.given_back)
    ended = service.read("SELECT payment_hash FROM invoices WHERE hold_blocks = 0 AND state = 'canceled'")
    assert {payment_hash for (payment_hash,) in ended} == set(traffic.taken_back)
    assert min(len(traffic.taken_back), len(traffic.bought)) > KILLS // 10
    assert min(len(traffic.taken), len(traffic.given_back), len(traffic.inside)) > KILLS // 10


def _check_what_was_sent(traffic: Traffic, senders: list[Wallet], bundlers: list[Wallet], world: World) -> None:
    """Every key was paid once, and every part was told its own proof, and nothing else."""
    by_key = {payment.node_key: payment.payment_hash for payment in world.payments() if payment.node_key}
    keys = list(traffic.sent.values())
    for client in senders:
        for request_id, found in client.replies.items():
            _is_proof(found, by_key[traffic.sent[request_id]])
    for client in bundlers:
        for request_id, parts in client.parts.items():
            whom = traffic.several[request_id]
            assert parts.keys() == whom.keys()
            keys += [key for key in whom.values() if key in by_key]
            for name, found in parts.items():
                _is_proof(found, by_key.get(whom[name], whom[name]))
    paid = [payment.node_key for payment in world.payments() if payment.node_key]
    assert sorted(paid) == sorted(keys)
    assert min(len(traffic.sent), len(traffic.several)) > KILLS // 10


def _is_proof(found: list[dict[str, Any]], payment_hash: str) -> None:
    assert all(reply == found[0] for reply in found), "one request, two answers"
    assert found[0].get("error") is None, found[0]
    assert sha256(bytes.fromhex(found[0]["result"]["preimage"])).hexdigest() == payment_hash


def _check_the_nodes_own_list(traffic: Traffic, world: World, service: Service) -> None:
    sent = [payment for payment in world.payments() if payment.direction == "out"]
    assert {payment.state for payment in sent} == {"settled"}
    asked = [*traffic.paid.values(), *_paid_debits(traffic).values()]
    in_bundles = [payment_hash for whom in traffic.several.values() for payment_hash in whom.values()]
    by_invoice = [payment.payment_hash for payment in sent if not payment.node_key]
    keys = {payment.node_key for payment in sent}
    assert sorted(by_invoice) == sorted([*asked, *(one for one in in_bundles if one not in keys)])
    assert world.books().balanced
    ours = service.read(
        "SELECT payment_hash, amount_msat, fee_msat FROM payments WHERE state = 'settled' AND NOT internal"
    )
    assert sorted(ours) == sorted((p.payment_hash, int(p.amount_msat), int(p.fee_msat)) for p in sent)
    assert service.read("SELECT count(*) FROM requests WHERE finished_at IS NULL") == [(0,)]


def _check_every_notification(traffic: Traffic, service: Service) -> None:
    """An app is told of each payment that it sees, once, whatever was killed between the payment and that. The link of
    the first start sees all of them."""
    told, to_be_told = Counter(service.read(TOLD)), Counter(service.read(TO_BE_TOLD))
    assert not to_be_told - told, "a notification is missing"
    assert not told - to_be_told, "a notification is there twice, or is nobody's"
    assert told.total() > 2 * (len(traffic.paid) - WALLETS)  # the last ones are told at the next start
