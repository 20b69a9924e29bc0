"""Neutral commands: every wire reads its requests into one of these.

Commands that change state are journaled in this form, so that they can be carried on after a crash without the wire.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import ClassVar, Final, TypeVar

import msgspec

from kitestring.base.budgets import Budget
from kitestring.base.currency import ExchangeRate
from kitestring.base.destinations import Destination
from kitestring.base.money import Msat, from_stored, to_stored
from kitestring.base.rights import Right
from kitestring.base.zaps import ZapRequest

#: Payments of one bundle: each is a claim, a row and a reply.
MAX_PARTS: Final = 20
#: The account that is the node itself, and the grant of its owner (no limits, every method).
OWNER_ACCOUNT: Final = "owner"
OWNER_GRANT: Final = "owner"
#: The wire of grants that may use the owner's commands; their ``methods`` name rights.
OWNER_WIRE: Final = "owner"
#: The wire of grants that may take money by CLINK Debits, and of the pointers that they belong to.
DEBITS_WIRE: Final = "debits"
#: The wire of grants that may make offers by CLINK Manage, and of the links that they belong to.
MANAGE_WIRE: Final = "manage"
#: Offers on one page of a list.
MAX_OFFERS_LISTED: Final = 100
#: The name under which a payer's free text stands among what payers of an offer tell about themselves.
NOTE: Final = "note"
#: Blocks that a payment of a hold invoice leaves for the decision: unless more or less is asked for (a day), at least
#: (twelve of them are kept back for the node, and some hours must be left), and at most (a week: those on the way have
#: their money bound for as long).
HOLD_BLOCKS: Final = 144
MIN_HOLD_BLOCKS: Final = 36
MAX_HOLD_BLOCKS: Final = 1_008
#: Bytes of a message that is signed: a challenge, a few pages of text, and no file.
MAX_MESSAGE_BYTES: Final = 8_192
#: Seconds for which an invoice may be asked to be valid, and for which it is if nobody says.
MIN_EXPIRY_S: Final = 60
MAX_EXPIRY_S: Final = 604_800
DEFAULT_EXPIRY_S: Final = 3_600


class AnyCommand(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Base of the neutral commands. Texts from peers arrive here already capped and stripped.

    A kind of command says itself who may give it: an owner's grant that has the ``right``, which also lets others give
    it, and any other grant that lists one of the names in ``allowed_by`` (none there = every one). Without
    ``allowed_by`` it is for no grant to list: who may give it is decided where it is carried out.
    """

    right: ClassVar[Right]
    allowed_by: ClassVar[tuple[str, ...]]


C = TypeVar("C", bound=AnyCommand)


class Journaled(AnyCommand, frozen=True, kw_only=True):
    """Base of the commands that change state: claimed by their request's id, carried out once, answered from the
    ledger."""


class PayInvoice(Journaled, frozen=True, kw_only=True):
    """Pay ``destination``. ``amount_msat`` is what will be paid, also for amountless invoices.

    The wire has decoded an invoice; the engine never parses one. ``network``, ``expires_at`` (Unix seconds) and
    ``description_hash`` are the invoice's. A keysend has none of them, and its ``payment_hash`` is "" until its
    preimage is drawn. After ``patience_s`` seconds whoever has asked is told that it is under way, if it is; 0 = the
    answer waits for the end.
    """

    right: ClassVar = Right.SPEND
    allowed_by: ClassVar = ("pay_invoice",)

    destination: Destination
    payment_hash: str
    amount_msat: Msat
    max_fee_msat: Msat | None = None
    network: str = ""
    expires_at: int = 0
    description: str = ""
    description_hash: str = ""
    metadata: str = ""
    patience_s: int = 0


class MakeInvoice(Journaled, frozen=True, kw_only=True):
    """Make an invoice into the caller's account. ``amount_msat`` None = amountless. ``metadata`` is JSON text.

    ``account_id`` is another account, which the owner alone may name. ``offer_id``, ``payer_data`` (texts by name),
    ``zap`` and the ``rate`` of the price are set where it is the answer to :class:`AskOffer`.
    """

    right: ClassVar = Right.RECEIVE
    allowed_by: ClassVar = ("make_invoice",)

    amount_msat: Msat | None
    account_id: str = ""
    description: str = ""
    description_hash: str = ""
    expiry_s: int = DEFAULT_EXPIRY_S
    metadata: str = ""
    offer_id: str = ""
    payer_data: dict[str, str] = {}
    zap: str = ""
    rate: ExchangeRate | None = None


class MakeHoldInvoice(MakeInvoice, frozen=True, kw_only=True):
    """Make an invoice of a ``payment_hash`` (64 hex digits) that the caller gives; what is paid to it is held until the
    caller settles or cancels it.

    ``min_cltv_delta`` is the least number of blocks that a payment leaves for that, 0: as many as we think right.
    ``preimage`` is set where the service keeps it for the caller.
    """

    right: ClassVar = Right.RECEIVE
    allowed_by: ClassVar = ("make_hold_invoice",)

    payment_hash: str
    min_cltv_delta: int = 0
    preimage: str = ""


class SettleHold(Journaled, frozen=True, kw_only=True):
    """Take what is held for this hash. ``preimage`` "" is the one that the service keeps for the caller."""

    right: ClassVar = Right.RECEIVE
    allowed_by: ClassVar = ("settle_hold_invoice",)

    payment_hash: str
    preimage: str = ""


class CancelHold(Journaled, frozen=True, kw_only=True):
    """Refuse every payment of a hold invoice, and give back what is held for it."""

    right: ClassVar = Right.RECEIVE
    allowed_by: ClassVar = ("cancel_hold_invoice",)

    payment_hash: str


class CancelInvoice(Journaled, frozen=True, kw_only=True):
    """Let nobody pay an ordinary invoice any more that is still open. For the owner alone: to all others there is no
    such invoice."""

    right: ClassVar = Right.RECEIVE
    allowed_by: ClassVar[tuple[str, ...]] = ()

    payment_hash: str


class AskOffer(Journaled, frozen=True, kw_only=True):
    """Make the invoice that an offer promises to everybody, into the offer's account; the caller may be a stranger.

    ``amount_msat`` None = the payer names none; ``amountless``: an invoice without an amount is welcome then.
    ``payer_data`` holds what the payer tells, as texts by name. ``description_hash`` (64 hex digits, "" for none) is
    what the invoice commits to in the place of a description.
    """

    right: ClassVar = Right.RECEIVE

    offer_id: str
    amount_msat: Msat | None = None
    payer_data: dict[str, str] = {}
    description: str = ""
    expiry_s: int = DEFAULT_EXPIRY_S
    description_hash: str = ""
    zap: ZapRequest | None = None
    amountless: bool = False


class Debit(Journaled, frozen=True, kw_only=True):
    """Take money by the pointer ``pointer_id``: one ``payment``, or from now on within a ``budget``, or (neither)
    without any limit. ``k1`` is the word of a session, good for one payment (64 hex digits), "" for none.
    ``description`` is the caller's own text."""

    right: ClassVar = Right.SPEND

    pointer_id: str
    payment: PayInvoice | None = None
    budget: Budget | None = None
    k1: str = ""
    description: str = ""


class Enroll(Journaled, frozen=True, kw_only=True):
    """Open an account for the key that asks, or tell it again which one it has. ``work_bits`` is the proof of work of
    the request: the target that its author has committed to and reached."""

    right: ClassVar = Right.MANAGE

    work_bits: int = 0


class OfferFields(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The words of an app about an offer; None = nothing is said. ``price_msat`` 0 = the payer names the amount,
    ``callback_url`` "" = nobody is told of payments. Everything in it has the right form already."""

    label: str | None = None
    price_msat: Msat | None = None
    callback_url: str | None = None
    payer_data: tuple[str, ...] | None = None


class CreateOffer(msgspec.Struct, frozen=True, tag=True):
    """Make an offer; ``fields`` has a label and a price."""

    fields: OfferFields


class UpdateOffer(msgspec.Struct, frozen=True, tag=True):
    """Change what ``fields`` says."""

    offer_id: str
    fields: OfferFields


class GetOffer(msgspec.Struct, frozen=True, tag=True):
    """Tell one offer."""

    offer_id: str


class ListOffers(msgspec.Struct, frozen=True, tag=True):
    """Tell the newest offers, at most ``limit``; from right behind the offer with the id ``before``, "" = the newest of
    all."""

    limit: int = MAX_OFFERS_LISTED
    before: str = ""


class DeleteOffer(msgspec.Struct, frozen=True, tag=True):
    """End an offer."""

    offer_id: str


Deed = CreateOffer | UpdateOffer | GetOffer | ListOffers | DeleteOffer


def offer_id_in(deed: Deed) -> str:
    """The id of the offer that a deed is about, "" for a new one and for a list."""
    return deed.offer_id if isinstance(deed, UpdateOffer | GetOffer | DeleteOffer) else ""


class ManageOffer(Journaled, frozen=True, kw_only=True):
    """Do something with the offers that the caller has made over the link ``pointer_id``, "" where it names none."""

    right: ClassVar = Right.RECEIVE

    deed: Deed
    pointer_id: str = ""


class Connect(Journaled, frozen=True, kw_only=True):
    """Let an app be the client of a connection (NIP-47), once the owner has said yes. The app asks itself, or another
    connection asks for it.

    ``client`` is its public key; "" = it waits for a link, whose secret is made here. It needs ``methods``, all of
    them, and takes the ``optional`` ones; ``budget`` None = it asks for no limit. ``expires_at`` is in Unix seconds.
    ``isolated``: it wants an account of its own. The answer goes to ``relays``, with ``state``. ``name`` and
    ``return_to`` are its own texts.
    """

    right: ClassVar = Right.MANAGE
    allowed_by: ClassVar = ("create_connection",)

    client: str
    name: str = ""
    methods: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    budget: Budget | None = None
    expires_at: int | None = None
    isolated: bool = False
    relays: tuple[str, ...] = ()
    state: str = ""
    return_to: str = ""


class Unread(msgspec.Struct, frozen=True, tag=True):
    """A part of a bundle that cannot be paid, by the name of its reason (``Reason``) and a sentence."""

    reason: str
    message: str


class Part(msgspec.Struct, frozen=True):
    """One payment of a bundle. Its answer is made as ``reply_to`` says, which belongs to the wire."""

    payment: PayInvoice | Unread
    reply_to: bytes = b""


class Bundle(Journaled, frozen=True, kw_only=True):
    """Make several payments that were asked for in one request, each on its own and in this order.

    What is not begun until ``begin_until`` (Unix seconds) is not begun any more. ``expires_at`` is the request's own
    end, and what is refused of it is kept until ``refused_until``; 0 for none. ``app`` is the key that has asked. The
    engine fills them in as it claims the request.
    """

    right: ClassVar = Right.SPEND
    allowed_by: ClassVar = ("pay_invoice", "pay_keysend")  # and each of its payments needs its own

    parts: tuple[Part, ...]
    begin_until: int = 0
    expires_at: int = 0
    refused_until: int = 0
    app: str = ""


class CallMethod(Journaled, frozen=True, kw_only=True):
    """Call the ``method`` of a plugin, which a grant allows that lists ``permission``. ``params`` is a JSON object."""

    right: ClassVar = Right.MANAGE

    method: str
    permission: str
    params: bytes


class LookupInvoice(AnyCommand, frozen=True, kw_only=True):
    """Look up one payment or invoice of the caller. ``payment_hash`` is 64 hex digits."""

    right: ClassVar = Right.READ
    allowed_by: ClassVar = ("lookup_invoice",)

    payment_hash: str


class LookupPayment(AnyCommand, frozen=True, kw_only=True):
    """Look up one payment or invoice of the caller by a hash that both may have; without a ``direction`` the one that
    there is."""

    right: ClassVar = Right.READ
    allowed_by: ClassVar = ("lookup_invoice",)  # another form of the same question

    payment_hash: str
    direction: str = ""


class ListTransactions(AnyCommand, frozen=True, kw_only=True):
    """``from_`` and ``until`` are inclusive Unix seconds of creation; ``direction`` is "", "incoming" or "outgoing"."""

    right: ClassVar = Right.READ
    allowed_by: ClassVar = ("list_transactions",)

    from_: int = 0
    until: int = 0
    limit: int = 20
    offset: int = 0
    unpaid_incoming: bool = False
    unpaid_outgoing: bool = False
    direction: str = ""


class GetBalance(AnyCommand, frozen=True, kw_only=True):
    """Tell the caller how much it can spend."""

    right: ClassVar = Right.READ
    allowed_by: ClassVar = ("get_balance",)


class GetBudget(AnyCommand, frozen=True, kw_only=True):
    """Tell the caller how its budget stands."""

    right: ClassVar = Right.READ
    allowed_by: ClassVar = ("get_budget",)


class SignMessage(AnyCommand, frozen=True, kw_only=True):
    """Sign a text with the key of the node: whoever can, speaks in its name."""

    right: ClassVar = Right.MANAGE
    allowed_by: ClassVar = ("sign_message",)

    message: str


class GetInfo(AnyCommand, frozen=True, kw_only=True):
    """Tell the caller about the node and about its own permissions."""

    right: ClassVar = Right.READ
    allowed_by: ClassVar[tuple[str, ...]] = ()


def _kinds(base: type[C]) -> Iterator[type[C]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)


#: Every kind of command, and those that change state.
COMMANDS: Final = tuple(kind for kind in _kinds(AnyCommand) if kind is not Journaled)
JOURNALED: Final = tuple(_kinds(Journaled))

_encoder = msgspec.msgpack.Encoder(enc_hook=to_stored)
_decoder = msgspec.msgpack.Decoder(reduce(or_, JOURNALED), dec_hook=from_stored)


def freeze(command: Journaled) -> bytes:
    """The stored form of a journaled command."""
    return _encoder.encode(command)


def thaw(stored: bytes) -> Journaled:
    """The command that :func:`freeze` stored."""
    command: Journaled = _decoder.decode(stored)
    return command
