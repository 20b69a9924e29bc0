"""Everything that is read: short, indexed look-ups on a connection that cannot write."""

from __future__ import annotations

from kitestring.ledger.sqlite.reads.accounts import AccountReads
from kitestring.ledger.sqlite.reads.approvals import ApprovalReads
from kitestring.ledger.sqlite.reads.books import BookReads
from kitestring.ledger.sqlite.reads.feed import FeedReads
from kitestring.ledger.sqlite.reads.grants import GrantReads
from kitestring.ledger.sqlite.reads.invoices import InvoiceReads
from kitestring.ledger.sqlite.reads.offers import OfferReads
from kitestring.ledger.sqlite.reads.outbox import OutboxReads
from kitestring.ledger.sqlite.reads.payments import PaymentReads
from kitestring.ledger.sqlite.reads.requests import RequestReads
from kitestring.ledger.sqlite.reads.totals import TotalReads
from kitestring.ledger.sqlite.reads.transactions import TransactionReads
from kitestring.ledger.sqlite.reads.webhooks import WebhookReads


class SqliteReads(
    GrantReads,
    AccountReads,
    OfferReads,
    PaymentReads,
    InvoiceReads,
    ApprovalReads,
    RequestReads,
    OutboxReads,
    FeedReads,
    WebhookReads,
    TotalReads,
    TransactionReads,
    BookReads,
):
    """The read side of one service, :class:`kitestring.base.store.Reads`: one or two short statements a method."""
