"""All commands of the program by name, and what each does in one line, without loading one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kitestring.app.owner.table import GROUPS, TABLE

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
_OWNERS: Final = {row.words.split(" ")[0]: row.summary for row in TABLE if row.words}
_GROUPS: Final = {word: summary for word, summary in GROUPS.items() if " " not in word}
#: command → what the list in ``--help`` says.
SUMMARIES: Final[Mapping[str, str]] = {**_BEFORE, **_OWNERS, **_GROUPS, **_AFTER}
