"""Every command of the owner, one row each, in the order of ``kitestring --help``.

A new command is one module in this room and one row here: doors, command line and reference follow. Nothing heavy is
imported, so that the command line can list what it has without loading it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

#: Grows when a command changes in a way that an older caller would misread.
VERSION: Final = 1
#: The form of an idempotency key. A UUID has 36 characters; a script may use an order number of its own.
IDEMPOTENCY_KEY: Final = r"[!-~]{1,128}"


class CommandRow(NamedTuple):
    """``module`` of this room holds the command ``name`` in its ``COMMANDS``.

    ``words`` are what is typed on the command line ("" = not there), ``summary`` is its line in the list of commands; a
    command in a group needs none. Where there is a file ``app/cli/WORD.py``, that is the command; otherwise it is built
    from the parameters and the docstring. A word of a group has a file ``app/cli/GROUP_WORD.py`` in the same way.
    """

    name: str
    module: str
    words: str = ""
    summary: str = ""


TABLE: Final = (
    CommandRow("card", "node", "card", "Show how to reach this service: relays, key, offer."),
    CommandRow("connect", "connections", "connect", "Make a wallet connection (NWC) for an app."),
    CommandRow(
        "connect_request", "connection_requests", "connect-request", "Look at an app's request for a connection."
    ),
    CommandRow("link", "connections", "link", "Show a connection's link again, until its first use."),
    CommandRow("connections", "connections", "connections", "List the wallet connections."),
    CommandRow("revoke", "connection_access", "revoke", "End a wallet connection forever."),
    CommandRow("connection_show", "connection_health", "connection show"),
    CommandRow("connection_edit", "connection_edits", "connection edit"),
    CommandRow("connection_rotate", "connection_access", "connection rotate"),
    CommandRow("connection_pause", "connection_access", "connection pause"),
    CommandRow("connection_resume", "connection_access", "connection resume"),
    CommandRow("approvals", "approvals", "approvals", "Show who asks for money and waits for your word."),
    CommandRow("approve", "approvals", "approve", "Say yes: once, with a budget, or always."),
    CommandRow("deny", "approvals", "deny", "Say no, and with --block never ask me again."),
    CommandRow("blocked", "approvals", "blocked", "List the keys that are refused whatever they ask."),
    CommandRow("block", "approvals", "block", "Refuse whatever a key asks for from now on."),
    CommandRow("unblock", "approvals", "unblock", "Let a blocked key ask again."),
    CommandRow("debit_pointer_create", "debit_pointers", "debit pointer create"),
    CommandRow("debit_pointer_list", "debit_pointers", "debit pointer list"),
    CommandRow("debit_pointer_policy", "debit_pointers", "debit pointer policy"),
    CommandRow("debit_pointer_relink", "debit_pointers", "debit pointer relink"),
    CommandRow("debit_pointer_delete", "debit_pointers", "debit pointer delete"),
    CommandRow("debit_grants", "debits", "debit grants"),
    CommandRow("debit_show", "debits", "debit show"),
    CommandRow("debit_edit", "debits", "debit edit"),
    CommandRow("debit_revoke", "debits", "debit revoke"),
    CommandRow("debit_session", "debit_pointers", "debit session"),
    CommandRow("debit_sessions", "debit_pointers", "debit sessions"),
    CommandRow("beacon_publish", "beacon", "beacon publish"),
    CommandRow("manage_link", "manage", "manage link"),
    CommandRow("manage_links", "manage", "manage links"),
    CommandRow("manage_policy", "manage", "manage policy"),
    CommandRow("manage_relink", "manage", "manage relink"),
    CommandRow("manage_unlink", "manage", "manage unlink"),
    CommandRow("manage_grants", "manage", "manage grants"),
    CommandRow("manage_revoke", "manage", "manage revoke"),
    CommandRow("account_create", "accounts", "account create"),
    CommandRow("account_list", "accounts", "account list"),
    CommandRow("account_show", "account_view", "account show"),
    CommandRow("account_rename", "accounts", "account rename"),
    CommandRow("account_close", "account_close", "account close"),
    CommandRow("account_fund", "account_moves", "account fund"),
    CommandRow("account_withdraw", "account_moves", "account withdraw"),
    CommandRow("account_transfer", "account_moves", "account transfer"),
    CommandRow("offer_create", "offers", "offer create"),
    CommandRow("offer_list", "offers", "offer list"),
    CommandRow("offer_show", "offers", "offer show"),
    CommandRow("offer_edit", "offer_edits", "offer edit"),
    CommandRow("offer_on", "offer_edits", "offer on"),
    CommandRow("offer_off", "offer_edits", "offer off"),
    CommandRow("offer_forward", "offer_edits", "offer forward"),
    CommandRow("offer_relink", "offers", "offer relink"),
    CommandRow("offer_delete", "offers", "offer delete"),
    CommandRow("offer_webhook", "webhooks", "offer webhook"),
    CommandRow("offer_webhook_test", "webhooks"),
    CommandRow("offer_deliveries", "webhooks", "offer deliveries"),
    CommandRow("offer_resend", "webhooks", "offer resend"),
    CommandRow("pay", "money", "pay", "Pay an invoice or an offer."),
    CommandRow("pay_preview", "preview"),
    CommandRow("keysend", "keysends", "keysend", "Pay the key of a node, without an invoice."),
    CommandRow("invoice", "money", "invoice", "Make an invoice to be paid."),
    CommandRow("hold_create", "holds", "hold create"),
    CommandRow("hold_settle", "holds", "hold settle"),
    CommandRow("hold_cancel", "holds", "hold cancel"),
    CommandRow("hold_list", "holds", "hold list"),
    CommandRow("balance", "money", "balance", "Show what can be spent."),
    CommandRow("transactions", "books", "transactions", "List payments in and out."),
    CommandRow("transaction_show", "books", "transaction show"),
    CommandRow("lookup", "money", "lookup", "Show one payment or invoice by its hash."),
    CommandRow("sign_message", "signing", "sign-message", "Sign a text with the key of the node."),
    CommandRow("events", "events", "events", "List what became true, the newest last."),
    CommandRow("payment_resolve", "money", "resolve", "Decide about a payment of unknown outcome."),
    CommandRow("spending_allow", "spending", "allow-spending", "Let spending go on that was stopped by a doubt."),
    CommandRow("info", "money", "info", "Show the node and the service's counters."),
    CommandRow("doctor", "node"),
    CommandRow("audit_node", "node"),
)
#: The line of each group of commands; of a group inside a group, by both words, the help alone.
GROUPS: Final = {
    "connection": "One wallet connection: show, edit, pause, rotate.",
    "debit": "Money that others take from you, and you from others.",
    "beacon": "Whether a service works, what it is and who operates it.",
    "account": "Sub-accounts: create, show, fund, transfer, close.",
    "manage": "Offers that apps manage for you, and you for others.",
    "transaction": "One payment or invoice: show, resolve.",
    "hold": "Hold invoices: create, settle, cancel, list.",
    "offer": "Static payment codes: create, list, show, edit, off, on.",
}
#: The line of each group inside of a group.
SUBGROUPS: Final = {
    "debit pointer": "Codes by which others ask for money: create, list, policy, relink, delete.",
}


def rows_of(word: str) -> list[CommandRow]:
    """The rows whose words on the command line begin with ``word``."""
    return [row for row in TABLE if row.words.split(" ")[0] == word]
