"""The owner's commands about connections: what one app may do with one account."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import lru_cache
from shlex import quote
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from kitestring.app.owner.accounts import need_account
from kitestring.app.owner.budgets import AmountMinor, flat_budget, read_budget, show_budget, terms_of
from kitestring.app.owner.command import Call, Change, Commands, Manage, Read, permit_gift
from kitestring.app.owner.connection_standing import standing
from kitestring.app.owner.desk import Managing, Reading
from kitestring.app.owner.near import none_named
from kitestring.app.owner.params import (
    ID_BYTES,
    MAX_WINDOW_S,
    AmountMsat,
    Currency,
    Name,
    NameParams,
    NoParams,
    UnixTime,
    plain_line,
)
from kitestring.app.owner.results import connections as results
from kitestring.app.service.execute import Result
from kitestring.app.service.kept_relays import is_living, old_relays
from kitestring.app.service.plugins import load_plugins
from kitestring.base.budgets import Budget, Period
from kitestring.base.commands import OWNER_GRANT, AnyCommand, LookupInvoice
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.grants import CipherSetting, Grant, ShownBalance, ShownHistory
from kitestring.base.money import MAX_WHOLE, Msat, sat
from kitestring.base.rights import Right
from kitestring.base.store import Places
from kitestring.base.transactions.owner import SaveGrant
from kitestring.codec.deep_link import MAX_LENGTH as MAX_DEEP_LINK_CHARS
from kitestring.codec.deep_link import answer_link, decode_deep_link
from kitestring.codec.target import Target, classify
from kitestring.codec.uri import MAX_LUD16_LENGTH, MAX_RELAYS, NwcUri, encode_nwc
from kitestring.policy.calendar import time_text
from kitestring.policy.presets import DEFAULT_PRESET, PRESETS, PresetName, first_history
from kitestring.transport.guard import normalise

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
    "relays": "list of relays",
    "lud16": "Lightning Address",
    "shown_balance": "shown balance",
    "shown_history": "shown history",
}
#: Those of them that ``connection edit`` changes.
_EDITED: Final = frozenset(
    {"methods", "budgets", "per_payment_msat", "fee_cap_msat", "expires_at", "shown_balance", "shown_history"}
)
#: That of a new connection which may pay and of which no limit is said: enough to begin with, little to lose.
DEFAULT_BUDGET: Final = Budget.daily(sat(10_000))


class ConnectParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The values of a connection. Left out means: the methods of the preset app, the node itself, 10,000 sat a day for
    what pays, no other limit, no end, any encryption; of a connection that exists already it is not compared.
    ``period`` is that of :class:`Budget`; ``length_s`` belongs to rolling. A budget of 0 is one: nothing may be spent;
    null is none: all that the account has may be. ``show_history`` left out is decided by account and preset
    (:func:`kitestring.policy.presets.first_history`).

    ``preset`` stands for a list of methods. ``relays`` are some of the service's own, the preferred one first.
    ``deep_link`` is the link by which an app has asked: the answer has the one that hands the connection over."""

    name: Name
    methods: list[str] | UnsetType = UNSET
    preset: PresetName | UnsetType = UNSET
    account: Name | UnsetType = UNSET
    budget_msat: Annotated[int, Meta(ge=0, le=MAX_WHOLE)] | UnsetType | None = UNSET
    currency: Currency = ""
    budget_minor: AmountMinor | None = None
    period: Period = "never"
    length_s: Annotated[int, Meta(ge=0, le=MAX_WINDOW_S)] = 0
    per_payment_msat: AmountMsat | None = None
    fee_cap_msat: AmountMsat | None = None
    expires_at: UnixTime | None = None
    expires_in_s: Annotated[int, Meta(ge=1, le=MAX_EXPIRY_S)] | None = None
    cipher: CipherSetting | UnsetType = UNSET
    relays: Annotated[list[str], Meta(min_length=1, max_length=MAX_RELAYS)] | UnsetType = UNSET
    lud16: Annotated[str, Meta(min_length=1, max_length=MAX_LUD16_LENGTH)] | UnsetType = UNSET
    show_balance: ShownBalance | UnsetType = UNSET
    show_history: ShownHistory | UnsetType = UNSET
    deep_link: Annotated[str, Meta(max_length=MAX_DEEP_LINK_CHARS)] = ""


def nwc_methods() -> tuple[str, ...]:
    """Every NIP-47 method that this version knows, and every type of notification."""
    from kitestring.wire.serve.nwc.notifications import NOTIFICATIONS  # noqa: PLC0415 - as above
    from kitestring.wire.serve.nwc.table import METHODS  # noqa: PLC0415 - the wire is needed by this command only

    methods = dict.fromkeys(row.permission for row in METHODS.values())
    return (*methods, *(row.permission for row in NOTIFICATIONS.values()))


def preset_methods(name: PresetName) -> list[str]:
    """The methods of a connection of this preset, and what it is told of without asking."""
    from kitestring.wire.serve.nwc.notifications import NOTIFICATIONS  # noqa: PLC0415 - as above
    from kitestring.wire.serve.nwc.table import METHODS  # noqa: PLC0415 - as above

    preset = PRESETS[name]
    methods = dict.fromkeys(row.permission for row in METHODS.values() if preset.has(row.command))
    types = NOTIFICATIONS.values() if preset.has(LookupInvoice) else ()
    return [one for one in (*methods, *(row.permission for row in types)) if one not in preset.without]


@lru_cache(maxsize=1_024)
def preset_of(methods: frozenset[str]) -> PresetName | None:
    """The preset that stands for exactly these methods; None for a list of the owner's own."""
    return next((name for name in PRESETS if frozenset(preset_methods(name)) == methods), None)


async def connect(desk: Managing, params: ConnectParams, call: Call) -> Change | Result:
    """Make a connection. One of that name with the same values is returned, with other values it is refused."""
    _check(params)
    asked_by = {"callback": decode_deep_link(params.deep_link).callback if params.deep_link else None}
    found = await find_connection(desk, params.name)
    if found is not None:
        _need_same(found, await _as_asked(desk, found, params))
        return {**show_grant(found), **asked_by, "created": False}
    grant = await _new_grant(desk, params)
    refuse_gifts(call.caller, grant.methods, desk.clock.now())
    return Change((SaveGrant(grant),), {**show_grant(grant), **asked_by, "created": True}, grant.grant_id)


async def link(desk: Managing, params: NameParams, _call: Call) -> Result:
    """Show the link of a connection again, until its first use."""
    found = await need_connection(desk, params.name)
    if not found.link_salt:
        raise KitestringError(
            Reason.ALREADY_USED,
            f"the link of {found.name!r} was used, and is kept no more; for a new one, which ends the old one: "
            f"kitestring connection rotate {quote(found.name)}",
        )
    return {**show_grant(found), "callback": None, "created": False}


async def with_link(desk: Managing, made: Result, call: Call) -> Result:
    """A connection with its secret link, for as long as nobody has used it, and with what each relay says of it. Where
    an app has asked by a deep link, ``open`` is the one that hands the connection over.

    Raises KitestringError(NOT_PERMITTED) where the caller may not give away what the link gives.
    """
    grant = await desk.store.grant(made["connection_id"])
    if grant is None or grant.revoked_at is not None or not grant.link_salt:
        return {**made, "nwc_uri": None, "open": None, "relays": []}
    refuse_gifts(call.caller, grant.methods, desk.clock.now())
    secret = bytes.fromhex(desk.client_key(grant.link_salt).hex())
    uri = encode_nwc(NwcUri(grant.service_pubkey, grant.relays, secret, grant.lud16 or None))
    opens = None if made["callback"] is None else answer_link(made["callback"], uri)
    relays = [
        {"relay": word.relay, "carries": word.carries, "words": word.words or None}
        for word in await desk.relay_words(grant)
    ]
    return {**made, "nwc_uri": uri, "open": opens, "relays": relays}


def refuse_gifts(caller: Grant, methods: Collection[str], now: int, word: str = "connect") -> None:
    """Raise KitestringError(NOT_PERMITTED) where ``caller`` would give away what it may not do itself."""
    from kitestring.wire.serve.nwc.notifications import NOTIFICATIONS  # noqa: PLC0415 - as above
    from kitestring.wire.serve.nwc.table import METHODS  # noqa: PLC0415 - as above

    needed: dict[str, type[AnyCommand]] = {row.permission: row.command for row in METHODS.values()}
    needed |= {row.permission: LookupInvoice for row in NOTIFICATIONS.values()}  # who is told looks up nothing else
    for permission, command in needed.items():
        if permission in methods:
            permit_gift(caller, command, now, f"`{word}` with {permission}")


def spends(methods: Collection[str]) -> bool:
    """Whether one of these methods pays."""
    from kitestring.wire.serve.nwc.table import METHODS  # noqa: PLC0415 - as above

    return any(row.command.right is Right.SPEND for row in METHODS.values() if row.permission in methods)


# ------------------------------------------------------------ the values of a connection


def _check(params: ConnectParams) -> None:
    """Raise KitestringError for values that no connection can have."""
    usable_name(params.name)
    asked_methods(params.methods, params.preset)
    if params.expires_at is not None and params.expires_in_s is not None:
        raise KitestringError(Reason.MALFORMED, "a connection ends at a time or after a time, not both")
    if params.lud16 is not UNSET and not _is_lightning_address(params.lud16):
        raise KitestringError(
            Reason.MALFORMED, "a Lightning Address looks like name@domain, such as alice@example.com, in lower case"
        )


def usable_name(name: str) -> str:
    """``name``, if a connection can have it. Raises KitestringError."""
    if plain_line(name) == OWNER_GRANT:
        raise KitestringError(Reason.MALFORMED, f"the name {OWNER_GRANT!r} is the owner's own: choose another one")
    return name


def asked_methods(methods: list[str] | UnsetType, preset: PresetName | UnsetType) -> frozenset[str] | UnsetType:
    """The methods that are asked for, by their names or by a preset; UNSET where nothing is said of them. Raises
    KitestringError for both at once, for none and for one that there is not."""
    if preset is not UNSET and methods is not UNSET:
        raise KitestringError(Reason.MALFORMED, "a connection has a preset or a list of methods, not both")
    if methods is UNSET:
        return UNSET if preset is UNSET else frozenset(preset_methods(preset))
    # What packages add is never part of everything: its owner names it.
    known = (*nwc_methods(), *(plugin.needs for plugin in load_plugins().values()))
    unknown = sorted(set(methods) - set(known))
    if unknown or not methods:
        wrong = f"{unknown[0]!r} is no method" if unknown else "a connection needs a method"
        raise KitestringError(Reason.MALFORMED, f"{wrong}; there are {', '.join(known)}")
    return frozenset(methods)


def need_budget(preset: PresetName | UnsetType, budgets: Collection[Budget]) -> None:
    """Raise KitestringError for a preset that needs a budget where there is none."""
    if preset is not UNSET and PRESETS[preset].needs_budget and not budgets:
        raise KitestringError(
            Reason.MALFORMED, f"the preset {preset} needs a budget: say --budget 5000/day, or take --preset full"
        )


def _is_lightning_address(text: str) -> bool:
    try:
        return classify(text) == (Target.ADDRESS, text)
    except CodecError:  # it begins like nothing that is known
        return False


async def _new_grant(desk: Managing, params: ConnectParams) -> Grant:
    grant_id, salt = desk.entropy(ID_BYTES).hex(), desk.entropy(SALT_BYTES)
    asked = asked_methods(params.methods, params.preset)
    methods = frozenset(preset_methods(DEFAULT_PRESET)) if asked is UNSET else asked
    plain = Grant(
        grant_id=grant_id,
        name=params.name,
        wire=NWC,
        caller=desk.client_key(salt).public_hex,
        service_pubkey=desk.connection_pubkey(grant_id),
        methods=methods,
        budgets=(DEFAULT_BUDGET,) if spends(methods) else (),
        link_salt=salt,
        relays=desk.relays_for_codes()[:MAX_RELAYS],
        created_at=desk.clock.now(),
    )
    grant = await _as_asked(desk, plain, params)
    if params.show_history is UNSET:
        grant = with_first_history(grant)
    lasts_s = None if grant.expires_at is None else grant.expires_at - grant.created_at
    if lasts_s is not None and lasts_s <= 0:
        raise KitestringError(Reason.MALFORMED, "the connection would have expired already: choose a later time")
    if lasts_s is not None and lasts_s > MAX_EXPIRY_S:
        raise KitestringError(Reason.MALFORMED, "a connection ends within a hundred years: leave its end out")
    return grant


def with_first_history(grant: Grant) -> Grant:
    """A new connection with the history that it is shown where nothing is said of it."""
    return replace(grant, shown_history=first_history(grant.account_id, grant.methods, preset_of(grant.methods)))


async def _as_asked(desk: Managing, grant: Grant, params: ConnectParams) -> Grant:
    """``grant`` with everything that ``params`` name. Raises KitestringError for relays that are not the service's, and
    for a preset that needs a budget where there is none."""
    ends_at = params.expires_at if params.expires_in_s is None else grant.created_at + params.expires_in_s
    methods = asked_methods(params.methods, params.preset)
    account_id = grant.account_id if params.account is UNSET else (await need_account(desk, params.account)).account_id
    asked = replace(
        grant,
        methods=grant.methods if methods is UNSET else methods,
        account_id=account_id,
        budgets=_budgets(desk, params, grant),
        per_payment_msat=_money(params.per_payment_msat) or grant.per_payment_msat,
        fee_cap_msat=_money(params.fee_cap_msat) or grant.fee_cap_msat,
        expires_at=grant.expires_at if ends_at is None else ends_at,
        cipher=grant.cipher if params.cipher is UNSET else params.cipher,
        relays=grant.relays if params.relays is UNSET else _own_relays(desk, params.relays),
        lud16=grant.lud16 if params.lud16 is UNSET else params.lud16,
        shown_balance=grant.shown_balance if params.show_balance is UNSET else params.show_balance,
        shown_history=grant.shown_history if params.show_history is UNSET else params.show_history,
    )
    need_budget(params.preset, asked.budgets)
    return asked


def _own_relays(desk: Managing, named: Collection[str]) -> tuple[str, ...]:
    """Relays of the service in its own spelling, each once."""
    known = {normalise(url): url for url in desk.relay_urls()}
    strange = [url for url in named if normalise(url) not in known]
    if strange:
        sentence = f"{strange[0]!r} is none of the service's relays ({', '.join(known.values())})"
        raise KitestringError(Reason.MALFORMED, f"{sentence}: put it into `relays` of the settings first")
    return tuple(dict.fromkeys(known[normalise(url)] for url in named))


def _need_same(found: Grant, wanted: Grant) -> None:
    """Raise KitestringError(CONFLICT) where something is ``wanted`` that ``found`` has not: who goes on with the old
    connection believes in limits that are not there."""
    differs = {field: words for field, words in _TERMS.items() if terms_of(found, field) != terms_of(wanted, field)}
    if differs:
        name, words = quote(found.name), list(differs.values())
        way = (
            f"change it by `kitestring connection edit {name}`, or choose another name"
            if differs.keys() <= _EDITED
            else f"choose another name, or run `kitestring revoke {name}` first, and its app needs the new link"
        )
        raise KitestringError(
            Reason.CONFLICT,
            f"{found.name!r} exists already, with another {' and another '.join(words)}, and was left as it is: {way}",
            connection_id=found.grant_id,
            differs=words,
        )


def _money(amount_msat: int | None) -> Msat | None:
    return None if amount_msat is None else Msat(amount_msat)


def _budgets(desk: Reading, params: ConnectParams, before: Grant) -> tuple[Budget, ...]:
    asked = flat_budget(params)
    if asked is None:
        return before.budgets if params.budget_msat is UNSET else ()
    return (read_budget(desk, asked, before.budgets),)


async def connections(desk: Reading, _params: NoParams, _call: Call) -> Result:
    """List the connections that were not revoked; the link of one that is not used can be shown again."""
    grants = [grant for grant in await desk.store.grants() if grant.wire == NWC and grant.revoked_at is None]
    known = await desk.store.nodes()
    taken = await desk.store.places(known[-1].node_id) if known else Places({}, {})
    uses = await desk.store.last_uses()
    rows = [
        {
            **show_grant(grant),
            **await standing(desk, grant),
            "used": not grant.link_salt,
            "last_used_at": uses.get(grant.grant_id),
            **_open(grant, taken),
            "old_relays": _old(desk, grant),
        }
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


def show_grant(grant: Grant) -> Result:
    """One connection as JSON. Times are Unix seconds."""
    return {
        "name": grant.name,
        "connection_id": grant.grant_id,
        "service_pubkey": grant.service_pubkey,
        "client_pubkey": grant.caller,
        "account": grant.account_id,
        "methods": sorted(grant.methods),
        "preset": preset_of(grant.methods),
        "budgets": [show_budget(one) for one in grant.budgets],
        "per_payment_msat": None if grant.per_payment_msat is None else int(grant.per_payment_msat),
        "fee_cap_msat": None if grant.fee_cap_msat is None else int(grant.fee_cap_msat),
        "expires_at": grant.expires_at,
        "encryption": grant.cipher,
        "lud16": grant.lud16 or None,
        "show_balance": grant.shown_balance,
        "show_history": grant.shown_history,
        "created_at": grant.created_at,
        "paused_at": grant.paused_at,
        "version": grant.version,
    }


async def find_connection(desk: Reading, name: str) -> Grant | None:
    """The connection of that name, if there is one."""
    return await desk.store.grant_named(NWC, plain_line(name))


async def need_connection(desk: Reading, name: str) -> Grant:
    """The connection of that name. Raises KitestringError(UNKNOWN_TARGET)."""
    found = await find_connection(desk, name)
    if found is None:
        raise await _none(desk, name)
    return found


async def _none(desk: Reading, name: str) -> KitestringError:
    """The error for a name that no connection has that can be used."""
    grants = [grant for grant in await desk.store.grants() if grant.wire == NWC]
    ends = [grant.revoked_at for grant in grants if name in {grant.name, grant.grant_id}]
    ended_at = max((at for at in ends if at is not None), default=None)
    if ended_at is None:
        living = (grant.name for grant in grants if grant.revoked_at is None)
        return none_named("connection", name, living, "connections")
    when = time_text(ended_at, desk.zone)
    sentence = f"the connection {name!r} was revoked on {when} and stays so: `kitestring connect` makes a new one"
    return KitestringError(Reason.UNKNOWN_TARGET, sentence)


def _oldest_first(grants: Iterable[Grant]) -> list[Grant]:
    return sorted(grants, key=lambda grant: (grant.created_at, grant.name))


COMMANDS: Final[Commands] = (
    Manage("connect", ConnectParams, connect, results.ConnectionMadeJson, with_link),
    Manage("link", NameParams, link, results.ConnectionMadeJson, with_link),
    Read("connections", NoParams, connections, results.ConnectionListJson),
)
