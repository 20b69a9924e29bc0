"""Entries of a wallet are read as far as they can be, and a proof counts above their words."""

from __future__ import annotations

import json

import pytest

from kitestring.base.commands import (
    ListTransactions,
)
from kitestring.base.errors import CodecError
from kitestring.base.money import Msat
from kitestring.base.outcomes import (
    Invoiced,
    Listed,
    Transaction,
)
from kitestring.wire.ask.nwc.methods import decode_response
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice
from tests.kit.wire.asked import COMMANDS, ROW


def read_list(*entries: object) -> Listed:
    outcome = decode_response(json.dumps({"result": {"transactions": entries}}), ListTransactions())
    assert isinstance(outcome, Listed)
    return outcome


def listed(*entries: object) -> tuple[Transaction, ...]:
    return read_list(*entries).transactions


def test_older_wallets_leave_out_the_state() -> None:
    entry = {"amount": "1000", "settled_at": NOW, "payment_hash": PAYMENT_HASH}
    outcome = decode_response(
        json.dumps({"result": {"transactions": [entry, {**entry, "settled_at": None}]}}), ListTransactions()
    )
    assert isinstance(outcome, Listed)
    assert [record.state for record in outcome.transactions] == ["settled", "pending"]


@pytest.mark.parametrize(
    "odd",
    [
        {"created_at": 1.5}, {"created_at": "2026-01-01T00:00:00Z"}, {"settled_at": -1}, {"expires_at": []},
        {"fees_paid": "some"}, {"fees_paid": -3}, {"description": 7}, {"metadata": "x"}, {"state": 3}, {"preimage": 1},
        {"invoice": None}, {"description_hash": "xy"},
    ],
    ids=str,
)  # fmt: skip
def test_an_odd_member_is_dropped_and_the_entry_kept(odd: dict[str, object]) -> None:
    (row,) = listed({**ROW, **odd})
    assert (row.amount_msat, row.fee_msat, row.payment_hash) == (Msat(1_000), Msat(0), PAYMENT_HASH)
    assert row.created_at in {0, NOW}


def test_an_entry_that_cannot_be_read_is_left_out_and_counted() -> None:
    odd = [{**ROW, "amount": amount} for amount in (None, 1.5, -5, "some")]
    read = read_list(ROW, "x", *odd, {**ROW, "amount": 2})
    assert [row.amount_msat for row in read.transactions] == [1_000, 2]
    assert read.left_out == 5


def test_a_list_of_which_nothing_can_be_read_is_not_called_empty() -> None:
    assert listed() == ()
    with pytest.raises(CodecError, match="none of 2 entries can be read: the wallet's transaction has no amount"):
        listed({**ROW, "amount": None}, {})


def test_an_amount_that_is_not_told_is_that_of_the_invoice() -> None:
    (row,) = listed({**ROW, "amount": None, "invoice": invoice()})
    assert row.amount_msat == 21_000
    made = decode_response(json.dumps({"result": {"invoice": invoice(None)}}), COMMANDS["make_invoice"])
    assert isinstance(made, Invoiced)
    assert made.transaction.amount_msat == 1_000


@pytest.mark.parametrize("state", ["failed", "pending", "expired", "", None, 7])
def test_an_outgoing_entry_with_its_proof_is_settled_whatever_its_state_says(state: object) -> None:
    (row,) = listed({**ROW, "invoice": "lnbc1", "state": state, "preimage": PREIMAGE})
    assert (row.state, row.preimage) == ("settled", PREIMAGE)
    (own,) = listed({**ROW, "type": "incoming", "state": state, "preimage": PREIMAGE})  # its maker always knows it
    assert (own.state == "settled", own.preimage) == (False, "")


@pytest.mark.parametrize("state", ["failed", "pending"])
def test_what_an_entry_without_an_invoice_shows_and_denies_is_neither_paid_nor_failed(state: str) -> None:
    """Of a keysend the payer has drawn the preimage; of any other payment it is the proof."""
    (row,) = listed({**ROW, "state": state, "preimage": PREIMAGE})
    assert (row.state, row.preimage) == ("pending", "")
    (row,) = listed({**ROW, "state": state, "preimage": PREIMAGE, "settled_at": NOW})
    assert (row.state, row.preimage) == ("settled", PREIMAGE)


def test_a_record_of_another_hash_is_not_the_one_asked_for() -> None:
    with pytest.raises(CodecError, match="another payment"):
        decode_response(json.dumps({"result": {**ROW, "payment_hash": "ab" * 32}}), COMMANDS["lookup_invoice"])
