"""A program is run for each payment, with the payment on its standard input; whatever it does, one sentence says so."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.cli import on_paid
from kitestring.app.cli.on_paid import OnPaid
from kitestring.app.cli.shell import Shell
from kitestring.base.errors import Exit, KitestringError

EVIL = "$(touch forged); `id` \x1b[2J\n" + 65_536 * "x"
PAID: dict[str, Any] = {"event": "payment_received", "payment_hash": "ab" * 32, "description": EVIL}


def program(tmp_path: Path, text: str) -> str:
    path = tmp_path / "a program.py"
    path.write_text(text)
    return shlex.join([sys.executable, str(path)])


def test_it_reads_the_payment_and_nothing_of_it_is_in_its_arguments_or_environment(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = program(
        tmp_path,
        f"import json, os, sys\njson.dump([sys.stdin.read(), sys.argv[1:], dict(os.environ)], open({str(out)!r}, 'w'))",
    )
    assert OnPaid(Shell(), f"{words} 'two words' \\$HOME").run(PAID)
    read, arguments, environment = json.loads(out.read_text())
    assert (json.loads(read), read.count("\n")) == (PAID, 1)
    assert arguments == ["two words", "$HOME"], "no shell reads them"
    assert "ab" * 32 not in str(environment)
    assert not (tmp_path / "forged").exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("raise SystemExit(3)", "failed with exit code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "was ended by signal 15"),
    ],
)
def test_one_that_fails_is_said_in_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, why: str
) -> None:
    runs = OnPaid(Shell(), program(tmp_path, text))
    assert not runs.run(PAID)
    assert runs.exit_code is Exit.INTERNAL
    assert capfd.readouterr().err == f"warning: --on-paid {sys.executable} {why}, for the payment {'ab' * 32}\n"


def test_one_that_is_missing_is_said_in_one_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    assert not OnPaid(Shell(), "/nowhere/at-all").run(PAID)
    assert "cannot be started (no such file or directory)" in capfd.readouterr().err


def test_one_that_hangs_is_killed_with_all_that_it_has_started(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_paid, "MAX_RUN_S", 0.4)
    os.mkfifo(tmp_path / "alive")
    alive = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    words = program(
        tmp_path,
        "import os, subprocess, time\n"
        f"fd = os.open({str(tmp_path / 'alive')!r}, os.O_WRONLY); os.set_inheritable(fd, True)\n"
        "subprocess.Popen(['sleep', '999'], close_fds=False); time.sleep(999)",
    )
    assert not OnPaid(Shell(), words).run(PAID)
    assert "took more than 0 s and was killed" in capfd.readouterr().err
    os.set_blocking(alive, True)
    assert os.read(alive, 1) == b"", "nobody holds the other end any more"
    os.close(alive)


def test_one_that_does_not_read_is_no_failure(tmp_path: Path) -> None:
    assert OnPaid(Shell(), program(tmp_path, "pass")).run(PAID)


def test_what_it_prints_is_not_among_our_answers(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    OnPaid(Shell(), program(tmp_path, "print('hello')")).run(PAID)
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "hello\n")


def test_ctrl_c_waits_for_its_end(tmp_path: Path) -> None:
    done = tmp_path / "done"
    words = program(
        tmp_path,
        f"import os, signal, sys; sys.stdin.read(); os.kill(os.getppid(), signal.{signal.SIGINT.name})\n"
        f"open({str(done)!r}, 'w').close()",
    )
    with pytest.raises(KeyboardInterrupt):
        OnPaid(Shell(), words).run(PAID)
    assert done.exists()


@pytest.mark.parametrize(("typed", "sentence"), [("'open", "a quote is not closed"), ("  ", "is empty")])
def test_what_is_no_command_is_refused_before_anything_is_done(typed: str, sentence: str) -> None:
    with pytest.raises(KitestringError, match=sentence):
        OnPaid(Shell(), typed)


def test_without_a_program_nothing_is_run() -> None:
    runs = OnPaid(Shell(), "")
    assert (runs.run(PAID), runs.exit_code) == (True, Exit.OK)
