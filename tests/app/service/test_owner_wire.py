"""The owner's own wire: what is stored comes back as it was, and nothing of it leaves the machine."""

from __future__ import annotations

import msgspec
import pytest

from kitestring.app.service.owner_wire import CONTROL, decode_control, encode_control
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import (
    Balance,
    Direction,
    Invoiced,
    Outcome,
    Paid,
    Received,
    Refused,
    Transaction,
    TransactionState,
)
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE

ROW = Transaction(
    Direction.INCOMING, TransactionState.PENDING, PAYMENT_HASH, Msat(21_000), Msat(0), 7, expires_at=9, bolt11="lnbcrt1"
)
OUTCOMES: list[Outcome] = [
    Paid(PAYMENT_HASH, PREIMAGE, Msat(21_000), Msat(5), internal=True),
    Invoiced(ROW),
    Refused(Reason.OVER_BUDGET, "too much", {"remaining_msat": 5, "kinds": ["a"]}),
]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)
def test_an_answer_comes_back_as_it_was_stored_with_its_amounts_as_amounts(outcome: Outcome) -> None:
    stored = encode_control("reply", outcome, 1_800_000_000)
    assert stored is not None
    assert (stored.event, stored.signed_at) == (b"", 1_800_000_000)
    found = decode_control(stored.plaintext)
    assert found == outcome
    if isinstance(found, Paid):
        assert type(found.amount_msat) is type(found.fee_msat) is Msat


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [("receipt", Received(PAYMENT_HASH, Msat(1), PREIMAGE)), ("receipt", OUTCOMES[0]), ("reply", Balance(Msat(1)))],
)
def test_receipts_and_answers_to_questions_are_not_stored(kind: str, outcome: Outcome) -> None:
    assert encode_control(kind, outcome, 0) is None


@pytest.mark.parametrize(
    "stored",
    [
        {"kind": "paid", "outcome": {"payment_hash": "aa"}},
        {"kind": "paid", "outcome": 7},
        {"kind": "invoiced", "outcome": {}},
    ],
)
def test_what_was_stored_by_somebody_else_is_not_taken_for_an_answer(stored: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_control(msgspec.json.encode(stored))


def test_an_amount_that_is_a_fraction_is_none() -> None:
    stored = {"payment_hash": "aa", "preimage": "", "amount_msat": 1.5, "fee_msat": 0}
    with pytest.raises((msgspec.ValidationError, TypeError)):
        decode_control(msgspec.json.encode({"kind": "paid", "outcome": stored}))


def test_the_address_of_the_owner_is_no_peers() -> None:
    assert CONTROL == b"control"


def test_an_answer_that_has_no_stored_form_is_an_error_and_not_half_an_answer() -> None:
    with pytest.raises(TypeError, match="no stored form for object"):
        encode_control("reply", Refused(Reason.INTERNAL, "", {"odd": object()}), 0)
