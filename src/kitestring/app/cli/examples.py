"""Examples of each command, and the meaning of its arguments, for ``--help`` and the reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

#: By the words of a command; each is a whole command line, which parses as it stands.
EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = {
    "up": ("kitestring up", "kitestring up --relay wss://relay.example.com --node 'lnd+https://127.0.0.1:8080?cert=/home/me/tls.cert&macaroon=/home/me/kitestring.macaroon'"),
    "demo": ("kitestring demo", "kitestring demo --wire"),
    "init": ("kitestring init",),
    "card": ("kitestring card",),
    "connect": ("kitestring connect shop --preset receive-only", "kitestring connect bot --budget 5000/day"),
    "connect-request": ("kitestring connect-request 'nostr+walletauth://…'",),
    "link": ("kitestring link shop",),
    "connections": ("kitestring connections",),
    "revoke": ("kitestring revoke shop",),
    "connection show": ("kitestring connection show shop", "kitestring --json connection show shop"),
    "connection rename": ("kitestring connection rename shop till",),
    "connection rotate": ("kitestring connection rotate shop",),
    "connection pause": ("kitestring connection pause shop",),
    "connection resume": ("kitestring connection resume shop",),
    "connection edit": ("kitestring connection edit bot --budget 9000/day",),
    "approvals": ("kitestring approvals",),
    "approve": ("kitestring approve 7", "kitestring approve 7 --budget 5000/week"),
    "deny": ("kitestring deny 7", "kitestring deny 7 --block"),
    "blocked": ("kitestring blocked",),
    "block": ("kitestring block npub1…",),
    "unblock": ("kitestring unblock npub1…",),
    "debit pointer create": ("kitestring debit pointer create till",),
    "debit pointer list": ("kitestring debit pointer list",),
    "debit pointer policy": ("kitestring debit pointer policy till ask",),
    "debit pointer relink": ("kitestring debit pointer relink till",),
    "debit pointer delete": ("kitestring debit pointer delete till",),
    "debit grants": ("kitestring debit grants",),
    "debit show": ("kitestring debit show rent",),
    "debit edit": ("kitestring debit edit rent --budget 20000/month",),
    "debit revoke": ("kitestring debit revoke rent",),
    "debit session": ("kitestring debit session till 500",),
    "debit sessions": ("kitestring debit sessions till",),
    "debit budget": ("kitestring debit budget ndebit1… 5000/week",),
    "debit request": ("kitestring debit request ndebit1… 500",),
    "debit subscribe": ("kitestring debit subscribe ndebit1… 5000/month",),
    "debit subscriptions": ("kitestring debit subscriptions",),
    "beacon attest": ("kitestring beacon attest npub1… --key env:NSEC",),
    "beacon publish": ("kitestring beacon publish",),
    "beacon revoke": ("kitestring beacon revoke npub1… --key env:NSEC",),
    "beacon show": ("kitestring beacon show nprofile1…",),
    "manage link": ("kitestring manage link market",),
    "manage links": ("kitestring manage links",),
    "manage policy": ("kitestring manage policy market ask",),
    "manage relink": ("kitestring manage relink market",),
    "manage unlink": ("kitestring manage unlink market",),
    "manage grants": ("kitestring manage grants",),
    "manage revoke": ("kitestring manage revoke market",),
    "manage create": ("kitestring manage create nmanage1… mug 1500",),
    "manage update": ("kitestring manage update nmanage1… 0a9df8d9 --price 1800",),
    "manage get": ("kitestring manage get nmanage1… 0a9df8d9",),
    "manage list": ("kitestring manage list nmanage1…",),
    "manage delete": ("kitestring manage delete nmanage1… 0a9df8d9",),
    "account create": ("kitestring account create alice",),
    "account list": ("kitestring account list",),
    "account show": ("kitestring account show alice",),
    "account fund": ("kitestring account fund alice 5000",),
    "account withdraw": ("kitestring account withdraw alice 2000", "kitestring account withdraw alice --all"),
    "account transfer": ("kitestring account transfer alice bob 500",),
    "offer create": ("kitestring offer create coffee --price 300", "kitestring offer create coffee --price 3.50EUR"),
    "offer list": ("kitestring offer list",),
    "offer show": ("kitestring offer show coffee",),
    "offer on": ("kitestring offer on coffee",),
    "offer off": ("kitestring offer off coffee",),
    "offer relink": ("kitestring offer relink coffee",),
    "offer delete": ("kitestring offer delete coffee",),
    "offer deliveries": ("kitestring offer deliveries coffee",),
    "offer edit": ("kitestring offer edit coffee --price 350",),
    "offer forward": ("kitestring offer forward coffee espresso",),
    "offer resend": ("kitestring offer resend 12",),
    "offer webhook": ("kitestring offer webhook coffee https://shop.example.com/paid",),
    "pay": ("kitestring pay lnbc…", "kitestring pay me@example.com 500", "kitestring pay noffer1… 9 --wallet env:W"),
    "keysend": ("kitestring keysend 02ab…ef 500",),
    "invoice": ("kitestring invoice 500 --description coffee", "kitestring invoice 500 --wait"),
    "hold create": ("kitestring hold create 500",),
    "hold settle": ("kitestring hold settle ab12…ef",),
    "hold cancel": ("kitestring hold cancel ab12…ef",),
    "hold list": ("kitestring hold list",),
    "balance": ("kitestring balance", "kitestring balance --wallet env:WALLET"),
    "transactions": ("kitestring transactions", "kitestring transactions --since 30d --out"),
    "transaction show": ("kitestring transaction show ab12cd34",),
    "transaction resolve": ("kitestring transaction resolve ab12…ef 'the payee says that nothing came'",),
    "lookup": ("kitestring lookup ab12…ef",),
    "sign-message": ("kitestring sign-message 'it is me'",),
    "events": ("kitestring events",),
    "resolve": ("kitestring resolve ab12…ef 'the payee says that nothing came'",),
    "allow-spending": ("kitestring allow-spending",),
    "info": ("kitestring info",),
    "receive": ("kitestring receive 500 --wallet env:WALLET",),
    "enroll": ("kitestring enroll nprofile1…",),
    "watch": ("kitestring watch", "kitestring --json watch --wallet env:WALLET"),
    "call": ("kitestring call get_info --wallet env:WALLET",),
    "rate": ("kitestring rate EUR", "kitestring rate EUR 10"),
    "decode": ("kitestring decode lnbc…", "kitestring decode noffer1…"),
    "relay": ("kitestring relay --port 7777 --memory",),
    "audit": ("kitestring audit", "kitestring audit --node"),
    "backup": ("kitestring backup copy",),
    "restore": ("kitestring restore copy",),
    "doctor": ("kitestring doctor",),
    "sandbox pay": ("kitestring sandbox pay noffer1… 21",),
    "sandbox invoice": ("kitestring sandbox invoice 50", "kitestring sandbox invoice 50 --hold"),
    "sandbox settle": ("kitestring sandbox settle ab12…ef",),
    "sandbox cancel": ("kitestring sandbox cancel ab12…ef",),
    "sandbox list": ("kitestring sandbox list",),
    "sandbox node": ("kitestring sandbox node",),
}  # fmt: skip
#: By the words of a command, or of the first of them, and the argument; "" is for every command.
ARGUMENTS: Final[Mapping[tuple[str, str], str]] = {
    ("account", "NAME"): "The account.",
    ("account", "FROM"): "The account that gives.",
    ("account", "TO"): "The account that gets.",
    ("connect", "NAME"): "What you call the connection.",
    ("connection", "NEW"): "What it is called from now on.",
    ("", "NAME"): "The connection.",
    ("offer create", "LABEL"): "What payers see.",
    ("offer forward", "TO"): "The offer that it leads to, by its label or id.",
    ("offer webhook", "URL"): "Where to tell of payments; left out: show what there is.",
    ("", "OFFER"): "An offer, by its label, id or code.",
    ("", "LABEL"): "What you call it.",
    ("", "LINK"): "The link, by its label or as it was shown.",
    ("", "POINTER"): "The debit pointer, by its label or id.",
    ("", "POLICY"): "What becomes of a request by somebody who has no grant.",
    ("", "GRANT"): "The grant, by its name or id.",
    ("", "NMANAGE"): "The code of whoever keeps the offers (nmanage1…).",
    ("", "NDEBIT"): "The code of whoever is asked for money (ndebit1…).",
    ("", "PRICE_SAT"): "What it costs, in whole sats; 0: the payer names the amount.",
    ("", "SERVICE"): "The service: its public key (npub1…), or its key with relays (nprofile1…).",
    ("", "ID"): "The number of the question; left out: all of them, or the only one.",
    ("", "KEY"): "A public key (npub1…, or 64 hexadecimal digits).",
    ("", "DELIVERY"): "The number of the delivery.",
    ("decode", "CODE"): "An invoice, an offer, a link, a key; - reads it from standard input.",
    ("", "TARGET"): "What to pay: an invoice, an offer, an address, a key.",
    ("", "PUBKEY"): "The public key of a node, 66 hexadecimal digits.",
    ("", "AMOUNT_SAT"): "Whole sats.",
    ("", "AMOUNT_SAT/day|week|month"): "Whole sats in each period.",
    ("", "AMOUNT_SAT[/day|week|month]"): "Whole sats, in each period or once.",
    ("", "HASH"): "The payment hash, 64 hexadecimal digits.",
    ("", "PAYMENT_HASH"): "The payment hash, 64 hexadecimal digits, or the id of the payment.",
    ("", "PREIMAGE"): "The preimage, 64 hexadecimal digits; left out: the one that the service keeps.",
    ("", "NOTE"): "Why you decide so; it is kept with the payment.",
    ("", "MESSAGE"): "The text that is signed.",
    ("", "METHOD"): "The method, such as get_info.",
    ("", "PARAMS-JSON"): "Its parameters, one JSON object.",
    ("", "CURRENCY"): "A currency of three letters, such as EUR.",
    ("", "AMOUNT"): "So much of it.",
    ("", "DIRECTORY"): "A directory.",
}


def meaning(words: str, argument: str) -> str:
    """The meaning of an argument of the command ``words``. Raises KeyError where nobody has said it."""
    name = argument.strip("[]")
    first = words.partition(" ")[0]
    for where in (words, first, ""):
        if (where, name) in ARGUMENTS:
            return ARGUMENTS[where, name]
    return ARGUMENTS["", argument]


def with_examples(command: click.Command, words: str) -> click.Command:
    """The command, or each of a group, with its examples below its help."""
    if isinstance(command, click.Group):
        for word, inner in command.commands.items():
            with_examples(inner, f"{words} {word}")
    elif words in EXAMPLES:
        command.epilog = "\n".join(["\b", "Examples:", *(f"  {one}" for one in EXAMPLES[words])])
    return command
