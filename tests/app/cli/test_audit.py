"""An audit on the command line: every violation is a line, and the exit code says whether there is one."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from kitestring.app.cli import audit
from kitestring.app.cli.main import cli
from kitestring.app.home.datadir import DataDir
from kitestring.app.home.keyring import Keyring
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.app.console import Service


def told(result: dict[str, Any]) -> list[str]:
    return audit._text(result).splitlines()


RIGHT: dict[str, Any] = {"violations": [], "alarms": [], "node": None, "allowed": []}


def test_books_that_are_right_are_one_line_and_wrong_ones_name_each_invariant() -> None:
    assert told(RIGHT) == ["the books are right"]
    found = [{"invariant": "I2", "sentence": "1 msat is missing"}, {"invariant": "node", "sentence": "it paid twice"}]
    assert told({**RIGHT, "violations": found}) == ["I2: 1 msat is missing", "node: it paid twice", "2 violations"]
    assert told({**RIGHT, "node": {"payments": 7, "invoices": 3}}) == [
        "compared with the node; payments: 7, invoices: 3", "the books are right",
    ]  # fmt: skip


def test_the_books_of_a_running_service_are_right_also_against_its_node(service: Service) -> None:
    service.ok("pay", service.ok("sandbox", "invoice", "50")["bolt11"])
    result = service.ok("audit", "--node")
    assert result["violations"] == []
    assert result["node"]["payments"] > 0
    assert service.ok("audit", "--whole-node")["violations"] == []
    assert service.run("audit").stdout == "the books are right\n"


async def stopped(tmp_path: Path) -> DataDir:
    """The directory of a service that ran once."""
    home = DataDir(tmp_path, tmp_path)
    store = await SqliteStore.open(home.ledger, Keyring(home.seed(os.urandom)).service_id)
    await store.close()
    return home


async def test_a_broken_invariant_ends_with_code_1(tmp_path: Path) -> None:
    home = await stopped(tmp_path)
    args = ["--json", "--data-dir", str(tmp_path), "audit"]
    assert json.loads(CliRunner().invoke(cli, args).stdout) == RIGHT
    with closing(sqlite3.connect(home.ledger, isolation_level=None)) as raw:
        raw.execute("UPDATE accounts SET credits_msat = 5 WHERE account_id = 'owner'")
    broken = CliRunner().invoke(cli, args)
    assert broken.exit_code == 1
    assert [found["invariant"] for found in json.loads(broken.stdout)["violations"]] == ["I2"]


async def test_against_the_node_it_needs_the_running_service(tmp_path: Path) -> None:
    await stopped(tmp_path)
    refused = CliRunner().invoke(cli, ["--data-dir", str(tmp_path), "audit", "--node"])
    assert (refused.exit_code, refused.stdout) == (4, "")
    assert f"start it with `kitestring --data-dir {tmp_path} up`" in refused.stderr
