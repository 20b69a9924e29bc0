"""Random transactions on the real store: a short lane of what ``make prove`` does for long."""

from collections import Counter

import pytest
from hypothesis import stateful

from kitestring.base.transactions.payments import ClaimPayment
from kitestring.ledger.apply import claims
from kitestring.ledger.apply.batch import Batch
from tests.prove.__main__ import ENOUGH_STEPS, missed
from tests.prove.ground import Ground
from tests.prove.jobs import REACHED, Done
from tests.prove.machine import NOT_MENDED, LedgerMachine, run_machine
from tests.prove.reached import STATES

#: What the states begin with of which a few hundred steps reach one each. How often each one is reached, ``make prove``
#: tells.
KINDS = (
    "keysend ", "keysend inside ", "bundle carried", "hold accepted", "node exchanged", "grant ", "claim decided anew",
    "sale ",
)  # fmt: skip
#: The first run, from which on they are reached soon, and the number of those after which they must have been: in one
#: run Hypothesis leaves some rules out.
FIRST, MOST_RUNS = 8, 10


@pytest.mark.parametrize("number", [1, 2])
def test_whatever_happens_in_whatever_order_every_outcome_can_be_recorded(number: int) -> None:
    run_machine(number, 6, 40, without=NOT_MENDED)


def test_no_step_hides_another_of_the_same_name() -> None:
    markers = (stateful.RULE_MARKER, stateful.INITIALIZE_RULE_MARKER, stateful.INVARIANT_MARKER)
    steps = Counter(
        name
        for kind in LedgerMachine.__mro__
        for name, value in vars(kind).items()
        if any(hasattr(value, marker) for marker in markers)
    )
    assert [name for name, classes in steps.items() if classes > 1] == []
    assert len(steps) > 50


def test_many_steps_that_leave_a_state_out_prove_nothing() -> None:
    done = Done()
    done.counts.update({REACHED + state: 1 for state in STATES[1:]}, steps=ENOUGH_STEPS - 1)
    assert missed(done) == []
    done.counts["steps"] += 1
    assert missed(done) == [STATES[0]]


def test_the_steps_come_to_keysends_bundles_and_held_payments_and_to_another_node_in_the_middle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Ground, "reached", Counter())
    left, number = set(KINDS), FIRST
    while left and number < FIRST + MOST_RUNS:
        run_machine(number, 3, 40, without=NOT_MENDED)
        known = Ground.reached.keys() & set(STATES)
        left, number = {kind for kind in KINDS if not any(state.startswith(kind) for state in known)}, number + 1
    assert left == set()


def test_claims_that_are_refused_for_another_of_two_reasons_are_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app that learns of the balance what its budget does not let it spend."""
    without_room = claims._without_room

    def balance_first(batch: Batch, tx: ClaimPayment) -> object:
        account = batch.balance(tx.payment.account_id)
        assert account is not None
        return without_room(batch, tx) or claims._uncovered(batch, tx, int(tx.payment.reserved_msat), account)

    monkeypatch.setattr(claims, "_without_room", balance_first)
    with pytest.raises(AssertionError, match="the ledger says insufficient_funds, the model over_budget"):
        run_machine(1, 6, 40, without=NOT_MENDED)
