"""``kitestring beacon revoke``: say with an operator's key that a service is not yours, or no longer."""

from __future__ import annotations

import click

from kitestring.app.cli.at_operator import operator_options, say_about
from kitestring.app.cli.shell import Shell, common


@click.command("revoke")
@operator_options
@common
def command(shell: Shell, service: str, source: str, relays: tuple[str, ...]) -> None:
    """Say with your own key that you do not operate SERVICE.

    SERVICE is an npub, nprofile, noffer or ndebit (default: the service of this data directory). It wins over what the
    key has attested, whichever was said last, until `kitestring beacon attest` takes it back.
    """
    from kitestring.client.operator import revoke_service

    say_about(shell, service, source, relays, revoke_service, "revoked")
