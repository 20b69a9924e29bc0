from __future__ import annotations

from kitestring.relay.shares import Shares


def test_the_member_that_holds_most_leaves_as_often_as_needed() -> None:
    gone: list[str] = []
    shares: Shares[str] = Shares(100, gone.append)
    for member, amount in (("a", 40), ("b", 30), ("c", 30)):
        shares.add(member, amount)
    assert gone == []
    shares.add("d", 1)
    assert gone == ["a"]
    shares.add("d", 70)
    assert gone == ["a", "d"]
    assert [shares.of(member) for member in "abcd"] == [0, 30, 30, 0]


def test_what_is_given_back_counts_no_more() -> None:
    gone: list[str] = []
    shares: Shares[str] = Shares(100, gone.append)
    shares.add("a", 100)
    shares.add("a", -50)
    shares.add("b", 50)
    shares.drop("b")
    shares.drop("b")
    shares.add("c", 50)
    assert gone == []
