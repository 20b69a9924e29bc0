"""CLINK Manage (kind 21003), the app's side: what is asked about offers, and which answers are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, assert_never

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import MAX_SATS
from kitestring.base.outcomes import Refused
from kitestring.base.text import clean
from kitestring.codec.json import dumps, loads_reply
from kitestring.codec.pointers import Nmanage
from kitestring.wire.ask.members import Members, names_in, number_in, text_in
from kitestring.wire.ask.offers import FIRST_ABSOLUTE_TIME
from kitestring.wire.envelope import MAX_REPLY_BYTES
from kitestring.wire.text import MAX_PEER_MESSAGE

#: Of an answer: offers in one list, names of one offer, and characters of each text.
MAX_LISTED: Final = 1_000
MAX_NAMES: Final = 32
MAX_ID_CHARS: Final = 255
MAX_LABEL_CHARS: Final = 200
MAX_URL_CHARS: Final = 2_048
MAX_CODE_CHARS: Final = 5_000
#: Seconds that older services name with code 4 while their owner is being asked.
PENDING_S: Final = 600
#: By these words older services (Lightning.Pub 0.0.38) tell an id that they do not know from everything else that they
#: refuse with code 1.
UNKNOWN_OFFER_TEXT: Final = "Request Denied: Offer not found"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferTerms:
    """The terms of an offer. ``price_sats`` 0 = the payer names the amount; ``callback_url`` "" = nobody is told of
    payments, else a template (RFC 6570) that is asked for by GET."""

    label: str
    price_sats: int
    callback_url: str = ""
    payer_data: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ManagedOffer:
    """An offer as the service tells it; ``noffer`` is its code."""

    id: str
    terms: OfferTerms
    noffer: str


@dataclass(frozen=True, slots=True)
class CreateWish:
    """Make an offer."""

    terms: OfferTerms


@dataclass(frozen=True, slots=True)
class UpdateWish:
    """Have an offer be as ``terms`` say, all of them: services differ in what a part of them means."""

    offer_id: str
    terms: OfferTerms


@dataclass(frozen=True, slots=True)
class GetWish:
    """Tell one offer."""

    offer_id: str


@dataclass(frozen=True, slots=True)
class ListWish:
    """Tell our offers, the newest first. ``limit`` and ``before`` (the ``next`` of the page before) are an extension
    that other services pass over."""

    limit: int | None = None
    before: str = ""


@dataclass(frozen=True, slots=True)
class DeleteWish:
    """End an offer."""

    offer_id: str


ManageWish = CreateWish | UpdateWish | GetWish | ListWish | DeleteWish


@dataclass(frozen=True, slots=True)
class ManageOk:
    """The service did what it was asked. ``offers`` are what it tells, ``left_out`` of them could not be read; ``next``
    is where its list goes on, "" at the end."""

    offers: tuple[ManagedOffer, ...] = ()
    next: str = ""
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class ManageRefusal:
    """The service refused. Sats, Unix seconds; None and empty where the service did not say (or not readably)."""

    code: int | None
    text: str = ""
    field: str = ""
    range_sats: tuple[int | None, int | None] | None = None
    retry_at: int | None = None
    retry_in_s: int | None = None
    actual_delta_ms: int | None = None
    work_bits: int | None = None

    @property
    def is_stale(self) -> bool:
        """Whether the request came too late, or is dated too far from the service's time."""
        return self.code == 3

    @property
    def is_pending(self) -> bool:
        """Whether the owner is being asked: older services say so as "rate limited, for ten minutes"."""
        return self.code == 4 and self.retry_in_s == PENDING_S

    @property
    def proves_undone(self) -> bool:
        """Whether nothing was done; a temporary failure proves nothing."""
        return self.code != 2

    def refused(self, wish: ManageWish) -> Refused:
        """The same as an outcome, for who has asked this."""
        shown = {
            "code": self.code,
            "field": self.field,
            "range": self.range_sats and {"min": self.range_sats[0], "max": self.range_sats[1]},
            "retry_at": self.retry_at,
            "retry_in_s": self.retry_in_s,
        }
        return Refused(self._reason(wish), self.text, {name: value for name, value in shown.items() if value})

    def _reason(self, wish: ManageWish) -> Reason:
        if self.is_pending:
            return Reason.UNDECIDED
        if self.code == 6 and isinstance(wish, GetWish | UpdateWish):  # what it says of ids that it does not know
            return Reason.UNKNOWN_TARGET
        if self.code == 1 and self.text == UNKNOWN_OFFER_TEXT:
            return Reason.UNKNOWN_TARGET
        return _REASONS.get(self.code or 0, Reason.MALFORMED)


ManageReply = ManageOk | ManageRefusal

_REASONS: Final = {
    1: Reason.NOT_PERMITTED,
    2: Reason.UNAVAILABLE,
    3: Reason.STALE_REQUEST,
    4: Reason.RATE_LIMITED,
    5: Reason.MALFORMED,
    6: Reason.MALFORMED,
}


# ---------------------------------------------------------------- requests


def encode_request(nmanage: Nmanage, wish: ManageWish) -> str:
    """The plaintext that asks the service of ``nmanage``. Raises KitestringError for a price that no wire carries."""
    members: dict[str, Any] = {"resource": "offer", "action": "", "pointer": nmanage.pointer}
    match wish:
        case CreateWish():
            members |= {"action": "create", "offer": {"fields": _fields(wish.terms)}}
        case UpdateWish():
            members |= {"action": "update", "offer": {"id": wish.offer_id, "fields": _fields(wish.terms)}}
        case GetWish():
            members |= {"action": "get", "offer": {"id": wish.offer_id}}
        case ListWish():
            members |= {"action": "list", "limit": wish.limit, "before": wish.before}
        case DeleteWish():
            members |= {"action": "delete", "offer": {"id": wish.offer_id}}
        case _:
            assert_never(wish)
    return dumps({name: value for name, value in members.items() if value})


def _fields(terms: OfferTerms) -> dict[str, Any]:
    """All four, always: services insist on them."""
    if not 0 <= terms.price_sats <= MAX_SATS:
        raise KitestringError(Reason.AMOUNT_OUT_OF_RANGE, "a price is in whole sats, and 0 lets the payer name it")
    return {
        "label": terms.label,
        "price_sats": terms.price_sats,
        "callback_url": terms.callback_url,
        "payer_data": list(terms.payer_data),
    }


# ---------------------------------------------------------------- replies


def decode_reply(plaintext: str) -> ManageReply:
    """A decrypted reply. Raises CodecError when it is none, or says yes and no at once: such a reply proves nothing,
    is ignored, and the wait goes on."""
    members = loads_reply(plaintext, MAX_REPLY_BYTES)
    is_refusal = members.get("code") is not None or bool(members.get("error"))
    if members.get("res") == "ok":
        if is_refusal:
            raise CodecError("the reply says yes and no at once")
        return _read_ok(members)
    if members.get("res") == "GFY" or is_refusal:
        return _read_refusal(members)
    raise CodecError("this is no reply to a request about offers")


def _read_ok(members: Members) -> ManageOk:
    """``details`` is one offer or a list of them, for whatever was asked."""
    details = members.get("details")
    rows = details if isinstance(details, list) else [] if details is None else [details]
    found = [_read_offer(row) for row in rows[:MAX_LISTED]]
    offers = tuple(offer for offer in found if offer is not None)
    return ManageOk(offers, text_in(members, "next", MAX_ID_CHARS), len(rows) - len(offers))


def _read_offer(row: object) -> ManagedOffer | None:
    if not isinstance(row, dict):
        return None
    offer_id = row.get("id")
    if not isinstance(offer_id, str) or not 1 <= len(offer_id) <= MAX_ID_CHARS:
        return None
    terms = OfferTerms(
        label=text_in(row, "label", MAX_LABEL_CHARS),
        price_sats=number_in(row, "price_sats") or 0,
        callback_url=text_in(row, "callback_url", MAX_URL_CHARS),
        payer_data=names_in(row, "payer_data", MAX_NAMES, MAX_LABEL_CHARS),
    )
    return ManagedOffer(clean(offer_id, MAX_ID_CHARS), terms, text_in(row, "noffer", MAX_CODE_CHARS))


def _read_refusal(members: Members) -> ManageRefusal:
    bounds, delta = members.get("range"), members.get("delta")
    deltas = delta if isinstance(delta, dict) else members  # beside the code with some peers
    retry_after = number_in(members, "retry_after")
    is_absolute = retry_after is not None and retry_after >= FIRST_ABSOLUTE_TIME
    return ManageRefusal(
        number_in(members, "code"),
        text_in(members, "error", MAX_PEER_MESSAGE),
        text_in(members, "field", MAX_LABEL_CHARS),
        (number_in(bounds, "min"), number_in(bounds, "max")) if isinstance(bounds, dict) else None,
        retry_after if is_absolute else None,
        None if is_absolute else retry_after,
        number_in(deltas, "actual_delta_ms"),
        number_in(members, "work_bits"),
    )
