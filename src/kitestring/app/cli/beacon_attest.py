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
    from kitestring.app.home.beacon import operator_key
    from kitestring.client.operator import attest_service

    operator = say_about(shell, service, source, relays, attest_service, "attested")
    named = operator_key(shell.config.beacon.operator)
    if not service and named != operator:
        shell.note(
            f"nobody believes it yet: beacon.operator in the settings of this service is "
            f"{'another key' if named else 'not set'}; write this one there, and start the service again"
        )
