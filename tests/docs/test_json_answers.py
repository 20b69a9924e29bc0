"""The page of JSON answers: its schema is one, its examples keep it, and its lines of jq work on a real service."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.cli.listed import commands_of
from kitestring.app.cli.main import cli
from tests.kit.app.answers import hold_one
from tests.kit.app.console import Service

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
PAGE = (REFERENCE / "json.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### `([a-z -]+)`\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL))


def examples(words: str) -> list[dict[str, Any]]:
    """The answers that the page shows of a command."""
    return [json.loads(line) for line in re.findall(r"^```json\n(.*)\n```$", SECTIONS[words], re.MULTILINE)]


def test_every_command_has_its_place_on_the_page() -> None:
    assert list(SECTIONS) == list(commands_of(cli))


@pytest.mark.parametrize("words", SECTIONS)
def test_an_answer_that_the_page_shows_is_one_of_the_command(words: str) -> None:
    for shown in examples(words):
        hold_one(words, shown)
    assert examples(words) or words == "call"


def test_the_schema_refers_to_nothing_that_is_not_in_it() -> None:
    text = (REFERENCE / "json-schema.json").read_text(encoding="utf-8")
    schema = json.loads(text)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert list(schema["commands"]) == list(commands_of(cli))
    assert set(re.findall(r'"#/\$defs/(\w+)"', text)) <= set(schema["$defs"])


def test_the_lines_of_jq_answer_what_they_are_to_answer(tmp_path: Path) -> None:
    sums, unpaid, left = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    service = Service.start(tmp_path / "data")
    try:
        service.ok("sandbox", "pay", service.card["noffer"], "21")
        service.ok("offer", "create", "tea")
        service.ok("connect", "shop", "--budget", "50/total")
        came = service.ok("transactions", "--in")["transactions"]
        assert sum(row["amount_msat"] for row in came) == 21_000
        paid = {row["offer_id"] for row in came}
        assert [o["label"] for o in service.ok("offer", "list")["offers"] if o["offer_id"] not in paid] == ["tea"]
        budgets = [(c["name"], b["left_msat"]) for c in service.ok("connections")["connections"] for b in c["budgets"]]
        assert sorted(budgets) == [("first wallet", 10_000_000), ("shop", 50_000)]
        if shutil.which("jq"):
            assert _shell(service, sums) == ["21"]
            assert _shell(service, unpaid) == ["tea"]
            assert sorted(_shell(service, left)) == ["first wallet: 10000 of 10000", "shop: 50 of 50"]
    finally:
        service.stop()


def _shell(service: Service, line: str) -> list[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "KITESTRING_DATA_DIR": str(service.home)}
    done = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[:-1]
