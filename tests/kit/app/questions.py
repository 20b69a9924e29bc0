"""A question to the owner as the service shows it, and two pointers and a grant, for the command line."""

from __future__ import annotations

from typing import Any, Final

NPUB: Final = "npub10xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqpkge6d"
DAY: Final[dict[str, Any]] = {
    "limit_msat": 500_000, "period": "day", "length_s": 0, "used_msat": 100_000, "left_msat": 400_000,
    "renews_at": 86_400,
}  # fmt: skip
TOTAL: Final[dict[str, Any]] = {
    "limit_msat": 5_000_000, "period": "never", "length_s": 0, "used_msat": 0, "left_msat": 5_000_000,
    "renews_at": None,
}  # fmt: skip
QUESTION: Final[dict[str, Any]] = {
    "id": "c0ffee00112233445566778899aabbcc", "version": 1, "kind": "payment", "wire": "debits", "caller": "79" * 32,
    "npub": NPUB, "pointer_id": "ab" * 16, "pointer": "main", "asked_at": 0, "expires_at": 600, "amount_msat": 50_000,
    "max_fee_msat": 10_000, "budget": None, "grant": None, "description": "order 17", "invoice_description": "beans",
    "payment_hash": "cd" * 32, "connection": None, "manage": None,
    "dealings": {"payments": 0, "cost_msat": 0, "last_at": None},
    "state": "open", "decided_at": None, "decided_by": "", "decision": "", "service_fee_msat": 0,
}  # fmt: skip
#: A question of an app for a connection.
APP: Final[dict[str, Any]] = {
    **QUESTION, "kind": "connection", "wire": "nwc", "pointer_id": "", "pointer": "", "amount_msat": None,
    "max_fee_msat": None, "service_fee_msat": None, "payment_hash": "", "description": "", "invoice_description": "",
    "connection": {
        "name": "Zap App", "methods": ["pay_invoice"], "optional_methods": ["get_balance"],
        "budget": {"limit_msat": 100_000, "period": "month", "length_s": 0}, "expires_at": None, "isolated": False,
        "verifiable": True, "wants_link": False, "relays": ["wss://app.example"], "return_to": "",
    },
}  # fmt: skip
ENDED: Final = {**QUESTION, "state": "denied", "decided_at": 60, "decided_by": "owner", "decision": "deny"}
GRANT: Final[dict[str, Any]] = {
    "grant_id": "0a1b2c3d", "name": "the shop", "caller": "79" * 32, "npub": NPUB, "pointer_id": "ab" * 16,
    "pointer": "main", "account": "owner", "budgets": [DAY, TOTAL], "per_payment_msat": None, "expires_at": None,
    "created_at": 0, "last_paid_at": None,
}  # fmt: skip
POINTER: Final[dict[str, Any]] = {
    "pointer_id": "ab" * 16, "label": "main", "ndebit": "ndebit1xyz", "policy": "ask", "sessions": "off",
    "account": "owner", "budgets": [], "per_payment_msat": None, "grants": 2, "created_at": 0, "old_relays": [],
}  # fmt: skip
