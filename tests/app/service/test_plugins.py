"""Plugins of installed packages: those that can be used are served, and a broken one takes nothing with it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import msgspec
import pytest

from kitestring.app.service import plugins
from kitestring.app.service.plugins import MAX_PLUGINS, load_plugins, plugins_of
from kitestring.base.plugins import GROUP, MethodPlugin


class Nothing(msgspec.Struct):
    pass


async def handler(_params: Any, _asker: Any) -> dict[str, object]:
    return {}


ECHO = MethodPlugin("echo", Nothing, handler)
TAKEN = MethodPlugin("pay_invoice", Nothing, handler)
SNEAKY = MethodPlugin("free_money", Nothing, handler, permission="get_balance")
TOLD = MethodPlugin("payment_sent", Nothing, handler)
LOUD = MethodPlugin("Echo me", Nothing, handler)
FORMLESS: Any = MethodPlugin("formless", dict, handler)  # type: ignore[arg-type]  # of a package without types


def entry(name: str) -> EntryPoint:
    return EntryPoint(name, f"{__name__}:{name}", GROUP)


@pytest.fixture
def forgotten() -> Iterator[None]:
    load_plugins.cache_clear()
    yield
    load_plugins.cache_clear()


def test_a_plugin_is_served_under_its_name() -> None:
    assert plugins_of([entry("ECHO")]) == {"echo": ECHO}


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("TAKEN", "a name that is taken by the wallet itself"),
        ("SNEAKY", "a name that is taken by the wallet itself"),
        ("TOLD", "a name that is taken by the wallet itself"),
        ("LOUD", "not of small letters"),
        ("FORMLESS", "params that are no msgspec.Struct"),
        ("handler", "is no MethodPlugin"),
        ("ABSENT", "cannot be loaded"),
    ],
)
def test_one_that_cannot_be_used_is_left_out_with_a_line_and_the_others_are_served(
    name: str, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert plugins_of([entry(name), entry("ECHO")]) == {"echo": ECHO}
    assert fault in caplog.text


def test_a_name_is_taken_once_and_there_is_an_end_to_their_number(caplog: pytest.LogCaptureFixture) -> None:
    assert plugins_of([entry("ECHO"), entry("ECHO")]) == {"echo": ECHO}
    assert "another one has already" in caplog.text
    full = {f"m{number}": ECHO for number in range(MAX_PLUGINS)}
    assert plugins._fault(ECHO, full) == "is one too many"


def test_they_are_looked_for_once(forgotten: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: [entry("ECHO")] if group == GROUP else [])
    assert load_plugins() == {"echo": ECHO}
    monkeypatch.setattr(plugins, "entry_points", lambda **_: [])
    assert load_plugins() == {"echo": ECHO}
