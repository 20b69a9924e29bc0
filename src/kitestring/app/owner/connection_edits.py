"""The owner's command that changes a connection which is there: its app keeps its link, and is told nothing of it."""

from __future__ import annotations

from dataclasses import replace
from shlex import quote
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from kitestring.app.owner.budgets import BudgetsAsked, changed_budgets, show_budget, unused
from kitestring.app.owner.command import Call, Change, Commands, Manage
from kitestring.app.owner.connection_health import show_relays, show_stored
from kitestring.app.owner.connections import (
    DEFAULT_BUDGET,
    MAX_EXPIRY_S,
    asked_methods,
    find_connection,
    need_budget,
    need_connection,
    refuse_gifts,
    spends,
    usable_name,
)
from kitestring.app.owner.desk import Managing
from kitestring.app.owner.params import AmountMsat, Name, UnixTime
from kitestring.app.owner.results import connections as results
from kitestring.app.service.execute import Result
from kitestring.base.budgets import Budget
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant, ShownBalance, ShownHistory
from kitestring.base.money import Msat
from kitestring.base.transactions.owner import SaveGrant
from kitestring.policy.calendar import time_text
from kitestring.policy.presets import PresetName


class ConnectionEditParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The changes alone: what is left out stays as it is. Null takes a limit or an end away, and an empty list the
    budgets. ``preset`` stands for a list of methods; ``expires_in_s`` counts from now. ``version`` is what
    ``connection show`` has told: a connection that has changed since is left as it is."""

    name: Name
    new_name: Name | UnsetType = UNSET
    methods: list[str] | UnsetType = UNSET
    preset: PresetName | UnsetType = UNSET
    budgets: BudgetsAsked | UnsetType = UNSET
    per_payment_msat: AmountMsat | UnsetType | None = UNSET
    fee_cap_msat: AmountMsat | UnsetType | None = UNSET
    expires_at: UnixTime | UnsetType | None = UNSET
    expires_in_s: Annotated[int, Meta(ge=1, le=MAX_EXPIRY_S)] | UnsetType = UNSET
    show_balance: ShownBalance | UnsetType = UNSET
    show_history: ShownHistory | UnsetType = UNSET
    version: Annotated[int, Meta(ge=1)] | UnsetType = UNSET


async def connection_edit(desk: Managing, params: ConnectionEditParams, call: Call) -> Change | Result:
    """Change a connection: its budgets, limits, end, methods, name. Its link stays good, and what is used stays used.
    One that could not pay and now may has 10,000 sat a day, unless other budgets are named or an empty list.

    ``changed`` names what is another now, with the values before and after. A payment that is under way ends as it was
    claimed; the next one is held against the new limits.
    """
    found, now = await need_connection(desk, params.name), desk.clock.now()
    if _asks_for_nothing(params):
        raise KitestringError(Reason.MALFORMED, "say what to change, such as --budget 5000/week")
    _need_same_version(found, params)
    asked = asked_methods(params.methods, params.preset)
    methods = found.methods if asked is UNSET else asked
    anew = replace(
        found,
        name=await _free_name(desk, found, params),
        methods=methods,
        budgets=await _budgets(desk, found, params, begins_to_pay=spends(methods) and not spends(found.methods)),
        per_payment_msat=_limit(found.per_payment_msat, params.per_payment_msat),
        fee_cap_msat=_limit(found.fee_cap_msat, params.fee_cap_msat),
        expires_at=_end(found, params, now),
        shown_balance=found.shown_balance if params.show_balance is UNSET else params.show_balance,
        shown_history=found.shown_history if params.show_history is UNSET else params.show_history,
    )
    need_budget(params.preset, anew.budgets)
    refuse_gifts(call.caller, anew.methods, now, "connection_edit")
    before, after = _values(found), _values(anew)
    changed = {
        field: {"before": value, "after": after[field]} for field, value in before.items() if value != after[field]
    }
    if not changed:
        return {**await show_stored(desk, found), "changed": changed}
    anew = replace(anew, version=found.version + 1)
    return Change((SaveGrant(anew),), {**await show_stored(desk, anew), "changed": changed}, anew.grant_id)


async def _with_relays(desk: Managing, done: Result, _call: Call) -> Result:
    """The answer with what each relay says of the connection now."""
    grant = await desk.store.grant(done["connection_id"])
    return {**done, "relays": [] if grant is None else await show_relays(desk, grant)}


def _asks_for_nothing(params: ConnectionEditParams) -> bool:
    asked = set(params.__struct_fields__) - {"name", "version"}
    return all(getattr(params, field) is UNSET for field in asked)


def _values(grant: Grant) -> Result:
    """The values that can be changed, as JSON."""
    return {
        "name": grant.name,
        "methods": sorted(grant.methods),
        "budgets": [show_budget(budget) for budget in grant.budgets],
        "per_payment_msat": _plain(grant.per_payment_msat),
        "fee_cap_msat": _plain(grant.fee_cap_msat),
        "expires_at": grant.expires_at,
        "show_balance": grant.shown_balance,
        "show_history": grant.shown_history,
    }


async def _budgets(
    desk: Managing, found: Grant, params: ConnectionEditParams, *, begins_to_pay: bool
) -> tuple[Budget, ...]:
    """The budgets after the change. What had none because it could not pay has that of a new connection from now on,
    unless another is named."""
    if params.budgets is not UNSET:
        return await changed_budgets(desk, found, params.budgets)
    return found.budgets or ((await unused(desk, found, DEFAULT_BUDGET),) if begins_to_pay else ())


async def _free_name(desk: Managing, found: Grant, params: ConnectionEditParams) -> str:
    """The name after the change. Raises KitestringError(CONFLICT) for that of another connection."""
    if params.new_name is UNSET or params.new_name == found.name:
        return found.name
    name = usable_name(params.new_name)
    other = await find_connection(desk, name)
    if other is not None and other.grant_id != found.grant_id:  # its own id is nobody else's
        account = f"account {other.account_id}, made on {time_text(other.created_at, desk.zone)}"
        raise KitestringError(
            Reason.CONFLICT, f"the name {name!r} is taken by another connection ({account}): choose another one"
        )
    return name


def _need_same_version(found: Grant, params: ConnectionEditParams) -> None:
    """Raise KitestringError(CONFLICT) where somebody else has changed it since the caller has looked."""
    if params.version is not UNSET and params.version != found.version:
        name = quote(found.name)
        raise KitestringError(
            Reason.CONFLICT,
            f"{found.name!r} has changed meanwhile (version {found.version}, you saw {params.version}), and was left "
            f"as it is: look at it again with `kitestring connection show {name}`",
            version=found.version,
        )


def _end(found: Grant, params: ConnectionEditParams, now: int) -> int | None:
    """The end after the change. Raises KitestringError for one that has passed, or that is too far away."""
    if params.expires_at is not UNSET and params.expires_in_s is not UNSET:
        raise KitestringError(Reason.MALFORMED, "a connection ends at a time or after a time, not both")
    if params.expires_in_s is not UNSET:
        return now + params.expires_in_s
    if params.expires_at is UNSET:
        return found.expires_at
    if params.expires_at is not None and params.expires_at <= now:
        raise KitestringError(
            Reason.MALFORMED, f"this end has passed: run `kitestring revoke {quote(found.name)}` to end it now"
        )
    if params.expires_at is not None and params.expires_at > now + MAX_EXPIRY_S:
        raise KitestringError(Reason.MALFORMED, "a connection ends within a hundred years: say --expires never")
    return params.expires_at


def _limit(found: Msat | None, asked_msat: int | UnsetType | None) -> Msat | None:
    if asked_msat is UNSET:
        return found
    return None if asked_msat is None else Msat(asked_msat)


def _plain(limit: Msat | None) -> int | None:
    return None if limit is None else int(limit)


COMMANDS: Final[Commands] = (
    Manage("connection_edit", ConnectionEditParams, connection_edit, results.ConnectionEditedJson, _with_relays),
)
