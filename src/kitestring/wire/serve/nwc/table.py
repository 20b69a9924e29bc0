"""The methods of Nostr Wallet Connect, one row each: what is served, announced and permitted follows from it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from kitestring.base import commands as c
from kitestring.base import outcomes as o
from kitestring.wire.serve.nwc import (
    balances,
    bip321,
    bundles,
    creation,
    history,
    holds,
    info,
    invoices,
    keysends,
    lookup,
    signing,
)
from kitestring.wire.serve.nwc.methods import Method
from kitestring.wire.serve.nwc.payments import read_payment, write_paid
from kitestring.wire.serve.nwc.transactions import write_transaction

_AMOUNTLESS: Final = frozenset({"amountless"})
_DRAFT: Final = frozenset({"draft_methods"})
_HOLD: Final = frozenset({"hold"})
_KEYSEND: Final = frozenset({"keysend"})
_LEGACY: Final = frozenset({"legacy_methods"})

METHODS: Final[dict[str, Method]] = {
    row.name: row
    for row in (
        Method("pay_invoice", c.PayInvoice, read_payment, o.Paid, write_paid, "pay_invoice", ("06",)),
        Method(
            "pay_keysend", c.PayInvoice, keysends.read_keysend, o.Paid, write_paid, "pay_keysend",
            ("04", "06"), _KEYSEND,
        ),
        Method(
            "multi_pay_invoice", c.Bundle, bundles.read_payments, o.Paid, write_paid, "pay_invoice",
            needs=_LEGACY,
        ),
        Method(
            "multi_pay_keysend", c.Bundle, bundles.read_keysends, o.Paid, write_paid, "pay_keysend",
            needs=_LEGACY | _KEYSEND,
        ),
        Method(
            "make_invoice", c.MakeInvoice, invoices.read_invoice_request, o.Invoiced, write_transaction,
            "make_invoice", ("06",),
        ),
        Method("lookup_invoice", c.LookupInvoice, invoices.read_lookup, o.Found, write_transaction, "lookup_invoice"),
        Method(
            "lookup_payment", c.LookupPayment, lookup.read_lookup, o.Found, lookup.write_record, "lookup_invoice",
            (lookup.EXTENSION,), _DRAFT,
        ),
        Method(
            "get_balance", c.GetBalance, lambda *_: c.GetBalance(), o.Balance, balances.write_balance, "get_balance",
        ),
        Method(
            "get_budget", c.GetBudget, lambda *_: c.GetBudget(), o.BudgetState, balances.write_budget, "get_budget",
            ("13",),
        ),
        Method(
            "sign_message", c.SignMessage, signing.read_signing, o.Signed, signing.write_signed, "sign_message",
            needs=_LEGACY | {"sign_message"},
        ),
        Method(
            "create_connection", c.Connect, creation.read_creation, o.Connected, creation.write_created,
            "create_connection", needs=_LEGACY | {"connection_requests"},
        ),
        Method(
            "get_info", c.GetInfo, lambda *_: c.GetInfo(), o.Info,
            lambda told: info.write_info(told, granted(told.methods, told.without)), "get_info",
        ),
        Method(
            "list_transactions", c.ListTransactions, history.read_list, o.Listed, history.write_list,
            "list_transactions", ("05",),
        ),
        Method(
            "make_hold_invoice", c.MakeHoldInvoice, holds.read_hold, o.Invoiced, write_transaction,
            "make_hold_invoice", ("03", "06"), _HOLD,
        ),
        Method(
            "settle_hold_invoice", c.SettleHold, holds.read_settle, o.HoldEnded, holds.write_ended,
            "settle_hold_invoice", ("03",), _HOLD,
        ),
        Method(
            "cancel_hold_invoice", c.CancelHold, holds.read_cancel, o.HoldEnded, holds.write_ended,
            "cancel_hold_invoice", ("03",), _HOLD,
        ),
        Method(
            "pay", c.PayInvoice, bip321.read_pay, o.Paid | o.Pending, bip321.write_paid, "pay_invoice",
            ("06", bip321.EXTENSION), _AMOUNTLESS,
        ),
        Method(
            "receive", c.MakeInvoice, bip321.read_receive, o.Invoiced, bip321.write_received, "make_invoice",
            ("06", bip321.EXTENSION), _AMOUNTLESS,
        ),
    )
}  # fmt: skip
#: The methods that change nothing.
QUESTIONS: Final = frozenset(row.name for row in METHODS.values() if not issubclass(row.command, c.Journaled))


def not_served(features: Collection[str]) -> frozenset[str]:
    """The methods that a service with these features does not serve."""
    return frozenset(row.name for row in METHODS.values() if not row.needs.issubset(features))


def granted(permissions: Collection[str], without: Collection[str] = ()) -> list[Method]:
    """The methods of a grant that lists these, but those in ``without``; ``get_info`` is always granted."""
    return [
        row
        for row in METHODS.values()
        if row.name not in without and (row.permission in permissions or row.name == "get_info")
    ]
