"""The owner's commands about offers: static codes that anybody can pay."""

from __future__ import annotations

from dataclasses import replace
from shlex import quote
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kitestring.app.owner.accounts import need_account
from kitestring.app.owner.command import Call, Change, Commands, Manage, Read, permit_gift
from kitestring.app.owner.desk import Managing, Reading
from kitestring.app.owner.params import ID_BYTES, AmountMsat, Name, NoParams, plain_line
from kitestring.app.service.execute import Result
from kitestring.app.service.kept_relays import old_relays
from kitestring.base.commands import OWNER_ACCOUNT, AskOffer
from kitestring.base.enrolments import is_enrolled
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Offer, OfferState, Webhook
from kitestring.base.money import MSAT_PER_SAT, Msat
from kitestring.base.transactions import SaveOffer
from kitestring.base.webhooks import MAX_WEBHOOK_CHARS
from kitestring.codec.nip19 import MAX_LENGTH
from kitestring.codec.pointers import MAX_RELAYS, Noffer, PriceType, decode, encode
from kitestring.transport.guard import normalise

#: As many as a payer fills in by hand; the wire itself carries at most 32.
MAX_PAYER_FIELDS: Final = 8
#: What every code of an offer begins with, whatever link it stands in.
CODE_START: Final = "noffer1"
#: The label of the offer that the very first start makes.
FIRST_OFFER: Final = "first offer"
#: What two offers of one label can differ in, as people call it.
_TERMS: Final = {
    "label": "label",
    "price_msat": "price",
    "min_msat": "least amount",
    "max_msat": "largest amount",
    "account_id": "account",
    "payer_data": "list of questions",
    "webhook": "webhook",
}


class OfferParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Without ``price_msat`` the payer names the amount, between ``min_msat`` and ``max_msat``. ``webhook`` is told of
    each payment with a POST."""

    label: Name
    price_msat: AmountMsat | None = None
    min_msat: AmountMsat | None = None
    max_msat: AmountMsat | None = None
    account: Name = OWNER_ACCOUNT
    payer_data: Annotated[list[Name], Meta(max_length=MAX_PAYER_FIELDS)] = []
    webhook: Annotated[str, Meta(max_length=MAX_WEBHOOK_CHARS)] = ""


class OfferName(msgspec.Struct, forbid_unknown_fields=True):
    """``offer`` is the id, the label or the code."""

    offer: Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH)]


async def offer_create(desk: Managing, params: OfferParams, call: Call) -> Change | Result:
    """Make an offer. One of that label with the same values is returned, with other values it is refused."""
    permit_gift(call.caller, AskOffer, desk.clock.now(), "`offer_create`")
    _check(params)
    account = await need_account(desk, params.account)
    offer = Offer(
        offer_id=desk.entropy(ID_BYTES).hex(),
        label=params.label,
        account_id=account.account_id,
        price_msat=_money(params.price_msat),
        min_msat=_money(params.min_msat),
        max_msat=_money(params.max_msat),
        payer_data=tuple(params.payer_data),
        relays=desk.relays_for_codes()[:MAX_RELAYS],
        webhook=Webhook(params.webhook) if params.webhook else None,
        created_at=desk.clock.now(),
    )
    if offer.webhook is not None:
        desk.check_webhook(offer.webhook, offer.payer_data, own=True)
    found = await _find(desk, params.label)
    if found is None:
        return Change((SaveOffer(offer),), show_offer(desk, offer))
    _need_same(found, offer if params.webhook else replace(offer, webhook=found.webhook))
    return show_offer(desk, found)


async def offer_list(desk: Reading, _params: NoParams, _call: Call) -> Result:
    """List the offers that can be paid. Those of enrolled keys are shown with their accounts."""
    return {"offers": [show_offer(desk, offer) for offer in await _own_offers(desk)]}


async def offer_show(desk: Reading, params: OfferName, _call: Call) -> Result:
    """Show one offer with its code."""
    return show_offer(desk, await need_offer(desk, params.offer))


async def offer_relink(desk: Managing, params: OfferName, _call: Call) -> Change | Result:
    """Make the code of an offer anew, over the relays of today. What was printed works as long as an old relay does."""
    offer = await need_offer(desk, params.offer)
    anew = replace(offer, relays=desk.relays_for_codes()[:MAX_RELAYS])
    if {normalise(url) for url in anew.relays} == {normalise(url) for url in offer.relays}:
        return {**show_offer(desk, offer), "changed": False, "left_relays": []}
    left = list(old_relays(offer.relays, anew.relays))
    return Change((SaveOffer(anew),), {**show_offer(desk, anew), "changed": True, "left_relays": left})


async def offer_delete(desk: Managing, params: OfferName, _call: Call) -> Change:
    """End an offer: whoever asks it gets "no such offer". Invoices that were given out can still be paid."""
    offer = await need_offer(desk, params.offer)
    gone = replace(offer, state=OfferState.DELETED)
    return Change((SaveOffer(gone),), {"offer_id": offer.offer_id, "label": offer.label, "deleted": True})


async def open_offers(desk: Reading) -> list[Offer]:
    """Offers that can be paid, the oldest first."""
    offers = [offer for offer in await desk.store.offers() if offer.state is OfferState.OPEN]
    return sorted(offers, key=lambda offer: (offer.created_at, offer.label))


async def _own_offers(desk: Reading) -> list[Offer]:
    """The open offers but those of enrolled keys, which pay others."""
    return [offer for offer in await open_offers(desk) if not is_enrolled(offer.account_id)]


async def shown_noffer(desk: Reading) -> str | None:
    """The code that this service shows where it shows only one: that of its first start as long as there is one, else
    the oldest. Dates alone do not say which was first: they are whole seconds, and clocks are set back."""
    offers = await _own_offers(desk)
    offer = next((one for one in offers if one.label == FIRST_OFFER), None) or next(iter(offers), None)
    return None if offer is None else noffer_of(desk, offer)


def noffer_of(desk: Reading, offer: Offer) -> str:
    """The code of an offer of ours, as it is shown and printed."""
    fixed = offer.price_msat is not None
    return encode(
        Noffer(
            pubkey=desk.service_id,
            relays=offer.relays,
            offer=offer.offer_id,
            price_type=PriceType.FIXED if fixed else PriceType.SPONTANEOUS,
            price_sats=offer.price_msat.sats_up() if offer.price_msat is not None else None,
        )
    )


def show_offer(desk: Reading, offer: Offer) -> Result:
    return {
        "offer_id": offer.offer_id,
        "label": offer.label,
        "noffer": noffer_of(desk, offer),
        "price_msat": _plain(offer.price_msat),
        "min_msat": _plain(offer.min_msat),
        "max_msat": _plain(offer.max_msat),
        "account": offer.account_id,
        "payer_data": list(offer.payer_data),
        "webhook": offer.webhook.url if offer.webhook else None,
        "created_at": offer.created_at,
        "old_relays": list(old_relays(offer.relays, desk.relay_urls())),
    }


def _check(params: OfferParams) -> None:
    amounts = (params.price_msat, params.min_msat, params.max_msat)
    if any(amount is not None and amount % MSAT_PER_SAT for amount in amounts):
        raise KitestringError(Reason.MALFORMED, "an offer is priced in whole sats")
    if params.price_msat is not None and (params.min_msat is not None or params.max_msat is not None):
        raise KitestringError(Reason.MALFORMED, "an offer has either a price or a range, not both")
    if params.min_msat is not None and params.max_msat is not None and params.min_msat > params.max_msat:
        raise KitestringError(Reason.MALFORMED, "the smallest amount is larger than the largest")
    plain_line(params.label, "a label")
    for field in params.payer_data:
        plain_line(field, "what a payer is asked for")


def _need_same(found: Offer, wanted: Offer) -> None:
    """Raise KitestringError(CONFLICT) where ``wanted`` is another offer: its code would ask for another price."""
    differs = [words for field, words in _TERMS.items() if getattr(found, field) != getattr(wanted, field)]
    if differs:
        raise KitestringError(
            Reason.CONFLICT,
            f"there is an offer {wanted.label!r} already, with another {' and another '.join(differs)}, and it was "
            f"left as it is: choose another label, or run `kitestring offer delete {quote(wanted.label)}` first, which "
            "ends the code that is out there",
            offer_id=found.offer_id,
            differs=differs,
        )


async def _find(desk: Reading, name: str) -> Offer | None:
    return next((offer for offer in await open_offers(desk) if name in (offer.offer_id, offer.label)), None)


async def need_offer(desk: Reading, name: str) -> Offer:
    """The offer with this id, label or code. Raises KitestringError(UNKNOWN_TARGET), CodecError."""
    is_code = CODE_START in name.lower()
    found = await _find(desk, name) or (await _find(desk, _own_id(desk, name)) if is_code else None)
    if found is None:
        what = "with this code" if is_code else repr(name)
        raise KitestringError(Reason.UNKNOWN_TARGET, f"there is no offer {what}; see `kitestring offer list`")
    return found


def _own_id(desk: Reading, code: str) -> str:
    """The id in a code of ours. Raises CodecError, or KitestringError for a code of somebody else."""
    pointer = decode(code)
    if not isinstance(pointer, Noffer) or pointer.pubkey != desk.service_id:
        raise KitestringError(Reason.UNKNOWN_TARGET, "this code belongs to another service")
    return pointer.offer


def _money(amount_msat: int | None) -> Msat | None:
    return None if amount_msat is None else Msat(amount_msat)


def _plain(amount_msat: Msat | None) -> int | None:
    return None if amount_msat is None else int(amount_msat)


COMMANDS: Final[Commands] = (
    Manage("offer_create", OfferParams, offer_create),
    Read("offer_list", NoParams, offer_list),
    Read("offer_show", OfferName, offer_show),
    Manage("offer_relink", OfferName, offer_relink),
    Manage("offer_delete", OfferName, offer_delete),
)
