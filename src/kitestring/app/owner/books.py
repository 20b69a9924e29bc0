"""The owner's commands that look into the books: a list by any wish, and all facts of one payment."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from kitestring.app.owner.accounts import find_account
from kitestring.app.owner.command import Call, Commands, Read
from kitestring.app.owner.connections import NWC
from kitestring.app.owner.desk import Reading
from kitestring.app.owner.money import grant_of, show_transaction
from kitestring.app.owner.near import none_named
from kitestring.app.owner.params import UnixTime, plain_line
from kitestring.app.owner.results import books as results
from kitestring.app.service.execute import Result
from kitestring.base.books import OF_INVOICES, OF_PAYMENTS, BookEntry, BookPage, BookPlace, BookQuery, BookState
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant, Offer, OfferState
from kitestring.base.money import MAX_WHOLE
from kitestring.base.payments import State
from kitestring.base.records import OwnInvoice, Payment
from kitestring.ledger.shown import book_state, transaction_of

#: Rows of one answer: a screen, and at most what a JSON answer carries comfortably.
DEFAULT_ROWS: Final = 20
MAX_ROWS: Final = 1_000
#: How far a list is paged by number; ``next`` goes on without end.
MAX_OFFSET: Final = 10_000
#: Of a text that is looked for.
MAX_SEARCH_CHARS: Final = 200
#: The least of a payment hash by which something is found: 32 bits, so that what is typed is meant.
MIN_HASH_CHARS: Final = 8
#: Hashes that one sentence names.
MAX_NAMED: Final = 3

_HASH: Final = re.compile(f"[0-9a-f]{{{MIN_HASH_CHARS},64}}", re.ASCII)
_POSITION: Final = re.compile(r"([0-9]{1,11})-([0-9]{1,15})", re.ASCII)

StateWord = Literal["pending", "accepted", "unknown", "resolved", "settled", "failed", "expired", "canceled"]


class TransactionsParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``states`` are listed alone; without any what has settled, with ``unpaid`` everything. ``after`` is the ``next``
    of the page before. ``connection`` and ``offer`` are names or ids, also of what has ended."""

    limit: Annotated[int, Meta(ge=1, le=MAX_ROWS)] = DEFAULT_ROWS
    offset: Annotated[int, Meta(ge=0, le=MAX_OFFSET)] = 0
    since: UnixTime = 0
    until: UnixTime = 0
    direction: Literal["", "incoming", "outgoing"] = ""
    unpaid: bool = False
    states: Annotated[list[StateWord], Meta(max_length=len(BookState))] = []
    account: Annotated[str, Meta(max_length=64)] = ""
    connection: Annotated[str, Meta(max_length=64)] = ""
    offer: Annotated[str, Meta(max_length=64)] = ""
    search: Annotated[str, Meta(max_length=MAX_SEARCH_CHARS)] = ""
    after: Annotated[str, Meta(max_length=32)] = ""


class ShowParams(msgspec.Struct, forbid_unknown_fields=True):
    payment_hash: Annotated[str, Meta(min_length=1, max_length=128)]


async def transactions(desk: Reading, params: TransactionsParams, _call: Call) -> Result:
    """List payments in and out, the newest first."""
    query = await _query(desk, params)
    page = await desk.store.books(query)
    # A page without rows is asked once more, for whoever has paged beyond the end.
    total = await desk.store.count_books(query) if params.offset and not page.entries else None
    return {
        "transactions": await _shown(desk, page.entries),
        "next": None if page.next is None else f"{page.next.made_at}-{page.next.number}",
        "searched_back_to_at": _bound(page),
        "total": total,
    }


async def transaction_show(desk: Reading, params: ShowParams, _call: Call) -> Result:
    """Show all facts of one payment or invoice, by its payment hash or the beginning of it (8 digits or more)."""
    first, *others = await _shown(desk, await desk.store.entries_of(await whole_hash(desk, params.payment_hash)))
    return {**first, "others": others}


async def whole_hash(desk: Reading, typed: str) -> str:
    """The one payment hash of the books that begins so. Raises KitestringError where there is none, or several."""
    typed = typed.strip().lower()
    if _HASH.fullmatch(typed) is None:
        raise KitestringError(
            Reason.MALFORMED, f"a payment hash is 64 hexadecimal digits; the first {MIN_HASH_CHARS} are enough"
        )
    found = await desk.store.hashes_like(typed, MAX_NAMED + 1)
    if not found:
        raise KitestringError(
            Reason.UNKNOWN_TARGET, f"there is no payment or invoice {typed}; see `kitestring transactions --unpaid`"
        )
    if len(found) > 1:
        names = ", ".join(found[:MAX_NAMED]) + (" and others" if len(found) > MAX_NAMED else "")
        raise KitestringError(Reason.MALFORMED, f"{typed} is the beginning of several hashes: {names}")
    return found[0]


async def _query(desk: Reading, params: TransactionsParams) -> BookQuery:
    if params.until and params.since > params.until:
        raise KitestringError(Reason.MALFORMED, "since is later than until: exchange them")
    account_id = (await find_account(desk, params.account)).account_id if params.account else ""
    grant = await _connection(desk, params.connection) if params.connection else None
    offer = await _offer(desk, params.offer) if params.offer else None
    return BookQuery(
        states=_states(params),
        direction=params.direction,
        since=params.since,
        until=params.until,
        account_id=account_id,
        grant_id="" if grant is None else grant.grant_id,
        offer_id="" if offer is None else offer.offer_id,
        search=params.search,
        limit=params.limit,
        offset=params.offset,
        after=_position(params.after),
    )


def _states(params: TransactionsParams) -> frozenset[BookState]:
    """The states that are wanted. Raises KitestringError where wishes exclude each other, so that an empty list always
    means that there is nothing."""
    if params.states and params.unpaid:
        raise _contradiction("states says already what is listed: leave unpaid out")
    if params.offer and params.direction == "outgoing":
        raise _contradiction("an offer is only paid by others: leave the direction out")
    if params.offer and params.connection:
        raise _contradiction("an offer is paid by anybody, and belongs to no connection: leave one of the two out")
    if not params.states:
        return frozenset(BookState) if params.unpaid else frozenset({BookState.SETTLED})
    states = frozenset(map(BookState, params.states))
    incoming = params.direction == "incoming" or params.offer
    possible = OF_INVOICES if incoming else OF_PAYMENTS if params.direction else frozenset(BookState)
    if not states & possible:
        what = "what comes in" if incoming else "what goes out"
        raise _contradiction(f"{what} is never {' or '.join(_words(states))}: it is {', '.join(_words(possible))}")
    return states


def _words(states: frozenset[BookState]) -> list[str]:
    return ["accepted (held)" if state is BookState.ACCEPTED else state.value for state in sorted(states)]


def _contradiction(sentence: str) -> KitestringError:
    return KitestringError(Reason.MALFORMED, sentence)


def _position(text: str) -> BookPlace | None:
    if not text:
        return None
    match = _POSITION.fullmatch(text)
    if match is None:
        raise KitestringError(Reason.MALFORMED, "after is the word that a page gave as its next, such as 1796083199-17")
    return BookPlace(int(match[1]), min(int(match[2]), MAX_WHOLE))


def _bound(page: BookPage) -> int | None:
    return page.next.made_at if page.is_cut and page.next is not None else None


async def _connection(desk: Reading, name: str) -> Grant:
    """The connection of this name or id, also one that has ended. Raises KitestringError(UNKNOWN_TARGET)."""
    name = plain_line(name)
    standing = await desk.store.grant_named(NWC, name)
    if standing is not None:
        return standing
    grants = [grant for grant in await desk.store.grants() if grant.wire == NWC]
    named = [grant for grant in grants if name in (grant.name, grant.grant_id)]
    if named:
        return max(named, key=lambda grant: (grant.grant_id == name, grant.created_at))
    raise none_named("connection", name, (grant.name for grant in grants), "connections")


async def _offer(desk: Reading, name: str) -> Offer:
    """The offer of this id or label, also one that was deleted: the owner's own before those of others, and one that
    can be paid first. Raises KitestringError(UNKNOWN_TARGET)."""
    offers = await desk.store.offers()
    named = [offer for offer in offers if name in (offer.offer_id, offer.label)]
    if named:
        return min(named, key=lambda one: (one.offer_id != name, one.creator != "", one.state is not OfferState.OPEN))
    raise none_named("offer", name, (offer.label for offer in offers), "offer list")


async def _shown(desk: Reading, entries: Iterable[BookEntry]) -> list[Result]:
    entries = tuple(entries)
    grants = {one: await grant_of(desk, one) for one in dict.fromkeys(entry.grant_id for entry in entries)}
    ids = dict.fromkeys(entry.offer_id for entry in entries if isinstance(entry, OwnInvoice) and entry.offer_id)
    offers = {offer_id: await desk.store.offer(offer_id) for offer_id in ids}
    return [_show(entry, grants[entry.grant_id], offers) for entry in entries]


def _reason(entry: BookEntry) -> str | None:
    """Say why a payment has failed, or what is known of one without an end; what has settled needs no reason."""
    if not isinstance(entry, Payment) or entry.state is State.SETTLED:
        return None
    return entry.evidence or None


def _show(entry: BookEntry, grant: Grant | None, offers: dict[str, Offer | None]) -> Result:
    """One entry: as apps are told it, and what only the owner is told. ``reason`` is why it failed, or what is known of
    a payment of unknown outcome."""
    offer = offers.get(entry.offer_id) if isinstance(entry, OwnInvoice) else None
    return {
        **show_transaction(transaction_of(entry), grant),
        "state": book_state(entry).value,
        "reason": _reason(entry),
        "offer": None if offer is None else offer.label,
        "payment_id": entry.payment_id if isinstance(entry, Payment) else None,
        "node_id": entry.node_id,
        "fee_cap_msat": int(entry.fee_cap_msat) if isinstance(entry, Payment) else None,
    }


COMMANDS: Final[Commands] = (
    Read("transactions", TransactionsParams, transactions, results.EntryListJson),
    Read("transaction_show", ShowParams, transaction_show, results.EntryShownJson),
)
