"""Lists of transactions, cut to what fits into one reply."""

from __future__ import annotations

import json

import pytest

from kitestring.base.outcomes import Listed
from kitestring.wire.text import MAX_PLAINTEXT_BYTES
from tests.kit.clock import NOW
from tests.kit.wire.nwc import answer, decode, response
from tests.kit.wire.samples import transaction


@pytest.mark.parametrize(
    ("params", "incoming", "outgoing"),
    [
        ({}, False, False),
        ({"unpaid": None}, False, False),
        ({"unpaid": True}, True, True),
        ({"unpaid_incoming": True}, True, False),
        ({"unpaid_outgoing": True, "type": ""}, False, True),
    ],
)
def test_unpaid_records_are_asked_for_together_or_by_direction(params: object, incoming: bool, outgoing: bool) -> None:
    command = decode("list_transactions", params)
    assert (command.unpaid_incoming, command.unpaid_outgoing) == (incoming, outgoing)


def test_a_list_is_cut_where_the_largest_reply_ends() -> None:
    records = tuple(transaction(created_at=NOW - number, bolt11="x" * 1500) for number in range(50))
    plaintext = answer("list_transactions", Listed(records))
    assert plaintext is not None
    assert MAX_PLAINTEXT_BYTES - 2000 < len(plaintext) <= MAX_PLAINTEXT_BYTES
    times = [entry["created_at"] for entry in json.loads(plaintext)["result"]["transactions"]]
    assert times == [NOW - number for number in range(len(times))]
    assert response("list_transactions", Listed(()))["result"] == {"transactions": []}


def test_a_list_says_how_many_there_are_on_all_pages_where_they_were_counted() -> None:
    told = response("list_transactions", Listed((transaction(),), total=1_000))["result"]
    assert (len(told["transactions"]), told["total_count"]) == (1, 1_000)
    cut = answer("list_transactions", Listed(tuple(transaction(bolt11="x" * 1500) for _ in range(50)), total=50))
    assert cut is not None
    assert len(cut) <= MAX_PLAINTEXT_BYTES
    assert (len(json.loads(cut)["result"]["transactions"]) < 50, json.loads(cut)["result"]["total_count"]) == (True, 50)
