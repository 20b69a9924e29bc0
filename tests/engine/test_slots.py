"""How many payments may be under way: of all, and of one connection within that."""

from __future__ import annotations

from kitestring.base.errors import Reason
from kitestring.engine.slots import Slots


def take(slots: Slots, grant: str = "app", *, owner: bool = False) -> bool:
    """Whether a slot was given."""
    refused = slots.take(grant, is_owner=owner)
    assert refused is None or refused.reason is Reason.RATE_LIMITED
    return refused is None


def begin(slots: Slots, grant: str = "app") -> None:
    """A request that is decided, and its payment begun."""
    assert take(slots, grant)
    slots.begin(grant)
    slots.give_back(grant)


def test_a_connection_has_a_bound_of_its_own_within_the_bound_of_all() -> None:
    slots = Slots(3, 2)
    begin(slots)
    begin(slots)
    assert (take(slots), slots.under_way) == (False, 2)
    assert take(slots, "other")
    refused = slots.take("third", is_owner=False)
    assert refused is not None
    assert refused.message == "too many payments are under way; try again later"


def test_a_request_that_is_being_decided_holds_its_slot_before_its_payment_begins() -> None:
    slots = Slots(10, 2)
    assert [take(slots) for _ in range(3)] == [True, True, False]
    assert slots.under_way == 0
    slots.give_back("app")
    assert take(slots)


def test_a_payment_keeps_its_slot_until_its_end_is_known() -> None:
    slots = Slots(1, 0)
    begin(slots)
    assert not take(slots, "other")
    slots.end("app")
    assert (take(slots, "other"), slots.under_way) == (True, 0)


def test_the_owner_is_bounded_by_the_service_alone_and_zero_bounds_no_connection() -> None:
    slots = Slots(4, 1)
    assert [take(slots, "owner", owner=True) for _ in range(5)] == [True] * 4 + [False]
    unbounded = Slots(100, 0)
    assert [take(unbounded) for _ in range(100)] == [True] * 100


def test_nothing_is_remembered_of_a_connection_without_payments() -> None:
    slots = Slots(1_000, 10)
    for number in range(50):
        begin(slots, f"app{number}")
        slots.end(f"app{number}")
    assert not slots._under_way
    assert not slots._being_decided
