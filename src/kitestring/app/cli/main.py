"""``kitestring``: the commands by name, each loaded only when it is used, and the one place where errors end."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import click

from kitestring import __version__
from kitestring.app.cli.shell import Shell, data_dir_option, json_option
from kitestring.base.errors import CodecError, Exit, KitestringError, Reason

#: command → what the list in ``--help`` says; its module has the same name and holds it as ``command``.
SUMMARIES: Final[Mapping[str, str]] = {
    "up": "Start the service and show its card.",
    "demo": "Play the whole story in front of you, crash included.",
    "init": "Write a commented settings file.",
    "connect": "Make a wallet connection (NWC) for an app.",
    "connections": "List the wallet connections.",
    "revoke": "End a wallet connection for ever.",
    "account": "Sub-accounts: create, list, fund.",
    "offer": "Static payment codes: create, list, show, delete.",
    "pay": "Pay an invoice or an offer.",
    "invoice": "Make an invoice to be paid.",
    "balance": "Show what can be spent.",
    "transactions": "List payments in and out.",
    "resolve": "Decide about a payment of unknown outcome.",
    "decode": "Explain a code: invoice, offer, connection, key.",
    "relay": "Run the relay alone.",
    "audit": "Prove that the books are right.",
    "doctor": "Check that everything is in order.",
    "sandbox": "The outside world of a sandbox: pay, invoice.",
}
#: What a shell reports for a program ended by Ctrl-C.
INTERRUPTED: Final = 130


class Commands(click.Group):
    """A group that knows its commands by name alone, and turns every failure into one sentence and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SUMMARIES:
            return None
        found = importlib.import_module(f"kitestring.app.cli.{cmd_name}").command
        assert isinstance(found, click.Command)  # noqa: S101 - a promise of our own modules, kept by a test
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in SUMMARIES and not args[0].startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(args[0], SUMMARIES, n=1)
            ctx.fail(f"there is no command {args[0]!r}{f', did you mean {close[0]}?' if close else ''}")
        return super().resolve_command(ctx, args)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        SHELL.reset()
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


def _tell(error: BaseException) -> int:
    code, reason, sentence, details = _explain(_full_disk(error) or error)
    if not sentence:
        return code
    if SHELL.as_json:
        SHELL.print_json({"error": {"reason": reason, "message": sentence, "details": details}})
    click.echo(f"error: {sentence}", err=True)
    return code


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


def _explain(error: BaseException) -> tuple[int, str, str, dict[str, object]]:
    """Exit code, reason, sentence ("" = say nothing) and details."""
    if isinstance(error, KitestringError):
        return error.exit_code, error.reason.value, error.message, error.details
    if isinstance(error, CodecError):
        return Exit.USAGE, Reason.MALFORMED.value, str(error), {}
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code, "", "", {}
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return Exit.USAGE, "", "", {}
    if isinstance(error, click.ClickException):
        return Exit.USAGE, Reason.MALFORMED.value, _usage(error), {}
    if isinstance(error, OSError):
        return _explain_os(error)
    return INTERRUPTED, "interrupted", "interrupted", {}


def _usage(error: click.ClickException) -> str:
    """A mistake on the command line in one sentence, with the name of the argument only where it is missing."""
    context = getattr(error, "ctx", None)
    plain = isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter)
    sentence = (error.message if plain else error.format_message()).rstrip(".")
    sentence = sentence[:1].lower() + sentence[1:]
    return f"{sentence}; see `{context.command_path} --help`" if context is not None else sentence


def _explain_os(error: OSError) -> tuple[int, str, str, dict[str, object]]:
    if error.errno == errno.EPIPE:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.INTERNAL, "", "", {}
    where = f" ({error.filename})" if error.filename else ""
    sentences = {
        errno.ENOSPC: f"the disk is full{where}: make room and try again",
        errno.EDQUOT: f"your disk quota is used up{where}: make room and try again",
        errno.EACCES: f"this is not allowed to you{where}: look at the owner and mode of the file",
        errno.EROFS: f"the disk is read-only{where}: name another directory with --data-dir",
    }
    sentence = sentences.get(error.errno or 0, f"{(error.strerror or 'the system refused').lower()}{where}")
    return Exit.INTERNAL, Reason.INTERNAL.value, sentence, {}


def _tell_bug(error: Exception) -> int:
    """Without the text of the error, which may repeat what was typed, a secret among it."""
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


@click.group("kitestring", cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "obj": SHELL})
@click.version_option(__version__, prog_name="kitestring")
@data_dir_option
@json_option
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
