"""The question before something ends forever that an app or a payer relies on."""

from __future__ import annotations

from typing import Final

import click

from kitestring.app.cli.shell import Shell
from kitestring.app.cli.wish import person_answers
from kitestring.base.errors import KitestringError, Reason

yes_option: Final = click.option(
    "--yes", is_flag=True, help="Ask nothing; needed where nobody can answer, except in a sandbox."
)


def agree_to_end(shell: Shell, what: str, lost: str, *, yes: bool) -> None:
    """Return where ``what`` may end. Raises KitestringError: NOT_PERMITTED for "no", MALFORMED where nobody can answer.

    In a sandbox nothing is lost, and nothing is asked. ``lost`` is a sentence about what ends with it.
    """
    if yes or _is_sandbox(shell):
        return
    if not person_answers(shell):
        sentence = f"{what} would end forever ({lost}), and nobody can be asked here: add --yes; nothing was changed"
        raise KitestringError(Reason.MALFORMED, sentence)
    shell.note(f"{what} ends forever: {lost}")
    if not click.confirm("End it?", err=True):
        raise KitestringError(Reason.NOT_PERMITTED, "you did not agree: nothing was changed")


def _is_sandbox(shell: Shell) -> bool:
    """The settings do not say it: a service may be started with another node. An owner who may not look is asked."""
    try:
        return shell.call("pay_preview", {})["sandbox"] is True
    except KitestringError as refused:
        if refused.reason is Reason.NOT_PERMITTED:
            return False
        raise
