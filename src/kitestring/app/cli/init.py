"""``kitestring init``: a settings file that explains itself."""

from __future__ import annotations

import click

from kitestring.app.cli.shell import Shell, common
from kitestring.base.errors import KitestringError, Reason


@click.command("init")
@common
def command(shell: Shell) -> None:
    """Write a settings file with every setting, its meaning and its default.

    Not needed to start: `kitestring up` works without one. An existing file is left as it is.
    """
    from kitestring.app.doors.unix_client import ControlClient
    from kitestring.app.home.datadir import write_whole
    from kitestring.app.home.manual import commented_toml

    home = shell.home
    home.create()
    if home.config_file.exists():
        raise KitestringError(Reason.ALREADY_USED, f"{home.config_file} exists already: edit it, or move it away first")
    write_whole(home.config_file, commented_toml().encode())  # for its owner alone: a node's address is a secret
    is_running = ControlClient(home).is_running()
    then = "the running service reads it at its next start: restart it" if is_running else "now: `kitestring up`"
    shell.show({"file": str(home.config_file)}, f"wrote {home.config_file}\n{then}")
