"""What the registry is told of this wire."""

from __future__ import annotations

from kitestring.wire.serve.nwc import WIRE


def test_only_what_changes_nothing_is_a_question() -> None:
    questions = {"get_info", "get_balance", "get_budget", "lookup_invoice", "lookup_payment", "list_transactions"} | {
        "sign_message"
    }
    assert questions == WIRE.questions
