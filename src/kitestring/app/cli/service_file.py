"""``kitestring service-file``: the unit by which systemd runs the service."""

from __future__ import annotations

import click

from kitestring.app.cli.shell import Shell, common
from kitestring.base.errors import KitestringError, Reason


@click.command("service-file")
@common
def command(shell: Shell) -> None:
    """Print a hardened systemd unit that runs this program.

    It goes to /etc/systemd/system/kitestring.service. The service runs as the user kitestring, and keeps its data in
    /var/lib/kitestring.
    """
    import sys
    from pathlib import Path

    from kitestring.app.home.systemd import STATE_DIR, UNIT_PATH, is_hidden, unit

    if shell.data_dir and Path(shell.data_dir) != STATE_DIR:
        sentence = (
            f"the unit keeps its data in {STATE_DIR}, which systemd makes for it: leave --data-dir out, and change "
            "StateDirectory and KITESTRING_DATA_DIR in what is printed"
        )
        raise KitestringError(Reason.MALFORMED, sentence)
    program = Path(sys.executable).with_name("kitestring")
    if not program.is_file():
        shell.warn(f"{program} is not there: write the path of your kitestring after ExecStart=")
        text = unit(None)
    else:
        text = unit(program)
        if is_hidden(program):
            shell.warn(f"{program} is in a home, which the service does not see: install it in /opt, for one")
    shell.show({"unit": text, "path": str(UNIT_PATH)}, text.rstrip("\n"))
