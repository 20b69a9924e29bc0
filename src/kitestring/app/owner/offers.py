"""The owner's commands about offers: static codes that anybody can pay."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from shlex import quote
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kitestring.app.owner.accounts import need_account
from kitestring.app.owner.command import Call, Change, Commands, Manage, Read, permit_gift
from kitestring.app.owner.desk import Managing, Reading
from kitestring.app.owner.near import none_named, none_of_code
from kitestring.app.owner.offer_terms import ExpiresIn, PayerData, PriceParams, check, end_of, money, new_id
from kitestring.app.owner.params import AmountMsat, Name, NoParams, UnixTime, npub, public_key
from kitestring.app.owner.results import offers as results
from kitestring.app.service.execute import Result
from kitestring.app.service.kept_relays import old_relays
from kitestring.base.commands import OWNER_ACCOUNT, AskOffer
from kitestring.base.currency import ExchangeRate
from kitestring.base.enrolments import is_enrolled
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Offer, OfferState, Webhook
from kitestring.base.money import Msat
from kitestring.base.transactions.owner import CheckOffer, SaveOffer, Write
from kitestring.base.webhooks import MAX_WEBHOOK_CHARS
from kitestring.codec.nip19 import MAX_LENGTH
from kitestring.codec.pointers import MAX_RELAYS, Noffer, decode
from kitestring.transport.guard import normalise
from kitestring.wire.offer_code import noffer_of

#: What every code of an offer begins with, whatever link it stands in.
CODE_START: Final = "noffer1"
#: The label of the offer that the very first start makes.
FIRST_OFFER: Final = "first offer"
#: What two offers of one label can differ in, as people call it.
_TERMS: Final = {
    "label": "label",
    "price_msat": "price",
    "price_minor": "price",
    "currency": "currency",
    "price_on_request": "way to its price",
    "min_msat": "least amount",
    "max_msat": "largest amount",
    "account_id": "account",
    "payer_data": "list of questions",
    "expires_at": "end",
    "zap_pubkey": "key for zaps",
    "webhook": "webhook",
}
#: For a rate that is only shown.
RATE_WAIT_S: Final = 2.0


class OfferParams(PriceParams, forbid_unknown_fields=True, kw_only=True):
    """Without a price the payer names the amount, between ``min_msat`` and ``max_msat``. In ``payer_data`` a name that
    ends in ``?`` may be left unanswered. ``zap_key`` (npub or hex) is the key whose zaps it takes, as its id says.
    ``webhook`` is told of each payment with a POST."""

    label: Name
    min_msat: AmountMsat | None = None
    max_msat: AmountMsat | None = None
    account: Name = OWNER_ACCOUNT
    payer_data: PayerData = msgspec.field(default_factory=list)
    expires_at: UnixTime | None = None
    expires_in_s: ExpiresIn | None = None
    zap_key: Annotated[str, Meta(max_length=128)] | None = None
    webhook: Annotated[str, Meta(max_length=MAX_WEBHOOK_CHARS)] = ""


class OfferName(msgspec.Struct, forbid_unknown_fields=True):
    """``offer`` is the id, the label or the code."""

    offer: Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH)]


async def offer_create(desk: Managing, params: OfferParams, call: Call) -> Change | Result:
    """Make an offer. One of that label with the same values is returned, with other values it is refused."""
    permit_gift(call.caller, AskOffer, desk.clock.now(), "`offer_create`")
    account = await need_account(desk, params.account)
    zap_pubkey = "" if params.zap_key is None else public_key(params.zap_key)
    offer = Offer(
        offer_id=new_id(desk, takes_zaps=zap_pubkey != ""),
        label=params.label,
        account_id=account.account_id,
        price_msat=money(params.price_msat),
        price_on_request=params.price_on_request,
        currency=params.currency,
        price_minor=params.price_minor,
        min_msat=money(params.min_msat),
        max_msat=money(params.max_msat),
        payer_data=tuple(params.payer_data),
        expires_at=end_of(params.expires_at, params.expires_in_s, desk.clock.now()),
        relays=desk.relays_for_codes()[:MAX_RELAYS],
        zap_pubkey=zap_pubkey,
        webhook=Webhook(params.webhook) if params.webhook else None,
        created_at=desk.clock.now(),
    )
    check(offer)
    if offer.webhook is not None:
        desk.check_webhook(offer.webhook, offer.payer_data, own=True)
    found = find(await desk.store.offers(), params.label)
    if found is None:
        return Change((SaveOffer(offer),), show_offer(desk, offer))
    is_same = not params.webhook or (found.webhook is not None and found.webhook.url == params.webhook)
    _need_same(found, replace(offer, webhook=found.webhook) if is_same else offer)
    return show_offer(desk, found)


async def offer_list(desk: Reading, _params: NoParams, _call: Call) -> Result:
    """List the offers, also those that are off or have expired. Those of enrolled keys stand with their accounts."""
    known = await desk.store.offers()
    standing = sorted((one for one in known if _is_own(one)), key=lambda one: (one.created_at, one.label))
    rates = await _rates(desk, standing)
    old = forwards(known)
    return {"offers": [_show_whole(desk, one, old[one.offer_id], rates) for one in standing]}


async def offer_show(desk: Reading, params: OfferName, _call: Call) -> Result:
    """Show one offer with its code. One that has moved is found by its old id or code."""
    known = await desk.store.offers()
    offer = need(desk, known, params.offer, moved=True)
    return _show_whole(desk, offer, leading_to(known, offer), await _rates(desk, (offer,)))


async def offer_relink(desk: Managing, params: OfferName, _call: Call) -> Change | Result:
    """Make the code of an offer anew, over the relays of today. What was printed works as long as an old relay does."""
    known = await desk.store.offers()
    offer = need(desk, known, params.offer)
    anew = replace(offer, relays=desk.relays_for_codes()[:MAX_RELAYS])
    if {normalise(url) for url in anew.relays} == {normalise(url) for url in offer.relays}:
        return {**show_offer(desk, offer), "changed": False, "left_relays": []}
    left = list(old_relays(offer.relays, anew.relays))
    latest = noffer_of(anew, desk.service_id)
    before = [replace(one, relays=anew.relays, latest=latest) for one in leading_to(known, offer)]
    writes = (*written(offer, anew), *(SaveOffer(one) for one in before))
    result = {**show_offer(desk, anew), "changed": True, "left_relays": left}
    return Change(writes, result)


async def offer_delete(desk: Managing, params: OfferName, _call: Call) -> Change:
    """End an offer: whoever asks it gets "no such offer". Invoices that were given out can still be paid."""
    known = await desk.store.offers()
    offer = need(desk, known, params.offer, moved=True)
    gone = replace(offer, state=OfferState.DELETED, latest="")
    ended = [replace(one, latest="") for one in leading_to(known, offer)]
    result: Result = {"offer_id": offer.offer_id, "label": offer.label, "deleted": True}
    return Change(tuple(SaveOffer(one) for one in (gone, *ended)), result)


async def open_offers(desk: Reading) -> list[Offer]:
    """Offers that can be paid, the oldest first."""
    now = desk.clock.now()
    offers = [offer for offer in await desk.store.offers() if offer.is_open(now)]
    return sorted(offers, key=lambda offer: (offer.created_at, offer.label))


async def _own_offers(desk: Reading) -> list[Offer]:
    """The open offers but those of enrolled keys, which pay others."""
    return [offer for offer in await open_offers(desk) if _is_own(offer)]


def _is_own(offer: Offer) -> bool:
    return offer.is_standing and not is_enrolled(offer.account_id)


async def shown_noffer(desk: Reading) -> str | None:
    """The code that this service shows where it shows only one: that of its first start as long as there is one, else
    the oldest. Dates alone do not say which was first: they are whole seconds, and clocks are set back."""
    offers = [one for one in await _own_offers(desk) if not one.creator]  # an app calls its own as it likes
    offer = next((one for one in offers if one.label == FIRST_OFFER), None) or next(iter(offers), None)
    return None if offer is None else noffer_of(offer, desk.service_id)


def written(before: Offer, after: Offer) -> tuple[Write, ...]:
    """Write an offer if it is still as it was seen: an app changes its own in no turn of ours."""
    return CheckOffer(after.offer_id, before, "", after.creator, 0, 0), SaveOffer(after)


def leading_to(known: Iterable[Offer], offer: Offer) -> list[Offer]:
    """The offers that forward to this one."""
    return forwards(known)[offer.offer_id]


def forwards(known: Iterable[Offer]) -> defaultdict[str, list[Offer]]:
    """The offers that forward, by the id of that to which they lead: it is one of ours always."""
    found = defaultdict[str, list[Offer]](list)
    for one in known:
        if one.state is OfferState.MOVED and one.latest:
            pointer = decode(one.latest)
            if isinstance(pointer, Noffer):
                found[pointer.offer].append(one)
    return found


def show_offer(desk: Reading, offer: Offer) -> Result:
    """An offer as JSON. ``latest`` is the code to which a moved one forwards; ``now_msat`` and ``old_ids`` are filled
    where it is listed or shown."""
    is_over = offer.state is OfferState.OPEN and offer.has_expired(desk.clock.now())
    return {
        "offer_id": offer.offer_id,
        "label": offer.label,
        "noffer": noffer_of(offer, desk.service_id),
        "state": "expired" if is_over else offer.state.value,
        "price_msat": _plain(offer.price_msat),
        "price_on_request": offer.price_on_request,
        "currency": offer.currency or None,
        "price_minor": offer.price_minor,
        "now_msat": None,
        "min_msat": _plain(offer.min_msat),
        "max_msat": _plain(offer.max_msat),
        "account": offer.account_id,
        "payer_data": list(offer.payer_data),
        "expires_at": offer.expires_at,
        "zap_npub": npub(offer.zap_pubkey) if offer.zap_pubkey else None,
        "webhook": offer.webhook.url if offer.webhook else None,
        "creator": offer.creator or None,
        "latest": offer.latest or None,
        "old_ids": [],
        "created_at": offer.created_at,
        "old_relays": list(old_relays(offer.relays, desk.relay_urls())),
    }


def find(known: Iterable[Offer], name: str) -> Offer | None:
    """The standing offer of this id, or the owner's own of this label: an app calls what it makes as it likes."""
    standing = [one for one in known if one.is_standing]
    found = next((one for one in standing if name == one.offer_id), None)
    return found or next((one for one in standing if name == one.label and not one.creator), None)


def need(desk: Reading, known: Iterable[Offer], name: str, *, moved: bool = False) -> Offer:
    """The standing offer of this id, label or code; with ``moved`` also one that has moved, by its old id or code.

    Raises KitestringError where there is none, and CodecError for a code that is none.
    """
    known = tuple(known)
    is_code = CODE_START in name.lower()
    found = find(known, name)
    ids = {name}
    if found is None and is_code:
        found = find(known, own_id := _own_id(desk, name))
        ids = {own_id}
    if found is None:
        found = next((one for one in known if one.offer_id in ids and one.state is OfferState.MOVED), None)
        if found is not None and not moved:
            sentence = "this offer has moved: name the one to which it forwards, see `kitestring offer show`"
            raise KitestringError(Reason.MOVED_OR_EXPIRED_OFFER, sentence)
    if found is None:
        if is_code:
            raise none_of_code("offer", "offer list")
        raise none_named("offer", name, (one.label for one in known), "offer list")
    return found


async def _rates(desk: Reading, offers: Iterable[Offer]) -> Mapping[str, ExchangeRate | None]:
    """The rates of all their currencies, each as far as it is known."""
    currencies = sorted({offer.currency for offer in offers if offer.currency})
    found = await asyncio.gather(*(_rate(desk, currency) for currency in currencies))
    return dict(zip(currencies, found, strict=True))


async def _rate(desk: Reading, currency: str) -> ExchangeRate | None:
    try:
        return await asyncio.wait_for(desk.rates.rate(currency), RATE_WAIT_S)
    except (KitestringError, TimeoutError):
        return None


def _show_whole(desk: Reading, offer: Offer, old: Iterable[Offer], rates: Mapping[str, ExchangeRate | None]) -> Result:
    rate = rates.get(offer.currency)
    return {
        **show_offer(desk, offer),
        "now_msat": None if rate is None else _worth_now(offer, rate),
        "old_ids": [one.offer_id for one in old],
    }


def _worth_now(offer: Offer, rate: ExchangeRate) -> int | None:
    try:
        return int(rate.to_pay(offer.price_minor or 0))
    except KitestringError:  # more than all bitcoin
        return None


def _need_same(found: Offer, wanted: Offer) -> None:
    """Raise KitestringError(CONFLICT) where ``wanted`` is another offer: its code would ask for another price."""
    unlike = {words: None for field, words in _TERMS.items() if getattr(found, field) != getattr(wanted, field)}
    if unlike:
        raise KitestringError(
            Reason.CONFLICT,
            f"there is an offer {wanted.label!r} already, with another {' and another '.join(unlike)}, and it was "
            f"left as it is: choose another label, or change that one by `kitestring offer edit {quote(wanted.label)}`",
            offer_id=found.offer_id,
            differs=list(unlike),
        )


def _own_id(desk: Reading, code: str) -> str:
    """The id in a code of ours. Raises CodecError, or KitestringError for a code of somebody else."""
    pointer = decode(code)
    if not isinstance(pointer, Noffer) or pointer.pubkey != desk.service_id:
        raise KitestringError(Reason.UNKNOWN_TARGET, "this code belongs to another service")
    return pointer.offer


def _plain(amount_msat: Msat | None) -> int | None:
    return None if amount_msat is None else int(amount_msat)


COMMANDS: Final[Commands] = (
    Manage("offer_create", OfferParams, offer_create, results.OfferJson),
    Read("offer_list", NoParams, offer_list, results.OfferListJson),
    Read("offer_show", OfferName, offer_show, results.OfferJson),
    Manage("offer_relink", OfferName, offer_relink, results.OfferRelinkedJson),
    Manage("offer_delete", OfferName, offer_delete, results.OfferDeletedJson),
)
