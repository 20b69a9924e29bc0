"""The owner's commands about debit grants: what one key may take by one pointer without asking."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from kitestring.app.owner.budgets import BudgetsAsked, ask_rates_of, changed_budgets, show_budgets
from kitestring.app.owner.command import Call, Change, Commands, Manage, Read, permit_gift
from kitestring.app.owner.connections import MAX_EXPIRY_S
from kitestring.app.owner.debit_pointers import living_grants, living_pointers, need_pointer
from kitestring.app.owner.desk import Managing, Reading
from kitestring.app.owner.near import none_named
from kitestring.app.owner.params import MIN_ID_CHARS, AmountMsat, Name, UnixTime, npub, only, plain_line, public_key
from kitestring.app.owner.results import debits as results
from kitestring.app.service.execute import Result
from kitestring.base.commands import Debit
from kitestring.base.enrolments import is_enrolled
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.money import Msat
from kitestring.base.transactions.owner import SaveGrant
from kitestring.codec.nip19 import MAX_LENGTH


class GrantsParams(msgspec.Struct, forbid_unknown_fields=True):
    pointer: Annotated[str, Meta(max_length=MAX_LENGTH, description="Those of one pointer (default: all).")] = ""


class GrantName(msgspec.Struct, forbid_unknown_fields=True):
    """``grant`` is the id (at least six characters from its beginning or end), the name, or the key where that has one
    grant."""

    grant: Annotated[str, Meta(min_length=1, max_length=128)]


class EditParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The changes alone: what is left out stays as it is. Null takes a limit or an end away, and an empty list the
    budgets."""

    grant: Annotated[str, Meta(min_length=1, max_length=128)]
    name: Name | UnsetType = UNSET
    budgets: BudgetsAsked | UnsetType = UNSET
    per_payment_msat: AmountMsat | UnsetType | None = UNSET
    expires_at: UnixTime | UnsetType | None = UNSET
    expires_in_s: Annotated[int, Meta(ge=1, le=MAX_EXPIRY_S)] | None = None


async def debit_grants(desk: Reading, params: GrantsParams, _call: Call) -> Result:
    """List what keys may take without asking: each grant with its budgets as they stand.

    What enrolled keys take from their own accounts is no gift of the owner's: they are listed with their pointer alone.
    """
    pointer_id = (await need_pointer(desk, params.pointer)).grant_id if params.pointer else ""
    grants = [one for one in await living_grants(desk) if _is_meant(one, pointer_id)]
    labels = {pointer.grant_id: pointer.name for pointer in await living_pointers(desk)}
    await ask_rates_of(desk, grants)
    return {"grants": [await _shown(desk, grant, labels) for grant in grants]}


def _is_meant(grant: Grant, pointer_id: str) -> bool:
    return grant.pointer_id == pointer_id if pointer_id else not is_enrolled(grant.account_id)


async def debit_show(desk: Reading, params: GrantName, _call: Call) -> Result:
    """Show one grant and its budgets as they stand."""
    grant = await _need(desk, params.grant)
    await ask_rates_of(desk, [grant])
    return await show_debit(desk, grant)


async def debit_edit(desk: Managing, params: EditParams, call: Call) -> Change | Result:
    """Change a grant: its budgets, the limit of one payment, its end, its name. What is used stays used."""
    permit_gift(call.caller, Debit, desk.clock.now(), "`debit_edit`")
    found = await _need(desk, params.grant)
    anew = replace(
        found,
        name=found.name if params.name is UNSET else plain_line(params.name),
        budgets=found.budgets if params.budgets is UNSET else await changed_budgets(desk, found, params.budgets),
        per_payment_msat=found.per_payment_msat
        if params.per_payment_msat is UNSET
        else _money(params.per_payment_msat),
        expires_at=_end(found, params, desk.clock.now()),
    )
    if anew == found:
        return {**await show_debit(desk, found), "changed": False}
    anew = replace(anew, version=found.version + 1)
    return Change((SaveGrant(anew),), {**await show_debit(desk, anew), "changed": True}, anew.grant_id)


async def debit_revoke(desk: Managing, params: GrantName, _call: Call) -> Change:
    """End a grant forever; payments that are under way still finish. Its key may ask again."""
    found = await _need(desk, params.grant)
    ended = replace(found, revoked_at=desk.clock.now(), version=found.version + 1)
    result = {"grant_id": found.grant_id, "name": found.name, "caller": found.caller, "npub": npub(found.caller)}
    return Change((SaveGrant(ended),), {**result, "revoked_at": ended.revoked_at}, found.grant_id)


async def show_debit(desk: Reading, grant: Grant) -> Result:
    """One grant as JSON. Times are Unix seconds."""
    return await _shown(desk, grant, {pointer.grant_id: pointer.name for pointer in await living_pointers(desk)})


async def _shown(desk: Reading, grant: Grant, labels: dict[str, str]) -> Result:
    return {
        "grant_id": grant.grant_id,
        "name": grant.name,
        "caller": grant.caller,
        "npub": npub(grant.caller),
        "pointer_id": grant.pointer_id,
        "pointer": labels.get(grant.pointer_id),
        "account": grant.account_id,
        "budgets": await show_budgets(desk, grant),
        "per_payment_msat": None if grant.per_payment_msat is None else int(grant.per_payment_msat),
        "expires_at": grant.expires_at,
        "created_at": grant.created_at,
        "last_paid_at": (await desk.store.dealings(grant.caller)).last_at,
    }


def _end(found: Grant, params: EditParams, now: int) -> int | None:
    """The end of the grant after the change. Raises KitestringError for one that has passed."""
    if params.expires_at is not UNSET and params.expires_in_s is not None:
        raise KitestringError(Reason.MALFORMED, "a grant ends at a time or after a time, not both")
    if params.expires_in_s is not None:
        return now + params.expires_in_s
    if params.expires_at is UNSET:
        return found.expires_at
    if params.expires_at is not None and params.expires_at <= now:
        raise KitestringError(Reason.MALFORMED, "this end has passed: run `kitestring debit revoke` to end it now")
    return params.expires_at


async def _need(desk: Reading, typed: str) -> Grant:
    """The living grant of that id, name or key, or with an id that begins or ends so. Raises KitestringError."""
    grants = await living_grants(desk)
    key = _key(typed)
    for found in (
        [one for one in grants if typed in (one.grant_id, one.name)],
        [one for one in grants if one.caller == key],
        [one for one in grants if len(typed) >= MIN_ID_CHARS and _begins_or_ends(one.grant_id, typed)],
    ):
        if found:
            only([one.grant_id for one in found], typed, "grants")
            return found[0]
    raise none_named("debit grant", typed, (one.name for one in grants), "debit grants")


def _key(typed: str) -> str:
    """The public key that was typed, "" if it is none."""
    try:
        return public_key(typed)
    except KitestringError:
        return ""


def _begins_or_ends(grant_id: str, typed: str) -> bool:
    return grant_id.startswith(typed) or grant_id.endswith(typed)


def _money(amount_msat: int | None) -> Msat | None:
    return None if amount_msat is None else Msat(amount_msat)


COMMANDS: Final[Commands] = (
    Read("debit_grants", GrantsParams, debit_grants, results.DebitListJson),
    Read("debit_show", GrantName, debit_show, results.DebitJson),
    Manage("debit_edit", EditParams, debit_edit, results.DebitEditedJson),
    Manage("debit_revoke", GrantName, debit_revoke, results.DebitRevokedJson),
)
