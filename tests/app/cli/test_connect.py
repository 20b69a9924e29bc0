"""A new wallet connection: what it may do is typed, its link is apart from the words about it and not lost."""

from __future__ import annotations

import json
from typing import Any, get_args

import click
import pytest

from kitestring.app.cli.connect import METHODS, command, describe
from kitestring.app.cli.connect import PRESETS as TYPED_PRESETS
from kitestring.app.owner.connections import nwc_methods, preset_methods
from kitestring.base.errors import KitestringError, Reason
from kitestring.policy.presets import PRESETS, PresetName
from tests.kit.app.console import Service, run

MADE: dict[str, Any] = {
    "name": "agent", "account": "owner", "budgets": [{"limit_msat": 5_000_000, "period": "day", "length_s": 0}],
    "per_payment_msat": 1_000_000, "fee_cap_msat": None, "expires_at": None, "methods": ["get_balance", "pay_invoice"],
    "encryption": "auto", "lud16": None, "nwc_uri": "nostr+walletconnect://secret", "created": True,
    "show_balance": "budget", "show_history": "own", "preset": None, "paused_at": None,
    "callback": None, "open": None,
    "connection_id": "0a", "relays": [{"relay": "wss://good.example", "carries": True, "words": None}],
}  # fmt: skip

WEEK = {"limit_msat": 9_000_000, "period": "week", "length_s": 0}


def asked(*words: str) -> dict[str, Any]:
    said = run(command, "agent", *words, "--idempotency-key", "k", answer=MADE)
    ((name, params, key),) = said.asked
    assert (name, key, params.pop("name")) == ("connect", "k", "agent")
    found: dict[str, Any] = params
    return found


def test_what_is_not_said_is_left_to_the_service() -> None:
    assert asked() == {}


def test_limits_are_typed_in_sats() -> None:
    params = asked(
        "--budget", "5000/24h", "--per-payment", "21", "--max-fee", "3", "--account", "bob", "--encryption", "legacy"
    )
    assert (params["budget_msat"], params["period"], params["length_s"]) == (5_000_000, "rolling", 86_400)
    assert (params["per_payment_msat"], params["fee_cap_msat"]) == (21_000, 3_000)
    assert (params["account"], params["cipher"]) == ("bob", "legacy")
    assert asked("--expires", "2027-01-31") == {"expires_at": 1_801_353_600, "expires_in_s": None}
    assert asked("--expires", "2d") == {"expires_at": None, "expires_in_s": 172_800}


def test_no_budget_all_methods_the_whole_balance_and_history_are_said_in_words() -> None:
    shown = ("--show-balance", "full", "--show-history", "account")
    assert asked("--no-budget", "--methods", "all", *shown) == {
        "budget_msat": None, "preset": "full", "show_balance": "full", "show_history": "account",
    }  # fmt: skip
    for words in (("--no-budget", "--budget", "5/day"), ("--methods", "all", "--preset", "pay")):
        with pytest.raises(click.UsageError, match="choose one of them"):
            asked(*words)


def test_the_methods_that_are_listed_are_those_that_there_are() -> None:
    assert nwc_methods() == METHODS
    assert set(METHODS) - set(preset_methods("full")) == {"create_connection"}, "what `all` leaves out"


def test_a_second_budget_is_refused_instead_of_taking_the_place_of_the_first() -> None:
    with pytest.raises(click.UsageError, match="name one --budget; `kitestring connection edit NAME` gives"):
        asked("--budget", "10EUR/day", "--budget", "1000/day")


def test_a_preset_relays_an_address_and_the_link_of_an_app_are_typed() -> None:
    params = asked(
        "--preset", "pay", "--relay", "wss://a.example", "--relay", "wss://b.example", "--lud16", "a@b.example",
        "--deep-link", "nostrnwc://connect?callback=x%3A",
    )  # fmt: skip
    assert params == {
        "preset": "pay", "relays": ["wss://a.example", "wss://b.example"], "lud16": "a@b.example",
        "deep_link": "nostrnwc://connect?callback=x%3A",
    }  # fmt: skip


def test_where_an_app_has_asked_the_link_to_open_is_the_answer() -> None:
    said = run(command, "agent", answer={**MADE, "open": "my-app://x?value=secret"})
    assert said.out == "my-app://x?value=secret\n"
    assert "open it on the device of the app; `kitestring link agent` shows what is in it:" in said.err


@pytest.mark.parametrize("words", ["pay_invoice,get_balance", "pay_invoice get_balance", "pay_invoice, get_balance"])
def test_what_it_may_do_is_a_list_by_commas_or_blanks(words: str) -> None:
    assert asked("--methods", words)["methods"] == ["pay_invoice", "get_balance"]


def test_the_link_alone_is_the_answer_and_the_words_about_it_are_a_remark() -> None:
    said = run(command, "agent", answer=MADE)
    assert said.out == "nostr+walletconnect://secret\n"
    assert "keep this link secret; until its first use `kitestring link agent` shows it again:" in said.err
    assert "5,000 sat per day; at most 1,000 sat a payment; may get_balance, pay_invoice\n" in said.err
    assert "warning" not in said.err


def test_one_that_exists_is_shown_with_its_link_until_that_was_used() -> None:
    said = run(command, "agent", answer={**MADE, "created": False})
    assert (said.out, "; it was there already" in said.err) == ("nostr+walletconnect://secret\n", True)
    with pytest.raises(KitestringError) as refused:
        run(command, "my app", answer={**MADE, "name": "my app", "nwc_uri": None, "created": False})
    assert (refused.value.reason, refused.value.exit_code) == (Reason.ALREADY_USED, 2)
    assert "kitestring connection rotate 'my app'" in refused.value.message


def test_relays_that_do_not_carry_it_are_quoted_after_the_link() -> None:
    bad = {"relay": "wss://bad.example", "carries": False, "words": "blocked: members only"}
    said = run(command, "agent", answer={**MADE, "relays": [*MADE["relays"], bad]})
    assert said.out == "nostr+walletconnect://secret\n"
    assert "warning: wss://bad.example does not carry it yet: blocked: members only\n" in said.err
    assert "no relay carries it" not in said.err
    alone = run(command, "agent", answer={**MADE, "relays": [bad]})
    assert "warning: no relay carries it, so apps may not find it yet\n" in alone.err


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"budgets": [], "per_payment_msat": None},
            "agent: account owner; no budget limit; may get_balance, pay_in",
        ),
        (
            {"account": "bob", "budgets": [{"limit_msat": 5_000_000, "period": "never", "length_s": 0}, WEEK]},
            "agent: account bob; 5,000 sat in total and 9,000 sat per week; at most",
        ),
        ({"expires_at": 0}, "; until 19"),
        ({"encryption": "both"}, "; may get_balance, pay_invoice; encryption both"),
        ({"lud16": "a@b.example"}, "; may get_balance, pay_invoice; paid at a@b.example"),
        ({"fee_cap_msat": 3_000}, "at most 1,000 sat a payment; fees of at most 3 sat a payment; may"),
    ],
)
def test_a_connection_is_one_line(changes: dict[str, Any], line: str) -> None:
    assert line in describe({**MADE, **changes})


def test_a_connection_is_made_and_found_again_and_revoked(service: Service) -> None:
    made = service.ok("connect", "agent", "--budget", "100/day", "--methods", "pay_invoice")
    assert (made["budgets"][0]["limit_msat"], made["methods"]) == (100_000, ["pay_invoice"])
    assert made["relays"] == [{"relay": service.card["relay"], "carries": True, "words": None}]
    again = service.ok("connect", "agent", "--budget", "100/day")
    assert again == {**made, "created": False}
    other = service.run("--json", "connect", "agent", "--budget", "200/day")
    error = json.loads(other.stdout)["error"]
    assert (other.exit_code, error["reason"], error["details"]["differs"]) == (2, "conflict", ["budget"])
    assert service.ok("revoke", "agent")["name"] == "agent"
    assert service.run("revoke", "agent").exit_code == 2


def test_the_presets_that_can_be_typed_are_those_that_there_are(service: Service) -> None:
    assert get_args(PresetName) == TYPED_PRESETS == tuple(PRESETS)
    for number, name in enumerate(get_args(PresetName)):
        made = service.ok("connect", f"agent {number}", "--preset", name)
        assert made["methods"] == sorted(preset_methods(name))
    bare = service.run("connect", "bare", "--preset", "pay", "--no-budget")
    assert (bare.exit_code, "the preset pay needs a budget" in bare.stderr) == (2, True)
