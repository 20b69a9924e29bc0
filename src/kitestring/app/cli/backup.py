"""``kitestring backup``: keys, settings and ledger in a directory of their own."""

from __future__ import annotations

import click

from kitestring.app.cli.shell import Shell, common


@click.command("backup")
@click.argument("directory", type=click.Path(file_okay=False))
@common
def command(shell: Shell, directory: str) -> None:
    """Copy keys, settings and ledger to the new DIRECTORY, also while the service runs.

    With them go the key by which others know you when you ask them for debits, and the memory of your subscriptions.
    Whoever has this directory has the service: keep it as secret as the key. A service that is started on it does not
    spend before its books were compared with the node's.
    """
    import time
    from pathlib import Path

    from kitestring.app.home.copies import back_up

    if not directory:  # a script's empty variable must not mean the directory where it runs
        raise click.BadParameter("DIRECTORY is empty: name a new one", click.get_current_context())
    target = Path(directory).absolute()
    back_up(shell.home, target, int(time.time()))
    shell.show({"directory": str(target)}, f"wrote {target}")
