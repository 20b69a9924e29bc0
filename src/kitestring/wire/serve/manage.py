"""CLINK Manage (kind 21003), the service's side: what apps ask for about offers, and what they are told.

State of the text: 2026-06. Prices on this wire are whole satoshis, 0 where the payer names the amount. Who may do what
is not the wire's to know. Fields are read where the text has them (under ``offer``) and where apps put them (under
``offer.fields``), and what is wrong with one is told with its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kitestring.base.commands import (
    MANAGE_WIRE,
    MAX_OFFERS_LISTED,
    CreateOffer,
    Deed,
    DeleteOffer,
    GetOffer,
    ListOffers,
    ManageOffer,
    OfferFields,
    UpdateOffer,
)
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.grants import Offer, is_field_of_apps
from kitestring.base.money import MAX_SATS, sat
from kitestring.base.outcomes import OfferGone, OffersListed, OfferTold, Outcome, Refused
from kitestring.base.text import is_safe
from kitestring.codec.callback_url import require_callback_url
from kitestring.codec.json import dumps, int_member, loads_object, text_member
from kitestring.nostr import kinds
from kitestring.nostr.event import Event
from kitestring.nostr.inbox import HOUR_S, Window
from kitestring.wire.clink import CLINK_CODES, CLINK_VERSION, always_nip44, members_by_code, read_version, refuser
from kitestring.wire.grammar import Asked, Facts, Speakers, Wire
from kitestring.wire.offer_code import noffer_of
from kitestring.wire.refusal import WireRefusalError, refusal
from kitestring.wire.reply_to import ReplyTo
from kitestring.wire.text import MAX_PLAINTEXT_BYTES

#: Pointer ids in codes have at most 255 bytes; ids of offers are as long.
MAX_ID: Final = 255
#: Characters of a label.
MAX_LABEL: Final = 100
#: Names of what a payer is asked for: as many as a form of a shop has.
MAX_PAYER_FIELDS: Final = 16
#: Characters of the name of a member that a refusal repeats.
MAX_NAME_SHOWN: Final = 64
#: Bytes of a reply around the offers that it lists.
_FRAME_BYTES: Final = 400

#: Members of ``offer`` that are no fields.
_NO_FIELDS: Final = frozenset({"id", "fields"})
#: Members of an offer that an app was told and may send back as they were: they are the service's to say.
_READ_ONLY: Final = frozenset({"noffer"})

#: The beginning of an error text.
CODE_NAMES: Final = {
    1: "Request Denied",
    2: "Temporary Failure",
    3: "Expired Request",
    4: "Rate Limited",
    5: "Invalid Field",
    6: "Invalid Request",
}
CODES: Final[Mapping[Reason, int | None]] = {
    **CLINK_CODES,
    Reason.CONFLICT: 5,
    Reason.UNDECIDED: 1,
}
#: A refusal that names a field has this code.
FIELD_CODE: Final = 5
#: Told in one and the same way: nobody finds out by asking which links and offers there are.
DENIED: Final = frozenset({Reason.UNKNOWN_TARGET, Reason.UNKNOWN_CALLER})


# ---------------------------------------------------------------- requests


def read(text: str, event: Event, to: ReplyTo, _facts: Facts) -> Asked:
    """The ``read`` of this wire. Refused are a version, MALFORMED texts, and (with its name) a field that is not as it
    has to be."""
    try:
        read_version(event)
        members = loads_object(text)
        to = to.named(_action(members))
        command = _decode(members, to.method)
    except (CodecError, KitestringError) as failure:
        raise WireRefusalError(to, refusal(failure)) from None
    return Asked(command, to, command.pointer_id)


def method(text: str) -> str:
    """The ``method`` of this wire: the action, "" where there is none."""
    try:
        return _action(loads_object(text))
    except CodecError:
        return ""


def _action(members: Mapping[str, object]) -> str:
    action = members.get("action")
    return action if isinstance(action, str) and action in _ACTIONS else ""


def _decode(members: dict[str, object], action: str) -> ManageOffer:
    if members.get("resource") != "offer":
        raise CodecError("the only resource is offer")
    if not action:
        raise CodecError(f"the action is one of {', '.join(_ACTIONS)}")
    pointer_id = text_member(members, "pointer", max_length=MAX_ID) or ""
    offer = members.get("offer")
    if offer is not None and not isinstance(offer, dict):
        raise CodecError("offer must be an object")
    return ManageOffer(deed=_ACTIONS[action](members, offer or {}), pointer_id=pointer_id)


def _create(_members: Mapping[str, object], offer: Mapping[str, object]) -> CreateOffer:
    if offer.get("id") is not None:
        raise CodecError("a new offer has no id: it gets one here")
    fields = _read_fields(offer)
    for name, value in (("label", fields.label), ("price_sats", fields.price_msat)):
        if value is None:
            raise _bad(name, f"{name} is missing")
    return CreateOffer(fields)


def _update(_members: Mapping[str, object], offer: Mapping[str, object]) -> UpdateOffer:
    return UpdateOffer(_id(offer), _read_fields(offer))


def _get(_members: Mapping[str, object], offer: Mapping[str, object]) -> GetOffer:
    return GetOffer(_id(offer))


def _delete(_members: Mapping[str, object], offer: Mapping[str, object]) -> DeleteOffer:
    return DeleteOffer(_id(offer))


def _list(members: Mapping[str, object], _offer: Mapping[str, object]) -> ListOffers:
    """Extension: ``limit``, and ``before``, the ``next`` of the page before."""
    limit = int_member(members, "limit", low=1, high=MAX_OFFERS_LISTED)
    before = text_member(members, "before", max_length=MAX_ID)
    return ListOffers(MAX_OFFERS_LISTED if limit is None else limit, before or "")


_ACTIONS: Final[Mapping[str, Callable[[Mapping[str, object], Mapping[str, object]], Deed]]] = {
    "create": _create,
    "update": _update,
    "get": _get,
    "list": _list,
    "delete": _delete,
}


def _id(offer: Mapping[str, object]) -> str:
    offer_id = text_member(offer, "id", max_length=MAX_ID)
    if not offer_id:
        raise CodecError("name the offer by its id")
    return offer_id


# ---------------------------------------------------------------- fields


def _read_fields(offer: Mapping[str, object]) -> OfferFields:
    """The fields, nested or flat; both at once would be two requests."""
    nested = offer.get("fields")
    if nested is not None and not isinstance(nested, dict):
        raise CodecError("fields must be an object")
    flat = {name: value for name, value in offer.items() if name not in _NO_FIELDS | _READ_ONLY and value is not None}
    if nested is not None and any(name in _FIELDS for name in flat):
        raise CodecError("the fields stand in fields or beside the id, not in both")
    given = flat if nested is None else nested
    found = {name: value for name, value in given.items() if value is not None and name not in _READ_ONLY}
    unknown = next((name for name in found if name not in _FIELDS), None)
    if unknown is not None:
        shown = unknown[:MAX_NAME_SHOWN]
        raise _bad(shown if is_safe(shown) else "", f"the fields of an offer are {', '.join(_FIELDS)}")
    values: dict[str, Any] = {
        member: read_one(found[name]) for name, (member, read_one) in _FIELDS.items() if name in found
    }
    return OfferFields(**values)


def _label(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_LABEL or not value.strip():
        raise _bad("label", f"label is a string of 1 to {MAX_LABEL} characters")
    if not is_safe(value):
        raise _bad("label", "label has a character that cannot be shown")
    return value


def _price(value: object) -> object:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_SATS:
        words = f"price_sats is a whole number from 0 (the payer names the amount) to {MAX_SATS}"
        raise _bad("price_sats", words, {"min": 0, "max": MAX_SATS})
    return sat(value)


def _callback_url(value: object) -> str:
    if not isinstance(value, str):
        raise _bad("callback_url", "callback_url is a string")
    try:
        return require_callback_url(value) if value else ""
    except CodecError as error:
        raise _bad("callback_url", f"callback_url: {error}") from None


def _payer_data(value: object) -> tuple[str, ...]:
    names = tuple(value) if isinstance(value, list) else None
    if names is None or len(names) > MAX_PAYER_FIELDS:
        raise _bad("payer_data", f"payer_data is a list of at most {MAX_PAYER_FIELDS} names")
    if not all(isinstance(name, str) and is_field_of_apps(name) for name in names):
        raise _bad("payer_data", "a name in payer_data has 1 to 64 letters, digits and underscores")
    if len(set(names)) != len(names):
        raise _bad("payer_data", "a name occurs twice in payer_data")
    return names


def _bad(field: str, sentence: str, bounds: dict[str, int] | None = None) -> KitestringError:
    if bounds is None:
        return KitestringError(Reason.MALFORMED, sentence, field=field)
    return KitestringError(Reason.MALFORMED, sentence, field=field, range=bounds)


#: The fields of an offer: what each becomes, and by what it is read.
_FIELDS: Final[Mapping[str, tuple[str, Callable[[object], object]]]] = {
    "label": ("label", _label),
    "price_sats": ("price_msat", _price),
    "callback_url": ("callback_url", _callback_url),
    "payer_data": ("payer_data", _payer_data),
}


# ---------------------------------------------------------------- replies


def encode(outcome: Outcome, to: ReplyTo) -> bytes | None:
    """The ``encode`` of this wire."""
    ok = {"res": "ok", "resource": "offer"}
    match outcome:
        case OfferTold():
            return dumps(ok | {"details": _shown(outcome.offer, outcome.service_pubkey)}).encode()
        case OffersListed():
            return _listed(outcome)
        case OfferGone():
            return dumps(ok).encode()
        case _:
            return None


def _listed(listed: OffersListed) -> bytes:
    """As many as one reply carries. Extension: where there are more, ``next`` is the ``before`` of the page behind."""
    texts: list[str] = []
    room = MAX_PLAINTEXT_BYTES - _FRAME_BYTES
    for offer in listed.offers:
        text = dumps(_shown(offer, listed.service_pubkey))
        room -= len(text.encode()) + 1
        if room < 0:
            break
        texts.append(text)
    is_more = listed.is_more or len(texts) < len(listed.offers)
    rest = f',"next":{dumps(listed.offers[len(texts) - 1].offer_id)}' if is_more and texts else ""
    return f'{{"res":"ok","resource":"offer","details":[{",".join(texts)}]{rest}}}'.encode()


def _shown(offer: Offer, service_pubkey: str) -> dict[str, Any]:
    return {
        "id": offer.offer_id,
        "label": offer.label,
        "price_sats": 0 if offer.price_msat is None else offer.price_msat.sats_up(),
        "callback_url": offer.callback_url,
        "payer_data": list(offer.asked),
        "noffer": noffer_of(offer, service_pubkey),
    }


#: The members that belong to a code.
MEMBERS: Final[Mapping[int, tuple[str, ...]]] = {
    3: ("delta",),
    4: ("retry_after", "work_bits"),
    FIELD_CODE: ("field", "range"),
}
_members_of: Final = members_by_code(MEMBERS)
_refuse: Final = refuser(CODE_NAMES, CODES, members_of=_members_of)
_refuse_field: Final = refuser(CODE_NAMES, {**CODES, Reason.MALFORMED: FIELD_CODE}, members_of=_members_of)


def refuse(refused: Refused, to: ReplyTo) -> bytes | None:
    """The ``refuse`` of this wire."""
    if refused.reason in DENIED:
        refused = Refused(Reason.NOT_PERMITTED, details=refused.details)
    return (_refuse_field if "field" in refused.details else _refuse)(refused, to)


WIRE: Final = Wire(
    name=MANAGE_WIRE,
    title="manage",
    speakers=Speakers.STRANGERS,
    windows={kinds.MANAGE: Window(back_s=30, ahead_s=30, answer_s=HOUR_S)},
    reply_kind=kinds.MANAGE,
    reply_tags=(CLINK_VERSION,),
    codes=CODES,
    cipher=always_nip44,
    unreadable=Reason.UNSUPPORTED_ENCRYPTION,
    method=method,
    questions=("get", "list"),
    spends=False,
    read=read,
    encode=encode,
    refuse=refuse,
)
