"""The owner's commands about whether the app of a connection gets in: another link, a pause, the end."""

from __future__ import annotations

from dataclasses import replace
from shlex import quote
from typing import Final

from kitestring.app.owner.command import Call, Change, Commands, Manage
from kitestring.app.owner.connection_health import show_stored
from kitestring.app.owner.connections import SALT_BYTES, need_connection, refuse_gifts, show_grant, with_link
from kitestring.app.owner.desk import Managing
from kitestring.app.owner.params import NameParams
from kitestring.app.owner.results import connections as results
from kitestring.app.service.execute import Result
from kitestring.app.service.kept_relays import is_living
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.transactions.owner import SaveGrant
from kitestring.codec.uri import MAX_RELAYS


async def connection_rotate(desk: Managing, params: NameParams, call: Call) -> Change:
    """Give a connection a new secret link over the relays of today; the app with the old one stops at once."""
    found, now = await need_connection(desk, params.name), desk.clock.now()
    refuse_gifts(call.caller, found.methods, now)
    if not is_living(found, now):
        raise KitestringError(
            Reason.CONNECTION_ENDED,
            f"{found.name!r} has expired, and a new link would not change that: run `kitestring connection edit "
            f"{quote(found.name)} --expires 30d` first",
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
    return Change((SaveGrant(anew),), {**show_grant(anew), "callback": None, "created": False}, anew.grant_id)


async def connection_pause(desk: Managing, params: NameParams, _call: Call) -> Change | Result:
    """Refuse whatever the app of a connection asks, and tell it nothing, until you resume. Its open payments finish."""
    found = await need_connection(desk, params.name)
    return await _set(desk, found, desk.clock.now() if found.paused_at is None else found.paused_at)


async def connection_resume(desk: Managing, params: NameParams, call: Call) -> Change | Result:
    """Let the app of a paused connection go on, with what is left of its budget."""
    found = await need_connection(desk, params.name)
    refuse_gifts(call.caller, found.methods, desk.clock.now(), "connection_resume")
    return await _set(desk, found, None)


async def _set(desk: Managing, found: Grant, paused_at: int | None) -> Change | Result:
    if paused_at == found.paused_at:
        return {**await show_stored(desk, found), "changed": False}
    anew = replace(found, paused_at=paused_at, version=found.version + 1)
    return Change((SaveGrant(anew),), {**await show_stored(desk, anew), "changed": True}, anew.grant_id)


async def revoke(desk: Managing, params: NameParams, _call: Call) -> Change:
    """End a connection forever; its open payments still finish."""
    found = await need_connection(desk, params.name)
    ended = replace(found, revoked_at=desk.clock.now(), link_salt=b"", version=found.version + 1)
    result = {"name": found.name, "connection_id": found.grant_id, "revoked_at": ended.revoked_at}
    return Change((SaveGrant(ended),), result, found.grant_id)


COMMANDS: Final[Commands] = (
    Manage("connection_rotate", NameParams, connection_rotate, results.ConnectionMadeJson, with_link),
    Manage("connection_pause", NameParams, connection_pause, results.ConnectionPausedJson),
    Manage("connection_resume", NameParams, connection_resume, results.ConnectionPausedJson),
    Manage("revoke", NameParams, revoke, results.ConnectionRevokedJson),
)
