"""``kitestring relay``: the embedded relay on its own."""

from __future__ import annotations

import click

from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import Whole


@click.command("relay")
@click.option("--host", metavar="ADDRESS", help="Where to listen (default: relay.host of the settings).")
@click.option("--port", type=Whole(0, 65_535), metavar="PORT", help="The port; 0 = any free one.")
@click.option("--memory", is_flag=True, help="Keep nothing on disk.")
@common
def command(shell: Shell, host: str | None, port: int | None, memory: bool) -> None:
    """Run the relay alone, until Ctrl-C; for services and wallets on other machines."""
    import asyncio

    from kitestring.app.relay_alone import serve

    if host is not None:
        shell.options["relay.host"] = host
    if port is not None:
        shell.options["relay.port"] = port
    config = shell.config

    def ready(url: str) -> None:
        shell.show({"relay": url}, f"the relay is up: {url}\nCtrl-C stops it.")

    asyncio.run(serve(config, ready, memory=memory))
