"""What every command has at hand: the service or its ledger, a key of its own, and answers for people or programs."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.cli.shell import LONG_WAIT_S, Shell
from kitestring.app.doors import unix_client
from kitestring.app.doors.unix_client import ControlClient
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import sat
from kitestring.base.text import is_safe
from tests.kit.app.console import Service, kitestring
from tests.kit.codec.invoices import invoice


@pytest.mark.parametrize("key", ["", "a b", "order\n17", "заказ-17", "k" * 129, "\x7f"])
def test_a_key_that_the_service_would_refuse_is_refused_before_it_is_asked(key: str) -> None:
    result = kitestring("invoice", "5", "--idempotency-key", key)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "an idempotency key has 1 to 128 visible ASCII characters" in result.stderr
    assert kitestring("invoice", "5", "--idempotency-key", "order-17").exit_code == 4


def test_a_command_to_be_typed_next_is_about_the_directory_that_was_named() -> None:
    shell = Shell()
    assert shell.hinted("run `kitestring up`") == "run `kitestring up`"
    shell.data_dir = "/my kite"
    assert shell.hinted("run `kitestring up`, see `kitestring --help`") == (
        "run `kitestring --data-dir '/my kite' up`, see `kitestring --help`"
    )


def test_a_service_that_does_not_answer_keeps_nobody_from_asking_another_wallet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell()
    shell.data_dir = str(tmp_path)
    monkeypatch.setenv("KITESTRING_RELAYS", "wss://relay.example")
    monkeypatch.setattr(unix_client, "TIMEOUT_S", 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as hung:
        hung.bind(str(shell.home.control_path()))
        hung.listen()
        assert shell.own_relays() == ("wss://relay.example",)
    assert "are not known: the service has not answered yet" in capsys.readouterr().err


def test_a_person_is_told_that_something_takes_time_and_a_program_is_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Shell().note_waiting("asking …")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    Shell().note_waiting("asking …")
    assert capsys.readouterr() == ("", "asking …\n")


def _fail_after(done: Callable[[], None]) -> None:
    done()
    raise KitestringError(Reason.UNAVAILABLE)


def test_a_person_is_told_of_a_long_wait_once_and_of_a_short_one_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Any] = []
    told = threading.Event()

    class Timer:
        """Set by hand in the place of the clock."""

        def __init__(self, after_s: float, tell: Callable[[str], None], words: tuple[str]) -> None:
            self.after_s, self.tell, self.words, self.daemon = after_s, tell, words, False
            begun.append(self)

        def start(self) -> None:
            assert self.daemon, "it keeps no program from ending"

        def cancel(self) -> None:
            told.set()

    monkeypatch.setattr(threading, "Timer", Timer)
    with Shell().noting_wait("still waiting …"):
        pass
    assert begun == [], "a program is told nothing"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with pytest.raises(KitestringError), Shell().noting_wait("still waiting …"):
        _fail_after(lambda: begun[0].tell(*begun[0].words))
    assert (capsys.readouterr().err, begun[0].after_s) == ("still waiting …\n", LONG_WAIT_S)
    assert told.is_set(), "nothing is said afterwards"


def test_nothing_that_is_printed_steers_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    shell, words = Shell(), "one\x1b[2K\ntwo\u202e\x9b"
    shell.show({"words": words}, words)
    shell.note(words)
    shell.as_json = True
    shell.show({"words": words}, words)
    text, answer = "one [2K\ntwo \n", '{"words":"one\\u001b[2K\\ntwo\\u202e\\u009b"}\n'
    said = capsys.readouterr()
    assert (said.out, said.err) == (text + answer, text)
    assert json.loads(answer)["words"] == words


def test_an_error_is_one_line_whatever_was_typed() -> None:
    said = kitestring("--json", "pay", "bitcoin:?req-a\x1b[2K\nb=1")
    assert said.exit_code == 2
    assert said.stderr.count("\n") == 1
    assert all(is_safe(line) for line in said.output.split("\n"))


def test_ctrl_c_during_a_command_says_that_it_may_still_be_done_and_how_to_repeat_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ControlClient, "call", interrupted)
    result = kitestring("connect", "app", "--idempotency-key", "order-17")
    assert result.exit_code == 130
    assert "the service may still do it; repeat it safely with --idempotency-key order-17\n" in result.stderr


@pytest.mark.parametrize(
    "words", [("connect",), ("offer", "show"), ("offer", "create"), ("invoice", "5", "--description")]
)
def test_words_in_another_encoding_are_refused_by_name(words: tuple[str, ...]) -> None:
    result = kitestring(*words, "caf\udce9")
    assert result.exit_code == 2
    assert "is not UTF-8 text: set terminal and shell to UTF-8" in result.stderr


def test_the_common_options_work_before_and_after_the_command(tmp_path: Path) -> None:
    before = kitestring("--data-dir", str(tmp_path), "--json", "balance")
    after = kitestring("balance", "--json", "--data-dir", str(tmp_path))
    assert before.output == after.output
    assert str(tmp_path) in before.stderr


@pytest.mark.parametrize(
    "words",
    [
        "card",
        "info",
        "balance",
        "transactions",
        "transactions --unpaid",
        "connections",
        "account list",
        "offer list",
        "doctor",
        "audit",
    ],
)
def test_people_get_calm_text(service: Service, words: str) -> None:
    result = service.run(*words.split())
    assert result.exit_code == 0, result.output
    assert result.stdout.strip()
    assert "{" not in result.stdout


def test_a_stopped_service_is_read_from_its_ledger_and_found_again(tmp_path: Path) -> None:
    first = Service.start(tmp_path / "data")
    first.ok("sandbox", "pay", first.card["noffer"], "21")
    first.ok("account", "create", "bob")
    readable = ("card", "transactions", "connections", "account list", "offer list", "offer show tea")
    first.ok("offer", "create", "tea")
    running = {words: first.ok(*words.split()) for words in readable}
    assert first.stop() == 0
    assert not (first.home / "control.sock").exists()
    assert {words: first.ok(*words.split()) for words in running} == running
    assert first.ok("balance")["balance_msat"] is None
    with closing(sqlite3.connect(first.home / "kitestring.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")  # whoever only reads does not wait for a writer
        assert first.ok("connections") == running["connections"]
    assert first.ok("audit") == {"violations": [], "alarms": [], "node": None, "allowed": []}
    for words in (
        f"pay {invoice(sat(5))}",
        "invoice 5",
        "info",
        "connect x",
        "revoke x",
        "account create x",
        "offer create x",
        "audit --node",
    ):
        result = first.run(*words.split())
        assert (result.exit_code, result.stdout) == (4, "")
        assert "start it with `kitestring up`" in result.stderr
    assert first.run("sandbox", "pay", first.card["noffer"], "21").exit_code == 4
    assert first.run("doctor").exit_code == 1
    second = Service.start(first.home)
    try:
        assert second.card == first.card
        assert second.first_link.startswith("nostr+walletconnect://")
    finally:
        assert second.stop(signal.SIGINT) == 0
