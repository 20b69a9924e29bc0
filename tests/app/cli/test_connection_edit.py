"""A connection that is changed on the command line: what was before is shown beside what is now."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import click
import pytest
from click.testing import Result

from kitestring.app.cli.connection_edit import command
from kitestring.app.cli.values import when
from kitestring.nostr import kinds
from tests.app.cli.test_connection import SHOWN
from tests.kit.app.console import Service, run
from tests.kit.relay.client import client_of
from tests.kit.waiting import until

WEEK = {"limit_msat": 5_000_000, "period": "week", "length_s": 0}
DAY = {**WEEK, "period": "day"}


def said_of(field: str, before: object, after: object, **more: Any) -> list[str]:
    answer = {**SHOWN, **more, "changed": {field: {"before": before, "after": after}}}
    return run(command, "agent", "--no-budget", answer=answer).lines


@pytest.mark.parametrize(
    ("words", "params"),
    [
        (("--budget", "5000/week"), {"budgets": [WEEK]}),
        (("--budget", "5000/week", "--budget", "5000/day"), {"budgets": [WEEK, DAY]}),
        (("--no-budget",), {"budgets": []}),
        (("--per-payment", "9"), {"per_payment_msat": 9_000}),
        (("--per-payment", "none"), {"per_payment_msat": None}),
        (("--max-fee", "3"), {"fee_cap_msat": 3_000}),
        (("--fee-cap", "none"), {"fee_cap_msat": None}),
        (("--expires", "30d"), {"expires_in_s": 2_592_000}),
        (("--expires", "2027-01-31"), {"expires_at": 1_801_353_600}),
        (("--expires", "never"), {"expires_at": None}),
        (("--methods", "get_info, get_balance"), {"methods": ["get_info", "get_balance"]}),
        (("--methods", "all"), {"preset": "full"}),
        (("--show-history", "own"), {"show_history": "own"}),
        (("--show-balance", "full", "--if-version", "3"), {"show_balance": "full", "version": 3}),
        (("--preset", "read-only", "--name", "shop"), {"preset": "read-only", "new_name": "shop"}),
    ],
)
def test_what_is_typed_is_changed_and_nothing_else(words: tuple[str, ...], params: dict[str, Any]) -> None:
    said = run(command, "agent", *words, "--idempotency-key", "k", answer={**SHOWN, "changed": {}})
    assert said.asked == [("connection_edit", {"name": "agent", **params}, "k")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say what to change, such as --budget 5000/week"),
        (("--if-version", "3"), "say what to change, such as --budget 5000/week"),
        (("--if-version", "0", "--no-budget"), "is not a whole number from 1"),
        (("--budget", "5/day", "--no-budget"), "--budget and --no-budget say the opposite"),
        (("--methods", "all", "--preset", "pay"), "--methods and --preset both say"),
        (("--per-payment", "0"), "0 sat is too little"),
        (("--fee-cap", "never"), "not a whole number of sats"),
        (("--expires", "none"), "is no time"),
    ],
)
def test_what_cannot_be_meant_is_a_mistake(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(click.UsageError, match=re.escape(said)):
        run(command, "agent", *words)


def test_each_change_is_shown_with_its_value_before_and_after() -> None:
    assert said_of("budgets", [DAY], [WEEK, DAY])[0] == (
        "budgets: 5,000 sat per day → 5,000 sat per week and 5,000 sat per day"
    )
    assert said_of("budgets", [DAY], [])[0] == "budgets: 5,000 sat per day → no budget limit"
    assert said_of("per_payment_msat", 9_000, None)[0] == "per payment: 9 sat → none"
    assert said_of("fee_cap_msat", None, 3_000)[0] == "fee cap: none → 3 sat"
    assert said_of("expires_at", None, 1_760_000_000)[0] == f"expires at: never → {when(1_760_000_000)}"
    assert said_of("methods", ["get_info", "pay_invoice"], ["get_info", "get_balance"])[0] == (
        "methods: +get_balance -pay_invoice"
    )
    assert said_of("name", "agent", "shop")[0] == "name: agent → shop"


def test_what_its_app_sees_of_the_balance_is_said() -> None:
    assert said_of("show_balance", "budget", "full")[0] == "show balance: budget → full"
    assert "; sees the whole balance" in said_of("name", "agent", "shop", show_balance="full")[1]
    assert "; may everything" in said_of("name", "agent", "shop", preset="full")[1]


def test_what_its_app_sees_of_the_history_is_said() -> None:
    assert said_of("show_history", "own", "account")[0] == "show history: own → account"
    line = said_of("name", "agent", "shop", show_history="account")[1]
    assert line.endswith("; sees every payment of its account")
    assert "sees" not in said_of("name", "agent", "shop")[1]


def test_the_connection_is_shown_as_it_is_now_with_what_is_left_of_its_budgets() -> None:
    stands = {**WEEK, "used_msat": 1_000, "left_msat": 4_999_000, "renews_at": None}
    _, now, left = said_of("name", "agent", "shop", name="shop", budgets=[stands])
    assert now.startswith("connection shop: account owner; 5,000 sat per week; at most 1,000 sat a payment; may ")
    assert left == "budget: 4,999 sat left of 5,000 sat per week"
    same = run(command, "agent", "--no-budget", answer={**SHOWN, "changed": {}})
    assert same.lines[0] == "it is so already"


def test_an_app_with_its_old_link_is_held_against_the_new_budget(service: Service) -> None:
    uri = service.ok("connect", "edited", "--budget", "100/total")["nwc_uri"]

    def pays(sats: int) -> Result:
        bolt11 = service.ok("sandbox", "invoice", str(sats))["bolt11"]
        return service.run("pay", bolt11, "--yes", "--wallet", "-", stdin=uri)

    assert pays(40).exit_code == 0
    told = service.ok("connection", "edit", "edited", "--budget", "60/total", "--name", "edited again")
    (after,) = told["changed"]["budgets"]["after"]
    assert (after["limit_msat"], after["period"], after["length_s"]) == (60_000, "never", None)
    assert told["budgets"][0]["used_msat"] >= 40_000
    refused = pays(40)
    assert refused.exit_code != 0
    assert "budget" in refused.stderr
    service.ok("connection", "edit", "edited again", "--no-budget")
    assert pays(40).exit_code == 0
    assert service.run("connection", "edit", "edited", "--no-budget").exit_code == 2


def test_other_methods_are_announced_to_apps(service: Service) -> None:
    made = service.ok("connect", "announced", "--methods", "get_info")

    async def announced() -> str:
        async with client_of(service.card["relay"]) as reader:
            (event,) = await reader.ask("i", {"kinds": [kinds.NWC_INFO], "authors": [made["service_pubkey"]]})
            return event.content

    async def follows() -> None:
        async def is_new() -> bool:
            return await announced() == "get_balance get_info"

        assert await announced() == "get_info"
        await asyncio.to_thread(service.ok, "connection", "edit", "announced", "--methods", "get_balance,get_info")
        await until(is_new, pause_s=0.02)

    asyncio.run(follows())
