"""The seam to the durable ledger: transactions go in as values, rows come out as values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import msgspec

from kitestring.base.approvals import Approval, Block, Dealings, DebitSession
from kitestring.base.books import BookEntry, BookPage, BookQuery
from kitestring.base.commands import ListTransactions
from kitestring.base.events import FeedEvent, Missed
from kitestring.base.grants import Account, Grant, Offer
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import ZERO, Msat
from kitestring.base.outcomes import Direction, Transaction
from kitestring.base.records import AccountMove, Generation, Message, Node, Outgoing, OwnInvoice, Payment, Request, Stop
from kitestring.base.transactions.answers import Tx
from kitestring.base.transactions.feed import Committed
from kitestring.base.webhooks import DeliveryState, WebhookDelivery, WebhookLane

#: No message of the outbox is planned to be tried again later than after so many seconds.
LONGEST_RETRY_S: Final = 600

A = TypeVar("A")


class Scope(msgspec.Struct, frozen=True, gc=False):
    """The owner of records: one grant, one account, or (both empty) everybody."""

    grant_id: str = ""
    account_id: str = ""


class Totals(msgspec.Struct, frozen=True, gc=False):
    """``spent_msat`` only grows (amount + fee of settled outgoing payments); ``sub_accounts_msat`` is their sum of
    credits − posted; ``spending_stopped`` is why nothing is spent, or ""; ``service_fees_msat`` is what the service has
    taken in fees of its own, ever."""

    spent_msat: Msat
    sub_accounts_msat: Msat
    owner_pending_msat: Msat
    pending_msat: Msat
    spending_stopped: str
    pruned_before: int
    service_fees_msat: Msat = ZERO


class Places(msgspec.Struct, frozen=True, gc=False):
    """The places that are taken at one node: open payments by grant, and unpaid invoices by holder
    (:func:`kitestring.base.invoices.holders`)."""

    payments: dict[str, int]
    invoices: dict[str, int]


class OffersOf(msgspec.Struct, frozen=True, gc=False):
    """The maker of offers: ``creator`` over the pointer ``pointer_id``; or (with an ``account_id`` alone) everybody who
    has made one for that account."""

    pointer_id: str = ""
    creator: str = ""
    account_id: str = ""


class Unclaimed(msgspec.Struct, frozen=True, gc=False):
    """The requests of a grant that were never claimed: the bytes of the replies that are kept and refuse nothing, and
    the time (Unix seconds) before which everything is refused, since it may have been forgotten."""

    answer_bytes: int
    refused_before: int


class Reads(Protocol):
    """Everything that is read. Raises KitestringError(INTERNAL) when the database cannot be read."""

    async def grants(self) -> list[Grant]:
        """Every grant, revoked and expired ones too, ordered by id."""
        ...

    async def last_uses(self) -> dict[str, int]:
        """The last use of each grant by its app (Unix seconds), as far as it was stored."""
        ...

    async def grant(self, grant_id: str) -> Grant | None:
        """The grant of that id, revoked and expired ones too; None if there is none."""
        ...

    async def grant_named(self, wire: str, name: str) -> Grant | None:
        """The grant of this wire that was not revoked and has this name, else the one that has it for its id."""
        ...

    async def accounts(self) -> list[Account]:
        """The owner's account first, then the sub-accounts; not those that the ledger keeps for itself."""
        ...

    async def grants_of(self, wire: str, caller: str) -> list[Grant]:
        """The grants of a public key on this wire that were not revoked, the oldest first."""
        ...

    async def grants_shown(self, account_id: str, limit: int) -> list[Grant]:
        """The grants that are shown every payment of this account and were not revoked, the oldest first."""
        ...

    async def account(self, account_id: str) -> Account | None:
        """One of :meth:`accounts`."""
        ...

    async def account_named(self, name: str) -> Account | None:
        """The sub-account that has this name now, closed ones too; those of enrolled keys have none."""
        ...

    async def renamed_accounts(self) -> dict[str, str]:
        """The names of those that are called otherwise than their ids, by id."""
        ...

    async def account_grants(self, account_id: str) -> list[Grant]:
        """The grants and pointers of this account that were not revoked, ordered by id."""
        ...

    async def account_invoices(self, account_id: str, limit: int) -> list[OwnInvoice]:
        """Invoices into this account that may still be paid: at most ``limit`` open ones, the last to expire first,
        then as many of which a payment is held."""
        ...

    async def account_moves(self, account_id: str, limit: int) -> list[AccountMove]:
        """The moves of the owner from and to this account, the newest first."""
        ...

    async def offers(self) -> list[Offer]:
        """Every offer, moved and deleted ones too, ordered by id."""
        ...

    async def offer(self, offer_id: str) -> Offer | None:
        """The offer of that id in whatever state."""
        ...

    async def offers_of(self, maker: OffersOf, *, before: Offer | None = None, limit: int) -> list[Offer]:
        """The standing offers of one maker, the newest first, from right behind ``before``."""
        ...

    async def count_offers(self, pointer_id: str, creator: str = "") -> int:
        """Count the standing offers over a pointer, of one app or (``""``) of all."""
        ...

    async def payment(self, payment_id: str) -> Payment | None:
        """One outgoing payment."""
        ...

    async def holder(self, payment_hash: str) -> Payment | None:
        """The payment that holds the hash, at whichever node; None where none was made, or each has failed."""
        ...

    async def payment_by_hash(self, node_id: str, payment_hash: str) -> Payment | None:
        """The payment that holds the hash at this node, else the newest one that has failed there."""
        ...

    async def has_failed(self, node_id: str, payment_hash: str) -> bool:
        """Whether a payment of this hash has failed at this node."""
        ...

    async def payment_index(self, node_id: str) -> int | None:
        """The highest count of the node's payments that was stored with the newest claims; None if there is none."""
        ...

    async def least_payments(self, node_id: str) -> int | None:
        """The number of payments that the node must list at least: as :meth:`payment_index`, with those of ours that
        were claimed then or later and have settled. One more than that where it had paid one of them before us."""
        ...

    async def open_payments(self) -> list[Payment]:
        """Payments of all nodes that hold money (``payments.OPEN``), oldest first."""
        ...

    async def dealings(self, requestor: str) -> Dealings:
        """The settled payments that a public key has asked for."""
        ...

    async def places(self, node_id: str) -> Places:
        """The places that are taken at this node."""
        ...

    async def resolved_payments(self) -> list[Payment]:
        """Payments that the operator closed without proof: the truth about them may still come."""
        ...

    async def waiting(self, payment_id: str) -> list[Request]:
        """Unanswered requests that wait for this payment."""
        ...

    async def invoice(self, invoice_id: str) -> OwnInvoice | None:
        """One invoice."""
        ...

    async def invoice_by_hash(self, node_id: str, payment_hash: str) -> OwnInvoice | None:
        """The invoice of that hash at that node, in whatever state."""
        ...

    async def invoices(
        self, state: InvoiceState, *, after: OwnInvoice | None = None, limit: int = 0, expires_before: int = 0
    ) -> list[OwnInvoice]:
        """Invoices in this state, ordered by expiry, earliest first (the settled in the order they were made).

        ``limit`` 0 is all of them: there may be many thousands, so what walks through them on the loop asks for a
        page at a time and names the last invoice it got as ``after``; it may see one twice, but misses none.
        ``expires_before`` 0 is at any time.
        """
        ...

    async def holds(self, *, after: str = "", limit: int = 0) -> list[OwnInvoice]:
        """Hold invoices of all nodes that wait for a payer or for a decision, in the order they were made; from right
        behind the invoice with the id ``after``. ``limit`` 0 is all of them."""
        ...

    async def to_cancel(self, *, after: str = "", limit: int = 0) -> list[OwnInvoice]:
        """Open invoices of all nodes that hold nothing and are to be cancelled; everything else as in :meth:`holds`."""
        ...

    async def before_invoice(
        self, request_id: str, node_id: str, names: tuple[str, ...]
    ) -> tuple[bool, tuple[int, ...]]:
        """Whether this request is in the ledger already, and how many invoices of each of these holders wait for a
        payer at this node."""
        ...

    async def unclaimed(self, grant_id: str) -> Unclaimed:
        """The figures of what is kept of a grant's requests that were never claimed."""
        ...

    # ------------------------------------------------------------ approvals

    async def approval(self, approval_id: str) -> Approval | None:
        """The question of that id, ended or not."""
        ...

    async def approvals(self, *, limit: int, ended: bool = False) -> list[Approval]:
        """Questions that wait for the owner, the oldest first; with ``ended`` those that do not, the newest first."""
        ...

    async def open_approval(self, wire: str, target: str, caller: str) -> Approval | None:
        """The question of a caller at a target that waits for the owner."""
        ...

    async def blocks(self) -> list[Block]:
        """The blocked keys, the oldest first."""
        ...

    async def is_blocked(self, caller: str) -> bool:
        """Whether the owner has blocked this key."""
        ...

    async def session(self, scope: str, value: str) -> DebitSession | None:
        """The session that we have made with this word."""
        ...

    async def sessions(self, scope: str, limit: int) -> list[DebitSession]:
        """The sessions that we have made in a scope, the newest first."""
        ...

    async def request(self, request_id: str) -> Request | None:
        """The claimed request of that id, None if it never was claimed or is forgotten."""
        ...

    async def running_requests(self) -> list[Request]:
        """Claimed and unanswered, oldest first."""
        ...

    async def messages(self, request_id: str) -> tuple[Message, ...]:
        """The stored answers to a request, the reply first."""
        ...

    async def outbox(self, after: int, limit: int) -> list[Outgoing]:
        """Messages with a number beyond ``after`` that were never tried to the end, oldest first."""
        ...

    async def due(self, now: int, limit: int) -> list[Outgoing]:
        """Messages to be tried again by ``now``, the one that has waited longest first. One that is planned for more
        than :data:`LONGEST_RETRY_S` ahead was written by a clock that has stepped back, and is due."""
        ...

    async def has_due(self) -> bool:
        """Whether any message is to be tried again at some time."""
        ...

    # ------------------------------------------------------------ webhooks

    async def lanes(self) -> dict[str, WebhookLane]:
        """The offers whose webhooks have something to be told."""
        ...

    async def lane(self, offer_id: str) -> WebhookLane | None:
        """One of :meth:`lanes`."""
        ...

    async def due_deliveries(self, offer_id: str, now: int, limit: int) -> list[WebhookDelivery]:
        """Deliveries of an offer to be tried by ``now``, the one that has waited longest first. One that is planned
        for later than the longest pause was written by a clock that has stepped back, and is due."""
        ...

    async def delivery(self, invoice_id: str) -> WebhookDelivery | None:
        """The delivery of an invoice."""
        ...

    async def deliveries(
        self, *, limit: int, offer_id: str = "", state: DeliveryState | None = None
    ) -> list[WebhookDelivery]:
        """Deliveries of one offer ("" = of all) in one state (None = in any), the newest first."""
        ...

    async def count_waiting(self) -> dict[str, int]:
        """The number of deliveries that wait, by offer."""
        ...

    async def count_failed(self, since: int = 0) -> dict[str, int]:
        """The number of deliveries that have failed at ``since`` (Unix seconds) or later, by offer."""
        ...

    async def sent_position(self) -> int:
        """Up to which number delivery has tried every message of the outbox."""
        ...

    async def events(self, after: int, limit: int) -> list[FeedEvent | Missed]:
        """Rows of the feed with a number beyond ``after``; first a Missed where some of them were forgotten."""
        ...

    async def alarms(self, since: int, limit: int) -> list[FeedEvent]:
        """The newest alarms of the feed that are not older than ``since`` (Unix seconds), oldest first."""
        ...

    async def last_event(self) -> int:
        """The number of the newest row of the feed, 0 before the first."""
        ...

    async def position(self, consumer: str) -> int | None:
        """The position of a consumer of the feed, None if it never stored one."""
        ...

    async def transaction(
        self, scope: Scope, payment_hash: str, direction: Direction | None = None
    ) -> Transaction | None:
        """The invoice of that hash in ``scope``, else the payment that holds the hash, else the newest failed one. With
        a ``direction`` only that of the two."""
        ...

    async def transactions(self, scope: Scope, query: ListTransactions) -> list[Transaction]:
        """The page of payments and invoices that ``query`` asks for, newest first; the unpaid ones only if it asks for
        them. A store may bound how far anybody pages: beyond that the list is empty."""
        ...

    async def count_transactions(self, scope: Scope, query: ListTransactions) -> int | None:
        """Count what is on all pages of ``query``; None where that is more than a store counts for a request."""
        ...

    async def books(self, query: BookQuery) -> BookPage:
        """A page of the owner's list."""
        ...

    async def count_books(self, query: BookQuery) -> int | None:
        """Count what is on all pages of ``query``; None where that is more than a store looks through at once."""
        ...

    async def hashes_like(self, prefix: str, limit: int) -> list[str]:
        """Payment hashes of payments and invoices that begin with ``prefix`` (lower-case hexadecimal digits)."""
        ...

    async def entries_of(self, payment_hash: str) -> list[BookEntry]:
        """The invoices of a hash, then the payments that hold it, then those that failed, the newest of each first; at
        most some twenty."""
        ...

    async def budget_used(self, grant_id: str, oldest: int, budget_id: int = 0, *, now: int = 0) -> Msat:
        """The part of one of a grant's budgets that is used or reserved, from the bucket ``oldest`` on, as a charge at
        ``now`` would find it."""
        ...

    async def totals(self) -> Totals:
        """The running sums of the service."""
        ...

    async def stops(self) -> list[Stop]:
        """The reasons why spending is stopped, one row per cause, the oldest first."""
        ...

    async def generation(self) -> Generation:
        """The point to which the ledger has come, as of the last commit that is on disk."""
        ...

    async def node(self, node_id: str) -> Node | None:
        """The row of a node this service stands on, or stood on."""
        ...

    async def nodes(self) -> list[Node]:
        """All nodes this service has stood on, the present one (the highest epoch) last."""
        ...


class Store(Reads, Protocol):
    """The durable ledger of one service.

    ``apply`` resolves after the commit (with fsync) that holds the value. A failed batch fails every member, and
    nothing of it happened; then KitestringError(INTERNAL) is raised. A policy's no is never raised: it is an answer.
    """

    async def apply(self, tx: Tx[A]) -> A:
        """Apply one value and give its answer, after the commit."""
        ...

    def subscribe(self, listener: Callable[[Committed], None]) -> None:
        """Call ``listener`` right after each commit that made news, before whoever applied it goes on. It must not
        block."""
        ...

    async def close(self) -> None:
        """Finish what waits and let go of the file. Nothing is applied afterwards."""
        ...
