"""Grants (what one key may do with one account), accounts and offers as values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

import msgspec

from kitestring.base.budgets import Budget
from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.money import ZERO, Msat

#: The methods that spend. Of a connection that may spend nothing they are not announced.
SPENDING_METHODS: Final = frozenset({"pay_invoice", "pay_keysend"})
#: What a pointer answers to a key without a grant: no, the owner's word, or the pointer's own budget.
Strangers = Literal["deny", "ask", "budget"]
#: The session words that a pointer takes: none, those that we have made, or any that is new.
Sessions = Literal["off", "minted", "any"]
#: The balance that an app is told: what it can spend within its budgets, or all that its account has.
ShownBalance = Literal["budget", "full"]
#: The payments that an app is shown and told of: those of its own connection, or all of its account.
ShownHistory = Literal["own", "account"]
#: ``auto`` takes NIP-04 until the caller has spoken NIP-44 once, ``both`` takes it forever, ``legacy`` nothing else.
CipherSetting = Literal["auto", "nip44", "legacy", "both"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A connection of the protocol ``wire``, or the owner (``wire`` = ``OWNER_WIRE``).

    ``caller`` is the client's public key, ``service_pubkey`` the key it talks to (both x-only hex, "" for the owner).
    Each of the ``budgets`` has to cover a payment.
    ``version`` grows with every change; a transaction that was decided on an older one answers ``Stale``.
    ``methods`` of an owner's grant name rights (``policy.access``): empty means all four. ``per_payment_msat`` bounds
    what one payment may cost, all fees included; ``fee_cap_msat`` is the most that routing may cost, in place of
    what the service allows everybody. From ``link_salt``, with the seed, follows the client's secret, so that its link
    can be shown again; empty from the client's first request on, and where the secret was not made here. ``relays`` are
    those inside the link, as it was made: they are served for as long as the link is good. ``lud16`` is the Lightning
    Address at which its account is paid, as the owner has named it; "" for none.

    From ``paused_at`` (Unix seconds) on the caller is refused whatever it asks, and told nothing, until the owner
    resumes; None while it is not paused. ``shown_balance`` is what it is told of its account's balance, and
    ``shown_history`` of its account's payments.

    A connection that an app has asked for itself (draft 08 of NIP-47) is announced to it on ``asked_relays`` too, with
    its ``asked_state``.

    Grants of the wires ``debits`` and ``manage`` belong to the pointer ``pointer_id``; the one without a ``caller`` is
    the pointer itself: what it lets ``strangers`` do, and its ``sessions``.
    """

    grant_id: str
    name: str
    wire: str
    caller: str = ""
    service_pubkey: str = ""
    account_id: str = OWNER_ACCOUNT
    methods: frozenset[str] = frozenset()
    budgets: tuple[Budget, ...] = ()
    per_payment_msat: Msat | None = None
    fee_cap_msat: Msat | None = None
    expires_at: int | None = None
    cipher: CipherSetting = "auto"
    nip44_seen: bool = False
    link_salt: bytes = field(default=b"", repr=False)
    relays: tuple[str, ...] = ()
    lud16: str = ""
    asked_relays: tuple[str, ...] = ()
    asked_state: str = ""
    pointer_id: str = ""
    strangers: Strangers = "deny"
    sessions: Sessions = "off"
    shown_balance: ShownBalance = "budget"
    shown_history: ShownHistory = "own"
    paused_at: int | None = None
    revoked_at: int | None = None
    created_at: int = 0
    version: int = 1

    @property
    def announced(self) -> frozenset[str]:
        """The ``methods`` that a caller is told of: none that spends where a budget allows nothing."""
        allows_nothing = any(budget.limit_msat <= 0 for budget in self.budgets)
        return self.methods - SPENDING_METHODS if allows_nothing else self.methods

    def sees(self, grant_id: str, account_id: str) -> bool:
        """Whether its app is shown what the grant ``grant_id`` ("" for none) did with the money of ``account_id``."""
        is_shown_all = self.shown_history == "account" and account_id == self.account_id
        return is_shown_all or grant_id == self.grant_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A balance in the ledger. ``available_msat`` of the owner account is not known to the ledger (the node knows).

    The ``account_id`` never changes, the ``name`` does. One that was closed (``closed_at``, Unix seconds) is used no
    more; its rows stay, and what comes late for an invoice of it goes back to the owner.
    """

    account_id: str
    name: str
    credits_msat: Msat = ZERO
    posted_msat: Msat = ZERO
    pending_msat: Msat = ZERO
    overdrawn: bool = False
    created_at: int = 0
    closed_at: int | None = None

    @property
    def available_msat(self) -> Msat:
        """Credits less what is spent and what is reserved; below zero only when overdrawn."""
        return self.credits_msat - self.posted_msat - self.pending_msat


class OfferState(StrEnum):
    """Whether an offer can be paid. Invoices that were given out can be paid in every state."""

    OPEN = "open"
    OFF = "off"  # switched off by its owner for now
    MOVED = "moved"  # forwards to ``latest``, or has ended where there is none
    DELETED = "deleted"  # unknown to whoever asks


#: A deleted offer never comes back: its code may be anywhere, and whoever asks it is told that there is none.
OFFER_STEPS: Final[dict[OfferState, frozenset[OfferState]]] = {
    OfferState.OPEN: frozenset({OfferState.OFF, OfferState.MOVED, OfferState.DELETED}),
    OfferState.OFF: frozenset({OfferState.OPEN, OfferState.MOVED, OfferState.DELETED}),
    OfferState.MOVED: frozenset({OfferState.DELETED}),
    OfferState.DELETED: frozenset(),
}


class Pricing(StrEnum):
    """The way to the price of an offer."""

    SPONTANEOUS = "spontaneous"  # the payer names it
    FIXED = "fixed"  # it stands in the code
    VARIABLE = "variable"  # whoever asks is told: it may be another one tomorrow


#: The end of the name of something that a payer may tell and need not.
OPTIONAL: Final = "?"
#: What an app may ask payers for; owners call it as they like.
is_field_of_apps: Final = re.compile("[A-Za-z0-9_]{1,64}", re.ASCII).fullmatch
#: Offers whose id begins so take zaps, which the payer sees in the code.
ZAP_PREFIX: Final = "zap"


class Webhook(msgspec.Struct, frozen=True):
    """The address at which the payments of an offer are told: as JSON in a POST, or by a GET of ``url`` as a template
    (RFC 6570), which is the form that apps know from CLINK Manage.

    Its secret follows from ``key``: "" stands for the id of the offer, and an offer that has moved to another id takes
    the key along, so that the receiver goes on to know who speaks."""

    url: str
    form: Literal["post", "get"] = "post"
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A static payment code.

    ``price_msat`` is what it costs; a price in another currency is ``price_minor`` minor units of ``currency``. With
    neither the payer names the amount, from ``min_msat`` to ``max_msat``. ``price_on_request`` keeps a price in sats
    out of the code, so that it can be changed while the code stays as it is.

    ``payer_data`` names what a payer is asked for; a name that ends in :data:`OPTIONAL` may be left unanswered.

    ``latest`` is the noffer string a moved offer points to. ``relays`` are those inside its code, as it was made or
    relinked: they are served for as long as whoever asks is told an invoice, to come again, or ``latest``. From
    ``expires_at`` (Unix seconds) on nothing is sold. ``creator`` is the public key of the app that made it over the
    pointer ``pointer_id`` (CLINK Manage), or (without a pointer) of who has enrolled, for the offer that the account
    began with; "" for the owner's own. ``zap_pubkey`` is the key whose zaps it
    takes, "" for none; the id says so to payers, see :data:`ZAP_PREFIX`.
    """

    offer_id: str
    label: str
    account_id: str = OWNER_ACCOUNT
    price_msat: Msat | None = None
    min_msat: Msat | None = None
    max_msat: Msat | None = None
    currency: str = ""
    price_minor: int | None = None
    price_on_request: bool = False
    payer_data: tuple[str, ...] = ()
    relays: tuple[str, ...] = ()
    state: OfferState = OfferState.OPEN
    latest: str = ""
    expires_at: int | None = None
    webhook: Webhook | None = None
    creator: str = ""
    pointer_id: str = ""
    zap_pubkey: str = ""
    created_at: int = 0

    @property
    def webhook_key(self) -> str:
        """The name that the secret of its webhook follows from."""
        return (self.webhook.key if self.webhook is not None else "") or self.offer_id

    @property
    def pricing(self) -> Pricing:
        """The way to its price."""
        if self.currency or self.price_on_request:
            return Pricing.VARIABLE
        return Pricing.SPONTANEOUS if self.price_msat is None else Pricing.FIXED

    @property
    def is_standing(self) -> bool:
        """Whether it is one of the offers that its owner has, open or switched off."""
        return self.state in {OfferState.OPEN, OfferState.OFF}

    @property
    def required(self) -> tuple[str, ...]:
        """The names of all that a payer must tell."""
        return tuple(name for name in self.payer_data if not name.endswith(OPTIONAL))

    @property
    def asked(self) -> tuple[str, ...]:
        """The names of what a payer is asked for as apps know them: those that they may write, none of them marked as
        one that may be left unanswered."""
        return tuple(name for name in (one.removesuffix(OPTIONAL) for one in self.payer_data) if is_field_of_apps(name))

    @property
    def kept(self) -> frozenset[str]:
        """The names of all that is kept of a payer's words."""
        return frozenset(name.removesuffix(OPTIONAL) for name in self.payer_data)

    def has_expired(self, now: int) -> bool:
        """Whether nothing is sold any more at ``now`` (Unix seconds)."""
        return self.expires_at is not None and now >= self.expires_at

    def is_open(self, now: int) -> bool:
        """Whether it can be paid at ``now`` (Unix seconds)."""
        return self.state is OfferState.OPEN and not self.has_expired(now)

    @property
    def callback_url(self) -> str:
        """The webhook as apps know it: a template that is asked for by GET; "" for none, and for one of the owner's own
        form."""
        return self.webhook.url if self.webhook is not None and self.webhook.form == "get" else ""
