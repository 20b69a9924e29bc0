"""Values that the methods of a service return, read from the answers of the owner's commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from kitestring.app.service.execute import Result
from kitestring.base.budgets import Budget
from kitestring.base.money import Msat


@dataclass(frozen=True, slots=True)
class Connection:
    """A NWC connection. ``nwc_uri``, which holds its secret, is None once an app has used it. ``missing_on`` names the
    relays that do not carry the connection yet, each with its own words about it; the service goes on trying."""

    name: str
    connection_id: str
    nwc_uri: str | None = field(default=None, repr=False)
    missing_on: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OfferCode:
    """An offer, and the static code that anybody can pay as often as they like."""

    label: str
    offer_id: str
    noffer: str


@dataclass(frozen=True, slots=True)
class DebitCode:
    """A debit pointer, and the code by which others ask it for money."""

    label: str
    pointer_id: str
    ndebit: str


@dataclass(frozen=True, slots=True)
class SessionCode:
    """A code that is good for one payment of ``min_amount`` to ``max_amount``, until ``expires_at`` (Unix seconds).

    ``session`` is a mark that tells it apart and gives nothing away. ``ndebit`` holds its secret word: show it to one
    person. It is None for one that was made earlier.
    """

    pointer_id: str
    session: str
    min_amount: Msat
    max_amount: Msat
    expires_at: int
    ndebit: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """The end of a session: ``used``, and then ``amount`` and ``fee`` have left this service; ``expired``, and nobody
    can use it any more; or ``closed``, by an operator who has decided about its payment without a proof. With ``used``
    ``service_fee`` is what this service has taken itself beside them."""

    state: Literal["used", "expired", "closed"]
    amount: Msat | None = None
    fee: Msat | None = None
    payment_hash: str | None = None
    service_fee: Msat | None = None


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """A NWC connection as it stands: ``used`` by its app or not yet; ``fee_cap`` is the most that routing may cost.
    Times are Unix seconds; None = no limit, no end, never used."""

    name: str
    connection_id: str
    account: str
    methods: tuple[str, ...]
    budgets: tuple[Budget, ...]
    per_payment: Msat | None
    fee_cap: Msat | None
    expires_at: int | None
    encryption: str
    created_at: int
    used: bool
    last_used_at: int | None


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """A budget as it stands. ``used`` has in it what is reserved for payments under way; it will have left at
    ``renews_at`` (Unix seconds), None = never."""

    budget: Budget
    used: Msat
    left: Msat
    renews_at: int | None


@dataclass(frozen=True, slots=True)
class OfferInfo:
    """An offer as it stands: its ``state`` is ``open``, ``off`` or ``expired``.

    Without a ``price`` (in sats), or ``price_minor`` minor units of ``currency``, the payer names the amount, from
    ``min_amount`` to ``max_amount``. Times are Unix seconds.
    """

    label: str
    offer_id: str
    noffer: str
    state: str
    price: Msat | None
    currency: str | None
    price_minor: int | None
    min_amount: Msat | None
    max_amount: Msat | None
    payer_data: tuple[str, ...]
    account: str
    expires_at: int | None
    created_at: int


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """A sub-account: ``available`` can be spent now, ``pending`` is reserved for payments under way. ``npub`` is the
    key that has opened it by itself, if one has."""

    account: str
    available: Msat
    pending: Msat
    overdrawn: bool
    created_at: int
    npub: str | None


def connection_of(result: Result) -> Connection:
    missing_on = {row["relay"]: row["words"] or "" for row in result["relays"] if not row["carries"]}
    return Connection(result["name"], result["connection_id"], result["nwc_uri"], missing_on)


def offer_code(result: Result) -> OfferCode:
    return OfferCode(result["label"], result["offer_id"], result["noffer"])


def debit_code(result: Result) -> DebitCode:
    return DebitCode(result["label"], result["pointer_id"], result["ndebit"])


def session_code(pointer_id: str, row: Result) -> SessionCode:
    least, most = Msat(row["min_msat"]), Msat(row["max_msat"])
    return SessionCode(pointer_id, row["session"], least, most, row["expires_at"], row.get("ndebit"))


def session_end(row: Result) -> SessionEnd:
    names = ("amount_msat", "fee_msat", "service_fee_msat")
    amount, fee, ours = (None if row[name] is None else Msat(row[name]) for name in names)
    return SessionEnd(row["state"], amount, fee, row["payment_hash"], ours)


def connection_info(row: Result) -> ConnectionInfo:
    return ConnectionInfo(
        row["name"], row["connection_id"], row["account"], tuple(row["methods"]),
        tuple(_budget(one) for one in row["budgets"]), _money(row["per_payment_msat"]), _money(row["fee_cap_msat"]),
        row["expires_at"], row["encryption"], row["created_at"], row["used"], row["last_used_at"],
    )  # fmt: skip


def budget_use(row: Result) -> BudgetUse:
    return BudgetUse(_budget(row), Msat(row["used_msat"]), Msat(row["left_msat"]), row["renews_at"])


def offer_info(row: Result) -> OfferInfo:
    return OfferInfo(
        row["label"], row["offer_id"], row["noffer"], row["state"], _money(row["price_msat"]), row["currency"],
        row["price_minor"], _money(row["min_msat"]), _money(row["max_msat"]), tuple(row["payer_data"]), row["account"],
        row["expires_at"], row["created_at"],
    )  # fmt: skip


def account_info(row: Result) -> AccountInfo:
    return AccountInfo(
        row["account"], Msat(row["available_msat"]), Msat(row["pending_msat"]), row["overdrawn"], row["created_at"],
        row["npub"],
    )  # fmt: skip


def _budget(row: Result) -> Budget:
    limit = Msat(row["limit_msat"])
    return Budget(
        limit, row["period"], row["length_s"] or 0, currency=row.get("currency") or "",
        limit_minor=row.get("limit_minor") or 0,
    )  # fmt: skip


def _money(amount_msat: int | None) -> Msat | None:
    return None if amount_msat is None else Msat(amount_msat)
