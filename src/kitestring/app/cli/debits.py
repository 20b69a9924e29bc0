"""Shared by the commands ``kitestring debit …`` that ask others: the wallet that is paid, and the key."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from kitestring.app.cli.at_wallet import refuse_encryption, wallet_options
from kitestring.app.cli.shell import Function, Shell
from kitestring.app.cli.values import MAX_TYPED_SATS, Whole
from kitestring.base.errors import KitestringError, Reason

if TYPE_CHECKING:
    from kitestring.base.money import Msat
    from kitestring.base.outcomes import Transaction
    from kitestring.client.net import Net
    from kitestring.sdk.debits import DebitClient
    from kitestring.sdk.source import Encryption

#: The longest wait for an owner's decision, in seconds: services give it up after ten minutes.
MAX_WAIT_S: Final = 600


class Recurring(NamedTuple):
    """So many sats in each ``every``; "" = once and for all."""

    sats: int
    every: str


class RecurringType(click.ParamType):  # type: ignore[type-arg]  # generic in newer click only
    """``500/month`` (day, week), or ``500`` where ``once`` is allowed."""

    name = "amount"

    def __init__(self, *, once: bool) -> None:
        self._once = once

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Recurring:
        if isinstance(value, Recurring):
            return value
        from kitestring.wire.ask.debits import PERIODS_S

        amount, slash, every = str(value).partition("/")
        is_known = every in PERIODS_S if slash else self._once
        if amount.isascii() and amount.isdecimal() and 1 <= int(amount[:17]) <= MAX_TYPED_SATS and is_known:
            return Recurring(int(amount), every)
        once = ", or 500 for once" if self._once else ""
        raise click.BadParameter(f"{value!r} is no amount here; write 500/day, 500/week, 500/month{once}", ctx, param)


def asking_options(function: Function) -> Function:
    """The options of every command that asks a service."""
    return wallet_options("The wallet that is paid", "the running service")(function)


wait_option: Final[Callable[[Any], Any]] = click.option(
    "--wait",
    "wait_s",
    type=Whole(1, MAX_WAIT_S),
    default=None,
    metavar="SECONDS",
    help="How long to wait for the answer (default: 120): the owner of the service may be asked.",
)


@asynccontextmanager
async def open_debit(
    shell: Shell, ndebit: str, wallet: str | None = None, encryption: Encryption = "auto", *, paid: bool = True
) -> AsyncIterator[DebitClient]:
    """The service behind a code, asked with the key of the data directory, to pay into ``wallet`` or the running
    service; ``paid`` False: into none. Raises KitestringError."""
    from kitestring.client.debits import read_ndebit
    from kitestring.sdk.debits import DebitClient

    shell.note_left_out(read_ndebit(ndebit).left_out)  # a wrong code is wrong whether or not the wallet answers
    config = shell.config
    if wallet is None:
        refuse_encryption(encryption)
        till = ServiceTill(shell) if paid else None
        yield DebitClient(ndebit, lambda: till, client_net(shell), config.data_dir)
        return
    from kitestring.app.cli.wallet import read_secret
    from kitestring.sdk.wallet import Wallet

    opened = Wallet.open(
        read_secret(shell, wallet),
        proxies=config.proxies,
        relays=shell.own_relays(),
        allow_private=config.allow_private_relays,
        data_dir=config.data_dir,
        environment=config.environment,
        encryption=encryption,
    )
    shell.note_waiting("asking the wallet over its relays …")
    async with opened as source:
        yield source.debit(ndebit)


def client_net(shell: Shell, *relays: str) -> Net:
    """The way to the services of others; ``relays`` are dialled wherever they are, as the caller has named them, and
    those of a CLINK wallet in the settings, because its owner has to be asked by the key of this directory."""
    from kitestring.backend.clink.link import named_relays
    from kitestring.client.net import Net
    from kitestring.transport.clock import SystemClock

    config = shell.config
    own = (*shell.own_relays(), *named_relays(config.node_url), *relays)
    return Net(
        SystemClock(), secrets.token_bytes, config.proxies, own_relays=own, allow_private=config.allow_private_relays
    )


class ServiceTill:
    """The running service as the wallet that is paid: its owner's commands, over its socket."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    async def make_invoice(self, amount_msat: Msat | None, description: str, expiry_s: int) -> Transaction:
        if amount_msat is None:
            raise KitestringError(Reason.MALFORMED, "the service makes invoices with an amount only")
        params = {"amount_msat": int(amount_msat), "description": description, "expiry_s": expiry_s}
        return _transaction(await self._call("invoice", params, secrets.token_hex(16)))

    async def lookup(self, payment_hash: str) -> Transaction:
        return _transaction(await self._call("lookup", {"payment_hash": payment_hash}))

    async def network(self) -> str:
        return str((await self._call("info", {}))["network"])

    async def _call(self, name: str, params: dict[str, Any], key: str = "") -> dict[str, Any]:
        from kitestring.app.doors.unix_client import ControlClient

        return await asyncio.to_thread(ControlClient(self._shell.home).call, name, params, key)


def _transaction(row: dict[str, Any]) -> Transaction:
    from kitestring.base.money import Msat
    from kitestring.base.outcomes import Direction, Transaction, TransactionState

    return Transaction(
        Direction(row["type"]), TransactionState(row["state"]), row["payment_hash"], Msat(row["amount_msat"]),
        Msat(row["fee_msat"]), row["created_at"], settled_at=row["settled_at"], expires_at=row["expires_at"],
        bolt11=row["bolt11"] or "", preimage=row["preimage"] or "",
    )  # fmt: skip


def note_waiting_for_owner(shell: Shell) -> Callable[[float], None]:
    """Tell a person why nothing happens."""
    from kitestring.sdk.debits import waiting_words

    return lambda left_s: shell.note(waiting_words(left_s))
