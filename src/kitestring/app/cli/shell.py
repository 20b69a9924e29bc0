"""Shared by all commands: the data directory, the way to the service, and answers for people or programs."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeVar, cast

import click

from kitestring.app.owner.table import IDEMPOTENCY_KEY
from kitestring.base.errors import KitestringError, Reason

if TYPE_CHECKING:
    from kitestring.app.home.config import Config
    from kitestring.app.home.datadir import DataDir
    from kitestring.app.service.execute import Result
    from kitestring.base.setting import Value
    from kitestring.base.zones import Zone

Function = TypeVar("Function", bound=Callable[..., Any])
#: Seconds that somebody looks at nothing before a word is said.
LONG_WAIT_S: Final = 2.0
#: After these nobody can tell whether the command was carried out, so repeating it needs the same key.
_OPEN: Final = frozenset({Reason.PAYMENT_IN_FLIGHT, Reason.INTERNAL})
#: The beginning of a command that a sentence tells to type, without options before it.
_HINT: Final = re.compile(r"`kitestring (?=[a-z])", re.ASCII)


class Drawn(str):
    """Lines that were drawn here for a terminal, in colours of their own: they are written as they are."""

    __slots__ = ()


class Shell:
    """State of one run of the program. Everything heavy is loaded when it is first asked for."""

    def __init__(self) -> None:
        self.data_dir = ""
        self.as_json = False
        self.debug = False
        #: Settings given as options of the command, by key.
        self.options: dict[str, Value] = {}
        self._zone: Zone | None = None

    def reset(self) -> None:
        """Forget everything; for programs that run several commands in one process."""
        vars(self).update(vars(Shell()))

    @property
    def config(self) -> Config:
        from pathlib import Path

        from kitestring.app.home.config import load

        return load(Path(self.data_dir) if self.data_dir else None, options=self.options)

    @property
    def zone(self) -> Zone:
        """The owner's time zone, read once."""
        if self._zone is None:
            self._zone = self.config.zone
        return self._zone

    @property
    def home(self) -> DataDir:
        from kitestring.app.home.datadir import DataDir

        config = self.config
        return DataDir(config.data_dir, config.runtime_dir)

    def read(self, name: str, params: Mapping[str, object] | None = None) -> Result:
        """A reading command: by the service, or without one from the ledger, read-only."""
        from kitestring.app.doors.unix_client import ControlClient

        _need_text(params or {})
        client = ControlClient(self.home)
        if client.is_running():
            return client.call(name, dict(params or {}))
        import asyncio

        from kitestring.app.owner.offline import run_offline

        return asyncio.run(run_offline(self.config, name, dict(params or {})))

    def call(self, name: str, params: Mapping[str, object], key: str = "", *, wait_s: float = 0) -> Result:
        """A command that needs the running service. Raises KitestringError."""
        from kitestring.app.doors.unix_client import ControlClient

        _need_text(params)
        try:
            return ControlClient(self.home).call(name, dict(params), key, wait_s=wait_s)
        except KeyboardInterrupt:
            if key:
                self.note(f"\nthe service may still do it; repeat it safely with --idempotency-key {key}")
            raise
        except KitestringError as error:
            if key and error.reason in _OPEN:
                error.message += f"; repeat it safely with --idempotency-key {key}"
                error.details["idempotency_key"] = key
            raise

    def activity(self, since: str | None, gone: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """Read what happens in the running service; see :meth:`ControlClient.activity`. Raises KitestringError."""
        from kitestring.app.doors.unix_client import ControlClient

        return ControlClient(self.home).activity(since or "", gone)

    def own_relays(self) -> tuple[str, ...]:
        """The relays of the service in this directory, which may be dialled wherever they are: of the running one as it
        was started, and those that settings and files tell; the latter alone of one that does not answer, because
        another wallet can be asked all the same."""
        from kitestring.app.doors.unix_client import ControlClient
        from kitestring.app.service.own_relay import own_relays

        found, client = own_relays(self.config, self.home), ControlClient(self.home)
        if client.is_running():
            try:
                card = client.call("card", {})
            except KitestringError as error:
                self.note(f"the relays of the service on {self.home.path} are not known: {error.message}")
            else:
                found += (*card["relays"], *(relay["url"] for relay in card["old_relays"]))
        return tuple(dict.fromkeys(found))

    # ------------------------------------------------------------ answers

    @property
    def directory_words(self) -> str:
        """``--data-dir DIR `` where that was typed: what comes before a command that is to be typed next."""
        return f"--data-dir {shlex.quote(self.data_dir)} " if self.data_dir else ""

    def hinted(self, text: str) -> str:
        """``text`` with that before each command in it: typed as it stands, it would be about another service."""
        words = self.directory_words
        return _HINT.sub(lambda found: found[0] + words, text) if words else text

    def show(self, result: Result, text: str | Sequence[str], *, again: str = "") -> None:
        """``result`` as one JSON line with ``--json``, else ``text`` for people, in one or in parts. ``again`` is the
        command that shows it once more, for what must not be lost where it cannot be written."""
        from kitestring.base.text import on_screen

        if self.as_json:
            self.print_json(result, again=again)
        elif text:
            parts = (text,) if isinstance(text, str) else text
            seen = (part if isinstance(part, Drawn) else on_screen(self.hinted(part)) for part in parts)
            _write("\n".join(seen), again)

    def note(self, text: str) -> None:
        """A remark for people, on standard error, so that the answer itself can be piped on."""
        from kitestring.base.text import on_screen

        if not self.as_json:
            click.echo(on_screen(self.hinted(text)), err=True)

    def warn(self, text: str) -> None:
        """A remark that a program's owner must see as well: on standard error, whatever the form of the answer."""
        from kitestring.base.text import on_screen

        click.echo(on_screen(self.hinted(f"warning: {text}")), err=True)

    def note_waiting(self, text: str) -> None:
        """A remark for a person who would look at nothing for some seconds; a program is told nothing."""
        if person_looks():
            self.note(text)

    @contextmanager
    def noting_wait(self, text: str) -> Iterator[None]:
        """Have :meth:`note_waiting` told once if what is done meanwhile takes more than :data:`LONG_WAIT_S` seconds."""
        if not person_looks():
            yield
            return
        from threading import Timer

        timer = Timer(LONG_WAIT_S, self.note_waiting, (text,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def note_left_out(self, texts: Sequence[str]) -> None:
        """Name what a code or link has in place of a relay, where the others are used without it."""
        from kitestring.base.text import one_line

        if texts:
            shown = ", ".join(one_line(text) for text in texts)
            self.note(f"left out, because it is no relay address or one too many: {shown}")

    def print_json(self, value: Result, *, again: str = "") -> None:
        import json

        from kitestring.base.text import escape_unsafe

        _write(escape_unsafe(json.dumps(value, separators=(",", ":"), ensure_ascii=False)), again)

    def print_lines(self, text: str) -> None:
        """``text`` in a form of its own, such as CSV: written out at once, because more may follow."""
        from kitestring.base.text import on_screen

        _write(on_screen(text), "")


def give_up_what_cannot_be_written() -> None:
    """Forget what standard output did not take: tried once more at the exit, it would fail with a traceback."""
    out: TextIO | None = sys.stdout  # None where the shell has closed it
    try:
        if out is not None:
            out.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def person_looks() -> bool:
    """Whether standard output is a terminal."""
    out: TextIO | None = sys.stdout  # None where the shell has closed it
    return out is not None and out.isatty()


def _write(answer: str, again: str) -> None:
    """The answer on standard output. Raises KitestringError where it does not fit: by then the command is done."""
    out: TextIO | None = sys.stdout
    if out is None and again:
        raise _unwritten("standard output is closed", again)
    try:
        click.echo(answer, color=True)  # the only colours in it are those of what was drawn
    except BrokenPipeError as error:
        if not again:  # the reader has seen enough
            raise
        raise _unwritten("nobody read it", again) from error
    except OSError as error:
        raise _unwritten((error.strerror or "refused").lower(), again) from error


def _unwritten(why: str, again: str) -> KitestringError:
    remedy = f"; to see it: {again}" if again else ""
    return KitestringError(Reason.INTERNAL, f"done, but the answer could not be written ({why}){remedy}")


def _need_text(params: Mapping[str, object]) -> None:
    """Raise KitestringError for what was typed in another encoding than that of the terminal's locale."""
    for name, value in params.items():
        for text in value if isinstance(value, list) else (value,):
            if isinstance(text, str) and not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
                sentence = f"{name.replace('_', ' ')} is not UTF-8 text: set terminal and shell to UTF-8"
                raise KitestringError(Reason.MALFORMED, sentence)


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def keep(ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
        if value:  # an option that is not given does not undo the one before the command
            setattr(ctx.ensure_object(Shell), name, value)
        return value

    return keep


def _keep_data_dir(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value == "":  # a script's empty variable must not mean the usual directory
        raise click.BadParameter("--data-dir is empty: name a directory, or leave the option out", ctx, param)
    kept: str | None = _keep("data_dir")(ctx, param, value)
    return kept


data_dir_option = click.option(
    "--data-dir",
    metavar="DIR",
    expose_value=False,
    is_eager=True,
    callback=_keep_data_dir,
    help="The data directory [environment: KITESTRING_DATA_DIR].",
)
json_option = click.option(
    "--json",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_keep("as_json"),
    help="Answer in JSON: one line, or one for each event.",
)


def common(function: Function) -> Function:
    """The options that every command has; the command is given the :class:`Shell` first."""
    return cast("Function", data_dir_option(json_option(click.pass_obj(function))))


def _new_key(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    import re
    import secrets

    if value is None:
        return secrets.token_hex(16)
    if not re.fullmatch(IDEMPOTENCY_KEY, value):  # "" too: a script's empty variable must not mean a new key each time
        sentence = "an idempotency key has 1 to 128 visible ASCII characters and no spaces, such as order-17"
        raise click.BadParameter(sentence, ctx, param)
    return value


key_option = click.option(
    "--idempotency-key",
    "key",
    metavar="KEY",
    callback=_new_key,
    help="Repeating the command with the same key does it only once.",
)
