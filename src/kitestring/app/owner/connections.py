"""The owner's commands about connections: what one app may do with one account."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from kitestring.app.owner.accounts import need_account
from kitestring.app.owner.command import Call, Change, Commands, Manage, Read, permit_gift
from kitestring.app.owner.desk import Managing, Reading
from kitestring.app.owner.params import (
    ID_BYTES,
    MAX_WINDOW_S,
    AmountMsat,
    Name,
    NameParams,
    NoParams,
    UnixTime,
    plain_line,
)
from kitestring.app.service.execute import Result
from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Budget, CipherSetting, Grant, Period
from kitestring.base.money import Msat
from kitestring.base.store import Places
from kitestring.base.transactions import SaveGrant
from kitestring.codec.uri import NwcUri, encode_nwc
from kitestring.crypto.keys import SecretKey

NWC: Final = "nwc"


class ConnectParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``methods`` left out = all of them. ``period`` is that of :class:`Budget`; ``length_s`` belongs to rolling."""

    name: Name
    methods: list[str] | UnsetType = UNSET
    account: Name = OWNER_ACCOUNT
    budget_msat: AmountMsat | None = None
    period: Period = "never"
    length_s: Annotated[int, Meta(ge=0, le=MAX_WINDOW_S)] = 0
    per_payment_msat: AmountMsat | None = None
    fee_cap_msat: AmountMsat | None = None
    expires_at: UnixTime | None = None
    cipher: CipherSetting = "auto"


def nwc_methods() -> tuple[str, ...]:
    """Every NIP-47 method that this version knows."""
    from kitestring.wire.serve.nwc import METHODS  # noqa: PLC0415 - the wire is needed by this command only

    return tuple(dict.fromkeys(method.permission for method in METHODS.values()))


async def connect(desk: Managing, params: ConnectParams, call: Call) -> Change | Result:
    """Make a connection. Its URI holds the client's secret, is in the first answer only and stored nowhere."""
    found = await _by_name(desk, params.name)
    if found is not None:
        return _without_secret(found)
    secret = SecretKey.generate(desk.entropy)
    grant = await _new_grant(desk, params, secret.public_hex)
    _refuse_gifts(call.caller, grant.methods, desk.clock.now())
    uri = encode_nwc(NwcUri(grant.service_pubkey, desk.relay_urls(), bytes.fromhex(secret.hex())))
    once = {"nwc_uri": uri, "created": True}
    return Change((SaveGrant(grant),), _without_secret(grant), once, grant.grant_id)


def _refuse_gifts(caller: Grant, methods: Collection[str], now: int) -> None:
    """Raise KitestringError(NOT_PERMITTED) where ``caller`` would give away what it may not do itself."""
    from kitestring.wire.serve.nwc import METHODS  # noqa: PLC0415 - as above

    for row in METHODS.values():
        if row.permission in methods:
            permit_gift(caller, row.command, now, f"`connect` with {row.permission}")


def _without_secret(grant: Grant) -> Result:
    return {**show_grant(grant), "nwc_uri": None, "created": False}


async def _new_grant(desk: Managing, params: ConnectParams, caller: str) -> Grant:
    known = nwc_methods()
    methods = known if params.methods is UNSET else tuple(params.methods)
    unknown = sorted(set(methods) - set(known))
    if unknown or not methods:
        wrong = f"{unknown[0]!r} is no method" if unknown else "a connection needs a method"
        raise KitestringError(Reason.MALFORMED, f"{wrong}; there are {', '.join(known)}")
    await need_account(desk, params.account)
    now = desk.clock.now()
    if params.expires_at is not None and params.expires_at <= now:
        raise KitestringError(Reason.MALFORMED, "the connection would have expired already: choose a later time")
    grant_id = desk.entropy(ID_BYTES).hex()
    return Grant(
        grant_id=grant_id,
        name=plain_line(params.name),
        wire=NWC,
        caller=caller,
        service_pubkey=desk.connection_pubkey(grant_id),
        account_id=params.account,
        methods=frozenset(methods),
        budget=_budget(params),
        per_payment_msat=None if params.per_payment_msat is None else Msat(params.per_payment_msat),
        fee_cap_msat=None if params.fee_cap_msat is None else Msat(params.fee_cap_msat),
        expires_at=params.expires_at,
        cipher=params.cipher,
        created_at=now,
    )


def _budget(params: ConnectParams) -> Budget | None:
    if params.budget_msat is None:
        return None
    if (params.period == "rolling") != (params.length_s > 0):
        raise KitestringError(Reason.MALFORMED, "a rolling budget, and only that, has a length in seconds")
    return Budget(Msat(params.budget_msat), params.period, params.length_s)


async def connections(desk: Reading, _params: NoParams, _call: Call) -> Result:
    """List the connections that were not revoked."""
    grants = [grant for grant in await desk.store.grants() if grant.wire == NWC and grant.revoked_at is None]
    known = await desk.store.nodes()
    taken = await desk.store.places(known[-1].node_id) if known else Places({}, {})
    return {"connections": [{**show_grant(grant), **_open(grant, taken)} for grant in _oldest_first(grants)]}


def _open(grant: Grant, taken: Places) -> Result:
    """The part that it has of what all share: payments under way, and unpaid invoices."""
    grant_id = grant.grant_id
    return {"open_payments": taken.payments.get(grant_id, 0), "open_invoices": taken.invoices.get(grant_id, 0)}


async def revoke(desk: Managing, params: NameParams, _call: Call) -> Change:
    """End a connection for ever; its open payments still finish."""
    found = await _by_name(desk, params.name)
    if found is None:
        raise KitestringError(
            Reason.UNKNOWN_TARGET, f"there is no connection {params.name!r}; see `kitestring connections`"
        )
    ended = replace(found, revoked_at=desk.clock.now(), version=found.version + 1)
    result = {"name": found.name, "connection_id": found.grant_id, "revoked_at": ended.revoked_at}
    return Change((SaveGrant(ended),), result, grant_id=found.grant_id)


def show_grant(grant: Grant) -> Result:
    """One connection as JSON. Times are Unix seconds."""
    budget = grant.budget
    return {
        "name": grant.name,
        "connection_id": grant.grant_id,
        "service_pubkey": grant.service_pubkey,
        "client_pubkey": grant.caller,
        "account": grant.account_id,
        "methods": sorted(grant.methods),
        "budget_msat": None if budget is None else int(budget.limit_msat),
        "period": None if budget is None else budget.period,
        "length_s": None if budget is None else budget.length_s,
        "per_payment_msat": None if grant.per_payment_msat is None else int(grant.per_payment_msat),
        "fee_cap_msat": None if grant.fee_cap_msat is None else int(grant.fee_cap_msat),
        "expires_at": grant.expires_at,
        "encryption": grant.cipher,
        "created_at": grant.created_at,
    }


async def _by_name(desk: Reading, name: str) -> Grant | None:
    return await desk.store.grant_named(NWC, plain_line(name))


def _oldest_first(grants: Iterable[Grant]) -> list[Grant]:
    return sorted(grants, key=lambda grant: (grant.created_at, grant.name))


COMMANDS: Final[Commands] = (
    Manage("connect", ConnectParams, connect),
    Read("connections", NoParams, connections),
    Manage("revoke", NameParams, revoke),
)
