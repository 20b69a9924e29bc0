"""A desk without a service behind it: records what it is told, answers what the test has laid ready."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kitestring.app.home.config import Config
from kitestring.app.home.keyring import Keyring
from kitestring.base.commands import OWNER_GRANT, AnyCommand, GetInfo, Journaled, ListTransactions, freeze
from kitestring.base.grants import Account, Grant, Offer
from kitestring.base.money import ZERO, Msat, sat
from kitestring.base.outcomes import Balance, Info, Outcome, Transaction
from kitestring.base.records import Message, NodeView, Payment, Request
from kitestring.base.store import Scope, Totals
from kitestring.base.transactions import SaveAccount, SaveGrant, SaveOffer, Write
from kitestring.client import payable
from kitestring.client.net import Net
from kitestring.client.payable import Payable, Terms
from kitestring.codec.bolt11 import decode
from kitestring.codec.bolt11_write import encode
from kitestring.codec.pointers import Noffer
from kitestring.codec.target import Target
from kitestring.crypto.keys import SecretKey
from tests.kit.chance import Counted
from tests.kit.changed import replace
from tests.kit.clock import WalkingClock

NOW = 1_800_000_000
OWNER = Grant(grant_id=OWNER_GRANT, name="owner", wire="owner")
RELAY = "ws://127.0.0.1:7777"


@dataclass
class FakeStore:
    rows: dict[str, Grant] = field(default_factory=dict)
    purses: dict[str, Account] = field(default_factory=dict)
    codes: dict[str, Offer] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)
    history: list[Transaction] = field(default_factory=list)
    open: list[Payment] = field(default_factory=list)
    replies: dict[str, Message] = field(default_factory=dict)
    owner: Grant = OWNER

    async def grant(self, grant_id: str) -> Grant | None:
        return self.owner if grant_id == OWNER_GRANT else self.rows.get(grant_id)

    async def messages(self, request_id: str) -> tuple[Message, ...]:
        return (self.replies[request_id],) if request_id in self.replies else ()

    async def grants(self) -> list[Grant]:
        return list(self.rows.values())

    async def account(self, account_id: str) -> Account | None:
        return self.purses.get(account_id)

    async def grant_named(self, wire: str, name: str) -> Grant | None:
        alive = (grant for grant in self.rows.values() if grant.wire == wire and grant.revoked_at is None)
        return next((grant for grant in alive if name in (grant.name, grant.grant_id)), None)

    async def accounts(self) -> list[Account]:
        return list(self.purses.values())

    async def offers(self) -> list[Offer]:
        return list(self.codes.values())

    async def request(self, request_id: str) -> Request | None:
        return self.requests.get(request_id)

    async def open_payments(self) -> list[Payment]:
        return self.open

    async def payment(self, payment_id: str) -> Payment | None:
        return None

    async def transactions(self, scope: Scope, query: ListTransactions) -> list[Transaction]:
        return self.history[query.offset :][: query.limit]

    async def totals(self) -> Totals:
        return Totals(ZERO, ZERO, ZERO, ZERO, "", 0)

    def write(self, write: Write) -> None:
        if isinstance(write, SaveGrant):
            self.rows[write.grant.grant_id] = write.grant
        elif isinstance(write, SaveAccount):
            self.purses[write.account.account_id] = write.account
        elif isinstance(write, SaveOffer):
            self.codes[write.offer.offer_id] = write.offer


class FakeDesk:
    """Implements the Desk; ``answer`` is what the engine says to a journaled command."""

    def __init__(self, data_dir: Path = Path("/nowhere")) -> None:
        self.store: Any = FakeStore()
        self.backend: Any = None
        self.config = Config(data_dir)
        self.keyring = Keyring(bytes(range(32)))
        self.service_id = self.keyring.service_id
        self.one_at_a_time = asyncio.Lock()
        self.clock = WalkingClock()
        self.entropy = Counted()
        self.answer: Callable[[Journaled], Outcome | None] = lambda _: None
        self.performed: list[Journaled] = []
        self.announced: list[str] = []
        self.resolved: list[tuple[str, str]] = []
        self.asked_offers: list[tuple[Noffer, int | None]] = []
        self.offered = ""
        self.available: Outcome = Balance(sat(7))

    def relay_urls(self) -> tuple[str, ...]:
        return (RELAY,)

    async def balance(self, grant_id: str) -> Outcome:
        return self.available

    async def ask(self, grant_id: str, command: AnyCommand) -> Outcome:
        assert isinstance(command, GetInfo)
        return Info("alias", "", "02" * 33, "regtest", 1, "")

    async def resolve_payment(self, payment_id: str, note: str) -> None:
        self.resolved.append((payment_id, note))

    async def make_invoice(self, request_id: str, grant_id: str, command: Journaled, wait_s: float) -> Outcome | None:
        return await self.pay(request_id, grant_id, command, wait_s)

    async def pay(self, request_id: str, grant_id: str, command: Journaled, wait_s: float) -> Outcome | None:
        self._claim(request_id, freeze(command))
        self.performed.append(command)
        return self.answer(command)

    async def execute(
        self, request_id: str, grant_id: str, writes: tuple[Write, ...], result: dict[str, Any]
    ) -> dict[str, Any] | None:
        assert request_id not in self.store.requests
        self._claim(request_id, b"")
        for write in writes:
            self.store.write(write)
        self.store.replies[request_id] = Message(request_id, "reply", json.dumps(result).encode(), b"", NOW)
        return None

    def connection_pubkey(self, grant_id: str) -> str:
        return self.keyring.connection_key(grant_id).public_hex

    async def grant_changed(self, grant_id: str) -> None:
        self.announced.append(grant_id)

    async def find_payable(self, target: str, terms: Terms) -> Payable:
        kinds = {**payable.KINDS, Target.NOFFER: replace(payable.KINDS[Target.NOFFER], ask=self._ask_offer)}
        return await payable.ask(target, terms, Net(self.clock, self.entropy), kinds)

    async def _ask_offer(self, noffer: Noffer, terms: Terms, _: Net) -> Payable:
        sats = payable.offer_sats(noffer, terms.amount_msat)
        self.asked_offers.append((noffer, sats))
        invoice = decode(self.offered or bolt11_of(sat(sats or 1), len(self.asked_offers)))
        return Payable(invoice, payable.agreed(invoice, sats))

    async def node_view(self) -> NodeView:
        return NodeView(sat(1_000), Msat(0))

    def _claim(self, request_id: str, command: bytes) -> None:
        self.store.requests.setdefault(request_id, Request(request_id, "owner", "owner", command, b"", NOW, NOW))


def bolt11_of(amount_msat: Msat | None, number: int = 1) -> str:
    """A signed regtest invoice; another ``number``, another payment hash."""
    return encode(
        network="regtest",
        timestamp=NOW,
        payment_hash=number.to_bytes(32, "big").hex(),
        payment_secret="11" * 32,
        secret32=bytes.fromhex(SecretKey(b"\x05" * 32).hex()),
        amount_msat=amount_msat,
        description="tea",
    )
