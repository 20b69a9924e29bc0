"""``kitestring watch``: what a wallet pays and receives, as it happens."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import click

from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import amount, when
from kitestring.base.errors import Exit
from kitestring.base.text import clean

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption

#: Of a description, in a line of a terminal; all of it is in the JSON answer.
MAX_DESCRIPTION_CHARS: Final = 48
_WORDS: Final = {
    "payment_received": ("received", "+"),
    "payment_sent": ("paid", "-"),
    "hold_invoice_accepted": ("held", "+"),
}


@click.command("watch")
@click.option(
    "--wallet", metavar="URI", required=True,
    help="Watch this wallet: env:NAME, file:PATH, - (standard input), or a link.",
)  # fmt: skip
@click.option(
    "--since", metavar="POSITION",
    help="Begin after this: the position in an earlier line with --json, or Unix seconds (default: now).",
)  # fmt: skip
@click.option(
    "--encryption",
    type=click.Choice(["auto", "nip44", "legacy"]),
    default="auto",
    help="legacy is for a wallet that knows NIP-04 only and does not say so (default: auto).",
)
@common
def command(shell: Shell, wallet: str, since: str | None, encryption: Encryption) -> int:
    """Show what a wallet pays and receives as it happens, until Ctrl-C.

    With --json each is one line, with the position to go on from: what came meanwhile comes first then, and nothing
    comes twice.
    """
    from kitestring.app.cli.wallet import watch

    begin = int(since) if since is not None and since.isdecimal() else since
    with suppress(KeyboardInterrupt):
        watch(shell, wallet, begin, encryption, _tell)
    return Exit.OK


def _tell(shell: Shell, told: dict[str, Any]) -> None:
    """One line."""
    word, sign = _WORDS[told["event"]]
    fee = f" and {amount(told['fee_msat'])} fee" if told["fee_msat"] else ""
    words = clean(told["description"], MAX_DESCRIPTION_CHARS)
    line = f"{when(told['settled_at'] or told['created_at'])}  {word:8}  {sign}{amount(told['amount_msat'])}{fee}"
    shell.show(told, f"{line}  {words}".rstrip())
