"""The commands of the page are carried out as they stand, through the row that the page shows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from kitestring.app.cli import from_row
from kitestring.app.cli.loading import load
from kitestring.app.cli.summaries import lines_of
from kitestring.app.owner import command as classes
from kitestring.app.owner import commands, table
from kitestring.app.owner.command import CommandSpec
from kitestring.app.owner.table import CommandRow
from kitestring.base.errors import Reason
from tests.kit.app.console import run
from tests.kit.app.desk import open_office
from tests.kit.engine.rig import Life
from tests.kit.pages import HOW_TO, blocks, names_of

MODULE = "kitestring.app.owner.one_account"
CODE, ROWS = blocks("add-an-owner-command")


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[CommandRow, ...]]:
    """The module of the page, with its rows in the table."""
    module = ModuleType(MODULE)
    vars(module).update(names_of(CODE, MODULE))
    monkeypatch.setitem(sys.modules, MODULE, module)
    found: tuple[CommandRow, ...] = tuple(eval(line, {"CommandRow": CommandRow}) for line in ROWS.splitlines())
    monkeypatch.setattr(table, "TABLE", (*table.TABLE, *found))
    for row in found:
        monkeypatch.setitem(commands._MODULES, row.name, row.module)
    yield found
    commands.command.cache_clear()


@pytest.mark.usefixtures("rows")
async def test_the_commands_of_the_page_read_and_change_a_real_ledger(tmp_path: Path) -> None:
    life = Life(tmp_path / "ledger.db")
    async with open_office(life) as office:
        await office.run("account_create", name="bob")
        assert (await office.run("account_balance", name="bob"))["available_msat"] == 0
        tagged = {"account": "bob.till", "tag": "till"}
        assert await office.run("account_tag", "k2", account="bob", tag="till") == tagged
        found = await office.store.account("bob")
        assert found is not None
        assert found.name == "bob.till"
        assert await office.run("account_tag", "k2", account="bob", tag="till") == tagged
        assert (await office.refused("account_balance", name="eve")).reason is Reason.UNKNOWN_TARGET
        refused = await office.refused("account_tag", "k3", account="owner", tag="x")
        assert refused.reason is Reason.MALFORMED
        await office.set_owner(methods=frozenset({"read"}))
        refused = await office.refused("account_tag", "k4", account="bob.till", tag="y")
        assert refused.reason is Reason.NOT_PERMITTED
    life.audit()


def test_the_rows_of_the_page_are_commands_of_the_command_line(rows: tuple[CommandRow, ...]) -> None:
    balance, tag = (from_row._command(row) for row in rows)
    assert run(balance, "bob", answer={"account": "bob"}).asked == [("account_balance", {"name": "bob"})]
    said = run(tag, "bob", "till", "--idempotency-key", "k")
    assert said.asked == [("account_tag", {"account": "bob", "tag": "till"}, "k")]
    listed = lines_of("account")
    assert (listed["balance"], listed["tag"]) == (rows[0].summary, rows[1].summary)
    for row, made in zip(rows, (balance, tag), strict=True):
        assert made.get_short_help_str(100) == row.summary
        assert load(row.words).help == made.help


def test_every_class_of_command_is_on_the_page() -> None:
    there = {
        name
        for name, found in vars(classes).items()
        if isinstance(found, type) and issubclass(found, CommandSpec) and name[0] != "_" and "right" in vars(found)
    }
    text = (HOW_TO / "add-an-owner-command.md").read_text(encoding="utf-8")
    assert [name for name in there if f"| `{name}` | {getattr(classes, name).right.value} |" not in text] == []
