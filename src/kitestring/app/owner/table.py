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

    ``words`` are what is typed on the command line ("" = not there), ``summary`` is its line in the list of commands:
    in a group the first sentence of its help. Where there is a file ``app/cli/WORD.py``, that is the command; otherwise
    it is built from the parameters and the docstring. A word of a group has a file ``app/cli/GROUP_WORD.py`` in the
    same way, or stands with others in ``app/cli/GROUP.py``.
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
    CommandRow("connection_show", "connection_health", "connection show", "Show what the connection NAME may do."),
    CommandRow(
        "connection_edit",
        "connection_edits",
        "connection edit",
        "Change limits, methods, end or name of the connection NAME.",
    ),
    CommandRow(
        "connection_rotate", "connection_access", "connection rotate", "Give the connection NAME a new secret link."
    ),
    CommandRow(
        "connection_pause",
        "connection_access",
        "connection pause",
        "Refuse whatever the app of NAME asks, until you resume.",
    ),
    CommandRow(
        "connection_resume",
        "connection_access",
        "connection resume",
        "Let the app of NAME go on, with what is left of its budget.",
    ),
    CommandRow("approvals", "approvals", "approvals", "Show who asks for money and waits for your word."),
    CommandRow("approve", "approvals", "approve", "Say yes: once, with a budget, or always."),
    CommandRow("deny", "approvals", "deny", "Say no, and with --block never ask me again."),
    CommandRow("blocked", "approvals", "blocked", "List the keys that are refused whatever they ask."),
    CommandRow("block", "approvals", "block", "Refuse whatever a key asks for from now on."),
    CommandRow("unblock", "approvals", "unblock", "Let a blocked key ask again."),
    CommandRow("debit_pointer_create", "debit_pointers", "debit pointer create", "Make a pointer and show its code."),
    CommandRow(
        "debit_pointer_list", "debit_pointers", "debit pointer list", "List the debit pointers and their codes."
    ),
    CommandRow(
        "debit_pointer_policy", "debit_pointers", "debit pointer policy", "Change what others may do by a pointer."
    ),
    CommandRow(
        "debit_pointer_relink", "debit_pointers", "debit pointer relink", "Make a code anew, over the relays of today."
    ),
    CommandRow(
        "debit_pointer_delete", "debit_pointers", "debit pointer delete", "End a pointer and its grants forever."
    ),
    CommandRow("debit_grants", "debits", "debit grants", "List who may take money without asking."),
    CommandRow("debit_show", "debits", "debit show", "Show one grant and what is left of it."),
    CommandRow("debit_edit", "debits", "debit edit", "Change budgets, limit, end or name of a grant."),
    CommandRow("debit_revoke", "debits", "debit revoke", "End a grant forever."),
    CommandRow("debit_session", "debit_pointers", "debit session", "Make a code that is good for one payment."),
    CommandRow("debit_sessions", "debit_pointers", "debit sessions", "List codes that are good once, and their end."),
    CommandRow("beacon_publish", "beacon", "beacon publish", "Publish the beacon of the running service now."),
    CommandRow("manage_link", "manage", "manage link", "Make a link for an app, and show its code."),
    CommandRow("manage_links", "manage", "manage links", "List your links and their codes."),
    CommandRow("manage_policy", "manage", "manage policy", "Change what a link says to apps without a grant."),
    CommandRow("manage_relink", "manage", "manage relink", "Make a code anew, over the relays of today."),
    CommandRow("manage_unlink", "manage", "manage unlink", "End a link and its grants forever."),
    CommandRow("manage_grants", "manage", "manage grants", "List the apps that manage offers without asking."),
    CommandRow("manage_revoke", "manage", "manage revoke", "End the grant of an app forever."),
    CommandRow("account_create", "accounts", "account create", "Make the account NAME, with nothing in it."),
    CommandRow("account_list", "accounts", "account list", "List the sub-accounts and their balances."),
    CommandRow("account_show", "account_view", "account show", "Show the account NAME with its codes."),
    CommandRow("account_rename", "accounts", "account rename", "Give the account OLD the name NEW."),
    CommandRow("account_close", "account_close", "account close", "Close the account NAME forever."),
    CommandRow("account_fund", "account_moves", "account fund", "Give the account NAME some of the node's money."),
    CommandRow(
        "account_withdraw",
        "account_moves",
        "account withdraw",
        "Take AMOUNT_SAT of the account NAME back to the node's owner.",
    ),
    CommandRow(
        "account_transfer",
        "account_moves",
        "account transfer",
        "Move AMOUNT_SAT from the account FROM to the account TO.",
    ),
    CommandRow("offer_create", "offers", "offer create", "Make an offer; payers see LABEL."),
    CommandRow("offer_list", "offers", "offer list", "List the offers."),
    CommandRow("offer_show", "offers", "offer show", "Show one offer and its code."),
    CommandRow("offer_edit", "offer_edits", "offer edit", "Change an offer."),
    CommandRow("offer_on", "offer_edits", "offer on", "Switch an offer on again."),
    CommandRow("offer_off", "offer_edits", "offer off", "Switch an offer off for now."),
    CommandRow("offer_forward", "offer_edits", "offer forward", "Let the code of OFFER lead to another offer."),
    CommandRow("offer_relink", "offers", "offer relink", "Make a code anew, over the relays of today."),
    CommandRow("offer_delete", "offers", "offer delete", "End an offer forever."),
    CommandRow(
        "offer_webhook", "webhooks", "offer webhook", "Show the webhook of OFFER with its secret, or set it to URL."
    ),
    CommandRow("offer_webhook_test", "webhooks"),
    CommandRow("offer_deliveries", "webhooks", "offer deliveries", "List what webhooks were told of payments."),
    CommandRow("offer_resend", "webhooks", "offer resend", "Tell a webhook once more of a payment."),
    CommandRow("pay", "money", "pay", "Pay an invoice or an offer."),
    CommandRow("pay_preview", "preview"),
    CommandRow("keysend", "keysends", "keysend", "Pay the key of a node, without an invoice."),
    CommandRow("invoice", "money", "invoice", "Make an invoice to be paid."),
    CommandRow(
        "invoice_cancel", "invoice_cancel", "invoice cancel", "Let nobody pay an open invoice of the service any more."
    ),
    CommandRow("hold_create", "holds", "hold create", "Make a hold invoice for AMOUNT_SAT."),
    CommandRow("hold_settle", "holds", "hold settle", "Take the payment that is held for HASH."),
    CommandRow(
        "hold_cancel", "holds", "hold cancel", "Give back what is held for HASH, and let nobody pay it any more."
    ),
    CommandRow("hold_list", "holds", "hold list", "List those that wait for a payer or a decision."),
    CommandRow("balance", "money", "balance", "Show what can be spent."),
    CommandRow("transactions", "books", "transactions", "List payments in and out."),
    CommandRow("transaction_show", "books", "transaction show", "Show one payment or invoice by its payment HASH."),
    CommandRow("lookup", "money", "lookup", "Show one payment or invoice by its hash."),
    CommandRow("sign_message", "signing", "sign-message", "Sign a text with the key of the node."),
    CommandRow("events", "events", "events", "List what became true, the newest last."),
    CommandRow("payment_resolve", "money", "resolve", "Decide about a payment of unknown outcome."),
    CommandRow("spending_allow", "spending", "allow-spending", "Let spending go on that was stopped by a doubt."),
    CommandRow("info", "money", "info", "Show the node and the service's counters."),
    CommandRow("doctor", "node"),
    CommandRow("audit_node", "node"),
)
#: The line of each group of commands.
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
    "debit pointer": "Codes (ndebit1…) by which others ask you for money.",
}
