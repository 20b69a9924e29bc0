"""The states of a payment: which step is legal, what holds a hash and what money; and the proof that it was made."""

from __future__ import annotations

from hashlib import sha256
from itertools import product

import pytest

from kitestring.base.payments import HOLDING, OPEN, TERMINAL, TRANSITIONS, IllegalStepError, State, preimage_fits, step

PREIMAGE = "5a" * 32
HASH = sha256(bytes.fromhex(PREIMAGE)).hexdigest()
LEGAL = {
    (before, after)
    for before, afters in {
        "received": "refused asked reserved",
        "asked": "refused reserved",
        "reserved": "dispatched settled failed",
        "dispatched": "settled failed unknown",
        "unknown": "settled failed resolved",
        "resolved": "settled",
    }.items()
    for after in afters.split()
}


def reachable(first: State) -> set[State]:
    found, todo = {first}, [first]
    while todo:
        new = TRANSITIONS[todo.pop()] - found
        found |= new
        todo += new
    return found


@pytest.mark.parametrize(("before", "after"), list(product(State, State)))
def test_a_payment_takes_the_steps_of_the_table_and_no_other(before: State, after: State) -> None:
    if (before.value, after.value) in LEGAL:
        assert step(before, after) is after
        return
    with pytest.raises(IllegalStepError, match=f"from {before.value} to {after.value}$") as caught:
        step(before, after)
    assert (caught.value.before, caught.value.after) == (before, after)


def test_every_state_has_its_row_and_is_reached() -> None:
    assert set(TRANSITIONS) == set(State) == reachable(State.RECEIVED)


def test_what_is_settled_or_failed_or_refused_stays_so() -> None:
    assert {State.SETTLED, State.FAILED, State.REFUSED} == TERMINAL
    for state in TERMINAL:
        assert reachable(state) == {state}


def test_once_the_node_may_have_been_asked_there_is_no_way_back_to_before() -> None:
    before = {State.RECEIVED, State.REFUSED, State.ASKED, State.RESERVED}
    assert not before & reachable(State.DISPATCHED)


def test_the_operators_word_is_corrected_by_a_settlement_alone() -> None:
    assert reachable(State.RESOLVED) == {State.RESOLVED, State.SETTLED}


def test_a_hash_is_owned_from_the_reservation_on_until_a_proven_failure() -> None:
    assert reachable(State.RESERVED) - {State.FAILED} == HOLDING


def test_money_is_held_until_the_truth_or_the_operators_word_is_known() -> None:
    assert HOLDING - {State.SETTLED, State.RESOLVED} == OPEN
    assert all(State.SETTLED in reachable(state) and State.FAILED in reachable(state) for state in OPEN)


# ------------------------------------------------------------ the proof


def test_a_preimage_that_hashes_to_the_payment_is_its_proof_in_either_case() -> None:
    assert preimage_fits(PREIMAGE, HASH)
    assert preimage_fits(PREIMAGE.upper(), HASH.upper())


@pytest.mark.parametrize(
    "preimage",
    ["", "5b" * 32, PREIMAGE[:-1], PREIMAGE[:-2], "zz" * 32, "é" * 64, f"{PREIMAGE[:-2]}  ", HASH],
)
def test_anything_else_proves_nothing(preimage: str) -> None:
    assert not preimage_fits(preimage, HASH)


def test_a_secret_of_another_length_proves_nothing_even_if_it_hashes_to_the_payment() -> None:
    for length in (0, 31, 33):
        secret = bytes(length)
        assert not preimage_fits(secret.hex(), sha256(secret).hexdigest())
    blank = f"{bytes(31).hex()}  "  # 64 characters, which Python's own reader takes for 31 bytes
    assert not preimage_fits(blank, sha256(bytes(31)).hexdigest())


@pytest.mark.parametrize("payment_hash", ["", HASH[:-1], "zz" * 32])
def test_a_hash_that_is_none_is_proven_by_nothing(payment_hash: str) -> None:
    assert not preimage_fits(PREIMAGE, payment_hash)
