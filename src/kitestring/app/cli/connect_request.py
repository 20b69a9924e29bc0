"""``kitestring connect-request``: an app's request for a connection, as a question to the owner."""

from __future__ import annotations

import click

from kitestring.app.cli.approvals import HOW, described
from kitestring.app.cli.given import CodeType
from kitestring.app.cli.shell import Shell, common, key_option


@click.command("connect-request")
@click.argument("link", type=CodeType())
@key_option
@common
def command(shell: Shell, link: str, key: str) -> None:
    """Look at the request for a connection that an app shows as LINK (nostr+walletauth://…).

    Nothing is given by that: it waits for your `kitestring approve`, as every question does, and ends by itself after
    ten minutes.
    """
    asked = shell.call("connect_request", {"link": link}, key)
    shell.show(asked, described(asked))
    shell.note(f"\nnothing is given yet; {HOW}")
