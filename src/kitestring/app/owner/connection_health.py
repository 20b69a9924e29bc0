"""The owner's command about how one connection fares: what it may do, what is left of its budget, and its relays."""

from __future__ import annotations

from typing import Final

from kitestring.app.owner.budgets import ask_rates_of
from kitestring.app.owner.command import Ask, Call, Commands
from kitestring.app.owner.connection_standing import standing
from kitestring.app.owner.connections import need_connection, show_grant
from kitestring.app.owner.desk import Asking, Managing, Reading
from kitestring.app.owner.params import NameParams
from kitestring.app.owner.results import connections as results
from kitestring.app.service.execute import Result
from kitestring.base.grants import Grant
from kitestring.transport.guard import normalise


async def connection_show(desk: Asking, params: NameParams, _call: Call) -> Result:
    """Show one connection, how its budgets stand, and of each relay in its link whether it can be used over it.

    ``listening``: the relay brings us requests; ``announced``: it shows apps what the connection may do. Where one is
    lacking, ``words`` are the relay's own.
    """
    grant = await need_connection(desk, params.name)
    await ask_rates_of(desk, [grant])
    return {**await show_stored(desk, grant), "relays": await show_relays(desk, grant)}


async def show_stored(desk: Reading, grant: Grant) -> Result:
    """One connection as JSON, with its use and how its budgets stand: everything but its relays."""
    used = {"used": not grant.link_salt, "last_used_at": (await desk.store.last_uses()).get(grant.grant_id)}
    return {**show_grant(grant), **used, **await standing(desk, grant)}


async def show_relays(desk: Asking | Managing, grant: Grant) -> list[Result]:
    """One row per relay of the link, in its order."""
    said = {normalise(word.relay): word for word in await desk.relay_words(grant)}
    live = {normalise(url) for url in desk.live_relays()}
    rows: list[Result] = []
    for url in grant.relays:
        word = said.get(normalise(url))
        rows.append(
            {
                "relay": url,
                "listening": normalise(url) in live,
                "announced": word is not None and word.carries,
                "words": "is not served: the service has left it" if word is None else word.words or None,
            }
        )
    return rows


COMMANDS: Final[Commands] = (Ask("connection_show", NameParams, connection_show, results.ConnectionShownJson),)
