"""Words that are no command, and the command that was meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

#: What people type who know other programs, and what it is called here.
OTHER_WORDS: Final[Mapping[str, str]] = {
    "help": "--help",
    "version": "--version",
    "start": "up",
    "run": "up",
    "serve": "up",
    "daemon": "up",
    "status": "doctor",
    "check": "doctor",
    "getinfo": "info",
    "tx": "transactions",
    "txs": "transactions",
    "history": "transactions",
    "payments": "transactions",
    "list": "transactions",
    "ls": "connections",
    "apps": "connections",
    "send": "pay",
    "payinvoice": "pay",
    "addinvoice": "invoice",
    "request": "invoice",
    "address": "offer create",
    "new": "connect",
    "pair": "connect",
    "disconnect": "revoke",
    "delete": "revoke",
    "wallet": "balance",
    "walletbalance": "balance",
    "currency": "rate",
    "log": "events",
    "logs": "watch",
    "accounts": "account list",
    "offers": "offer list",
    "config": "init",
}


def no_command(typed: str, known: Iterable[str], *, path: str) -> str:
    """The sentence for a word that is no command behind ``path`` (such as ``kitestring offer``)."""
    from difflib import get_close_matches

    is_first = path == "kitestring"
    meant = OTHER_WORDS.get(typed.lower()) if is_first else None
    if meant is None:
        meant = next(iter(get_close_matches(typed, tuple(known), n=1)), None)
    name = typed if is_first else f"{path.partition(' ')[2]} {typed}"
    return f"there is no command {name!r}" + ("" if meant is None else f"; did you mean `{path} {meant}`?")
