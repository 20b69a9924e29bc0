"""The connection of an app that has asked for one itself: what it gets when the owner says yes."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kitestring.app.owner.budgets import show_budget
from kitestring.app.owner.connections import (
    NWC,
    SALT_BYTES,
    find_connection,
    preset_methods,
    refuse_gifts,
    spends,
    with_first_history,
)
from kitestring.app.owner.desk import Deciding, Reading
from kitestring.app.owner.params import plain_line
from kitestring.app.service.execute import Result
from kitestring.base.approvals import Approval, Ruling, connection_id
from kitestring.base.budgets import Budget
from kitestring.base.commands import OWNER_GRANT, Connect
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Account, Grant
from kitestring.codec.uri import MAX_RELAYS
from kitestring.policy.connecting import granted_budgets, granted_methods, refuse_creation, within
from kitestring.policy.rules import refuse_caller
from kitestring.transport.guard import normalise

#: Connections of one name that are told apart by a number.
MAX_SAME_NAME: Final = 100


async def made_for(
    desk: Deciding, asked: Approval, command: Connect, verdict: Ruling, own: Budget | None, name: str, caller: Grant
) -> tuple[Grant, Account | None]:
    """The connection of the app, and the account that is made for it where it wants one of its own. On an account that
    others use it sees its own payments alone: its owner has been asked for no more.

    Raises KitestringError: UNSUPPORTED, MALFORMED where the verdict does not fit, NOT_PERMITTED where ``caller`` may
    not give what the app asks for, CONFLICT for a ``name`` that is taken, CONNECTION_ENDED where its end has passed.
    """
    now = desk.clock.now()
    methods = granted_methods(command, preset_methods("full"))
    refuse_gifts(caller, methods, now, "approve")
    if command.expires_at is not None and command.expires_at <= now:
        raise KitestringError(Reason.CONNECTION_ENDED, "the connection would have expired already: let it ask again")
    grant_id = connection_id(asked)
    salt = b"" if command.client else desk.entropy(SALT_BYTES)
    grant = Grant(
        grant_id=grant_id,
        name=await _free_name(desk, name, command, asked),
        wire=NWC,
        caller=command.client or desk.client_key(salt).public_hex,
        service_pubkey=desk.connection_pubkey(grant_id),
        methods=methods,
        budgets=granted_budgets(command, verdict, own, spends=spends(methods)),
        expires_at=command.expires_at,
        link_salt=salt,
        relays=_relays(desk, command),
        asked_relays=command.relays if command.client else (),
        asked_state=command.state,
        created_at=now,
    )
    if asked.target:
        grant = await _within_creator(desk, asked, command, grant)
    if not command.isolated:
        return grant, None
    account = Account(account_id=f"app-{grant_id}", name=f"app-{grant_id}", created_at=now)
    return with_first_history(replace(grant, account_id=account.account_id)), account


async def _within_creator(desk: Deciding, asked: Approval, command: Connect, grant: Grant) -> Grant:
    """The connection within what the one has now that has asked for it. Raises KitestringError where that has ended, or
    has become less than what it asks for."""
    creator = await desk.store.grant(asked.target)
    refused = refuse_caller(creator, desk.clock.now(), command)
    if creator is not None and refused is None:
        refused = refuse_creation(command, creator, spends=spends(grant.methods))
    if creator is None or refused is not None:
        why = "it is gone" if refused is None else refused.message
        raise KitestringError(Reason.NOT_PERMITTED, f"the connection that asks for this may not any more: {why}")
    return within(grant, creator)


def _relays(desk: Deciding, command: Connect) -> tuple[str, ...]:
    """Our relays, those first at which the app waits."""
    waits = {normalise(url) for url in command.relays}
    return tuple(sorted(desk.relays_for_codes(), key=lambda url: normalise(url) not in waits))[:MAX_RELAYS]


async def _free_name(desk: Reading, name: str, command: Connect, asked: Approval) -> str:
    """The owner's name for it, else the app's own, with a number where there is one of that name."""
    if name:
        wanted = plain_line(name)
        if wanted == OWNER_GRANT or await find_connection(desk, wanted) is not None:
            raise KitestringError(Reason.CONFLICT, f"the name {wanted!r} is taken: choose another one")
        return wanted
    wanted = _usable(command.name) or f"app {(command.client or asked.caller)[:8]}"
    for number in range(1, MAX_SAME_NAME):
        tried = wanted if number == 1 else f"{wanted} {number}"
        if tried != OWNER_GRANT and await find_connection(desk, tried) is None:
            return tried
    raise KitestringError(Reason.CONFLICT, f"too many connections are called {wanted!r}: give it a name (--name)")


def _usable(name: str) -> str:
    """The name that an app gives itself, if a connection can have it; "" otherwise."""
    try:
        return plain_line(name.strip())[:60].strip()
    except KitestringError:
        return ""


def show_wish(command: Connect) -> Result:
    """The wish of an app as JSON. ``name`` and ``return_to`` are its own texts. ``verifiable``: it can tell that the
    answer is to its request. ``wants_link``: it waits for a connection link."""
    return {
        "name": command.name or None,
        "methods": list(command.methods),
        "optional_methods": list(command.optional),
        "budget": None if command.budget is None else show_budget(command.budget),
        "expires_at": command.expires_at,
        "isolated": command.isolated,
        "verifiable": bool(command.state),
        "wants_link": not command.client,
        "relays": list(command.relays),
        "return_to": command.return_to or None,
    }
