"""Decide who may manage offers over a link, and what a change makes of one. Pure, on a snapshot of the rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import msgspec

from kitestring.base.commands import MANAGE_WIRE, OfferFields
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant, Offer, OfferState, Webhook
from kitestring.base.money import ZERO
from kitestring.base.outcomes import Refused
from kitestring.policy.debits import refuse_pointer
from kitestring.policy.rate_limits import RateLimit

#: Offers that one app may have over one link: about 600 bytes each, and no shop of one seller has more goods.
MAX_OFFERS: Final = 10_000
#: Offers that it may have deleted there. Their rows stay, because their codes may be anywhere: beyond it the owner has
#: to make another link.
MAX_DELETED: Final = 100_000

#: Of the key that an account belongs to, which nobody has let in: over its own pointer.
MAX_OWN_OFFERS: Final = 20
MAX_OWN_DELETED: Final = 50
#: Changes that one app makes: each leaves its request and its answer for weeks, so that no copy of it comes to pass
#: later. A catalogue is made in one go; what costs something else every minute has a price in a currency.
CHANGES: Final = RateLimit(10, 2_000)
#: Those of one key in its own account, and of all such keys together.
OWN_CHANGES: Final = RateLimit(1, 100)
ALL_OWN_CHANGES: Final = RateLimit(10, 1_000)

#: Said of what is not there and of what is somebody else's: nobody finds out by asking which offers there are.
NO_SUCH_OFFER: Final = Refused(Reason.MALFORMED, "you have no such offer here")
#: Of one offer too many.
FULL: Final = Refused(
    Reason.OVER_BUDGET,
    f"an app has at most {MAX_OFFERS:,} offers over one link, and deletes at most {MAX_DELETED:,}: delete some, or ask "
    "the owner for another link",
    {"most": MAX_OFFERS},
)


#: The same to who has enrolled.
OWN_FULL: Final = Refused(
    Reason.OVER_BUDGET,
    f"an account has at most {MAX_OWN_OFFERS:,} offers, and deletes at most {MAX_OWN_DELETED:,}: delete some",
    {"most": MAX_OWN_OFFERS},
)


class Allowed(msgspec.Struct, frozen=True):
    """The caller may do it, by this row: its grant, or (None) because the account is its own."""

    grant: Grant | None


class AskOwnerToManage(msgspec.Struct, frozen=True, gc=False):
    """The owner has to decide."""


def decide_managing(
    pointer: Grant | None, grant: Grant | None, *, owns: bool, now: int
) -> Allowed | AskOwnerToManage | Refused:
    """Decide whether a caller may manage offers over ``pointer`` at ``now`` (Unix seconds). ``grant`` is its own there;
    ``owns``: the account behind it is the caller's, which needs no grant."""
    if owns:
        return Allowed(None)
    refused = refuse_pointer(pointer, now, MANAGE_WIRE)
    if refused is not None or pointer is None:
        return refused or Refused(Reason.UNKNOWN_TARGET)
    if grant is not None and grant.expires_at is not None and now >= grant.expires_at:
        return Refused(Reason.CONNECTION_ENDED, "this permission has expired")
    if grant is not None:
        return Allowed(grant)
    if pointer.strangers == "ask":
        return AskOwnerToManage()
    return Refused(Reason.NOT_PERMITTED, "the owner has not allowed this key to manage offers")


def managing_grant(pointer: Grant, caller: str, grant_id: str, now: int) -> Grant:
    """The grant that the owner's yes gives an app at this link."""
    return Grant(
        grant_id=grant_id,
        name=f"manage {caller[:8]}",
        wire=MANAGE_WIRE,
        caller=caller,
        account_id=pointer.account_id,
        pointer_id=pointer.grant_id,
        created_at=now,
    )


def new_offer(pointer: Grant, creator: str, offer_id: str, fields: OfferFields, now: int) -> Offer:
    """The offer that an app makes. Its code names the relays of the link, over which the app has come."""
    blank = Offer(
        offer_id=offer_id,
        label="",
        account_id=pointer.account_id,
        relays=pointer.relays,
        creator=creator,
        pointer_id=pointer.grant_id,
        created_at=now,
    )
    return changed_offer(blank, fields)


def changed_offer(offer: Offer, fields: OfferFields) -> Offer:
    """The offer with what ``fields`` says. What an app says as it was told it changes nothing, whatever the owner has
    made of that.

    A price is told on request and stands in no code, so that the code stays good when the price changes; only from a
    price to none, or back, it becomes another one.
    """
    if fields.price_msat is not None and fields.price_msat != (offer.price_msat or ZERO):
        price_msat = fields.price_msat or None
        offer = replace(
            offer, price_msat=price_msat, price_on_request=price_msat is not None, currency="", price_minor=None,
            min_msat=None, max_msat=None,
        )  # fmt: skip
    if fields.payer_data is not None and fields.payer_data != offer.asked:
        offer = replace(offer, payer_data=fields.payer_data)
    if fields.callback_url is not None and fields.callback_url != offer.callback_url:
        offer = replace(offer, webhook=Webhook(fields.callback_url, "get") if fields.callback_url else None)
    return offer if fields.label is None else replace(offer, label=fields.label)


def ended_offer(offer: Offer) -> Offer | Refused:
    """The offer after its end, without what nobody is told any more, for its row stays; the refusal where it is the one
    that an account began with."""
    if not offer.pointer_id:
        return Refused(Reason.NOT_PERMITTED, "the offer that the account began with cannot be deleted")
    return replace(offer, state=OfferState.DELETED, payer_data=(), relays=())
