"""What webhooks were told, as a table."""

from __future__ import annotations

import re

from kitestring.app.cli.offer_deliveries import command
from kitestring.app.cli.values import when
from tests.kit.app.console import run

ROW = {
    "delivery": "0c", "offer_id": "0a", "label": "tea", "created_at": 1_800_000_000, "amount_msat": 5_000,
    "payment_hash": "ab", "state": "waiting", "attempts": 3, "status": "HTTP status 500", "next_at": 1_800_000_060,
    "ended_at": None,
}  # fmt: skip


def test_each_delivery_is_a_line_with_its_state_and_what_comes_next() -> None:
    new = {**ROW, "attempts": 0, "status": "", "next_at": 0, "label": None}
    said = run(command, answer={"deliveries": [ROW, new]})
    assert said.asked == [("offer_deliveries", {"limit": 50, "failed": False})]
    assert re.split(r"\s\s+", said.lines[0]) == [
        "paid", "offer", "amount", "state", "attempts", "last answer", "next", "delivery",
    ]  # fmt: skip
    assert re.split(r"\s\s+", said.lines[1]) == [
        when(1_800_000_000), "tea", "5 sat", "waiting", "3", "HTTP status 500", when(1_800_000_060), "0c",
    ]  # fmt: skip
    assert re.split(r"\s\s+", said.lines[2]) == [when(1_800_000_000), "0a", "5 sat", "waiting", "0", "0c"]


def test_of_one_offer_only_failures_and_fewer_are_asked_for_and_none_is_said() -> None:
    said = run(command, "tea", "--failed", "--limit", "2", answer={"deliveries": []})
    assert said.asked == [("offer_deliveries", {"limit": 2, "failed": True, "offer": "tea"})]
    assert said.out == "nothing has failed\n"
    assert run(command, answer={"deliveries": []}).out == "no webhook was ever told of a payment\n"
