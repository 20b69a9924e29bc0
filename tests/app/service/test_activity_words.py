"""One line for each thing that happens, whatever others have written into it."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.service.activity_words import MAX_REASON_CHARS, sentence

PAID = {"event": "payment_sent", "amount_msat": 21_000, "fee_msat": 1_000, "service_fee_msat": 500}


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ({**PAID, "connection": "shop", "description": "rent"}, "paid      -21 sat and 1.500 sat fee  shop  rent"),
        (
            {"event": "payment_received", "amount_msat": 5_000, "offer": "tea", "connection": None, "fee_msat": 0},
            "received  +5 sat  offer tea",
        ),
        (
            {"event": "payment_received", "amount_msat": 5_000, "offer": "tea", "description": "tea"},
            "received  +5 sat  offer tea",
        ),
        ({"event": "payment_received", "amount_msat": 5_000, "account": "alice"}, "received  +5 sat  account alice"),
        (
            {"event": "refused", "amount_msat": 9_000, "connection": "shop", "detail": "too much"},
            "refused   9 sat  shop  too much",
        ),
        ({"event": "surplus_received", "amount_msat": None, "detail": "not ours"}, "received  not ours"),
        ({"event": "connection_made", "connection": "shop", "wire": "nwc"}, "made      connection shop"),
        ({"event": "connection_ended", "connection": "till", "wire": "debits"}, "ended     debit grant till"),
        (
            {"event": "refused_more", "count": 41, "by_strangers": True},
            "refused   and 41 more of strangers were refused",
        ),
        ({"event": "refused_more", "count": 2, "by_strangers": False}, "refused   and 2 more were refused"),
        ({"event": "command", "detail": "account fund alice 5 sat"}, "owner     account fund alice 5 sat"),
        ({"event": "missed", "count": 7}, "missed    7 older events are not kept any more"),
        ({"event": "of a newer service"}, "of a newer service"),
    ],
)
def test_each_is_one_line(told: dict[str, Any], line: str) -> None:
    assert sentence(told) == line


def test_words_of_others_stay_in_their_line_and_steer_no_terminal() -> None:
    evil = "tea\x1b[2J\nforged  line\u202e" + 65_536 * "x"
    told = {**PAID, "description": evil, "connection": evil, "detail": evil}
    line = sentence(told)
    assert line.isprintable()
    assert "tea [2J forged  line" in line
    assert len(line) < MAX_REASON_CHARS + 200
