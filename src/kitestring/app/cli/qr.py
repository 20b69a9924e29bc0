"""QR codes beside the answers that a phone scans: on the terminal, or as a picture in a file."""

from __future__ import annotations

import functools
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from kitestring.app.cli.shell import Drawn, Function, Shell, person_looks
from kitestring.app.cli.values import columns
from kitestring.base.errors import KitestringError, Reason

if TYPE_CHECKING:
    import segno

    from kitestring.app.service.execute import Result

#: The most that a QR code holds, with the least correction of errors.
MAX_QR_BYTES: Final = 2_953
#: Light modules around the code: what the standard asks for, and what cameras get by with where there is no room.
_BORDERS: Final = (4, 2)
#: Black on white whatever the colours of the terminal are: a scanner looks for dark modules on light ground.
_INK: Final = "\x1b[38;5;16;48;5;231m"
_PLAIN: Final = "\x1b[0m"
#: By the upper and the lower module, each True where it is dark.
_BLOCKS: Final = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}
#: Pixels of a module in a picture: a code of 65 modules is then 584 wide.
_SCALE: Final = 8
_KINDS: Final = (".png", ".svg")
#: Of a file that holds a secret, and of another one.
_PRIVATE, _OPEN = 0o600, 0o644


@dataclass(frozen=True, slots=True)
class Qr:
    """The wish for a QR code: ``wanted`` on the terminal (None: when a person looks), and as a picture in ``file``,
    which takes the place of another one with ``force`` only."""

    wanted: bool | None = None
    file: Path | None = None
    force: bool = False

    def check(self, shell: Shell) -> None:
        """Raise KitestringError for what cannot be done, before anything is."""
        if self.wanted and shell.as_json:
            raise KitestringError(Reason.MALFORMED, "--json draws nothing: write the QR code with --qr-file FILE.png")
        if self.file is None:
            if self.force:
                raise KitestringError(Reason.MALFORMED, "--force overwrites the file of --qr-file: name that too")
        elif self.file.suffix.lower() not in _KINDS:
            raise KitestringError(Reason.MALFORMED, f"{self.file} is no name of a picture: end it in .png or .svg")
        elif os.path.lexists(self.file) and not self.force:
            raise KitestringError(Reason.MALFORMED, f"{self.file} is there already: --force overwrites it")
        elif not self.file.parent.is_dir():
            raise KitestringError(Reason.MALFORMED, f"there is no directory {self.file.parent}: make it first")

    def show(
        self, shell: Shell, result: Result, code: str, *, held: str = "", before: str = "", again: str = "",
        is_secret: bool = False,
    ) -> None:  # fmt: skip
        """``result`` with ``--json``, else ``before`` and ``code`` with its QR code between them; ``held`` is what that
        holds, if not ``code``. ``again`` as :meth:`Shell.show` has it. Raises KitestringError where the file cannot be
        written: by then all is shown."""
        parts: list[str] = [before, ""] if before else []
        if not shell.as_json and (person_looks() if self.wanted is None else self.wanted):
            drawn = drawing(held or code)
            if isinstance(drawn, Drawn):
                parts += [drawn, ""]
            else:
                shell.note(drawn)
        shell.show(result, [*parts, code], again=again)
        if self.file is not None:
            _write(self.file, held or code, _PRIVATE if is_secret else _OPEN, force=self.force)
            shell.note(f"its QR code is in {self.file}{', which is as secret as the code' if is_secret else ''}")


def qr_options(function: Function) -> Function:
    """``--qr/--no-qr``, ``--qr-file`` and ``--force``, which a command is given as one :class:`Qr`, named ``qr``."""

    @functools.wraps(function)
    def run(*args: Any, qr: bool | None, qr_file: Path | None, force: bool, **given: Any) -> Any:
        asked = Qr(qr, qr_file, force)
        shell = click.get_current_context().find_object(Shell)
        if shell is not None:
            asked.check(shell)
        return function(*args, qr=asked, **given)

    for option in (
        click.option("--force", is_flag=True, help="Overwrite the file of --qr-file."),
        click.option(
            "--qr-file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
            help="Write the QR code as a picture, FILE.png or FILE.svg.",
        ),
        click.option("--qr/--no-qr", default=None, help="Show the QR code (default: when a person is looking)."),
    ):  # fmt: skip
        run = option(run)
    return cast("Function", run)


def drawing(text: str, instead: str = "add --qr-file FILE.png") -> str:
    """``text`` as a QR code for the terminal (:class:`Drawn`), or the line that says why there is none, and what to do
    ``instead`` where it is too narrow."""
    if len(text.encode()) > MAX_QR_BYTES:
        return f"no QR code holds so much: {len(text.encode()):,} bytes, and the most is {MAX_QR_BYTES:,}"
    found, room = _made(text), columns()
    for border in _BORDERS:
        if found.symbol_size(border=border)[0] <= room:
            return Drawn("\n".join(f"{_INK}{line}{_PLAIN}" for line in _lines(found, border)))
    needed = found.symbol_size(border=_BORDERS[-1])[0]
    return f"this terminal is too narrow for the QR code ({needed} columns): {instead}"


def _made(text: str) -> segno.QRCode:
    import segno

    return segno.make(text, error="l", micro=False)


def _lines(found: segno.QRCode, border: int) -> list[str]:
    rows = [[bool(module) for module in row] for row in found.matrix_iter(border=border)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return ["".join(_BLOCKS[pair] for pair in zip(upper, lower, strict=True)) for upper, lower in pairs]


def _write(path: Path, text: str, mode: int, *, force: bool) -> None:
    """Write the picture. Raises KitestringError."""
    if len(text.encode()) > MAX_QR_BYTES:
        raise KitestringError(Reason.UNSUPPORTED, f"done, but {drawing(text)}; nothing was written to {path}")
    picture = io.BytesIO()
    kind = path.suffix.lower().removeprefix(".")
    _made(text).save(picture, kind=kind, scale=_SCALE, border=_BORDERS[0], dark="black", light="white")
    try:
        if force:
            path.unlink(missing_ok=True)  # rather than written into: it may be another's to read, or a link
        # Never over another file, which somebody may have put there meanwhile.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
            file.write(picture.getvalue())
    except OSError as error:
        why = (error.strerror or "refused").lower()
        raise KitestringError(
            Reason.INTERNAL, f"done, but its QR code could not be written to {path} ({why})"
        ) from error
