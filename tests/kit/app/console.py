"""The command line: commands before a shell that only notes what it is asked, and before a real service."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner, Result

from kitestring.app.cli.listed import commands_of
from kitestring.app.cli.main import cli
from kitestring.app.cli.shell import Shell


def kitestring(*args: str, **environment: str) -> Result:
    """What comes of one command in this process, on a directory that is not there unless ``args`` name one."""
    return CliRunner().invoke(cli, args, env={"KITESTRING_DATA_DIR": "/nowhere/kitestring", **environment})


def commands() -> dict[str, click.Command]:
    """Every command that can be run, by its words."""
    return commands_of(cli)


class Noted(Shell):
    """Notes what the service would be asked, and answers with what is laid ready."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[tuple[Any, ...]] = []

    def read(self, name: str, params: Any = None) -> dict[str, Any]:
        self.asked.append((name, params))
        return self.answer

    def call(self, name: str, params: Any, key: str = "", *, wait_s: float = 0) -> dict[str, Any]:
        self.asked.append((name, params, key))
        return self.answer


@dataclass
class Said:
    """What came of one command."""

    code: int
    out: str
    err: str
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.out)
        return value

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def run(command: click.Command, *args: str, answer: dict[str, Any] | None = None, stdin: str = "") -> Said:
    """One command before a noting shell."""
    shell = Noted(answer or {})
    # As below `kitestring`: a command keeps the names of its help option from its first use.
    settings = {**cli.context_settings, "obj": shell}
    done = CliRunner().invoke(command, args, input=stdin, standalone_mode=False, **settings)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    code = done.return_value if isinstance(done.return_value, int) else done.exit_code
    return Said(code, done.stdout, done.stderr, shell.asked)


@dataclass
class Service:
    """A running `kitestring up --json` as a process of its own, and its card."""

    home: Path
    child: subprocess.Popen[str]
    card: dict[str, Any]

    @classmethod
    def start(cls, home: Path, *options: str, stderr: int | None = None) -> Service:
        child = subprocess.Popen(
            [sys.executable, "-m", "kitestring", "up", "--json", *options],
            env={**os.environ, "KITESTRING_DATA_DIR": str(home)},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        assert child.stdout is not None
        line = child.stdout.readline()
        assert line, "the service did not start"
        return cls(home, child, json.loads(line))

    @property
    def first_link(self) -> str:
        """The link of the sandbox's first start, which no app has used."""
        return str(self.ok("link", "first wallet")["nwc_uri"])

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Its exit code."""
        self.child.send_signal(number)
        code = self.child.wait(20)
        assert self.child.stdout is not None
        self.child.stdout.close()
        return code

    def run(self, *args: str, stdin: str = "") -> Result:
        return CliRunner().invoke(cli, args, env={"KITESTRING_DATA_DIR": str(self.home)}, input=stdin)

    def ok(self, *args: str, stdin: str = "") -> dict[str, Any]:
        result = self.run("--json", *args, stdin=stdin)
        assert result.exit_code == 0, result.output
        told: dict[str, Any] = json.loads(result.stdout)
        return told
