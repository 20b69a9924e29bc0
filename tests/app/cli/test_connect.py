"""A new wallet connection: what it may do is typed, its link shown once and apart from the words about it."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.cli.connect import command, describe
from tests.kit.app.console import Service, run

MADE = {
    "name": "agent", "account": "owner", "budget_msat": 5_000_000, "period": "day", "length_s": 0,
    "per_payment_msat": 1_000_000, "fee_cap_msat": None, "expires_at": None, "methods": ["get_balance", "pay_invoice"],
    "encryption": "auto",
    "nwc_uri": "nostr+walletconnect://secret",
}  # fmt: skip


def asked(*words: str) -> dict[str, Any]:
    said = run(command, "agent", *words, "--idempotency-key", "k", answer=MADE)
    ((name, params, key),) = said.asked
    assert (name, key, params.pop("name")) == ("connect", "k", "agent")
    found: dict[str, Any] = params
    return found


def test_what_is_not_said_is_left_to_the_service() -> None:
    assert asked() == {"account": "owner", "cipher": "auto", "expires_at": None}


def test_limits_are_typed_in_sats() -> None:
    params = asked(
        "--budget", "5000/24h", "--per-payment", "21", "--max-fee", "3", "--account", "bob", "--encryption", "legacy"
    )
    assert (params["budget_msat"], params["period"], params["length_s"]) == (5_000_000, "rolling", 86_400)
    assert (params["per_payment_msat"], params["fee_cap_msat"]) == (21_000, 3_000)
    assert (params["account"], params["cipher"]) == ("bob", "legacy")
    assert asked("--expires", "2027-01-31")["expires_at"] == 1_801_353_600


@pytest.mark.parametrize("words", ["pay_invoice,get_balance", "pay_invoice get_balance", "pay_invoice, get_balance"])
def test_what_it_may_do_is_a_list_by_commas_or_blanks(words: str) -> None:
    assert asked("--methods", words)["methods"] == ["pay_invoice", "get_balance"]


def test_the_link_alone_is_the_answer_and_the_words_about_it_are_a_remark() -> None:
    said = run(command, "agent", answer=MADE)
    assert said.out == "nostr+walletconnect://secret\n"
    assert "keep this link secret; it is not shown again" in said.err
    assert "5,000 sat per day; at most 1,000 sat a payment; may get_balance, pay_invoice" in said.err


def test_one_that_exists_is_shown_without_its_link_and_it_is_said_how_to_get_a_new_one() -> None:
    said = run(command, "agent", answer={**MADE, "nwc_uri": None})
    assert said.out.startswith("agent: account owner; 5,000 sat per day")
    assert "kitestring revoke agent" in said.err
    assert "kitestring revoke 'my app'" in run(command, "my app", answer={**MADE, "nwc_uri": None}).err


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"budget_msat": None, "per_payment_msat": None},
            "agent: account owner; no budget limit; may get_balance, pay_in",
        ),
        ({"account": "bob", "period": "never"}, "agent: account bob; 5,000 sat in total; at most"),
        ({"expires_at": 0}, "; until 19"),
        ({"encryption": "both"}, "; may get_balance, pay_invoice; encryption both"),
        ({"fee_cap_msat": 3_000}, "at most 1,000 sat a payment; fees of at most 3 sat a payment; may"),
    ],
)
def test_a_connection_is_one_line(changes: dict[str, Any], line: str) -> None:
    assert line in describe({**MADE, **changes})


def test_a_connection_is_made_and_found_again_and_revoked(service: Service) -> None:
    made = service.ok("connect", "agent", "--budget", "100/day", "--methods", "pay_invoice")
    assert (made["budget_msat"], made["period"], made["methods"]) == (100_000, "day", ["pay_invoice"])
    again = service.ok("connect", "agent")
    assert (again["nwc_uri"], again["connection_id"]) == (None, made["connection_id"])
    assert service.ok("revoke", "agent")["name"] == "agent"
    assert service.run("revoke", "agent").exit_code == 2
