"""The owner's commands about connections: what one app may do with one account."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from shlex import quote
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from kitestring.app.owner.accounts import need_account
from kitestring.app.owner.budgets import BudgetAsked, read_budget
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
from kitestring.app.service.kept_relays import is_living, old_relays
from kitestring.base.budgets import Budget, Period
from kitestring.base.commands import OWNER_GRANT
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import CipherSetting, Grant
from kitestring.base.money import MAX_WHOLE, Msat
from kitestring.base.store import Places
from kitestring.base.transactions import SaveGrant
from kitestring.codec.uri import MAX_RELAYS, NwcUri, encode_nwc

NWC: Final = "nwc"
#: As many random bytes as the secret has that follows from them.
SALT_BYTES: Final = 32
#: A hundred years. Whoever wants no end names none.
MAX_EXPIRY_S: Final = 36_500 * 86_400
#: What two connections of one name can differ in, as people call it.
_TERMS: Final = {
    "methods": "list of methods",
    "account_id": "account",
    "budgets": "budget",
    "per_payment_msat": "limit of one payment",
    "fee_cap_msat": "limit of fees",
    "expires_at": "end",
    "cipher": "encryption",
}


class ConnectParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The values of a connection. Left out means: all methods, the node itself, no limit, no end, any encryption; of a
    connection that is there already it is not compared. ``period`` is that of :class:`Budget`; ``length_s`` belongs to
    rolling. A budget of 0 is one: nothing may be spent."""

    name: Name
    methods: list[str] | UnsetType = UNSET
    account: Name | UnsetType = UNSET
    budget_msat: Annotated[int, Meta(ge=0, le=MAX_WHOLE)] | None = None
    period: Period = "never"
    length_s: Annotated[int, Meta(ge=0, le=MAX_WINDOW_S)] = 0
    per_payment_msat: AmountMsat | None = None
    fee_cap_msat: AmountMsat | None = None
    expires_at: UnixTime | None = None
    expires_in_s: Annotated[int, Meta(ge=1, le=MAX_EXPIRY_S)] | None = None
    cipher: CipherSetting | UnsetType = UNSET


def nwc_methods() -> tuple[str, ...]:
    """Every NIP-47 method that this version knows."""
    from kitestring.wire.serve.nwc import METHODS  # noqa: PLC0415 - the wire is needed by this command only

    return tuple(dict.fromkeys(method.permission for method in METHODS.values()))


async def connect(desk: Managing, params: ConnectParams, call: Call) -> Change | Result:
    """Make a connection. One of that name with the same values is returned, with other values it is refused."""
    _check(params)
    found = await _by_name(desk, params.name)
    if found is not None:
        _need_same(found, params)
        return {**show_grant(found), "created": False}
    grant = await _new_grant(desk, params)
    _refuse_gifts(call.caller, grant.methods, desk.clock.now())
    return Change((SaveGrant(grant),), {**show_grant(grant), "created": True}, grant.grant_id)


async def link(desk: Managing, params: NameParams, _call: Call) -> Result:
    """Show the link of a connection again, until its first use."""
    found = await _need(desk, params.name)
    if not found.link_salt:
        raise KitestringError(
            Reason.ALREADY_USED,
            f"the link of {found.name!r} was used, and is kept no more; for a new one, which ends the old one: "
            f"kitestring connection relink {quote(found.name)}",
        )
    return {**show_grant(found), "created": False}


async def connection_relink(desk: Managing, params: NameParams, call: Call) -> Change:
    """Give a connection a new secret link over the relays of today; the app with the old one stops at once."""
    found, now = await _need(desk, params.name), desk.clock.now()
    _refuse_gifts(call.caller, found.methods, now)
    if not is_living(found, now):
        raise KitestringError(
            Reason.CONNECTION_ENDED,
            f"{found.name!r} has expired, and a new link would not change that: run `kitestring revoke "
            f"{quote(found.name)}`, and connect again",
        )
    salt = desk.entropy(SALT_BYTES)
    anew = replace(
        found,
        caller=desk.client_key(salt).public_hex,
        link_salt=salt,
        relays=desk.relays_for_codes()[:MAX_RELAYS],
        nip44_seen=False,  # that was another app
        version=found.version + 1,
    )
    return Change((SaveGrant(anew),), {**show_grant(anew), "created": False}, anew.grant_id)


async def with_link(desk: Managing, made: Result, call: Call) -> Result:
    """A connection with its secret link, for as long as nobody has used it, and with what each relay says of it.

    Raises KitestringError(NOT_PERMITTED) where the caller may not give away what the link gives.
    """
    grant = await desk.store.grant(made["connection_id"])
    if grant is None or grant.revoked_at is not None or not grant.link_salt:
        return {**made, "nwc_uri": None, "relays": []}
    _refuse_gifts(call.caller, grant.methods, desk.clock.now())
    uri = NwcUri(grant.service_pubkey, grant.relays, bytes.fromhex(desk.client_key(grant.link_salt).hex()))
    relays = [msgspec.to_builtins(word) for word in await desk.relay_words(grant)]
    return {**made, "nwc_uri": encode_nwc(uri), "relays": relays}


def _refuse_gifts(caller: Grant, methods: Collection[str], now: int) -> None:
    """Raise KitestringError(NOT_PERMITTED) where ``caller`` would give away what it may not do itself."""
    from kitestring.wire.serve.nwc import METHODS  # noqa: PLC0415 - as above

    for row in METHODS.values():
        if row.permission in methods:
            permit_gift(caller, row.command, now, f"`connect` with {row.permission}")


# ------------------------------------------------------------ the values of a connection


def _check(params: ConnectParams) -> None:
    """Raise KitestringError for values that no connection can have."""
    if plain_line(params.name) == OWNER_GRANT:
        raise KitestringError(Reason.MALFORMED, f"the name {OWNER_GRANT!r} is the owner's own: choose another one")
    known = nwc_methods()
    methods = known if params.methods is UNSET else tuple(params.methods)
    unknown = sorted(set(methods) - set(known))
    if unknown or not methods:
        wrong = f"{unknown[0]!r} is no method" if unknown else "a connection needs a method"
        raise KitestringError(Reason.MALFORMED, f"{wrong}; there are {', '.join(known)}")
    if params.expires_at is not None and params.expires_in_s is not None:
        raise KitestringError(Reason.MALFORMED, "a connection ends at a time or after a time, not both")


async def _new_grant(desk: Managing, params: ConnectParams) -> Grant:
    grant_id, salt = desk.entropy(ID_BYTES).hex(), desk.entropy(SALT_BYTES)
    plain = Grant(
        grant_id=grant_id,
        name=params.name,
        wire=NWC,
        caller=desk.client_key(salt).public_hex,
        service_pubkey=desk.connection_pubkey(grant_id),
        methods=frozenset(nwc_methods()),
        link_salt=salt,
        relays=desk.relays_for_codes()[:MAX_RELAYS],
        created_at=desk.clock.now(),
    )
    grant = _as_asked(plain, params)
    await need_account(desk, grant.account_id)
    lasts_s = None if grant.expires_at is None else grant.expires_at - grant.created_at
    if lasts_s is not None and lasts_s <= 0:
        raise KitestringError(Reason.MALFORMED, "the connection would have expired already: choose a later time")
    if lasts_s is not None and lasts_s > MAX_EXPIRY_S:
        raise KitestringError(Reason.MALFORMED, "a connection ends within a hundred years: leave its end out")
    return grant


def _as_asked(grant: Grant, params: ConnectParams) -> Grant:
    """``grant`` with everything that ``params`` name."""
    ends_at = params.expires_at if params.expires_in_s is None else grant.created_at + params.expires_in_s
    return replace(
        grant,
        methods=grant.methods if params.methods is UNSET else frozenset(params.methods),
        account_id=grant.account_id if params.account is UNSET else params.account,
        budgets=_budgets(params) or grant.budgets,
        per_payment_msat=_money(params.per_payment_msat) or grant.per_payment_msat,
        fee_cap_msat=_money(params.fee_cap_msat) or grant.fee_cap_msat,
        expires_at=grant.expires_at if ends_at is None else ends_at,
        cipher=grant.cipher if params.cipher is UNSET else params.cipher,
    )


def _need_same(found: Grant, params: ConnectParams) -> None:
    """Raise KitestringError(CONFLICT) where ``params`` name something that ``found`` has not: who goes on with the old
    connection believes in limits that are not there."""
    wanted = _as_asked(found, params)
    differs = [words for field, words in _TERMS.items() if getattr(found, field) != getattr(wanted, field)]
    if differs:
        raise KitestringError(
            Reason.CONFLICT,
            f"{found.name!r} exists already, with another {' and another '.join(differs)}, and was left as it is: "
            f"choose another name, or run `kitestring revoke {quote(found.name)}` first, and its app needs "
            "the new link",
            connection_id=found.grant_id,
            differs=differs,
        )


def _money(amount_msat: int | None) -> Msat | None:
    return None if amount_msat is None else Msat(amount_msat)


def _budgets(params: ConnectParams) -> tuple[Budget, ...]:
    if params.budget_msat is None:
        return ()
    asked = BudgetAsked(limit_msat=params.budget_msat, period=params.period, length_s=params.length_s)
    return (read_budget(asked),)


async def connections(desk: Reading, _params: NoParams, _call: Call) -> Result:
    """List the connections that were not revoked; the link of one that is not used can be shown again."""
    grants = [grant for grant in await desk.store.grants() if grant.wire == NWC and grant.revoked_at is None]
    known = await desk.store.nodes()
    taken = await desk.store.places(known[-1].node_id) if known else Places({}, {})
    rows = [
        {**show_grant(grant), "used": not grant.link_salt, **_open(grant, taken), "old_relays": _old(desk, grant)}
        for grant in _oldest_first(grants)
    ]
    return {"connections": rows}


def _old(desk: Reading, grant: Grant) -> list[str]:
    """The relays that are served because its link names them."""
    return list(old_relays(grant.relays, desk.relay_urls())) if is_living(grant, desk.clock.now()) else []


def _open(grant: Grant, taken: Places) -> Result:
    """The part that it has of what all share: payments under way, and unpaid invoices."""
    grant_id = grant.grant_id
    return {"open_payments": taken.payments.get(grant_id, 0), "open_invoices": taken.invoices.get(grant_id, 0)}


async def revoke(desk: Managing, params: NameParams, _call: Call) -> Change:
    """End a connection for ever; its open payments still finish."""
    found = await _need(desk, params.name)
    ended = replace(found, revoked_at=desk.clock.now(), link_salt=b"", version=found.version + 1)
    result = {"name": found.name, "connection_id": found.grant_id, "revoked_at": ended.revoked_at}
    return Change((SaveGrant(ended),), result, found.grant_id)


def show_grant(grant: Grant) -> Result:
    """One connection as JSON. Times are Unix seconds."""
    budget = grant.budgets[0] if grant.budgets else None
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


async def _need(desk: Reading, name: str) -> Grant:
    found = await _by_name(desk, name)
    if found is None:
        raise KitestringError(Reason.UNKNOWN_TARGET, f"there is no connection {name!r}; see `kitestring connections`")
    return found


def _oldest_first(grants: Iterable[Grant]) -> list[Grant]:
    return sorted(grants, key=lambda grant: (grant.created_at, grant.name))


COMMANDS: Final[Commands] = (
    Manage("connect", ConnectParams, connect, with_link),
    Manage("link", NameParams, link, with_link),
    Manage("connection_relink", NameParams, connection_relink, with_link),
    Read("connections", NoParams, connections),
    Manage("revoke", NameParams, revoke),
)
