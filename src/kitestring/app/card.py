"""The card that a service shows when it has started."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kitestring.app.owner import commands as control
from kitestring.app.owner.connections import NWC
from kitestring.app.owner.desk import Desk
from kitestring.base.money import sat

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


async def open_card(desk: Desk, socket: Path) -> Card:
    """The card of a service that is ready; at its very first start an offer and a connection are made for it."""
    if not await desk.store.offers():
        await control.run(desk, "offer_create", {"label": FIRST_OFFER}, FIRST_START)
    nwc_uri: str | None = None
    if not any(grant.wire == NWC for grant in await desk.store.grants()):
        budget = {"budget_msat": int(sat(FIRST_BUDGET_SAT)), "period": "day"}
        made = await control.run(desk, "connect", {"name": FIRST_CONNECTION, **budget}, FIRST_START)
        nwc_uri = made["nwc_uri"]
    shown = await control.run(desk, "card", {})
    return Card(tuple(shown["relays"]), shown["service_pubkey"], shown["noffer"], nwc_uri, socket)
