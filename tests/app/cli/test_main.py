"""The program as a whole: quick to start, and every failure one sentence with the right exit code."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

from kitestring.app.cli import main as program
from kitestring.app.cli.summaries import SUMMARIES
from kitestring.app.home.datadir import DataDir
from kitestring.base.errors import TABLE, CodecError, KitestringError, Reason
from kitestring.base.money import sat
from kitestring.crypto.keys import SecretKey
from tests.kit.app.console import commands, kitestring
from tests.kit.codec.invoices import invoice

INVOICE = invoice(sat(5))
KEY = "ab" * 32
FULL = "error: the disk is full (/nowhere/kitestring): make room, at least 1 MB, and try again"
CONNECTION = f"nostr+walletconnect://{SecretKey(bytes([7]) * 32).public_hex}?relay=ws://127.0.0.1:9&secret={'08' * 32}"


def test_help_loads_neither_the_network_nor_the_ledger() -> None:
    code = (
        "import sys\nfrom kitestring.app.cli.main import cli\n"
        "try:\n    cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'aiohttp', 'rich', 'msgspec', 'asyncio', 'sqlite3', 'cryptography', 'segno', 'ssl', 'json'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.endswith("HEAVY []\n")
    assert "transactions" in output


def test_a_command_through_the_socket_loads_no_event_loop() -> None:
    code = (
        "import sys\nfrom kitestring.app.cli.main import cli\n"
        "try:\n    cli.main(['--data-dir', '/nowhere', 'invoice', '5'])\nexcept SystemExit as end:\n"
        "    print(end.code, sorted({'aiohttp', 'asyncio'} & set(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output == "Exit.UNAVAILABLE []\n"


def test_the_list_of_commands_is_the_help() -> None:
    output = kitestring("--help").stdout
    assert all(f"  {name} " in output and summary in output for name, summary in SUMMARIES.items())
    assert kitestring("-h").stdout == output


@pytest.mark.parametrize("words", commands())
def test_every_command_explains_itself_and_takes_the_common_options(words: str) -> None:
    result = kitestring(*words.split(), "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout
    assert "--data-dir" in result.stdout
    assert commands()[words].help


def test_the_list_of_a_group_cuts_no_sentence_in_two_on_a_usual_terminal() -> None:
    paths = {tuple(words.split()[:-1]) for words in commands()}
    assert ("debit", "pointer") in paths
    lists = [group(path).get_help(click.Context(group(path), terminal_width=78)).splitlines()[1:] for path in paths]
    assert [line for lines in lists for line in lines if line.endswith("...")] == []


def group(path: tuple[str, ...]) -> click.Group:
    """The group of commands under these words."""
    found: click.Command = program.cli
    for name in path:
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(found), name) or found
    assert isinstance(found, click.Group)
    return found


def test_the_version_is_told() -> None:
    from kitestring import __version__

    assert kitestring("--version").stdout == f"kitestring, version {__version__}\n"


@pytest.mark.parametrize(
    ("args", "code", "sentence"),
    [
        (["nope"], 2, "there is no command 'nope'; see `kitestring --help`"),
        (["pay"], 2, "TARGET is missing; see `kitestring pay --help`"),
        (["pay", "x", "1.5"], 2, "'1.5' is not a whole number of sats, such as 21; see `kitestring pay --help`"),
        (["rate", "JPY", "3.5"], 2, "JPY has no decimals: name no smaller part"),
        (["offer", "create", "x", "--price", "3.555EUR"], 2, "EUR has 2 decimals: name no smaller part; see"),
        (["pay", "x", "0"], 2, "0 sat is too little: write at least 1; see `kitestring pay --help`"),
        (["pay", "x", "1_000"], 2, "'1_000' is not a whole number of sats, such as 21; see `kitestring pay --help`"),
        (["pay", "x", "٢"], 2, "'٢' is not a whole number of sats, such as 21; see `kitestring pay --help`"),
        (["invoice", "2100000000000001"], 2, "2100000000000001 sat is more than the largest amount here"),
        (["connect", "x", "--budget", "5"], 2, "'5' is not a budget; write 5000/day"),
        (["connect", "x", "--expires", "soon"], 2, "'soon' is no time; write 12h, 30d"),
        (["transactions", "--nope"], 2, "there is no option"),
        (["decode", "lnbc1qqqqqqqqqq"], 2, "checksum"),
        (["decode", "user@host.example"], 2, "address"),
        (["pay", INVOICE], 4, "no service is running on /nowhere/kitestring: start it with `kitestring up`"),
        (["blance"], 2, "there is no command 'blance'; did you mean `kitestring balance`?"),
        (["transactions", "--limit", "0"], 2, "'0' is not a whole number from 1 to 1000; see `kitestring transactions"),
        (["invoice", "5", "--expiry", "1h"], 2, "'1h' is not a whole number from 60 to 604800"),
        (["--data-dir", "/dev/null", "balance"], 2, "/dev/null is not a directory; name another one with --data-dir"),
        (["--data-dir", "/dev/null", "connect", "x"], 2, "/dev/null is not a directory; name another one"),
        (["--data-dir", "/dev/null", "audit"], 2, "/dev/null is not a directory; name another one"),
        (["--data-dir", "", "balance"], 2, "--data-dir is empty: name a directory, or leave the option out"),
        (["balance", "--data-dir", ""], 2, "--data-dir is empty: name a directory, or leave the option out"),
        (["pay", "x"], 2, "the target cannot be read: this is no invoice, offer"),
        (["pay", ""], 2, "the target cannot be read: this is no invoice, offer"),
        (["pay", "-"], 2, "there is nothing on standard input"),
        (["pay", "--", "-21"], 2, "the target cannot be read: this is no invoice, offer"),
        (["pay", INVOICE[:-1]], 2, "the target cannot be read: "),
        (["pay", "-21"], 2, "an amount or a number has no sign: write it as in 21"),
        (["account", "fund", "bob", "-10"], 2, "-10 is below zero: to take money back, use"),
        (["pay", INVOICE, "--", "-21"], 2, "'-21' is not a whole number of sats, such as 21"),
        (["pay", KEY], 2, "not this (pubkey)"),
        (["pay", "x", "--wallet", CONNECTION], 2, "the target cannot be read: this is no invoice, offer"),
        (["pay", INVOICE, "--wallet", "x"], 2, "this is no wallet: one begins with nostr+walletconnect://"),
        (["sandbox", "pay", "x"], 2, "the target cannot be read: this is no invoice, offer"),
        (["sandbox", "pay", "-"], 2, "there is nothing on standard input"),
        (["sandbox", "pay", KEY], 2, "not this (pubkey)"),
        (["sandbox", "pay", INVOICE], 4, "there is no sandbox in /nowhere/kitestring yet"),
        (["balance"], 4, "there is no service in /nowhere/kitestring yet: start one with `kitestring up`"),
        (
            ["--data-dir", "/nowhere/my kite", "balance"],
            4,
            "there is no service in /nowhere/my kite yet: start one with `kitestring --data-dir '/nowhere/my kite' up`",
        ),
        (["audit"], 4, "there is no service in"),
        (["sandbox", "invoice", "5"], 4, "there is no sandbox in /nowhere/kitestring yet"),
        (["pay", "x", "--wallet", "env:NO_SUCH"], 2, "the environment variable NO_SUCH is not set"),
        (["pay", "x", "--wallet", "file:/nowhere/w"], 2, "/nowhere/w is not a file with a wallet link"),
    ],
)
def test_a_mistake_is_one_sentence(args: list[str], code: int, sentence: str) -> None:
    result = kitestring(*args)
    assert (result.exit_code, result.stdout) == (code, "")
    *warnings, said = result.stderr.splitlines()
    assert said.startswith("error: ")
    assert sentence in said
    assert all(line.startswith("warning: ") for line in warnings)
    told = json.loads(kitestring("--json", *args).stdout)["error"]
    assert said == f"error: {told['message']}"


def test_a_group_without_a_command_shows_its_help() -> None:
    result = kitestring("offer")
    assert result.exit_code == 2
    assert result.stderr.index("create") < result.stderr.index("list") < result.stderr.index("delete")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], Result]:
    """Runs a command that ends in the given way."""

    def fail(error: BaseException) -> Result:
        @click.command("init")
        def command() -> None:
            raise error

        monkeypatch.setattr(program.Program, "get_command", lambda *_: command)
        return kitestring("init")

    return fail


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_has_its_exit_code(reason: Reason, failing: Callable[[BaseException], Result]) -> None:
    result = failing(KitestringError(reason))
    assert result.exit_code == TABLE[reason].exit.value
    assert result.stderr == f"error: {TABLE[reason].sentence}\n"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (CodecError("the code is wrong"), 2, "error: the code is wrong\n"),
        (
            OSError(errno.ENOSPC, "x", "/disk/file"),
            1,
            "error: the disk is full (/disk/file): make room and try again\n",
        ),
        (PermissionError(errno.EACCES, "x", "/f"), 1, "error: this is not allowed to you (/f): look at the owner and "),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (click.Abort(), 130, "error: interrupted\n"),
        (ValueError("hunter2"), 1, "error: a fault in kitestring: ValueError in command (line "),
    ],
    ids=repr,
)
def test_no_failure_ends_in_a_traceback(
    error: BaseException, code: int, said: str, failing: Callable[[BaseException], Result]
) -> None:
    result = failing(error)
    assert result.exit_code == code
    assert result.stderr.lstrip("\n").startswith(said)  # a line of its own after the ^C of the terminal
    assert "hunter2" not in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("more", [(), ("--json",)])
@pytest.mark.parametrize(
    ("code", "exit_code", "sentence"),
    [
        (INVOICE, 1, "done, but the answer could not be written (no space left on device)"),
        ("nothing", 2, "this is no invoice, offer, address, key or wallet connection that kitestring knows"),
    ],
    ids=["answer", "error"],
)
def test_an_answer_that_cannot_be_written_is_one_sentence(
    code: str, exit_code: int, sentence: str, more: tuple[str, ...]
) -> None:
    with Path("/dev/full").open("w") as full:
        told = subprocess.run(
            [sys.executable, "-m", "kitestring", "decode", code, *more],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (told.returncode, told.stderr) == (exit_code, f"error: {sentence}\n")


@pytest.mark.parametrize(
    ("loading", "code", "said"),
    [("kitestring.app.cli.main", -signal.SIGINT, ""), ("kitestring.app.cli.init", 130, "\nerror: interrupted\n")],
    ids=["of the program", "of a command"],
)
def test_ctrl_c_while_something_is_loaded_ends_without_a_traceback(
    tmp_path: Path, loading: str, code: int, said: str
) -> None:
    interrupted = f"""
import os, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it

class Interrupting:
    def find_spec(self, name, *_):
        if name == {loading!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv[1:] = ["init", "--data-dir", {str(tmp_path)!r}]
from kitestring.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", interrupted], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, said)


def test_a_full_disk_under_the_ledger_is_named(failing: Callable[[BaseException], Result]) -> None:
    import sqlite3

    result = failing(sqlite3.OperationalError("database or disk is full"))
    assert result.stderr == f"{FULL}\n"


@pytest.mark.parametrize("words", ["disk I/O error", "unable to open database file"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_full_disk_is_named_whatever_sqlite_calls_it(
    words: str, wrapped: bool, failing: Callable[[BaseException], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    error: Exception = sqlite3.OperationalError(words)
    if wrapped:
        error, error.__cause__ = KitestringError(Reason.INTERNAL, "the relay cannot use its file"), error
    assert "full" not in failing(error).stderr

    def full(home: DataDir) -> None:
        raise home.full()

    monkeypatch.setattr(DataDir, "need_room", full)
    assert failing(error).stderr == f"{FULL}\n"


def test_a_wrong_setting_is_told_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "kitestring.toml").write_text("[relay]\nporte = 1\n")
    result = kitestring("balance", "--data-dir", str(tmp_path))
    assert result.exit_code == 2
    assert result.stderr == (
        f"error: {tmp_path}/kitestring.toml: relay.porte is not a setting; did you mean relay.port?\n"
    )
