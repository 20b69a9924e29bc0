"""Waiting for an invoice: paid, expired, and never called expired without the word of whoever made it."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kitestring.app.cli import wait_paid
from kitestring.app.cli.invoice import command
from kitestring.app.cli.shell import Shell
from kitestring.backend.sandbox.world import World
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.outcomes import TransactionState
from tests.kit.app.console import Service, kitestring, run

HASH = "ab" * 32
MADE = {"amount_msat": 21_000, "bolt11": "lnbcrt210n1xyz", "payment_hash": HASH, "state": "pending"}
PAID = {**MADE, "state": "settled"}
UNPAID = {**MADE, "state": "expired"}


class Calls:
    """In the place of the service: what it tells, and the rows that it has, the last one forever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, told: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
        self.ends_at, self.rows, self.order = int(time.time()) + 3_600, rows, list[str]()
        self._told = told
        monkeypatch.setattr(Shell, "activity", lambda _, since, gone: self._activity(gone))
        monkeypatch.setattr(Shell, "call", self._call)

    def _activity(self, gone: Any) -> Iterator[dict[str, Any]]:
        self.order.append("watch")
        yield {"event": "begins", "position": "feed:1"}
        yield from self._told
        if not gone():
            raise KitestringError(Reason.UNAVAILABLE, "the service has stopped")

    def _call(self, name: str, _params: Any, _key: str = "", *, wait_s: float = 0) -> dict[str, Any]:
        self.order.append(name)
        if name == "invoice":
            return {**MADE, "expires_at": self.ends_at}
        return self.rows.pop(0) if len(self.rows) > 1 else self.rows[0]


def waiting(*args: str) -> Any:
    return kitestring("invoice", "21", "--wait", *args)


def at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are over at once."""
    monkeypatch.setattr(wait_paid, "LATE_S", -1)
    monkeypatch.setattr(wait_paid, "POLL_S", 0)


def test_it_listens_before_the_invoice_is_made_and_ends_with_its_payment(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [
        {"event": "payment_received", "payment_hash": "cd" * 32},
        {"event": "refused", "payment_hash": HASH},
        {"event": "payment_received", "payment_hash": HASH},
        {"event": "never read"},
    ]
    calls = Calls(monkeypatch, told, [MADE, PAID])
    said = waiting("--json")
    first, second = map(json.loads, said.stdout.splitlines())
    assert (said.exit_code, first["bolt11"]) == (0, MADE["bolt11"])
    assert second == {"event": "payment_received", **PAID}
    assert calls.order == ["watch", "invoice", "lookup", "lookup"]


def test_one_that_was_paid_before_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    Calls(monkeypatch, [], [PAID])
    said = waiting("--idempotency-key", "order-17")
    assert (said.exit_code, said.stdout) == (0, f"{MADE['bolt11']}\n")
    assert said.stderr.endswith("paid: 21 sat\n")


def test_one_that_nobody_has_paid_has_an_exit_code_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    at_its_end(monkeypatch)
    Calls(monkeypatch, [], [MADE, MADE, UNPAID]).ends_at = 0
    said = waiting("--json", "--on-paid", "false")
    assert (said.exit_code, json.loads(said.stdout.splitlines()[1])["event"]) == (3, "invoice_expired")
    assert waiting().stderr.endswith("expired or cancelled: nobody has paid it\n")


def test_one_that_was_paid_in_the_last_moment_is_paid(monkeypatch: pytest.MonkeyPatch) -> None:
    at_its_end(monkeypatch)
    Calls(monkeypatch, [], [MADE, PAID]).ends_at = 0
    assert waiting().exit_code == 0


@pytest.mark.parametrize("state", ["pending", "accepted"])
def test_one_that_may_still_be_paid_is_not_called_unpaid_because_its_time_is_over(
    state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_its_end(monkeypatch)
    monkeypatch.setattr(wait_paid, "LAST_S", 0)
    Calls(monkeypatch, [], [MADE, {**MADE, "state": state}]).ends_at = 0
    said = waiting("--json")
    assert (said.exit_code, "invoice_expired" in said.stdout) == (7, False)
    assert "it may still be paid" in said.output
    assert f"`kitestring lookup {HASH}` shows whether it was paid" in said.output


def test_a_clock_that_leaps_ahead_ends_no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [{"event": "payment_received", "payment_hash": HASH}]
    calls, now = Calls(monkeypatch, [], [MADE, UNPAID]), time.time()
    calls.ends_at = int(now) + 3_600

    def leaping(gone: Any) -> Iterator[dict[str, Any]]:
        yield {"event": "begins", "position": "feed:1"}
        monkeypatch.setattr(time, "time", lambda: now + 400 * 86_400)
        assert not gone()
        calls.rows = [PAID]
        yield from told

    monkeypatch.setattr(calls, "_activity", leaping)
    assert waiting().exit_code == 0


def test_a_service_that_stops_meanwhile_says_how_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    Calls(monkeypatch, [], [MADE])
    said = waiting()
    assert said.exit_code == 4
    assert f"`kitestring lookup {HASH}` shows whether it was paid" in said.stderr


def test_a_program_is_run_once_and_its_failure_is_in_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Calls(monkeypatch, [], [PAID])
    out = tmp_path / "out"
    words = shlex.join([sys.executable, "-c", f"import sys; open({str(out)!r}, 'a').write(sys.stdin.read())"])
    assert waiting("--on-paid", words).exit_code == 0
    assert json.loads(out.read_text()) == {"event": "payment_received", **PAID}
    assert waiting("--on-paid", "false").exit_code == 1


def test_a_program_needs_the_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KitestringError, match="--wait"):
        run(command, "21", "--on-paid", "true", answer=MADE)


def test_an_invoice_of_the_running_service_is_waited_for(service: Service) -> None:
    words = [sys.executable, "-m", "kitestring", "--data-dir", str(service.home), "invoice", "21", "--wait", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as waits:
        assert waits.stdout is not None
        made = json.loads(waits.stdout.readline())
        assert waits.poll() is None, "it is shown before it is paid"
        service.ok("sandbox", "pay", made["bolt11"])
        assert json.loads(waits.stdout.readline())["preimage"]
    assert waits.returncode == 0


def test_an_invoice_of_a_wallet_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "world.db"
    monkeypatch.setattr(wait_paid, "POLL_S", 0.01)
    monkeypatch.setenv("W", f"sandbox://{path}")
    shell, shown = Shell(), list[dict[str, Any]]()
    shell.data_dir = str(tmp_path)

    def pay(made: dict[str, Any]) -> None:
        shown.append(made)
        with World(path) as outside:
            outside.pay(made["bolt11"])

    row = wait_paid.at_wallet(shell, "env:W", 5, "tea", 600, "auto", pay)
    assert (row["state"], row["payment_hash"], row["description"]) == ("settled", shown[0]["payment_hash"], "tea")


@pytest.mark.parametrize("reason", [Reason.UNAVAILABLE, Reason.NOT_PERMITTED])
def test_a_look_that_fails_proves_nothing(monkeypatch: pytest.MonkeyPatch, reason: Reason) -> None:
    for name in ("GRACE_S", "LAST_S", "POLL_S"):
        monkeypatch.setattr(wait_paid, name, -1 if name == "LAST_S" else 0)
    looks = 0

    async def lookup(_: str) -> Any:
        nonlocal looks
        looks += 1
        raise KitestringError(reason)

    wallet: Any = SimpleNamespace(lookup=lookup)
    invoice: Any = SimpleNamespace(payment_hash=HASH, expires_at=1)
    with pytest.raises(KitestringError) as caught:
        asyncio.run(wait_paid._settled(wallet, invoice, 60))
    assert (caught.value.reason, looks) == (reason, 1)


def test_a_wallet_that_was_away_for_a_while_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait_paid, "POLL_S", 0)
    answers: list[Any] = [KitestringError(Reason.UNAVAILABLE), SimpleNamespace(state=TransactionState.PENDING)]
    settled = SimpleNamespace(state=TransactionState.SETTLED)

    async def lookup(_: str) -> Any:
        answer = answers.pop(0) if answers else settled
        if isinstance(answer, KitestringError):
            raise answer
        return answer

    wallet: Any = SimpleNamespace(lookup=lookup)
    invoice: Any = SimpleNamespace(payment_hash=HASH, expires_at=None)
    assert asyncio.run(wait_paid._settled(wallet, invoice, 60)) is settled


def test_a_wallet_is_believed_that_nobody_has_paid_some_minutes_after_the_end_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wait_paid, "POLL_S", 0)
    said = [TransactionState.EXPIRED, TransactionState.EXPIRED, TransactionState.SETTLED]

    async def lookup(_: str) -> Any:
        return SimpleNamespace(state=said.pop(0) if said else TransactionState.PENDING)

    wallet: Any = SimpleNamespace(lookup=lookup)
    invoice: Any = SimpleNamespace(payment_hash=HASH, expires_at=1)
    assert asyncio.run(wait_paid._settled(wallet, invoice, 60)).state is TransactionState.SETTLED
    monkeypatch.setattr(wait_paid, "GRACE_S", 0)
    said.append(TransactionState.EXPIRED)
    assert asyncio.run(wait_paid._settled(wallet, invoice, 60)).state is TransactionState.EXPIRED
    monkeypatch.setattr(wait_paid, "LAST_S", -1)
    with pytest.raises(KitestringError, match="the wallet has not said yet") as caught:
        asyncio.run(wait_paid._settled(wallet, invoice, 60))
    assert caught.value.reason is Reason.PAYMENT_IN_FLIGHT
