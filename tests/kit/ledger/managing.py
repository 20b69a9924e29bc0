"""Short makers of links, and of requests of apps that change their offers."""

from __future__ import annotations

from typing import Any

from kitestring.base.commands import MANAGE_WIRE
from kitestring.base.grants import Grant, Offer
from kitestring.base.transactions.owner import CheckOffer, ManageOffers, SaveOffer
from tests.kit.changed import replace
from tests.kit.ledger.values import NOW, reply, request

APP = "a9" * 32
LINK = Grant(grant_id="shop", name="shop", wire=MANAGE_WIRE, pointer_id="shop", account_id="alice", strangers="ask")
GRANT = replace(LINK, grant_id="shop-app", name="app", caller=APP)


def offer(name: str, **more: Any) -> Offer:
    values: dict[str, Any] = {"account_id": "alice", "creator": APP, "pointer_id": "shop", "created_at": NOW}
    return Offer(offer_id=name, label=name, **values | more)


def manages(
    key: str, after: Offer, before: Offer | None = None, *, most: int = 9, most_deleted: int = 9, **more: Any
) -> ManageOffers:
    """The request ``key`` of the app, which writes one offer."""
    check = CheckOffer(after.offer_id, before, after.pointer_id, after.creator, most, most_deleted)
    values: dict[str, Any] = {"caller": APP, "grant_id": GRANT.grant_id, "grant_version": 1}
    values |= {"writes": (check, SaveOffer(after)), "message": reply(key)} | more
    return ManageOffers(request(key, wire=MANAGE_WIRE, grant_id=GRANT.grant_id), **values)
