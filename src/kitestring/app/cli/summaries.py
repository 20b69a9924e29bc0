"""All commands and groups by their words, and what their lists and the help of groups say, without loading one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kitestring.app.owner import table

#: Commands outside of the owner's table: their modules here have the same names.
_BEFORE: Final[Mapping[str, str]] = {
    "up": "Start the service and show its card.",
    "demo": "Play the whole story in front of you, crash included.",
    "init": "Write a commented settings file.",
}
_AFTER: Final[Mapping[str, str]] = {
    "receive": "Make a link by which anybody can pay a wallet.",
    "enroll": "Open an account of your own at a service.",
    "watch": "Show what happens in the service or a wallet, live.",
    "call": "Ask a wallet for a method that no other command has.",
    "rate": "Show what a currency is worth, and who says so.",
    "decode": "Explain a code: invoice, offer, connection, key.",
    "relay": "Run the relay alone.",
    "audit": "Prove that the books are right.",
    "backup": "Copy key, settings and ledger, also while the service runs.",
    "restore": "Put a backup back.",
    "doctor": "Check that everything is in order.",
    "service-file": "Print a hardened systemd unit.",
    "completion": "Print what completes commands and names in a shell.",
    "sandbox": "The outside world of a sandbox, and what goes wrong.",
}
_OWNERS: Final = {row.words.split(" ")[0]: "" for row in table.TABLE if row.words} | {
    row.words: row.summary for row in table.TABLE if row.words and " " not in row.words
}
#: command → what the list in ``--help`` says.
SUMMARIES: Final[Mapping[str, str]] = {**_BEFORE, **_OWNERS, **table.GROUPS, **_AFTER}
#: Commands in groups that are not in the owner's table: words → what the list of the group says.
_INSIDE: Final[Mapping[str, str]] = {
    "connection rename": "Give the connection NAME the name NEW in your lists.",
    "debit request": "Ask the service of NDEBIT (ndebit1…) to pay you AMOUNT_SAT.",
    "debit budget": "Ask for a budget: so much in each period.",
    "debit subscribe": "Be paid AMOUNT_SAT in every period.",
    "debit subscriptions": "List your subscriptions, or end one of them.",
    "beacon show": "Show whether SERVICE works, and who operates it.",
    "beacon attest": "Say with your own key that you operate SERVICE.",
    "beacon revoke": "Say with your own key that you do not operate SERVICE.",
    "manage create": "Make an offer at the service of NMANAGE (nmanage1…).",
    "manage update": "Change your offer with the id OFFER.",
    "manage get": "Show your offer with the id OFFER.",
    "manage list": "List your offers there, the newest first.",
    "manage delete": "End your offer with the id OFFER.",
    "transaction resolve": "Release the money held for a payment of unknown outcome.",
    "sandbox pay": "Somebody out there pays TARGET, an offer or an invoice of yours.",
    "sandbox invoice": "Somebody out there asks you for AMOUNT_SAT: prints their invoice.",
    "sandbox settle": "Take your payment that is held out there for HASH, or is slow.",
    "sandbox cancel": "Refuse your payment that is held out there for HASH, or is slow.",
    "sandbox list": "List what others ask for, and what became of it.",
    "sandbox node": "Print the key of a node out there, for keysend.",
}
#: The help of a group where it says more than its line.
_HELP: Final[Mapping[str, str]] = {
    "connection": "One wallet connection: see how it fares, change it, pause it, give it a new link.",
    "debit": """Money by debits: what others take from you, and you from others.

Whoever has one of your codes (ndebit1…) may ask you for money; `kitestring approvals` shows who does, and
`kitestring approve ID --budget 5000/week` lets a key take so much without asking again. With a code of somebody
else, `request`, `budget` and `subscribe` ask them.""",
    "debit pointer": """Codes (ndebit1…) by which others ask you for money.

Give one only to those who may ask: its id is random, and nobody else can.""",
    "manage": """Offers by apps: those that make offers for you, and you as such an app.

An app that has one of your links (nmanage1…) may ask to make offers, which anybody can pay to you; `kitestring
approvals` shows who does. With a link of somebody else, `create`, `update`, `get`, `list` and `delete` manage yours
there.""",
    "account": "Sub-accounts: a balance in the ledger that cannot go below zero, for a person or an app.",
    "offer": "Offers: static payment codes (noffer1…) that can be paid again and again.",
    "hold": """Invoices whose payment waits for your word.

The payer pays, your node holds the money, and you take it (settle) or give it back (cancel). What you have not
decided about goes back by itself before its deadline.""",
    "sandbox": "Play the outside world of a sandbox: somebody who pays you, or whom you pay.",
}


def lines_of(group: str) -> dict[str, str]:
    """The words that may follow those of ``group`` ("" = the program), each with its line; behind most commands there
    are none.
    """
    if not group:
        return dict(SUMMARIES)
    found: dict[str, str] = {}
    for words, line in {**{row.words: row.summary for row in table.TABLE}, **_INSIDE}.items():
        if words.startswith(f"{group} "):
            word, _, deeper = words.removeprefix(f"{group} ").partition(" ")
            found.setdefault(word, table.SUBGROUPS[f"{group} {word}"] if deeper else line)
    return found


def is_group(words: str) -> bool:
    """Whether these words are a group alone, and no command."""
    return words in _HELP or words in table.GROUPS or words in table.SUBGROUPS


def help_of(group: str) -> str:
    """The help of the group with these words."""
    return _HELP.get(group) or table.GROUPS.get(group) or table.SUBGROUPS[group]
