"""Answers of the owner's commands become values with amounts of their own type."""

from __future__ import annotations

from kitestring import Budget, Msat
from kitestring.app.embedded.results import Connection, budget_use, connection_of, session_end


def test_a_relay_that_carries_a_connection_is_not_missing() -> None:
    relays = [
        {"relay": "wss://a.example", "carries": True, "words": ""},
        {"relay": "wss://b.example", "carries": False, "words": "blocked: pay first"},
    ]
    made = connection_of(
        {"name": "shop", "connection_id": "12", "nwc_uri": "nostr+walletconnect://x", "relays": relays}
    )
    assert made == Connection("shop", "12", "nostr+walletconnect://x", {"wss://b.example": "blocked: pay first"})
    assert "nostr+walletconnect" not in repr(made)


def test_a_budget_in_a_currency_says_so() -> None:
    row = {"limit_msat": 7, "period": "day", "length_s": 0, "currency": "EUR", "limit_minor": 350}
    found = budget_use({**row, "used_msat": 2, "left_msat": 5, "renews_at": 9})
    assert found.budget == Budget(Msat(7), "day", currency="EUR", limit_minor=350)
    assert (found.used, found.left, found.renews_at) == (Msat(2), Msat(5), 9)


def test_a_session_that_nobody_used_has_no_amounts() -> None:
    row = dict.fromkeys(("amount_msat", "fee_msat", "service_fee_msat", "payment_hash"))
    assert session_end({"state": "expired", **row}).amount is None
