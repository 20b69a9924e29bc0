"""``kitestring``: the commands by name, each loaded only when it is used, and the one place where errors end."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import singledispatch
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn

import click

from kitestring import __version__
from kitestring.app.cli.listed import LazyGroup, commands_of
from kitestring.app.cli.shell import Shell, data_dir_option, give_up_what_cannot_be_written, json_option
from kitestring.base.errors import CodecError, Exit, KitestringError, Reason

#: The longest of our own sentences have about 400 characters.
MAX_SENTENCE_CHARS: Final = 4_000

#: Refusals of the system in plain words; {} is where it happened.
_OF_THE_SYSTEM: Final[Mapping[int, str]] = {
    errno.ENOSPC: "the disk is full{}: make room and try again",
    errno.EDQUOT: "your disk quota is used up{}: make room and try again",
    errno.EACCES: "this is not allowed to you{}: look at the owner and mode of the file",
    errno.EISDIR: "a directory is where a file is expected{}: move it away",
    errno.EROFS: "the disk is read-only{}: name another directory with --data-dir",
}


class Program(LazyGroup):
    """The root of all commands, which turns every failure into one sentence and an exit code."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        SHELL.reset()
        if "_KITESTRING_COMPLETE" in os.environ:
            from kitestring.app.cli.completing import register

            register()
        extra["standalone_mode"] = False
        try:
            result = super().main(args, *rest, **extra)
        except (KitestringError, CodecError, click.ClickException, click.Abort, KeyboardInterrupt, OSError) as error:
            sys.exit(_tell(error))
        except Exception as error:
            if SHELL.debug:
                raise
            sys.exit(_tell_bug(error))
        sys.exit(result if isinstance(result, int) else Exit.OK)


class _Told(NamedTuple):
    """The end of a failed command: the exit code, and one sentence ("" = say nothing) with its reason and details."""

    code: int
    sentence: str = ""
    reason: str = Reason.INTERNAL.value
    details: Mapping[str, object] = MappingProxyType({})


def _tell(error: BaseException) -> int:
    from kitestring.base.text import clean

    told = _explain(_full_disk(error) or error)
    if not told.sentence:
        return told.code
    sentence = SHELL.hinted(told.sentence)
    if SHELL.as_json:
        problem = {"reason": told.reason, "message": sentence, "details": dict(told.details)}
        with suppress(KitestringError):  # standard output is full; standard error says it all
            SHELL.print_json({"error": problem})
    click.echo(f"error: {clean(sentence, MAX_SENTENCE_CHARS)}", err=True)
    give_up_what_cannot_be_written()
    return told.code


def _full_disk(error: BaseException) -> KitestringError | None:
    """The plain words for what SQLite may call a disk I/O error, or a file that it cannot open."""
    source = error.__cause__ if isinstance(error, KitestringError) else error
    if type(source).__module__ != "sqlite3":
        return None
    if "disk is full" in str(source):
        return SHELL.home.full()
    try:
        SHELL.home.need_room()
    except KitestringError as full:
        return full
    except OSError:
        return None
    return None


@singledispatch
def _explain(_error: BaseException) -> _Told:
    """Explain a failure by its class; this is the one of Ctrl-C."""
    return _Told(Exit.INTERRUPTED, "interrupted", "interrupted")


@_explain.register(KitestringError)  # named here: reading it from the annotation would slow every start
def _(error: KitestringError) -> _Told:
    return _Told(error.exit_code, error.message, error.reason.value, error.details)


@_explain.register(CodecError)
def _(error: CodecError) -> _Told:
    return _Told(Exit.USAGE, str(error), Reason.MALFORMED.value)


@_explain.register(click.exceptions.Exit)
def _(error: click.exceptions.Exit) -> _Told:
    return _Told(error.exit_code)


@_explain.register(click.exceptions.NoArgsIsHelpError)
def _(error: click.exceptions.NoArgsIsHelpError) -> _Told:
    click.echo(error.format_message(), err=True)
    return _Told(Exit.USAGE)


@_explain.register(click.ClickException)
def _(error: click.ClickException) -> _Told:
    from kitestring.app.cli.mistakes import in_one_sentence

    return _Told(Exit.USAGE, in_one_sentence(error), Reason.MALFORMED.value)


@_explain.register(OSError)
def _(error: OSError) -> _Told:
    if error.errno == errno.EPIPE:  # the reader has seen enough
        give_up_what_cannot_be_written()
        return _Told(Exit.INTERNAL)
    where = f" ({error.filename})" if error.filename else ""
    sentence = _OF_THE_SYSTEM.get(error.errno or 0, f"{(error.strerror or 'the system refused').lower()}{{}}")
    return _Told(Exit.INTERNAL, sentence.replace("{}", where))


def _tell_bug(error: Exception) -> int:
    """Tell of a fault in the program, without the text of the error: it may repeat a secret that was typed."""
    full = _full_disk(error)
    if full is not None:
        return _tell(full)
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    code = None if frame is None else frame.tb_frame.f_code
    where = "" if code is None or frame is None else f" in {code.co_name} (line {frame.tb_lineno})"
    sentence = f"a fault in kitestring: {type(error).__name__}{where}; `kitestring --debug …` shows all of it"
    return _tell(KitestringError(Reason.INTERNAL, sentence))


#: One process runs one command.
SHELL: Final = Shell()


def _show_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    """Not eager: what comes with ``--json`` is known by then, whatever is typed first."""
    if wanted:
        ctx.ensure_object(Shell).show({"version": __version__}, f"kitestring, version {__version__}")
        ctx.exit()


def _show_schema(ctx: click.Context, _param: click.Parameter, words: str | None) -> None:
    if words is None:
        return
    from kitestring.app.cli.json_schema import schema_of, schema_of_one

    known = commands_of(cli)
    if words and words not in known:
        ctx.fail(f"there is no command {words!r} that answers with JSON; name all its words in quotes")
    ctx.ensure_object(Shell).print_json(schema_of_one(words) if words else schema_of(known))
    ctx.exit()


@click.group("kitestring", cls=Program, context_settings={"help_option_names": ["-h", "--help"], "obj": SHELL})
@click.option("--version", is_flag=True, expose_value=False, callback=_show_version, help="Show the version and exit.")
@data_dir_option
@json_option
@click.option(
    "--json-schema", metavar="[COMMAND]", is_flag=False, flag_value="", expose_value=False, callback=_show_schema,
    help="Show what --json answers, as JSON Schema, and exit.",
)  # fmt: skip
@click.option("--debug", is_flag=True, help="Show the traceback of an unexpected error.")
@click.pass_obj
def cli(shell: Shell, debug: bool) -> None:
    """Let any Nostr key pay and be paid through any Lightning node.

    Start with `kitestring up`; it needs no settings.
    """
    shell.debug = debug


def main() -> NoReturn:
    """The program."""
    cli.main(prog_name="kitestring")
