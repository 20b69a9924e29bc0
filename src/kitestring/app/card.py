"""The card that a service shows when it has started."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kitestring.app.owner.commands import OwnerCommands
from kitestring.app.owner.connections import NWC
from kitestring.app.owner.desk import Desk, Reading
from kitestring.app.owner.offers import oldest_noffer
from kitestring.base.grants import Grant
from kitestring.base.money import sat
from kitestring.base.store import Reads
from kitestring.policy.access import Right, rights_of

FIRST_OFFER: Final = "first offer"
FIRST_CONNECTION: Final = "first wallet"
#: The idempotency key of what only the very first start makes.
FIRST_START: Final = "first-start"
#: Enough to try everything; whoever needs more makes a connection with a budget of their own.
FIRST_BUDGET_SAT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Card:
    """``nwc_uri`` is set at the first start only, because the secret in it is stored nowhere."""

    relays: tuple[str, ...]
    service_pubkey: str
    noffer: str | None
    nwc_uri: str | None = field(repr=False)
    socket: Path


async def open_card(desk: Reading, commands: OwnerCommands[Desk], socket: Path) -> Card:
    """The card of a service that is ready; at its very first start an offer and a connection are made for it.

    A service whose owner was cut off from it starts all the same: it serves others, and shows what it has.
    """
    owner = await commands.owner()
    nwc_uri: str | None = None
    if Right.MANAGE in rights_of(owner, desk.clock.now()):
        nwc_uri = await _first_things(desk.store, commands, owner)
    return Card(desk.relay_urls(), desk.service_id, await oldest_noffer(desk), nwc_uri, socket)


async def _first_things(store: Reads, commands: OwnerCommands[Desk], owner: Grant) -> str | None:
    """Make what is not there yet; the URI of the connection, if it was made now."""
    if not await store.offers():
        await commands.run(owner, "offer_create", {"label": FIRST_OFFER}, FIRST_START)
    if any(grant.wire == NWC for grant in await store.grants()):
        return None
    budget = {"budget_msat": int(sat(FIRST_BUDGET_SAT)), "period": "day"}
    made = await commands.run(owner, "connect", {"name": FIRST_CONNECTION, **budget}, FIRST_START)
    uri: str | None = made["nwc_uri"]
    return uri
