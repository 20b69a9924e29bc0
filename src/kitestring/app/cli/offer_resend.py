"""``kitestring offer resend``: tell a webhook once more."""

from __future__ import annotations

import click

from kitestring.app.cli.shell import Shell, common, key_option

_NOTHING = "nothing that has failed can be sent again; see `kitestring offer deliveries --failed`"


@click.command("resend")
@click.argument("delivery", required=False)
@click.option("--failed", is_flag=True, help="All that were given up, instead of one.")
@click.option("--offer", metavar="OFFER", help="With --failed: only those of this offer.")
@key_option
@common
def command(shell: Shell, delivery: str | None, failed: bool, offer: str | None, key: str) -> None:
    """Tell a webhook once more of a payment.

    DELIVERY is listed by `offer deliveries`. It is tried for 24 hours from now.
    """
    if (delivery is None) is not failed:
        raise click.UsageError("name either one delivery, or --failed")
    if offer is not None and not failed:
        raise click.UsageError("--offer goes with --failed")
    params = {"delivery": delivery, "failed": failed or None, "offer": offer}
    result = shell.call("offer_resend", {name: value for name, value in params.items() if value is not None}, key)
    number = result["sent_again"]
    told = "1 delivery is" if number == 1 else f"{number} deliveries are"
    rest = f"; {result['left']} more have failed: run it again" if result["left"] else ""
    shell.show(result, f"{told} sent again{rest}; see `kitestring offer deliveries`" if number else _NOTHING)
