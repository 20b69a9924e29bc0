"""Every command of the owner, one row each, in the order of ``kitestring --help``.

A new command is one module in this room and one row here: doors, command line and reference follow. Nothing heavy is
imported, so that the command line can list what it has without loading it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

#: Grows when a command changes in a way that an older caller would misread.
VERSION: Final = 1


class Row(NamedTuple):
    """``module`` of this room holds the command ``name`` in its ``COMMANDS``.

    ``words`` are what is typed on the command line ("" = not there), ``summary`` is its line in the list of commands; a
    command in a group needs none. Where there is a file ``app/cli/WORD.py``, that is the command; otherwise it is built
    from the parameters and the docstring.
    """

    name: str
    module: str
    words: str = ""
    summary: str = ""


TABLE: Final = (
    Row("card", "node", "card", "Show how to reach this service: relays, key, offer."),
    Row("connect", "connections", "connect", "Make a wallet connection (NWC) for an app."),
    Row("connections", "connections", "connections", "List the wallet connections."),
    Row("revoke", "connections", "revoke", "End a wallet connection for ever."),
    Row("account_create", "accounts", "account create"),
    Row("account_list", "accounts", "account list"),
    Row("account_fund", "accounts", "account fund"),
    Row("offer_create", "offers", "offer create"),
    Row("offer_list", "offers", "offer list"),
    Row("offer_show", "offers", "offer show"),
    Row("offer_delete", "offers", "offer delete"),
    Row("pay", "money", "pay", "Pay an invoice or an offer."),
    Row("invoice", "money", "invoice", "Make an invoice to be paid."),
    Row("balance", "money", "balance", "Show what can be spent."),
    Row("transactions", "money", "transactions", "List payments in and out."),
    Row("events", "events", "events", "List what became true, the newest last."),
    Row("payment_resolve", "money", "resolve", "Decide about a payment of unknown outcome."),
    Row("info", "money", "info", "Show the node and the service's counters."),
    Row("doctor", "node"),
    Row("audit_node", "node"),
)
#: The line of each group of commands.
GROUPS: Final = {
    "account": "Sub-accounts: create, list, fund.",
    "offer": "Static payment codes: create, list, show, delete.",
}


def rows_of(word: str) -> list[Row]:
    """The rows whose words on the command line begin with ``word``."""
    return [row for row in TABLE if row.words.split(" ")[0] == word]
