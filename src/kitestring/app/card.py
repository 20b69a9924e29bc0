"""The card that a service shows when it has started."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kitestring.app.owner.commands import OwnerCommands
from kitestring.app.owner.connections import NWC
from kitestring.app.owner.debit_pointers import FIRST_POINTER, shown_ndebit
from kitestring.app.owner.desk import Asking, Desk
from kitestring.app.owner.offers import FIRST_OFFER, shown_noffer
from kitestring.app.service.execute import Result
from kitestring.app.service.kept_relays import KeptRelay, stored_kept_relays
from kitestring.base.commands import DEBITS_WIRE, OWNER_GRANT, GetInfo
from kitestring.base.grants import Grant
from kitestring.base.money import sat
from kitestring.base.outcomes import Info
from kitestring.base.records import Stop
from kitestring.base.rights import Right
from kitestring.base.store import Reads
from kitestring.policy.access import rights_of

FIRST_CONNECTION: Final = "first wallet"
#: The idempotency key of what only the very first start makes.
FIRST_START: Final = "first-start"
#: Enough to try everything; whoever needs more makes a connection with a budget of their own.
FIRST_BUDGET_SAT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Card:
    """``nwc_uri`` is set at the first start only, because a card may end in a journal. As long as nobody has used the
    link of that start, ``unused`` is the name of its connection, ``missing_on`` the relays without it and their words.
    ``kept`` are old relays that links and codes still name. ``network`` and ``node`` are those of a real node, and its
    own name ("" where it does not say); a sandbox has neither. ``stops`` are the reasons why nothing is spent.
    """

    relays: tuple[str, ...]
    service_pubkey: str
    noffer: str | None
    nwc_uri: str | None = field(repr=False)
    socket: Path
    unused: str = ""
    missing_on: dict[str, str] = field(default_factory=dict)
    kept: tuple[KeptRelay, ...] = ()
    ndebit: str | None = None
    network: str = ""
    node: str = ""
    stops: tuple[Stop, ...] = ()


async def open_card(desk: Asking, commands: OwnerCommands[Desk], socket: Path, network: str = "") -> Card:
    """The card of a service that is ready; at its very first start an offer and a debit pointer are made for it. A
    pointer that others can ask by is random, so that nobody can who was not given its code.

    A sandbox, which has no ``network``, gets a connection too. In front of a real node nothing that pays is made before
    its owner asks for it.

    A service whose owner was cut off from it starts all the same: it serves others, and shows what it has.
    """
    owner = await commands.owner()
    made: Result = {"nwc_uri": None, "relays": []}
    if Right.MANAGE in rights_of(owner, desk.clock.now()):
        made = await _first_things(desk.store, commands, owner, is_sandbox=not network) or made
    info = await desk.ask(OWNER_GRANT, GetInfo()) if network else None
    first = await desk.store.grant_named(NWC, FIRST_CONNECTION)
    return Card(
        desk.relay_urls(), desk.service_id, await shown_noffer(desk), made["nwc_uri"], socket,
        FIRST_CONNECTION if first is not None and first.link_salt else "",
        {row["relay"]: row["words"] or "" for row in made["relays"] if not row["carries"]},
        await stored_kept_relays(desk.store, desk.relay_urls(), desk.clock.now()), await shown_ndebit(desk),
        network, info.alias if isinstance(info, Info) else "", tuple(await desk.store.stops()),
    )  # fmt: skip


async def _first_things(
    store: Reads, commands: OwnerCommands[Desk], owner: Grant, *, is_sandbox: bool
) -> Result | None:
    """Make what is not there yet; the connection, if it was made now."""
    if not await store.offers():
        await commands.run(owner, "offer_create", {"label": FIRST_OFFER}, FIRST_START)
    grants = await store.grants()
    if not any(grant.wire == DEBITS_WIRE and not grant.caller for grant in grants):
        await commands.run(owner, "debit_pointer_create", {"label": FIRST_POINTER}, FIRST_START)
    if not is_sandbox or any(grant.wire == NWC for grant in grants):
        return None
    terms = {"budget_msat": int(sat(FIRST_BUDGET_SAT)), "period": "day", "preset": "full"}
    return await commands.run(owner, "connect", {"name": FIRST_CONNECTION, **terms}, FIRST_START)
