"""What happens in a wallet is one line each, for people or for programs, and goes on from a position."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.cli import wallet
from kitestring.app.cli.shell import Shell
from kitestring.app.cli.values import when
from kitestring.app.cli.watch import command
from kitestring.backend.sandbox.world import World
from kitestring.base.errors import KitestringError
from kitestring.base.money import sat
from kitestring.sdk.wallet import Wallet
from tests.kit.app.console import run
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

    def watch(shell: Shell, source: str, since: object, encryption: str, tell: Any) -> None:
        found.append((source, since, encryption))
        for told in (TEA, RENT, HELD):
            tell(shell, told)
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

    def tell(_: Shell, one: Any) -> None:
        told.append(one)
        raise KeyboardInterrupt

    async def sells() -> str:
        async with Wallet.open(f"sandbox://{path}") as seller:
            return (await seller.invoice(sat(5), memo="tea")).bolt11

    bolt11 = asyncio.run(sells())
    with World(path) as outside:
        outside.pay(bolt11)
    shell = Shell()
    shell.data_dir = str(tmp_path)
    monkeypatch.setenv("W", f"sandbox://{path}")
    with pytest.raises(KeyboardInterrupt):
        wallet.watch(shell, "env:W", 0, "auto", tell)
    (one,) = told
    assert (one["event"], one["amount_msat"], one["description"]) == ("payment_received", 5_000, "tea")
    assert one["position"].startswith("kite1:")


def test_a_position_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("W", f"sandbox://{tmp_path / 'world.db'}")
    shell = Shell()
    shell.data_dir = str(tmp_path)
    with pytest.raises(KitestringError, match="is no position"):
        wallet.watch(shell, "env:W", "yesterday", "auto", lambda *_: None)
