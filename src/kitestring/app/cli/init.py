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
    from kitestring.app.settings import commented_toml

    home = shell.home
    home.create()
    try:
        with home.config_file.open("x", encoding="utf-8") as file:
            file.write(commented_toml())
    except FileExistsError as error:
        raise KitestringError(
            Reason.ALREADY_USED, f"{home.config_file} exists already: edit it, or move it away first"
        ) from error
    home.config_file.chmod(0o600)  # the address of a node may carry a password
    shell.show({"file": str(home.config_file)}, f"wrote {home.config_file}\nnow: kitestring up")
