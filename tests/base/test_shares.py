"""The rule by which places are shared: nobody has more than it leaves free, and the last ones are the owner's."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitestring.base.shares import ANY, Share, have_room, kept_for_owner, others_share, owners_share


def take_all(share: Share, holders: int, held: Counter[str]) -> None:
    """So many holders, in turn, take whatever they get."""
    names = [f"greedy{number}" for number in range(holders)]
    while sum(_take(share, name, held) for name in names):  # each gets a turn in each round
        pass


def _take(share: Share, name: str, held: Counter[str]) -> bool:
    has_room = share.has_room(held[name], held.total())
    held[name] += has_room
    return has_room


@pytest.mark.parametrize(("holders", "each", "left"), [(1, 475, 475), (9, 95, 95), (94, 10, 10), (949, 1, 1)])
def test_whoever_comes_new_finds_as_much_free_as_the_greediest_has(holders: int, each: int, left: int) -> None:
    share, held = others_share(1_000, 0), Counter[str]()
    take_all(share, holders, held)
    assert max(held.values()) == each
    assert 950 - held.total() == left


def test_ten_connections_that_take_a_hundred_each_leave_room_for_an_eleventh_and_for_the_owner() -> None:
    share, held = others_share(1_000, 100), Counter[str]()
    take_all(share, 10, held)
    assert (max(held.values()), held.total()) == (87, 864)
    assert share.has_room(0, held.total())
    assert owners_share(1_000).has_room(0, held.total())


@given(st.integers(2, 500), st.integers(0, 60), st.integers(1, 600))
def test_no_number_of_holders_takes_what_is_kept_for_the_owner(total: int, most: int, holders: int) -> None:
    share, held = others_share(total, most), Counter[str]()
    take_all(share, holders, held)
    left = total - held.total()
    assert left >= kept_for_owner(total) >= 1
    assert all(number <= (most or total) for number in held.values())
    mine = owners_share(total)
    assert [mine.has_room(own, held.total() + own) for own in range(left + 1)] == [True] * left + [False]


def test_a_holder_has_its_own_bound_where_everything_else_is_free() -> None:
    share = others_share(1_000, 5)
    assert [share.has_room(own, own) for own in (0, 4, 5)] == [True, True, False]


def test_what_the_owner_has_is_counted_and_does_not_bound_the_owner() -> None:
    assert owners_share(10).has_room(9, 9)
    assert not owners_share(10).has_room(1, 10)
    assert not others_share(10, 0).has_room(0, 9)


def test_without_a_bound_there_is_always_room() -> None:
    assert ANY.has_room(10**9, 10**9)
    assert others_share(0, 0).has_room(10**9, 10**9)
    assert owners_share(0).has_room(10**9, 10**9)
    assert not others_share(0, 3).has_room(3, 3)


@pytest.mark.parametrize(("total", "kept"), [(1, 0), (2, 1), (39, 1), (40, 2), (1_000, 50)])
def test_one_in_twenty_is_the_owners_and_one_where_there_are_two(total: int, kept: int) -> None:
    assert kept_for_owner(total) == kept


def test_of_what_is_left_to_a_group_each_of_its_members_has_a_part_and_whoever_comes_new_another() -> None:
    """A payer that takes all it can, of an offer, of all offers: a quarter of all, and not what is left for others."""
    shares = (Share(0, 10**6), Share(0, 10**6), Share(400, 10**6))
    own = 0
    while have_room(shares, (own, own, own, own)):
        own += 1
    assert own == 100
    assert have_room(shares, (0, own, own, own))  # another payer of the same offer
    assert have_room(shares, (0, 0, own, own))  # one of another offer


def test_every_holder_around_it_has_to_have_room() -> None:
    shares = (Share(0, 2), Share(0, 3), Share(100, 4))
    assert have_room(shares, (0, 0, 3, 3))
    assert have_room(shares, (0, 1, 1, 1))
    assert have_room(shares, (1, 1, 1, 1))
    assert not have_room(shares, (2, 2, 2, 2))
    assert not have_room(shares, (0, 3, 3, 3))
    assert not have_room(shares, (0, 0, 4, 4))
    assert not have_room(shares, (0, 0, 0, 100))
    assert have_room((Share(100),), (99, 99))
