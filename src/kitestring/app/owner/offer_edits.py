"""The owner's commands that change an offer. What stands in its code cannot change: there is a new code then, and the
old one forwards to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from kitestring.app.owner.command import Call, Change, Commands, Manage
from kitestring.app.owner.desk import Managing, Reading
from kitestring.app.owner.offer_terms import ExpiresIn, PayerData, PriceMinor, check, end_of, money, new_id
from kitestring.app.owner.offers import OfferName, find, leading_to, need, show_offer, written
from kitestring.app.owner.params import AmountMsat, Currency, Name, UnixTime
from kitestring.app.owner.results import offers as results
from kitestring.app.service.execute import Result
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Offer, OfferState, Pricing, Webhook
from kitestring.base.transactions.owner import SaveOffer
from kitestring.codec.nip19 import MAX_LENGTH
from kitestring.codec.pointers import MAX_RELAYS
from kitestring.wire.offer_code import noffer_of

#: Old codes that forward to one offer: each is written anew when it gets another code.
MAX_OLD_CODES: Final = 100
#: What an edit may change, as JSON names it.
_SHOWN: Final = (
    "label", "price_msat", "price_on_request", "currency", "price_minor", "min_msat", "max_msat", "payer_data",
    "expires_at",
)  # fmt: skip


class OfferEditParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The changes alone: what is left out stays as it is. Null takes a limit or an end away.

    A price is named whole, and takes the place of the one before and of a range; ``price_msat`` null lets the payer
    name the amount.
    """

    offer: Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH)]
    new_label: Name | UnsetType = UNSET
    price_msat: AmountMsat | UnsetType | None = UNSET
    price_on_request: bool | UnsetType = UNSET
    currency: Currency | UnsetType = UNSET
    price_minor: PriceMinor | UnsetType = UNSET
    min_msat: AmountMsat | UnsetType | None = UNSET
    max_msat: AmountMsat | UnsetType | None = UNSET
    payer_data: PayerData | UnsetType = UNSET
    expires_at: UnixTime | UnsetType | None = UNSET
    expires_in_s: ExpiresIn | UnsetType = UNSET


class ForwardParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``offer`` is the id, the label or the code, and so is ``to``; null ends the forwarding."""

    offer: Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH)]
    to: Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH)] | None


async def offer_edit(desk: Managing, params: OfferEditParams, _call: Call) -> Change | Result:
    """Change an offer. Its code stays, unless its price or its currency stands in it: then the old code forwards.

    What an app has made keeps its id, by which the app knows it, whatever changes: its price is one on request, and
    where it becomes another code all the same, ``changed`` has that too, and the old one works on.

    ``changed`` names what is another now, with the values before and after; ``old_noffer`` is the code that forwards,
    null where none does. Invoices that were given out are paid as they are.
    """
    if all(getattr(params, field) is UNSET for field in params.__struct_fields__ if field != "offer"):
        raise KitestringError(Reason.MALFORMED, "say what to change, such as --price 2.50EUR")
    known = await desk.store.offers()
    found = need(desk, known, params.offer)
    anew = replace(found, **_changes(found, params, desk.clock.now()))
    if found.creator and anew.price_msat is not None:
        anew = replace(anew, price_on_request=True)
    check(anew)
    if anew.webhook is not None:
        desk.check_webhook(anew.webhook, anew.payer_data, own=not anew.creator)
    other = find(known, anew.label)
    if anew.label != found.label and other is not None:
        raise KitestringError(Reason.CONFLICT, f"the label {anew.label!r} is taken: choose another one")
    before, after = show_offer(desk, found), show_offer(desk, anew)
    changed = {one: {"before": before[one], "after": after[one]} for one in _SHOWN if before[one] != after[one]}
    if found.creator and before["noffer"] != after["noffer"]:
        changed["noffer"] = {"before": before["noffer"], "after": after["noffer"]}
    if found.creator or _in_code(found) == _in_code(anew):
        result: Result = {**after, "changed": changed, "old_noffer": None}
        return Change(written(found, anew), result) if changed else result
    anew = replace(
        anew,
        offer_id=new_id(desk, takes_zaps=found.zap_pubkey != ""),
        relays=desk.relays_for_codes()[:MAX_RELAYS],
        webhook=None if found.webhook is None else Webhook(found.webhook.url, found.webhook.form, found.webhook_key),
    )
    return _moved(desk, known, found, anew, {"changed": changed, "old_noffer": before["noffer"]}, is_new=True)


async def offer_on(desk: Managing, params: OfferName, _call: Call) -> Change | Result:
    """Switch an offer on again."""
    return await _switch(desk, params.offer, OfferState.OPEN)


async def offer_off(desk: Managing, params: OfferName, _call: Call) -> Change | Result:
    """Switch an offer off for now: whoever asks it is refused. Invoices that were given out can still be paid."""
    return await _switch(desk, params.offer, OfferState.OFF)


async def offer_forward(desk: Managing, params: ForwardParams, _call: Call) -> Change | Result:
    """Let the code of one offer lead to another of the same account, forever; or end that."""
    known = await desk.store.offers()
    offer = need(desk, known, params.offer, moved=True)
    if params.to is None:
        return _ended(desk, offer)
    target = need(desk, known, params.to)
    if target.offer_id == offer.offer_id:
        raise KitestringError(Reason.MALFORMED, "an offer does not forward to itself")
    if target.account_id != offer.account_id:
        sentence = f"{target.label!r} fills another account: who pays a code pays the one that has made it"
        raise KitestringError(Reason.NOT_PERMITTED, sentence)
    return _moved(desk, known, offer, target, {}, is_new=False)


async def _switch(desk: Managing, name: str, state: OfferState) -> Change | Result:
    found = need(desk, await desk.store.offers(), name)
    anew = replace(found, state=state)
    result = show_offer(desk, anew)
    return result if anew == found else Change(written(found, anew), result)


def _moved(desk: Reading, known: Sequence[Offer], offer: Offer, target: Offer, more: Result, *, is_new: bool) -> Change:
    """Everything that leads to ``offer`` leads to ``target`` from now on, without a second step."""
    latest = noffer_of(target, desk.service_id)
    old = [replace(one, state=OfferState.MOVED, latest=latest) for one in (offer, *leading_to(known, offer))]
    if len(old) + len(leading_to(known, target)) > MAX_OLD_CODES:
        sentence = f"more than {MAX_OLD_CODES} old codes would lead here: end some by `kitestring offer forward --end`"
        raise KitestringError(Reason.CONFLICT, f"{sentence}, or name a price that stands in no code")
    writes = (*((SaveOffer(target),) if is_new else ()), *(SaveOffer(one) for one in old))
    old_ids = [one.offer_id for one in (*leading_to(known, target), *old)]
    return Change(writes, {**show_offer(desk, target), "old_ids": old_ids, **more})


def _ended(desk: Reading, offer: Offer) -> Change | Result:
    """Nobody is led anywhere by this code any more."""
    if offer.state is not OfferState.MOVED:
        sentence = f"{offer.label!r} forwards nowhere: `kitestring offer off` or `delete` ends the sale"
        raise KitestringError(Reason.MALFORMED, sentence)
    anew = replace(offer, latest="")
    result = show_offer(desk, anew)
    return result if anew == offer else Change((SaveOffer(anew),), result)


def _in_code(offer: Offer) -> tuple[object, ...]:
    """The part of the terms that the code shows, beside its id and its relays."""
    return offer.pricing, offer.currency, offer.price_msat if offer.pricing is Pricing.FIXED else None


def _changes(found: Offer, params: OfferEditParams, now: int) -> dict[str, Any]:
    """The members that are to be others, or the same again."""
    changes = _price(found, params)
    if params.new_label is not UNSET:
        changes["label"] = params.new_label
    if params.min_msat is not UNSET:
        changes["min_msat"] = money(params.min_msat)
    if params.max_msat is not UNSET:
        changes["max_msat"] = money(params.max_msat)
    if params.payer_data is not UNSET:
        changes["payer_data"] = tuple(params.payer_data)
    if params.expires_at is not UNSET or params.expires_in_s is not UNSET:
        expires_at = None if params.expires_at is UNSET else params.expires_at
        changes["expires_at"] = end_of(expires_at, None if params.expires_in_s is UNSET else params.expires_in_s, now)
    return changes


def _price(found: Offer, params: OfferEditParams) -> dict[str, Any]:
    """The whole price where one is named. A number alone is one in the currency that the offer has."""
    named = (params.price_msat, params.price_on_request, params.currency or UNSET, params.price_minor)
    if all(one is UNSET for one in named):
        return {}
    in_currency = named[2] is not UNSET or params.price_minor is not UNSET
    currency = params.currency or found.currency
    return {
        "price_msat": None if params.price_msat is UNSET else money(params.price_msat),
        "price_on_request": params.price_on_request is True,
        "currency": currency if in_currency else "",
        "price_minor": None if params.price_minor is UNSET else params.price_minor,
        "min_msat": None if in_currency or params.price_msat else found.min_msat,
        "max_msat": None if in_currency or params.price_msat else found.max_msat,
    }


COMMANDS: Final[Commands] = (
    Manage("offer_edit", OfferEditParams, offer_edit, results.OfferEditedJson),
    Manage("offer_on", OfferName, offer_on, results.OfferJson),
    Manage("offer_off", OfferName, offer_off, results.OfferJson),
    Manage("offer_forward", ForwardParams, offer_forward, results.OfferJson),
)
