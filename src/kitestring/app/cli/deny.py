"""``kitestring deny``: the owner's no to a question."""

from __future__ import annotations

from typing import Any

import click

from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import Whole, short_key
from kitestring.base.money import MAX_WHOLE


@click.command("deny")
@click.argument("question", metavar="ID")
@click.option("--block", is_flag=True, help="Refuse whatever this key asks for from now on.")
@click.option("--note", default="", metavar="TEXT", help="Why, kept with the block.")
@click.option(
    "--version", type=Whole(1, MAX_WHOLE), metavar="N", help="Refuse if the question is another version by now."
)
@key_option
@common
def command(shell: Shell, question: str, block: bool, note: str, version: int | None, key: str) -> None:
    """Say no to the question ID: nothing is paid, and whoever asked is told so."""
    params: dict[str, Any] = {"id": question, "block": block, "note": note}
    if version is not None:
        params["version"] = version
    result = shell.call("deny", params, key)
    who = short_key(result["npub"])
    again = "and is blocked; `kitestring blocked` lists such keys" if block else "and may ask again"
    shell.show(result, f"denied: {who} is told no, {again}")
