"""``kitestring restore``: a backup becomes the service again."""

from __future__ import annotations

import click

from kitestring.app.cli.shell import Shell, common

_FORGOTTEN = (
    "connections, grants and blocked keys are as they were: a link that was exchanged or revoked since the backup is"
    " good again. End it anew before anything is spent; `kitestring connections` lists them"
)


@click.command("restore")
@click.argument("directory", type=click.Path(exists=True, file_okay=False))
@click.option("--force", is_flag=True, help="Put the service that is there aside; its files are kept.")
@common
def command(shell: Shell, directory: str, force: bool) -> None:
    """Put the backup in DIRECTORY into the data directory. The service must be stopped.

    The next start receives, and spends nothing until `kitestring audit --node` has found nothing wrong. Subscriptions
    come back where there are none, and leave out the period that may have been charged since the backup.

    Whatever you have changed since the backup is as it was: links that were revoked or exchanged are good again.
    """
    import time
    from pathlib import Path

    from kitestring.app.home.copies import restore

    home = shell.home
    aside = restore(home, Path(directory).absolute(), int(time.time()), force=force)
    lines = [f"restored into {home.path}", *(f"kept {path}" for path in aside)]
    lines.append(_FORGOTTEN)
    lines += ["nothing is spent until `kitestring audit --node` finds nothing wrong; start it with `kitestring up`"]
    shell.show({"data_dir": str(home.path), "kept": [str(path) for path in aside]}, "\n".join(lines))
