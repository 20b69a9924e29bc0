"""``kitestring offer forward``: let the code of one offer lead to another."""

from __future__ import annotations

from shlex import quote

import click

from kitestring.app.cli.shell import Shell, common, key_option


@click.command("forward")
@click.argument("offer")
@click.argument("to", required=False)
@click.option("--end", is_flag=True, help="Forward no more: whoever asks is told that the offer has ended.")
@key_option
@common
def command(shell: Shell, offer: str, to: str | None, end: bool, key: str) -> None:
    """Let the code of OFFER lead to another offer.

    TO is that one, of the same account; each is a label, an id or a code. OFFER itself sells nothing any more, for
    ever. With --end the code of an offer that has moved leads nowhere: name it by its id or its code.
    """
    if (to is None) != end:
        raise click.UsageError("name the offer to which it forwards, or --end")
    result = shell.call("offer_forward", {"offer": offer, "to": to}, key)
    if end:
        shell.show(result, f"the code {result['offer_id']} of {result['label']} forwards no more")
    else:
        shell.show(result, f"{offer} forwards to {result['label']}, and sells nothing itself any more")
        show = f"kitestring offer show {quote(result['label'])}"
        shell.note(f"`{show}` has its id among the old codes; `kitestring offer forward ID --end` ends that")
