"""``kitestring beacon attest``: say with an operator's key that a service is yours."""

from __future__ import annotations

import click

from kitestring.app.cli.at_operator import operator_options, say_about
from kitestring.app.cli.shell import Shell, common


@click.command("attest")
@operator_options
@common
def command(shell: Shell, service: str, source: str, relays: tuple[str, ...]) -> None:
    """Say with your own key that you operate SERVICE.

    SERVICE is an npub, nprofile, noffer or ndebit (default: the service of this data directory). Its beacon must name
    the key, too (beacon.operator): others then read "operated by" and your key. What the key attests already is kept,
    and a revocation of SERVICE is taken back. Name with --relay every other relay where the key has said something.
    """
    from kitestring.client.operator import attest_service

    say_about(shell, service, source, relays, attest_service, "attested")
