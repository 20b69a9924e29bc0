"""``kitestring offer webhook``: the server that is told of each payment of an offer."""

from __future__ import annotations

from shlex import quote
from typing import Any

import click

from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import facts


@click.command("webhook")
@click.argument("offer")
@click.argument("url", required=False)
@click.option("--get", "form", flag_value="get", default=None, help="Ask URL with GET; {names} in it are filled in.")
@click.option("--off", is_flag=True, help="Tell nobody any more. What waits to be told has failed then.")
@click.option("--test", is_flag=True, help="Send a signed test, and show what the server answers.")
@key_option
@common
def command(shell: Shell, offer: str, url: str | None, form: str | None, off: bool, test: bool, key: str) -> None:
    """Show the webhook of OFFER with its secret, or set it to URL.

    Each payment is told there with a POST of JSON, signed with the secret, again and again for 24 hours until the
    server answers 2xx. With --get, URL is a template such as https://example.com/paid{?amount,invoice} instead.
    """
    if form is not None and url is None:
        raise click.UsageError("--get says how a URL is asked: name the URL")
    if test and off:
        raise click.UsageError("a webhook that is switched off cannot be tested")
    params = {"offer": offer, "url": url, "form": form, "off": off or None}
    found = shell.call("offer_webhook", {name: value for name, value in params.items() if value is not None}, key)
    answer: dict[str, Any] = shell.call("offer_webhook_test", {"offer": offer}) if test else {}
    if found["url"] is None:
        shell.show({**found, "test": None}, f"nobody is told of payments of {found['label']}")
        return
    result = {**found, "test": {"taken": answer["taken"], "status": answer["status"]} if test else None}
    shell.note("keep the secret to yourself and your server: whoever has it can pretend that you were paid")
    shell.show(result, _text(found, answer), again=f"kitestring offer webhook {quote(offer)}")
    if test and not answer["taken"]:
        shell.note("the server has not taken the test: it must answer 2xx")
        raise click.exceptions.Exit(1)


def _text(found: dict[str, Any], answer: dict[str, Any]) -> str:
    return facts(
        [
            ("offer", found["label"]),
            ("webhook", found["url"]),
            ("asked with", found["form"].upper()),
            ("secret", found["secret"]),
            ("waiting", str(found["waiting"] or "")),
            ("failed", str(found["failed"] or "")),
            ("test", f"{'taken' if answer['taken'] else 'not taken'}: {answer['status']}" if answer else ""),
        ]
    )
