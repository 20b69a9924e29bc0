"""A subscription from the command line: on after a restart, once for cron, and never two at a time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kitestring.sdk.subscription_store import SubscriptionStore
from tests.kit.app.console import Service, kitestring
from tests.kit.app.customer import payer
from tests.kit.client.debtor import always
from tests.kit.clock import PATIENCE_S

DENIED = {"res": "GFY", "code": 1, "error": "Request Denied"}


async def test_once_charges_what_is_due_and_the_next_run_finds_nothing(service: Service) -> None:
    async with payer(service) as customer:
        words = (
            "debit",
            "subscribe",
            customer.code(),
            "500/month",
            "--once",
            "--name",
            "cron",
            "--description",
            "blog",
        )
        first = await customer.run("--json", *words)
        second = await customer.run(*words)
        budget, payment = customer.asked
    charge = json.loads(first.stdout)
    assert (first.exit_code, charge["period"], charge["amount_msat"]) == (0, 0, 500_000)
    assert charge["ends_at"] - charge["begins_at"] == 2_592_000
    assert (second.exit_code, second.stdout, second.stderr) == (0, "", "nothing is due\n")
    assert (budget["amount_sats"], budget["frequency"]) == (510, {"number": 1, "unit": "month"})
    assert (payment["amount_sats"], payment["description"]) == (500, "blog")


async def test_once_while_the_charge_is_not_paid_exits_with_why_and_tries_the_same_invoice_again(
    service: Service,
) -> None:
    async with payer(service, lambda request: DENIED if "bolt11" in request.members else {"res": "ok"}) as customer:
        words = ("debit", "subscribe", customer.code(), "500/day", "--once", "--name", "denied")
        refused = await customer.run(*words)
        assert (refused.exit_code, refused.stdout) == (7, "")
        assert "period 0: " in refused.stderr
        customer.debtor.answers = customer.pays
        done = await customer.run(*words)
        assert done.stdout.startswith("paid 500 sat until ")
        assert len({asked["bolt11"] for asked in customer.asked[1:]}) == 1
        assert [("frequency" in asked) for asked in customer.asked] == [True, False, False]


async def test_a_refused_budget_is_told_and_nothing_is_left(service: Service) -> None:
    async with payer(service, always(DENIED)) as customer:
        done = await customer.run("debit", "subscribe", customer.code(), "500/day", "--name", "unwanted")
    assert (done.exit_code, done.stderr) == (5, "error: the service refused the debit: Request Denied\n")
    listed = service.ok("debit", "subscriptions")["subscriptions"]
    assert "unwanted" not in [row["name"] for row in listed]


@contextmanager
def _heeding_ctrl_c() -> Iterator[None]:
    """Children of who was started in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


async def test_it_runs_in_the_foreground_alone_and_goes_on_after_a_kill(service: Service) -> None:
    async with payer(service) as customer:
        words = ("debit", "subscribe", customer.code(), "700/week", "--name", "foreground")
        environment = {**os.environ, "KITESTRING_DATA_DIR": str(service.home)}
        with _heeding_ctrl_c():
            running = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "kitestring", *words, env=environment, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
        assert running.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            line = await running.stdout.readline()
        assert line.startswith(b"paid 700 sat until ")
        second = await customer.run("--json", *words)
        assert second.exit_code == 4
        problem = json.loads(second.stdout)["error"]
        assert (problem["reason"], problem["details"]["pid"]) == ("busy", str(running.pid))
        running.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE_S):
            _, errors = await running.communicate()
        assert (running.returncode, b"the same command goes on from here" in errors) == (130, True)
        again = await customer.run(*words, "--once")
        assert (again.exit_code, again.stdout[:12]) in {(0, "paid 700 sat"), (0, "")}
        assert sum("bolt11" in asked for asked in customer.asked) == 1
    with SubscriptionStore(service.home) as store:
        (row,) = [row for row in store.subscriptions() if row.name == "foreground"]
        assert len(store.paid_charges(row.subscription_id)) == 1


@pytest.mark.parametrize("charge", ["500", "500/year", "0/day"])
def test_a_charge_has_an_amount_and_a_period(charge: str) -> None:
    done = kitestring("debit", "subscribe", "ndebit1x", charge)
    assert done.exit_code == 2
    assert "write 500/day, 500/week, 500/month;" in done.stderr
