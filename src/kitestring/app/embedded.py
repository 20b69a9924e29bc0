"""The service inside somebody's own program: ``from kitestring import Service``."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Collection, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from kitestring.app.home.config import RELAYS, Config
from kitestring.app.home.datadir import DataDir
from kitestring.app.home.keyring import Keyring
from kitestring.app.home.signals import asked_to_stop
from kitestring.app.home.zones import load_zone
from kitestring.app.owner.command import Manage, Read
from kitestring.app.owner.commands import OwnerCommands, all_commands
from kitestring.app.owner.debit_pointers import DEFAULT_SESSION_S, MAX_SESSION_ROWS
from kitestring.app.owner.desk import Desk, Managing
from kitestring.app.owner.offline import LedgerDesk
from kitestring.app.service.core import LISTEN_S, Core, Place
from kitestring.app.service.execute import Result, execute
from kitestring.app.service.own_relay import relays_of
from kitestring.app.service.relay_word import RelayWord
from kitestring.base.budgets import Budget
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.events import EventKind
from kitestring.base.grants import Grant, Sessions, Strangers, Webhook
from kitestring.base.money import Msat, sat
from kitestring.base.ports import Entropy
from kitestring.base.store import Store
from kitestring.base.transactions.owner import Write
from kitestring.base.zones import UTC
from kitestring.crypto.keys import SecretKey
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.relay.vouched import VouchedKeys
from kitestring.transport.clock import SystemClock
from kitestring.transport.webhooks import check_webhook

log = logging.getLogger("kitestring")

LEAST: Final = sat(1)
#: Seconds after the end of a session at which no claim from before it can be on its way to the ledger any more.
LATE_CLAIM_S: Final = 2.0
#: Seconds after which a session is looked at without news as well: a wall clock may have been put right.
LOOK_AGAIN_S: Final = 30.0
_PENDING: Final = frozenset({"waiting", "paying"})
_ENDS: Final = frozenset({EventKind.SETTLED, EventKind.FAILED, EventKind.RESOLVED})


@dataclass(frozen=True, slots=True)
class Connection:
    """A NWC connection. ``nwc_uri``, which holds its secret, is None once an app has used it. ``missing_on`` names the
    relays that do not carry the connection yet, each with its own words about it; the service goes on trying."""

    name: str
    connection_id: str
    nwc_uri: str | None = field(default=None, repr=False)
    missing_on: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OfferCode:
    """An offer, and the static code that anybody can pay as often as they like."""

    label: str
    offer_id: str
    noffer: str


@dataclass(frozen=True, slots=True)
class DebitCode:
    """A debit pointer, and the code by which others ask it for money."""

    label: str
    pointer_id: str
    ndebit: str


@dataclass(frozen=True, slots=True)
class SessionCode:
    """A code that is good for one payment of ``least`` to ``amount``, until ``expires_at`` (Unix seconds).

    ``session`` is a mark that tells it apart and gives nothing away. ``ndebit`` holds its secret word: show it to one
    person. It is None for one that was made earlier.
    """

    pointer_id: str
    session: str
    least: Msat
    amount: Msat
    expires_at: int
    ndebit: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """The end of a session: ``used``, and then ``amount`` and ``fee`` have left this service; ``expired``, and nobody
    can use it any more; or ``closed``, by an operator who has decided about its payment without a proof. With ``used``
    ``service_fee`` is what this service has taken itself beside them."""

    state: Literal["used", "expired", "closed"]
    amount: Msat | None = None
    fee: Msat | None = None
    payment_hash: str | None = None
    service_fee: Msat | None = None


class Service:
    """A kitestring service on your own terms.

    ``backend`` is a node URL (``sandbox://``, ``lnd+https://HOST:PORT?cert=PATH&macaroon=PATH``), ``relays`` (at least
    one) are where it is reached, ``store`` is the file of the ledger; key, lock and sandbox live beside it under the
    same name. Calendar budgets renew by the time zone ``zone``, such as ``Europe/Berlin``. :meth:`run` serves until
    Ctrl-C; inside a program of your own use ``async with``.

    :meth:`grant`, :meth:`offer` and :meth:`pointer` are for before it runs; :meth:`add_grant`, :meth:`add_offer` and
    :meth:`add_pointer` for while it does.
    """

    def __init__(
        self,
        *,
        relays: Iterable[str],
        backend: str = "sandbox://",
        store: str | Path = "kitestring.db",
        zone: str = UTC.name,
    ) -> None:
        path = Path(store).absolute()
        found = RELAYS.check([] if isinstance(relays, str) else list(relays))  # a text is a list of its letters
        if not found:
            raise KitestringError(Reason.MALFORMED, "name at least one relay: relays=['wss://relay.example.com']")
        self._relays: Final = found
        self._home: Final = DataDir(path.parent, path.parent, store=path)
        node = f"sandbox://{self._home.sandbox_db}" if backend == "sandbox://" else backend
        self._config: Final = Config(path.parent, node_url=node, relays=self._relays, budget_zone=load_zone(zone).name)
        self._core: Core | None = None
        self._started = AsyncExitStack()

    @property
    def sandbox_url(self) -> str:
        """The world that this service stands on, for :meth:`kitestring.Sandbox.of`. Raises KitestringError(UNSUPPORTED)
        where it is a real node."""
        if not self._config.node_url.startswith("sandbox:"):
            raise KitestringError(Reason.UNSUPPORTED, "this service stands on a real node, which has no world to play")
        return self._config.node_url

    # ------------------------------------------------------------ before it runs

    def grant(
        self, name: str, *, methods: Iterable[str] | None = None, budget: Budget | None = None,
        per_payment: Msat | None = None, max_fee: Msat | None = None, account: str = "owner",
        expires_at: int | None = None,
    ) -> Connection:  # fmt: skip
        """Make a connection, or return the one of that name. ``methods`` None = all.

        ``per_payment`` bounds what one payment may cost with its routing fee, ``max_fee`` the fee (None = the limit of
        the settings). ``expires_at`` in Unix seconds. Raises KitestringError for what cannot be granted, CONFLICT where
        the one of that name has other values than those that are named here.
        """
        params = _grant_params(name, methods, budget, per_payment, max_fee, account, expires_at)
        return _connection(self._alone("connect", params))

    def offer(self, label: str, *, price: Msat | None = None) -> OfferCode:
        """Make an offer, or return the one of that label. ``price`` None = the payer names the amount.

        Raises KitestringError(CONFLICT) where the one of that label has another price.
        """
        return _code(self._alone("offer_create", _offer_params(label, price)))

    def pointer(
        self, label: str, *, policy: Strangers = "ask", sessions: Sessions = "off", budget: Budget | None = None,
        per_payment: Msat | None = None, account: str = "owner",
    ) -> DebitCode:  # fmt: skip
        """Make a debit pointer, or return the one of that label.

        ``policy`` is what a key without a grant gets: ``ask`` the owner, ``deny``, or ``budget``, which all of them
        share. ``sessions`` are codes that are good once: ``off``, ``minted`` (those of :meth:`add_session`) or ``any``.
        Raises KitestringError for what cannot be, CONFLICT where the one of that label has other values.
        """
        return _debit(
            self._alone("debit_pointer_create", _pointer_params(label, policy, sessions, budget, per_payment, account))
        )

    def _alone(self, name: str, params: dict[str, object]) -> Result:
        if self._core is not None:
            raise KitestringError(
                Reason.MALFORMED, "the service is running: await add_grant(), add_offer() or add_pointer()"
            )

        async def done() -> Result:
            keyring = self._keyring()
            store = await SqliteStore.open(self._home.ledger, keyring.service_id)
            try:
                desk = _StoppedDesk(self._config, keyring, store, self._relays)
                return await _run(_stopped_commands(desk), name, params)
            finally:
                await store.close()

        with self._home.locked():
            return asyncio.run(done())

    def _keyring(self) -> Keyring:
        self._home.need_ledger()
        keyring = Keyring(self._home.seed(os.urandom))
        self._home.check_owner(keyring.service_id)
        return keyring

    # ------------------------------------------------------------ life

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM; what is in flight then gets ten seconds, the rest is carried on next time."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        stop = asked_to_stop()
        async with self:
            await stop.wait()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as started:
            started.enter_context(self._home.locked())
            clock, keyring = SystemClock(), self._keyring()
            vouched = VouchedKeys(own={keyring.service_id})
            relays, own = await started.enter_async_context(
                relays_of(self._config, self._home, keyring.service_id, clock, vouched)
            )
            place = Place(self._home.ledger, self._home.path, relays, vouched, own.known_by, own.url)
            is_new = not self._home.ledger.exists()
            core = await Core.open(self._config, place, keyring, clock=clock, entropy=os.urandom)
            started.push_async_callback(core.stop)
            if is_new:
                self._home.hold_ledger()
            await core.start()
            self._core = core
            started.callback(self._forget)
            if not await core.listening(LISTEN_S):
                log.warning("no relay brings requests yet (%s); the service keeps trying", core.connections.why_deaf())
            self._started = started.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._started.aclose()

    def _forget(self) -> None:
        self._core = None

    # ------------------------------------------------------------ while it runs

    async def add_grant(
        self, name: str, *, methods: Iterable[str] | None = None, budget: Budget | None = None,
        per_payment: Msat | None = None, max_fee: Msat | None = None, account: str = "owner",
        expires_at: int | None = None,
    ) -> Connection:  # fmt: skip
        """As :meth:`grant`, while the service runs: returns when the relays have said whether they carry it, after two
        seconds at the latest."""
        params = _grant_params(name, methods, budget, per_payment, max_fee, account, expires_at)
        return _connection(await _run(self._commands, "connect", params))

    async def add_offer(self, label: str, *, price: Msat | None = None) -> OfferCode:
        """As :meth:`offer`, while the service runs."""
        return _code(await _run(self._commands, "offer_create", _offer_params(label, price)))

    async def add_pointer(
        self, label: str, *, policy: Strangers = "ask", sessions: Sessions = "off", budget: Budget | None = None,
        per_payment: Msat | None = None, account: str = "owner",
    ) -> DebitCode:  # fmt: skip
        """As :meth:`pointer`, while the service runs."""
        params = _pointer_params(label, policy, sessions, budget, per_payment, account)
        return _debit(await _run(self._commands, "debit_pointer_create", params))

    # ------------------------------------------------------------ codes that are good once

    async def add_session(
        self, pointer: str | DebitCode, amount: Msat, *, least: Msat = LEAST, expires_in_s: int = DEFAULT_SESSION_S
    ) -> SessionCode:
        """Make a code by which whoever shows it takes ``least`` to ``amount`` (whole sats), once, without asking.

        ``pointer`` is what :meth:`pointer` returned, a label or a code; its rule for sessions must be ``minted``. Each
        call makes another one: wait with :meth:`session_used`. Raises KitestringError.
        """
        params = {
            "pointer": _pointer_id(pointer),
            "max_msat": int(amount),
            "min_msat": int(least),
            "expires_in_s": expires_in_s,
        }
        made = await _run(self._commands, "debit_session", params)
        return _session(made["pointer_id"], made)

    async def sessions(self, pointer: str | DebitCode) -> list[SessionCode]:
        """The sessions of a pointer that may still be used or are being paid, the oldest first; without their codes,
        which are shown when they are made."""
        params = {"pointer": _pointer_id(pointer), "limit": MAX_SESSION_ROWS}
        made = await _run(self._commands, "debit_sessions", params)
        pending = [row for row in made["sessions"] if row["state"] in _PENDING]
        return [_session(made["pointer_id"], row) for row in reversed(pending)]

    async def session_used(self, session: SessionCode) -> SessionEnd:
        """Wait for the end of a session. One whose payment is under way when its time is over has not ended before that
        payment has, and one whose payment has failed by the node's proof is good again.

        What is waited for is what the ledger says, so that nothing is missed between two calls, or two lives of the
        program. Raises KitestringError, UNKNOWN_TARGET when its pointer was deleted.
        """
        core = self._running
        with await core.feed.view(kinds=_ENDS) as news:  # open before the first look: no end falls between the two
            while True:
                end = await self._end_of(session)
                over_in_s = session.expires_at + LATE_CLAIM_S - core.clock.now()
                if end is not None and (end.state != "expired" or over_in_s <= 0):
                    return end
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.read(), min(over_in_s, LOOK_AGAIN_S) if over_in_s > 0 else LOOK_AGAIN_S)

    async def _end_of(self, session: SessionCode) -> SessionEnd | None:
        """Tell what became of a session; None while it is pending. One that is forgotten was never used."""
        params: dict[str, object] = {"pointer": session.pointer_id, "session": session.session}
        found = (await _run(self._commands, "debit_sessions", params))["sessions"]
        if found and found[0]["state"] in _PENDING:
            return None
        return _end(found[0]) if found else SessionEnd("expired")

    @property
    def _running(self) -> Core:
        if self._core is None:
            raise KitestringError(Reason.UNAVAILABLE, "the service is not running: use `async with service`")
        return self._core

    @property
    def _commands(self) -> OwnerCommands[Desk]:
        return OwnerCommands(self._running.desk, all_commands())


class _StoppedDesk(LedgerDesk, Managing):
    """A stopped service whose ledger is open for writing: what needs neither node nor relay can be managed."""

    def __init__(self, config: Config, keyring: Keyring, store: Store, relays: tuple[str, ...]) -> None:
        super().__init__(config, keyring.service_id, store, relays)
        self._config, self._ledger, self._keyring = config, store, keyring
        self._one_at_a_time = asyncio.Lock()

    @property
    def one_at_a_time(self) -> asyncio.Lock:
        return self._one_at_a_time

    @property
    def entropy(self) -> Entropy:
        return os.urandom

    def relays_for_codes(self) -> tuple[str, ...]:
        return self.relay_urls()

    def connection_pubkey(self, grant_id: str) -> str:
        return self._keyring.connection_key(grant_id).public_hex

    async def execute(self, request_id: str, grant_id: str, writes: tuple[Write, ...], result: Result) -> Result | None:
        return await execute(self._ledger, request_id, grant_id, writes, result, self.clock.now())

    def client_key(self, salt: bytes) -> SecretKey:
        return self._keyring.client_key(salt)

    def webhook_secret(self, offer_id: str) -> str:
        return self._keyring.webhook_secret(offer_id)

    def check_webhook(self, webhook: Webhook, payer_data: Collection[str], *, own: bool) -> None:
        check_webhook(webhook, payer_data, own=own, private_hosts=self._config.private_hosts)

    async def grant_changed(self, grant_id: str) -> None:
        """Served from the next start on."""

    async def relay_words(self, _grant: Grant) -> tuple[RelayWord, ...]:
        """Told to no relay before the next start."""
        return ()

    def live_relays(self) -> list[str]:
        """No relay is connected before the next start."""
        return []


def _stopped_commands(desk: _StoppedDesk) -> OwnerCommands[Managing]:
    fitting = {name: spec for name, spec in all_commands().items() if isinstance(spec, Read | Manage)}
    return OwnerCommands[Managing](desk, fitting)


async def _run(commands: OwnerCommands[Any], name: str, params: dict[str, object]) -> Result:
    """Run a command for the owner, whose program this is; each call has a key of its own."""
    return await commands.run(await commands.owner(), name, params, os.urandom(16).hex())


def _offer_params(label: str, price: Msat | None) -> dict[str, object]:
    return {"label": label, "price_msat": None if price is None else int(price)}


def _pointer_id(pointer: str | DebitCode) -> str:
    return pointer if isinstance(pointer, str) else pointer.pointer_id


def _pointer_params(
    label: str, policy: Strangers, sessions: Sessions, budget: Budget | None, per_payment: Msat | None, account: str
) -> dict[str, object]:
    params: dict[str, object] = {"label": label, "policy": policy, "sessions": sessions, "account": account}
    if budget is not None:
        params["budgets"] = [_budget_params(budget, "limit")]
    if per_payment is not None:
        params["per_payment_msat"] = int(per_payment)
    return params


def _budget_params(budget: Budget, prefix: str) -> dict[str, object]:
    window = {"period": budget.period, "length_s": budget.length_s}
    if budget.currency:
        return {"currency": budget.currency, f"{prefix}_minor": budget.limit_minor, **window}
    return {f"{prefix}_msat": int(budget.limit_msat), **window}


def _grant_params(
    name: str, methods: Iterable[str] | None, budget: Budget | None, per_payment: Msat | None,
    max_fee: Msat | None, account: str, expires_at: int | None,
) -> dict[str, object]:  # fmt: skip
    params: dict[str, object] = {"name": name, "account": account, "expires_at": expires_at}
    if methods is not None:
        params["methods"] = sorted(methods)
    if budget is not None:
        params |= _budget_params(budget, "budget")
    if per_payment is not None:
        params["per_payment_msat"] = int(per_payment)
    if max_fee is not None:
        params["fee_cap_msat"] = int(max_fee)
    return params


def _connection(result: Result) -> Connection:
    missing_on = {row["relay"]: row["words"] for row in result["relays"] if not row["carries"]}
    return Connection(result["name"], result["connection_id"], result["nwc_uri"], missing_on)


def _code(result: Result) -> OfferCode:
    return OfferCode(result["label"], result["offer_id"], result["noffer"])


def _debit(result: Result) -> DebitCode:
    return DebitCode(result["label"], result["pointer_id"], result["ndebit"])


def _session(pointer_id: str, row: Result) -> SessionCode:
    least, most = Msat(row["min_msat"]), Msat(row["max_msat"])
    return SessionCode(pointer_id, row["session"], least, most, row["expires_at"], row.get("ndebit"))


def _end(row: Result) -> SessionEnd:
    names = ("amount_msat", "fee_msat", "service_fee_msat")
    amount, fee, ours = (None if row[name] is None else Msat(row[name]) for name in names)
    return SessionEnd(row["state"], amount, fee, row["payment_hash"], ours)
