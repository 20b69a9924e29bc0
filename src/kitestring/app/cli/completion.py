"""``kitestring completion``: the script by which a shell completes commands."""

from __future__ import annotations

import click

from kitestring.app.cli.shell import Shell, common


@click.command("completion")
@click.argument("shell_name", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
@common
def command(shell: Shell, shell_name: str) -> None:
    """Print a script that completes commands, options and names in your shell.

    bash: eval "$(kitestring completion bash)" in ~/.bashrc. zsh: eval "$(kitestring completion zsh)" in ~/.zshrc, after
    compinit. fish: kitestring completion fish | source, in ~/.config/fish/config.fish.
    """
    from kitestring.app.cli.completing import VARIABLE, script_of

    script = script_of(shell_name, click.get_current_context().find_root().command, VARIABLE)
    shell.show({"shell": shell_name, "script": script}, script.rstrip("\n"))
