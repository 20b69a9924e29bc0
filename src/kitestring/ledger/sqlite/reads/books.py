"""Payments and invoices as the owner lists them: by state, connection, offer and words."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py and names, never a value

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from kitestring.base.books import OF_INVOICES, OF_PAYMENTS, BookEntry, BookPage, BookPlace, BookQuery, BookState
from kitestring.ledger import rows
from kitestring.ledger.sqlite.reads.statements import Statements

#: Entries that are looked at for one page, where no index has just those that are wanted. So a page costs the same
#: (some twenty milliseconds, where words are looked for and none is found) however large the books are.
SCAN_LIMIT: Final = 5_000
#: As many entries are counted, in some milliseconds.
BOOK_COUNT_LIMIT: Final = 10_000
#: Entries of one payment hash that are shown: its invoice, the payment that holds it, and the newest that failed.
MAX_OF_HASH: Final = 20
#: Beyond every time there will be.
_EVER: Final = 1 << 62

_OPEN: Final = "(state = 'reserved' OR state = 'dispatched' OR state = 'unknown')"


class _Part(NamedTuple):
    """Rows of one table in the order of one index. ``which`` is in the index or true of nearly all of its rows;
    ``rest`` may be true of few. A small index has few rows, and these are sorted."""

    table: str
    ordered_by: str
    which: str
    rest: str = ""
    is_small: bool = False


#: The parts that hold the payments of one state. An index with {} is that by connection, account or time.
_PAYMENTS: Final = {
    BookState.SETTLED: _Part("payments", "payments_by_{}", "holding = 1 AND state = 'settled'"),
    BookState.FAILED: _Part("payments", "failed_payments_by_{}", "holding = 0"),
    BookState.PENDING: _Part("payments", "payments_open", f"{_OPEN} AND state <> 'unknown'", is_small=True),
    BookState.UNKNOWN: _Part("payments", "payments_open", f"{_OPEN} AND state = 'unknown'", is_small=True),
    BookState.RESOLVED: _Part("payments", "payments_resolved", "state = 'resolved'", is_small=True),
}
_ALL_PAYMENTS: Final = (_Part("payments", "payments_by_{}", "holding = 1"), _PAYMENTS[BookState.FAILED])
_UNPAID: Final = "state <> 'settled' AND state = '{}'"
_INVOICES: Final = {
    BookState.SETTLED: _Part("invoices", "settled_invoices_by_{}", "state = 'settled'"),
    # How many wait for a payer or a decision is bounded.
    BookState.PENDING: _Part("invoices", "invoices_unpaid", _UNPAID.format("open"), is_small=True),
    BookState.ACCEPTED: _Part("invoices", "invoices_unpaid", _UNPAID.format("accepted"), is_small=True),
    BookState.EXPIRED: _Part("invoices", "invoices_by_{}", "true", "(state = 'expired' OR state = 'left')"),
    BookState.CANCELED: _Part("invoices", "invoices_by_{}", "true", "state = 'canceled'"),
}
_ALL_INVOICES: Final = _Part("invoices", "invoices_by_{}", "true")
_OF_OFFER: Final = "invoices_by_offer"
#: The states of the ledger that are one state of an invoice to the owner.
_WORDS: Final = {
    BookState.SETTLED: "state = 'settled'",
    BookState.PENDING: "state = 'open'",
    BookState.ACCEPTED: "state = 'accepted'",
    BookState.EXPIRED: "state = 'expired' OR state = 'left'",
    BookState.CANCELED: "state = 'canceled'",
}
_SEARCHED: Final = {"payments": ("description", "evidence"), "invoices": ("description", "payer_data")}
#: Where a hash is found: a table, its index, and the rows in that.
_BY_HASH: Final = (
    ("invoices", "invoices_by_hash", "payment_hash <> ''"),
    ("payments", "payments_holding", "holding = 1"),
    ("payments", "payments_failed", "holding = 0"),
)
_READ: Final[dict[str, tuple[str, Callable[[rows.Row], BookEntry]]]] = {
    "payments": (rows.PAYMENT, rows.read_payment),
    "invoices": (rows.INVOICE, rows.read_invoice),
}


class BookReads(Statements):
    """The owner's list. Where an index has just what is wanted, nothing else is looked at; else a bounded number is."""

    async def books(self, query: BookQuery) -> BookPage:
        keys, values = _keys(self._service, query)
        if not keys:
            return BookPage(())
        limits = {"limit": query.limit + 1, "offset": query.offset, "scan": SCAN_LIMIT}
        found = self._run_named(f"{_fitting(keys, query)} LIMIT :limit OFFSET :offset", {**values, **limits})
        entries = tuple(entry for kind, number, *_ in found[: query.limit] for entry in self._entry(kind, number))
        if len(found) > query.limit:
            _, number, made, *_ = found[query.limit - 1]
            return BookPage(entries, BookPlace(made, number))
        if not _is_scanned(query):
            return BookPage(entries)
        last = self._run_named(f"{keys} ORDER BY made DESC, number DESC LIMIT 1 OFFSET {SCAN_LIMIT - 1}", values)
        return BookPage(entries, BookPlace(last[0][2], last[0][1]), True) if last else BookPage(entries)

    async def count_books(self, query: BookQuery) -> int | None:
        """None for more than :data:`BOOK_COUNT_LIMIT`, and where more than a page's part of the books would be looked
        through."""
        keys, values = _keys(self._service, query)
        if not keys:
            return 0
        if _is_scanned(query) and (await self.books(_first_page(query))).is_cut:
            return None
        bounds = {"limit": BOOK_COUNT_LIMIT + 1, "scan": SCAN_LIMIT}
        ((found,),) = self._run_named(
            f"SELECT count(*) FROM ({_fitting(keys, query)} LIMIT :limit)", {**values, **bounds}
        )
        return int(found) if found <= BOOK_COUNT_LIMIT else None

    async def hashes_like(self, prefix: str, limit: int) -> list[str]:
        """Payment hashes that begin with these digits, of payments and invoices."""
        found = {
            payment_hash
            for table, index, which in _BY_HASH
            for (payment_hash,) in self._run(
                f"SELECT DISTINCT payment_hash FROM {table} INDEXED BY {index}"
                f" WHERE service = ? AND {which} AND payment_hash BETWEEN ? AND ? LIMIT ?",
                (self._service, prefix, f"{prefix}g", limit),
            )
        }
        return sorted(found)[:limit]

    async def entries_of(self, payment_hash: str) -> list[BookEntry]:
        """The invoices of a hash, the payments that hold it, and those that failed, the newest of them first."""
        found: list[BookEntry] = []
        for table, index, which in _BY_HASH:
            columns, read = _READ[table]
            found += [
                read(row)
                for row in self._all(
                    f"SELECT {columns} FROM {table} INDEXED BY {index}"
                    f" WHERE service = ? AND payment_hash = ? AND {which}"
                    f" ORDER BY created_at DESC, rowid DESC LIMIT {MAX_OF_HASH}",
                    payment_hash,
                )
            ]
        return found[:MAX_OF_HASH]

    def _entry(self, table: str, number: int) -> Iterator[BookEntry]:
        """Nothing if the row went between the two looks (an invoice that a stranger never paid)."""
        columns, read = _READ[table]
        for row in self._run(f"SELECT {columns} FROM {table} WHERE rowid = ?", (number,)):
            yield read(row)


def _first_page(query: BookQuery) -> BookQuery:
    return replace(query, limit=BOOK_COUNT_LIMIT, offset=0)


def _parts(query: BookQuery) -> Iterator[_Part]:
    out, back = query.states & OF_PAYMENTS, query.states & OF_INVOICES
    if query.direction != "incoming" and not query.offer_id:
        yield from _ALL_PAYMENTS if out == OF_PAYMENTS else [_PAYMENTS[state] for state in _PAYMENTS if state in out]
    if query.direction == "outgoing" or not back:
        return
    if query.offer_id:
        words = " OR ".join(_WORDS[state] for state in _WORDS if state in back)
        yield _Part("invoices", _OF_OFFER, "offer_id <> ''", "" if back == OF_INVOICES else f"({words})")
    elif back == OF_INVOICES:
        yield _ALL_INVOICES
    else:
        yield from (_INVOICES[state] for state in _INVOICES if state in back)


def _narrowed(part: _Part, query: BookQuery) -> _Part:
    """The part with what else is wanted: in its index, or among the rest. Of a small one everything is looked at."""
    index, which, rest = part.ordered_by, part.which, [part.rest] if part.rest else []
    wanted = [name for name in ("offer", "grant", "account") if getattr(query, f"{name}_id")]
    by = "offer" if index == _OF_OFFER else next(iter(wanted), "time")
    for name in wanted:
        equal = f"{name}_id = :{name}"
        if name == by or part.is_small:
            which = f"{equal} AND {which}"
        else:
            rest.append(equal)
    if query.search:
        rest.append("(" + " OR ".join(f"{name} LIKE :search ESCAPE '\\'" for name in _SEARCHED[part.table]) + ")")
    return part._replace(ordered_by=index.format(by), which=which, rest=" AND ".join(rest))


def _is_scanned(query: BookQuery) -> bool:
    return any(_narrowed(part, query).rest for part in _parts(query))


def _keys(service: int, query: BookQuery) -> tuple[str, dict[str, Any]]:
    """The statement for table, row id, time and fitness of each row that is looked at, "" for none; and its values."""
    until, behind = query.until or _EVER, ""
    values: dict[str, Any] = {
        "service": service, "since": query.since, "offer": query.offer_id, "grant": query.grant_id,
        "account": query.account_id, "search": _pattern(query.search),
    }  # fmt: skip
    if query.after is not None:
        until, behind = min(until, query.after.made_at), " AND (created_at < :made OR rowid < :number)"
        values |= {"made": query.after.made_at, "number": query.after.number}
    keys = " UNION ALL ".join(
        f"SELECT '{part.table}' AS kind, rowid AS number, created_at AS made, {part.rest or 'true'} AS fits"
        f" FROM {part.table} INDEXED BY {part.ordered_by}"
        f" WHERE service = :service AND {part.which} AND created_at BETWEEN :since AND :until{behind}"
        for part in (_narrowed(part, query) for part in _parts(query))
    )
    return keys, {**values, "until": until}


def _fitting(keys: str, query: BookQuery) -> str:
    order = "ORDER BY made DESC, number DESC"
    if not _is_scanned(query):
        return f"{keys} {order}"
    return f"SELECT kind, number, made FROM ({keys} {order} LIMIT :scan) WHERE fits {order}"


def _pattern(search: str) -> str:
    for special in "\\%_":
        search = search.replace(special, f"\\{special}")
    return f"%{search}%"
