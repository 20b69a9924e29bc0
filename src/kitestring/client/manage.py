"""An app that manages offers at somebody else's service, and says what the service's answer means.

To make an offer is the one thing that cannot be asked for twice in two requests. So a lost answer is an unknown end,
and nothing is made again by itself: what is there is listed and compared before.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final, NoReturn

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.client.clocks import clock_words
from kitestring.client.net import Net
from kitestring.client.owner_wait import Waiting, wait_for_owner
from kitestring.client.session import Dialog, Exchange
from kitestring.codec import pointers
from kitestring.codec.pointers import Nmanage
from kitestring.crypto.keys import SecretKey
from kitestring.wire.ask import manage as wire
from kitestring.wire.ask.manage import ManagedOffer, OfferTerms

#: Pages of one list that are asked for: more would be a service that never ends.
MAX_PAGES: Final = 200
#: Pages that are looked through for an offer that may have been made: the newest come first.
PAGES_COMPARED: Final = 3


@dataclass(frozen=True, slots=True)
class ManageAsked:
    """The end of one question. ``reply`` None = none came in time, which proves nothing; ``trouble`` is what is known
    about that, as part of a sentence."""

    reply: wire.ManageReply | None
    trouble: str = ""


def read_nmanage(text: str) -> Nmanage:
    """The code of a service at which offers are managed. Raises KitestringError."""
    try:
        pointer = pointers.decode(text)
    except CodecError as error:
        raise KitestringError(Reason.MALFORMED, f"the link cannot be read: {error}") from error
    if not isinstance(pointer, Nmanage):
        raise KitestringError(Reason.MALFORMED, "this is no link for managing offers: one begins with nmanage1")
    return pointer


async def ask_manage(
    nmanage: Nmanage,
    wish: wire.ManageWish,
    key: SecretKey,
    net: Net,
    *,
    wait_s: float | None = None,
    waiting: Waiting | None = None,
) -> ManageAsked:
    """Ask once over the relays in the link, and wait ``wait_s`` seconds (default 120): the owner may be asked. The same
    event is sent again while no answer comes; no service carries it out twice. Raises KitestringError when nothing was
    sent: UNAVAILABLE without a relay, NOT_PERMITTED for relays that are not dialled."""
    plaintext = wire.encode_request(nmanage, wish)
    try:
        dialog = Dialog.manage(key, nmanage.pubkey)
    except CodecError as error:
        raise KitestringError(Reason.MALFORMED, f"the link cannot be used: {error}") from error
    own, foreign = net.dialable(nmanage.relays, "link")
    wait_s = net.waits.debit_s if wait_s is None else wait_s
    async with net.pool(own, key, foreign=foreign) as pool:
        async with Exchange(pool, dialog, dialog.request(plaintext, net), net) as exchange:
            reply = await wait_for_owner(exchange, wire.decode_reply, wait_s, net, waiting)
        trouble = exchange.trouble() if reply is None else ""
        if isinstance(reply, wire.ManageRefusal) and reply.is_stale:
            words = clock_words(exchange.ahead_s or 0)
            trouble = f" ({words})" if words else ""
        return ManageAsked(reply, trouble)


class OfferManager:
    """One service at which an app manages offers, by one link and with one key. Each call asks once; ``wait_s`` are the
    seconds for an answer (default 120), and ``waiting`` is told when it does not come soon.

    Every method raises KitestringError: NOT_PERMITTED (the owner says no), UNDECIDED (the owner is being asked; ask for
    the same again later), UNKNOWN_TARGET (no such offer of ours), MALFORMED (details ``field`` where a field is wrong),
    RATE_LIMITED, STALE_REQUEST, UNAVAILABLE.
    """

    def __init__(self, nmanage: str, key: SecretKey, net: Net) -> None:
        self.link: Final[Nmanage] = read_nmanage(nmanage)
        self._key: Final = key
        self._net: Final = net

    def __repr__(self) -> str:
        return f"OfferManager({self.link.pubkey[:16]}…)"

    async def create(
        self, terms: OfferTerms, *, wait_s: float | None = None, waiting: Waiting | None = None
    ) -> ManagedOffer:
        """Make an offer. Where the answer is lost, the error says UNAVAILABLE with the details ``outcome`` =
        ``unknown``: it may have been made, or its owner may still decide. Do not make it again but by
        :meth:`create_if_missing`."""
        wish = wire.CreateWish(terms)
        asked = await self._ask(wish, wait_s, waiting)
        if asked.reply is None:
            raise _unknown(f"the service has not answered{asked.trouble}")
        if isinstance(asked.reply, wire.ManageRefusal) and not asked.reply.proves_undone:
            raise _unknown(f"the service answered: {asked.reply.text or 'a temporary failure'}")
        return _one(asked, wish)

    async def create_if_missing(
        self, terms: OfferTerms, *, wait_s: float | None = None, waiting: Waiting | None = None
    ) -> ManagedOffer:
        """Make an offer unless one of ours is exactly so: then that is returned. This is the way to ask again after a
        lost answer. While the owner still decides about the first request, this one may take its place."""
        found = await self.find(terms, wait_s=wait_s, waiting=waiting)
        return found[0] if found else await self.create(terms, wait_s=wait_s, waiting=waiting)

    async def find(
        self, terms: OfferTerms, *, wait_s: float | None = None, waiting: Waiting | None = None
    ) -> list[ManagedOffer]:
        """Find those among our newest offers that are exactly so, the newest first."""
        found: list[ManagedOffer] = []
        before = ""
        for _ in range(PAGES_COMPARED):
            page = await self.page(before, wait_s=wait_s, waiting=waiting)
            found += [offer for offer in page.offers if offer.terms == terms]
            if not page.next or page.next == before:
                break
            before = page.next
        return found

    async def update(
        self, offer_id: str, terms: OfferTerms, *, wait_s: float | None = None, waiting: Waiting | None = None
    ) -> ManagedOffer:
        """Have an offer be as ``terms`` say, all of them. The id stays; its code may be another one afterwards. Asking
        for the same again changes nothing more."""
        wish = wire.UpdateWish(offer_id, terms)
        return _one(await self._ask(wish, wait_s, waiting), wish)

    async def get(self, offer_id: str, *, wait_s: float | None = None, waiting: Waiting | None = None) -> ManagedOffer:
        """Tell one of our offers."""
        wish = wire.GetWish(offer_id)
        return _one(await self._ask(wish, wait_s, waiting), wish)

    async def page(
        self, before: str = "", limit: int | None = None, *, wait_s: float | None = None,
        waiting: Waiting | None = None,
    ) -> wire.ManageOk:  # fmt: skip
        """List our offers, the newest first, from right behind ``before``: one page of at most 100. Not every service
        knows pages."""
        wish = wire.ListWish(limit, before)
        return _said_yes(await self._ask(wish, wait_s, waiting), wish)

    async def offers(self, *, wait_s: float | None = None) -> AsyncGenerator[ManagedOffer, None]:
        """Give all of our offers, the newest first, page by page."""
        before, seen = "", set[str]()
        for _ in range(MAX_PAGES):
            page = await self.page(before, wait_s=wait_s)
            for offer in page.offers:
                if offer.id not in seen:
                    seen.add(offer.id)
                    yield offer
            if not page.next or page.next == before:
                return
            before = page.next

    async def delete(self, offer_id: str, *, wait_s: float | None = None, waiting: Waiting | None = None) -> None:
        """End an offer; one that is not there is no error. Asking again is safe."""
        wish = wire.DeleteWish(offer_id)
        try:
            _said_yes(await self._ask(wish, wait_s, waiting), wish)
        except KitestringError as error:
            if error.reason is not Reason.UNKNOWN_TARGET:  # older services say so of what is gone, the text says yes
                raise

    async def _ask(self, wish: wire.ManageWish, wait_s: float | None, waiting: Waiting | None) -> ManageAsked:
        return await ask_manage(self.link, wish, self._key, self._net, wait_s=wait_s, waiting=waiting)


def _unknown(known: str) -> KitestringError:
    """The error after a lost answer to a creation."""
    words = (
        f"{known}: the offer may have been made, or its owner may still decide; list your offers and compare before "
    )
    return KitestringError(Reason.UNAVAILABLE, f"{words}you make it again", outcome="unknown")


def _one(asked: ManageAsked, wish: wire.ManageWish) -> ManagedOffer:
    """The offer in an answer. Raises KitestringError."""
    answer = _said_yes(asked, wish)
    if len(answer.offers) != 1:
        sentence = "the service says that it is done, and its answer has no offer that can be read: list your offers"
        raise KitestringError(Reason.INTERNAL, sentence, outcome="unknown")
    return answer.offers[0]


def _said_yes(asked: ManageAsked, wish: wire.ManageWish) -> wire.ManageOk:
    if asked.reply is None:
        sentence = (
            f"the service has not answered{asked.trouble}: its owner may be deciding; ask for the same again later"
        )
        raise KitestringError(Reason.UNAVAILABLE, sentence)
    if isinstance(asked.reply, wire.ManageRefusal):
        _raise(asked.reply, wish, asked.trouble)
    return asked.reply


def _raise(refusal: wire.ManageRefusal, wish: wire.ManageWish, trouble: str) -> NoReturn:
    refused, hint = refusal.refused(wish), ""
    if refusal.is_pending:
        hint = "; its owner is being asked: ask for the same again in some minutes"
    elif refusal.field:
        low, high = refusal.range_sats or (None, None)
        bounds = f", from {low:,} to {high:,} sat" if low is not None and high is not None else ""
        hint = f"; the field is {refusal.field}{bounds}"
    elif refusal.is_stale and refusal.actual_delta_ms is not None:
        hint = f"; by its clock the request is {refusal.actual_delta_ms / 60_000:,.1f} minutes from its own time"
    elif refusal.retry_in_s is not None:
        hint = f"; it may be asked again in {refusal.retry_in_s:,} s"
    said = refused.message or f"code {refusal.code}"
    raise KitestringError(refused.reason, f"the service refused: {said}{hint}{trouble}", **refused.details)
