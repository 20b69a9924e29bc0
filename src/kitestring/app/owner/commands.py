"""The owner's commands, once, apart from HTTP: what there is, who may, and what each answers.

The Unix socket (``control_server``) is the first door to them. Rights come from the caller's grant, never the door.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from kitestring.app.owner.accounts import FundParams, account_create, account_fund, account_list
from kitestring.app.owner.connections import ConnectParams, connect, connections, revoke
from kitestring.app.owner.desk import Desk
from kitestring.app.owner.money import (
    InvoiceParams,
    PayParams,
    ResolveParams,
    TransactionsParams,
    balance,
    info,
    invoice,
    pay,
    payment_resolve,
    transactions,
)
from kitestring.app.owner.node import AuditParams, audit_node, card, doctor
from kitestring.app.owner.offers import OfferName, OfferParams, offer_create, offer_delete, offer_list, offer_show
from kitestring.app.owner.params import NameParams, NoParams
from kitestring.app.service.execute import Result
from kitestring.base.errors import CodecError, KitestringError, Reason

__all__ = ["COMMANDS", "VERSION", "CommandSpec", "Desk", "run"]

#: Grows when a command changes in a way that an older caller would misread.
VERSION: Final = 1
#: A UUID has 36; a script may use an order number of its own.
_KEY: Final = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """One command. ``right`` is what a caller's grant must hold: ``read``, ``receive``, ``spend`` or ``manage``.

    A mutating command carries an idempotency key. ``offline`` ones need nothing but the stored ledger.
    """

    name: str
    params: type[msgspec.Struct]
    mutating: bool
    right: str
    handler: Callable[[Desk, Any, str], Awaitable[Result]]
    offline: bool = False

    @property
    def doc(self) -> str:
        return (self.handler.__doc__ or "").partition("\n")[0]


COMMANDS: Final[Mapping[str, CommandSpec]] = {
    spec.name: spec
    for spec in (
        CommandSpec("card", NoParams, False, "read", card, offline=True),
        CommandSpec("info", NoParams, False, "read", info),
        CommandSpec("balance", NoParams, False, "read", balance, offline=True),
        CommandSpec("transactions", TransactionsParams, False, "read", transactions, offline=True),
        CommandSpec("connect", ConnectParams, True, "manage", connect),
        CommandSpec("connections", NoParams, False, "read", connections, offline=True),
        CommandSpec("revoke", NameParams, True, "manage", revoke),
        CommandSpec("account_create", NameParams, True, "manage", account_create),
        CommandSpec("account_list", NoParams, False, "read", account_list, offline=True),
        CommandSpec("account_fund", FundParams, True, "manage", account_fund),
        CommandSpec("offer_create", OfferParams, True, "manage", offer_create),
        CommandSpec("offer_list", NoParams, False, "read", offer_list, offline=True),
        CommandSpec("offer_show", OfferName, False, "read", offer_show, offline=True),
        CommandSpec("offer_delete", OfferName, True, "manage", offer_delete),
        CommandSpec("pay", PayParams, True, "spend", pay),
        CommandSpec("invoice", InvoiceParams, True, "receive", invoice),
        CommandSpec("doctor", NoParams, False, "read", doctor),
        CommandSpec("audit_node", AuditParams, False, "read", audit_node),
        CommandSpec("payment_resolve", ResolveParams, True, "manage", payment_resolve),
    )
}


async def run(desk: Desk, name: str, params: Mapping[str, object], key: str = "") -> Result:
    """Carry out one command. ``params`` are JSON values, ``key`` is the idempotency key of a mutating command.

    Raises KitestringError for everything that the caller is to be told.
    """
    spec = COMMANDS.get(name)
    if spec is None:
        raise KitestringError(Reason.UNKNOWN_TARGET, f"there is no command {name!r} in version {VERSION}")
    if spec.mutating and not _KEY.fullmatch(key):
        raise KitestringError(
            Reason.MALFORMED, f"{name} needs an idempotency key: 1 to 128 visible ASCII characters without spaces"
        )
    try:
        return await spec.handler(desk, read_params(spec, params), key)
    except CodecError as error:
        raise KitestringError(Reason.MALFORMED, str(error)) from error


def read_params(spec: CommandSpec, params: Mapping[str, object]) -> msgspec.Struct:
    """Typed parameters out of JSON values, without any conversion. Raises KitestringError."""
    _refuse_floats(params)
    try:
        return msgspec.convert(dict(params), spec.params)
    except msgspec.ValidationError as error:
        raise KitestringError(Reason.MALFORMED, f"{spec.name}: {str(error)[:1].lower()}{str(error)[1:]}") from error


def _refuse_floats(params: Mapping[str, object]) -> None:
    """No parameter is a fraction, and 1.0 would pass for 1."""
    for name, value in params.items():
        if isinstance(value, float):
            raise KitestringError(Reason.MALFORMED, f"{name} must be a whole number")
