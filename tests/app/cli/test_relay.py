"""The relay alone on the command line: where it listens, and what it says when it is up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest

from kitestring.app.cli.relay import command
from kitestring.app.home.config import Config
from tests.kit.app.console import run


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Config, bool]]:
    """What would be served, instead of serving it."""
    seen: list[tuple[Config, bool]] = []

    async def serve(config: Config, ready: Callable[[str], None], *, memory: bool = False) -> None:
        seen.append((config, memory))
        ready("ws://127.0.0.1:4848")

    monkeypatch.setattr("kitestring.app.relay_alone.serve", serve)
    return seen


def test_it_says_where_it_is_and_how_to_stop_it(served: list[tuple[Config, bool]], tmp_path: Path) -> None:
    said = run(command, "--data-dir", str(tmp_path))
    assert said.out == "the relay is up: ws://127.0.0.1:4848\nCtrl-C stops it.\n"
    ((config, memory),) = served
    assert (config.relay.host, memory) == ("127.0.0.1", False)


def test_options_override_the_settings(served: list[tuple[Config, bool]], tmp_path: Path) -> None:
    (tmp_path / "kitestring.toml").write_text("[relay]\nport = 7\n")
    run(command, "--data-dir", str(tmp_path), "--host", "0.0.0.0", "--port", "0", "--memory")
    ((config, memory),) = served
    assert (config.relay.host, config.relay.port, memory) == ("0.0.0.0", 0, True)
    run(command, "--data-dir", str(tmp_path))
    assert served[1][0].relay.port == 7


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_a_port_that_is_none_is_refused(served: list[tuple[Config, bool]], port: str) -> None:
    with pytest.raises(click.ClickException):
        run(command, f"--port={port}")
    assert served == []
