"""What the TAB key is answered, and how little is loaded for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kitestring.app.cli.completing import quick
from kitestring.app.cli.summaries import SUMMARIES
from tests.kit.app.console import Service, commands

#: What takes long to load, and no answer of names needs.
HEAVY = ("msgspec", "asyncio", "aiohttp", "ssl", "cryptography", "kitestring.app.home.config")
LOOK = f"""
import sys
from kitestring.app.cli.main import main
try:
    main()
except SystemExit as end:
    print(end.code, [name for name in {HEAVY!r} if name in sys.modules])
"""


def told(*typed: str) -> list[str] | None:
    """The answer to TAB on the last word."""
    found = quick(list(typed[:-1]), typed[-1], SUMMARIES)
    return None if found is None else [item.value for item in found]


@pytest.fixture
def named(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setenv("KITESTRING_DATA_DIR", str(service.home))
    if not told("account", "show", "tab-"):
        service.ok("account", "create", "tab-alice")
        service.ok("connect", "tab-shop")
        service.ok("offer", "create", "tab-tea")
    return service


def test_the_first_word_is_every_command_with_its_summary() -> None:
    found = quick([], "", SUMMARIES)
    assert found is not None
    assert {item.value: item.help for item in found} == dict(SUMMARIES)
    assert told("bala") == ["balance"]


def test_the_next_word_is_one_of_its_group_at_any_depth() -> None:
    groups = {tuple(words.split()[:-1]) for words in commands() if " " in words}
    for group in groups:
        typed = [tuple(words.split()) for words in commands()]
        after = {words[len(group)] for words in typed if words[: len(group)] == group and len(words) > len(group)}
        assert set(told(*group, "") or ()) == after


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("link", "tab-shop"),
        ("revoke", "tab-shop"),
        ("connection edit", "tab-shop"),
        ("connection rename", "tab-shop"),
        ("account fund", "tab-alice"),
        ("account transfer", "tab-alice"),
        ("account transfer tab-alice", "tab-alice"),
        ("balance", "tab-alice"),
        ("offer show", "tab-tea"),
        ("offer forward tab-tea", "tab-tea"),
        ("offer create --account", "tab-alice"),
        ("transactions --connection", "tab-shop"),
        ("--json transactions --offer", "tab-tea"),
    ],
)
def test_a_name_is_completed_where_one_is_expected(named: Service, typed: str, name: str) -> None:
    assert named.child.poll() is None
    assert told(*typed.split(), "tab-") == [name]


@pytest.mark.parametrize(
    "typed",
    ["account create", "offer create", "pay", "account fund tab-alice", "connection rename tab-shop", "connect"],
)
def test_nothing_is_said_where_no_name_of_before_is_meant(named: Service, typed: str) -> None:
    assert named.child.poll() is None
    assert told(*typed.split(), "") == []


def test_the_directory_that_was_typed_is_looked_into(named: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KITESTRING_DATA_DIR", "/nowhere")
    assert told("link", "tab-") == []
    assert told("--data-dir", str(named.home), "link", "tab-") == ["tab-shop"]


def test_options_and_choices_are_left_to_click() -> None:
    assert told("connect", "--bud") is None
    assert told("connect", "--budget", "5/day", "") is None
    assert told("completion", "") is None


def test_nothing_that_takes_long_is_loaded_for_names(named: Service) -> None:
    asked = {
        "_KITESTRING_COMPLETE": "bash_complete",
        "COMP_WORDS": "kitestring revoke tab-",
        "COMP_CWORD": "2",
        "KITESTRING_DATA_DIR": str(named.home),
    }
    done = subprocess.run([sys.executable, "-c", LOOK], env=asked, capture_output=True, text=True, check=True)
    assert done.stdout == "plain,tab-shop\n0 []\n"


def test_a_directory_of_nobody_completes_no_names(tmp_path: Path) -> None:
    assert told("--data-dir", str(tmp_path), "revoke", "") == []
    assert list(tmp_path.iterdir()) == []
