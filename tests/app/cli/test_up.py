"""``kitestring up`` where it cannot start: one sentence, the right exit code, no traceback."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kitestring.app.home.datadir import DataDir
from kitestring.ledger.sqlite.store import SqliteStore

START = [sys.executable, "-m", "kitestring", "up", "--json", "--data-dir"]


def refused(home: Path, code: int, *options: str) -> str:
    """The sentence of a start that must fail."""
    done = subprocess.run([*START, str(home), *options], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    sentence: str = json.loads(done.stdout)["error"]["message"]
    assert done.stderr == f"error: {sentence}\n"
    return sentence


def test_a_port_in_use_is_named(taken: int, tmp_path: Path) -> None:
    (tmp_path / "kitestring.toml").write_text(f"[relay]\nport = {taken}\n")
    sentence = refused(tmp_path, 2)
    assert f"port {taken} on 127.0.0.1 is in use" in sentence
    assert "choose another port" in sentence


def test_a_first_start_without_its_relay_is_refused(closed: int, tmp_path: Path) -> None:
    sentence = refused(tmp_path, 4, "--relay", f"ws://127.0.0.1:{closed}")
    assert f"ws://127.0.0.1:{closed}" in sentence


def test_a_node_that_is_not_there_is_named(closed: int, tmp_path: Path) -> None:
    (tmp_path / "macaroon").write_text("0201")
    sentence = refused(tmp_path, 4, "--node", f"lnd+https://127.0.0.1:{closed}?macaroon={tmp_path}/macaroon")
    assert f"https://127.0.0.1:{closed} cannot be reached" in sentence
    assert "0201" not in sentence


@pytest.mark.parametrize(
    "secret", ["nope", "lnd+https://host", "lnd+https://host?macaroon=/nowhere/m", "cln+unix:///x"]
)
def test_an_address_of_a_node_that_cannot_be_right_is_refused(secret: str, tmp_path: Path) -> None:
    refused(tmp_path, 2, "--node", secret)


async def test_the_directory_of_another_service_is_refused(tmp_path: Path) -> None:
    home = DataDir(tmp_path, tmp_path)
    await (await SqliteStore.open(home.ledger, "ab" * 32)).close()
    home.key_file.write_text("07" * 32)
    home.key_file.chmod(0o600)
    assert "holds the ledger of another service" in refused(tmp_path, 2)
    home.key_file.unlink()
    assert "put that file back from your backup" in refused(tmp_path, 2)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed(taken: int) -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
