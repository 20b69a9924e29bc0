"""A connection that asks for one more, over Nostr Wallet Connect."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.base.budgets import Budget
from kitestring.base.commands import Connect
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Connected
from kitestring.codec.wallet_auth import MAX_METHODS
from kitestring.wire.serve.nwc.table import not_served
from tests.kit.wire.nwc import decode, refusal, request, response
from tests.kit.wire.samples import CLIENT

LEAST = {"pubkey": CLIENT.public_hex, "name": "Zap", "request_methods": ["pay_invoice"]}


def test_all_that_the_older_text_has_is_read() -> None:
    assert decode("create_connection", LEAST) == Connect(client=CLIENT.public_hex, name="Zap", methods=("pay_invoice",))
    more = {
        "request_methods": ["pay_invoice", "get_info", "pay_invoice"], "notification_types": ["payment_sent"],
        "max_amount": 5_000, "budget_renewal": "weekly", "expires_at": 1_900_000_000, "isolated": True,
        "metadata": {"app_store_app_id": "zap"}, "name": "Z\x00ap",
    }  # fmt: skip
    assert decode("create_connection", LEAST | more) == Connect(
        client=CLIENT.public_hex, name="Z ap", methods=("pay_invoice", "get_info"), optional=("payment_sent",),
        budget=Budget(Msat(5_000), "week"), expires_at=1_900_000_000, isolated=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "nothing", [{"max_amount": 0}, {"max_amount": None, "expires_at": 0, "notification_types": []}]
)
def test_what_says_nothing_asks_for_nothing(nothing: dict[str, Any]) -> None:
    assert decode("create_connection", LEAST | nothing) == decode("create_connection", LEAST)


@pytest.mark.parametrize(
    "wrong",
    [
        {"pubkey": None}, {"pubkey": "ab"}, {"pubkey": "ff" * 32}, {"request_methods": None}, {"request_methods": []},
        {"request_methods": "pay_invoice"}, {"request_methods": [1]}, {"request_methods": ["Pay invoice"]},
        {"request_methods": ["a"] * (MAX_METHODS + 1)}, {"notification_types": {"a": 1}}, {"max_amount": -1},
        {"max_amount": 1.5}, {"budget_renewal": "hourly"}, {"expires_at": -1}, {"isolated": "perhaps"},
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_malformed(wrong: dict[str, Any]) -> None:
    assert refusal(request("create_connection", LEAST | wrong)).refused.reason is Reason.MALFORMED


def test_the_answer_has_the_key_to_talk_to() -> None:
    assert response("create_connection", Connected("ab" * 32))["result"] == {"wallet_pubkey": "ab" * 32}


def test_it_is_served_where_the_owner_wants_both_older_methods_and_such_questions() -> None:
    assert "create_connection" in not_served({"legacy_methods"}) & not_served({"connection_requests"})
    assert "create_connection" not in not_served({"legacy_methods", "connection_requests"})
