"""A long code or a secret that is not typed itself: read from standard input, the environment, or a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from kitestring.app.cli.shell import Shell
from kitestring.base.errors import KitestringError, Reason

#: The longest code has 5,000 characters, a connection link a few hundred.
MAX_GIVEN_BYTES: Final = 16_384


def is_place(text: str) -> bool:
    """Whether ``text`` names a place to read from, rather than being what is meant."""
    kind, colon, rest = text.partition(":")
    return text == "-" or (bool(colon and rest) and kind in {"env", "file"})


def read_place(shell: Shell, place: str, what: str) -> str:
    """Read what is at ``place`` (:func:`is_place`), as it is written there; ``what`` it is, for the sentences. Raises
    KitestringError for a place that is missing or empty."""
    from kitestring.codec.pasted import tidy

    kind, _, rest = place.partition(":")
    if kind == "env":
        text, missing = shell.config.environment.get(rest, ""), f"the environment variable {rest} is not set"
    elif kind == "file":
        text, missing = _read_file(Path(rest).expanduser(), what), f"{rest} is empty"
    else:
        text, missing = sys.stdin.read(MAX_GIVEN_BYTES), "there is nothing on standard input"
    found = tidy(text)
    if not found:
        raise KitestringError(Reason.MALFORMED, missing)
    return found


def _read_file(path: Path, what: str) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(MAX_GIVEN_BYTES)
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError) as error:
        raise KitestringError(Reason.MALFORMED, f"{path} is not a file with {what}") from error


class CodeType(click.ParamType):  # type: ignore[type-arg]  # generic in newer click only
    """A code as it is typed, or the one at the place that is typed for it."""

    name = "code"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        shell = None if ctx is None else ctx.find_object(Shell)
        return read_place(shell, text, "a code") if shell is not None and is_place(text) else text
