"""What happens in a wallet is one line each, for people or for programs, and goes on from a position."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.cli import wallet, watch
from kitestring.app.cli.on_paid import OnPaid
from kitestring.app.cli.shell import Shell
from kitestring.app.cli.values import when
from kitestring.app.cli.watch import command
from kitestring.backend.sandbox.world import World
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import sat
from kitestring.sdk.wallet import Wallet
from tests.kit.app.console import Service, kitestring, run
from tests.kit.clock import NOW

TEA = {
    "event": "payment_received", "type": "incoming", "state": "settled", "payment_hash": "ab" * 32,
    "amount_msat": 21_000, "fee_msat": 0, "created_at": NOW - 9, "settled_at": NOW,
    "description": "tea\x07 " + 50 * "x", "preimage": "cd" * 32, "metadata": "", "position": "kite1:5:",
}  # fmt: skip
RENT = {**TEA, "event": "payment_sent", "type": "outgoing", "fee_msat": 1_000, "description": ""}
HELD = {**TEA, "event": "hold_invoice_accepted", "state": "pending", "settled_at": None, "description": "kite"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the wallet was asked for; it tells three things, and somebody presses Ctrl-C."""
    found: list[Any] = []

    def watch(_: Shell, source: str, since: object, encryption: str, tell: Any, gone: Any) -> None:
        found.append((source, since, encryption))
        assert not gone()
        for told in (TEA, RENT, HELD):
            tell(told)
        raise KeyboardInterrupt

    monkeypatch.setattr(wallet, "watch", watch)
    return found


def test_each_is_one_line_until_ctrl_c(asked: list[Any]) -> None:
    said = run(command, "--wallet", "env:W")
    assert said.lines == [
        f"{when(NOW)}  received  +21 sat  tea {44 * 'x'}",
        f"{when(NOW)}  paid      -21 sat and 1 sat fee",
        f"{when(NOW - 9)}  held      +21 sat  kite",
    ]
    assert (said.code, asked) == (0, [("env:W", None, "auto")])


def test_a_program_gets_everything_and_the_position_to_go_on_from(asked: list[Any]) -> None:
    said = run(command, "--wallet", "-", "--since", "kite1:5:", "--json", "--encryption", "legacy")
    assert [json.loads(line) for line in said.lines] == [TEA, RENT, HELD]
    assert asked == [("-", "kite1:5:", "legacy")]


def test_a_time_may_be_given_in_place_of_a_position(asked: list[Any]) -> None:
    run(command, "--wallet", "-", "--since", "1760000000")
    assert asked == [("-", 1_760_000_000, "auto")]


def test_a_wallet_is_watched_from_a_time_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "world.db"
    told: list[Any] = []

    def tell(one: Any) -> None:
        told.append(one)

    async def sells() -> str:
        async with Wallet.open(f"sandbox://{path}") as seller:
            return (await seller.invoice(sat(5), memo="tea")).bolt11

    bolt11 = asyncio.run(sells())
    with World(path) as outside:
        outside.pay(bolt11)
    shell = Shell()
    shell.data_dir = str(tmp_path)
    monkeypatch.setenv("W", f"sandbox://{path}")
    wallet.watch(shell, "env:W", 0, "auto", tell, lambda: bool(told))
    (one,) = told
    assert (one["event"], one["amount_msat"], one["description"]) == ("payment_received", 5_000, "tea")
    assert one["position"].startswith("kite1:")


def test_a_position_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("W", f"sandbox://{tmp_path / 'world.db'}")
    shell = Shell()
    shell.data_dir = str(tmp_path)
    with pytest.raises(KitestringError, match="is no position"):
        wallet.watch(shell, "env:W", "yesterday", "auto", lambda *_: None, lambda: False)


# ------------------------------------------------------------ the running service


COIN = {
    "event": "payment_received", "happened_at": NOW, "amount_msat": 21_000, "payment_hash": "ab" * 32,
    "offer": "tea", "position": "feed:2",
}  # fmt: skip
REFUSED = {"event": "refused", "happened_at": NOW, "amount_msat": 9_000, "connection": "shop", "position": "feed:2"}
LAST = {**COIN, "position": "feed:3"}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The positions after which it was asked; it tells three things and stops."""
    asked: list[str | None] = []

    def activity(_: Shell, since: str | None, gone: Any) -> Iterator[dict[str, Any]]:
        asked.append(since)
        yield {"event": "begins", "position": "feed:1"}
        yield from (COIN, REFUSED, LAST)
        raise KitestringError(Reason.UNAVAILABLE, "the service has stopped")

    monkeypatch.setattr(Shell, "activity", activity)
    return asked


def watched(*args: str) -> Any:
    return kitestring("watch", *args)


def test_without_a_wallet_the_service_is_watched_until_it_stops(service: list[str | None]) -> None:
    said = watched()
    assert said.stdout.splitlines() == [
        f"{when(NOW)}  received  +21 sat  offer tea",
        f"{when(NOW)}  refused   9 sat  shop",
        f"{when(NOW)}  received  +21 sat  offer tea",
    ]
    assert (said.exit_code, service) == (4, [None])


def test_a_position_of_the_service_is_handed_on(service: list[str | None]) -> None:
    said = watched("--since", "feed:1", "--json")
    assert [json.loads(line).get("position") for line in said.stdout.splitlines()[:3]] == ["feed:2", "feed:2", "feed:3"]
    assert service == ["feed:1"]


def test_a_program_is_run_for_each_payment_that_came_and_its_failure_is_in_the_exit_code(
    service: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def activity(_: Shell, _since: str | None, _gone: Any) -> Iterator[dict[str, Any]]:
        yield from (COIN, REFUSED, LAST)

    monkeypatch.setattr(Shell, "activity", activity)
    runs = list[str]()

    def run(_: OnPaid, told: Any) -> bool:
        runs.append(told["position"])
        return True

    assert watched("--on-paid", "false").exit_code == 1
    monkeypatch.setattr(OnPaid, "run", run)
    assert watched("--on-paid", "false").exit_code == 0
    assert runs == ["feed:2", "feed:3"]


def test_the_place_is_kept_before_what_a_program_has_failed_at(service: list[str | None], tmp_path: Path) -> None:
    place = str(tmp_path / "place")
    said = watched("--on-paid", "false", "--keep", place, "--json")
    assert [json.loads(line).get("position") for line in said.stdout.splitlines()[:3]] == ["feed:1"] * 3
    watched("--on-paid", "true", "--keep", place)
    watched("--keep", place)
    assert service == [None, "feed:1", "feed:3"]


def test_a_place_and_a_file_are_one_too_many(service: list[str | None], tmp_path: Path) -> None:
    said = watched("--since", "feed:1", "--keep", str(tmp_path / "place"))
    assert (said.exit_code, service) == (2, [])
    assert "the file says where to begin" in said.stderr


def test_a_wallet_is_watched_from_the_time_that_is_kept(asked: list[Any], tmp_path: Path) -> None:
    place = tmp_path / "place"
    run(command, "--wallet", "-", "--keep", str(place))
    assert place.read_text() == "kite1:5:\n"
    run(command, "--wallet", "-", "--keep", str(place))
    (_, first, _), (_, second, _) = asked
    assert (isinstance(first, int), second) == (True, "kite1:5:")


def test_the_encryption_is_that_of_a_wallet(service: list[str | None]) -> None:
    assert watched("--encryption", "legacy").exit_code == 2


def test_a_reader_that_has_seen_enough_ends_it_quietly(tmp_path: Path) -> None:
    running = Service.start(tmp_path)
    try:
        words = shlex.join([sys.executable, "-m", "kitestring", "--data-dir", str(tmp_path)])
        line = f"{{ {words} watch --since feed:0 --json; echo $? >&2; }} | head -1"
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=True)
        json.loads(done.stdout)
        assert done.stderr == "0\n"
    finally:
        running.stop()


def test_a_line_is_no_longer_than_the_terminal(monkeypatch: pytest.MonkeyPatch, service: list[str | None]) -> None:
    monkeypatch.setattr(watch, "columns", lambda: 40)
    assert {len(line) for line in watched().stdout.splitlines()} <= set(range(41))
    assert watched().stdout.splitlines()[0].endswith("…")
