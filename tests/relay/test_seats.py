from __future__ import annotations

import pytest

from kitestring.relay.seats import Seat, Seats, place_of

HERE, THERE, ELSEWHERE = "192.0.2.1", "192.0.2.2", "192.0.2.3"


class Hall:
    """Seats, and who had to leave."""

    def __init__(self, limit: int, share: int = 1_000) -> None:
        self.seats = Seats(limit, share)
        self.left: list[str] = []

    def take(self, name: str, place: str = HERE) -> Seat:
        seat = self.seats.take(place)
        assert seat is not None
        seat.leave = lambda: self.left.append(name)
        return seat

    def takes(self, name: str, *places: str) -> list[Seat]:
        return [self.take(f"{name}{number}", place) for number, place in enumerate(places)]


def test_idle_connections_of_one_address_lock_nobody_out() -> None:
    hall = Hall(4)
    hall.takes("idle", THERE, THERE, THERE, HERE)
    newcomers = hall.takes("new", ELSEWHERE, ELSEWHERE)
    assert hall.left == ["idle0", "idle1"]
    newcomers[0].heard(subscriptions=1)
    hall.take("next", ELSEWHERE)
    assert len(hall.left) == 3
    assert "new0" not in hall.left
    assert len(hall.seats) == 4


def test_the_longest_silent_goes_first_and_never_who_listens_or_is_known() -> None:
    hall = Hall(4)
    known, listener, quiet, talker = hall.takes("seat", *[HERE] * 4)
    known.vouch()
    known.heard(subscriptions=0)
    listener.heard(subscriptions=1)
    talker.heard(subscriptions=0)
    quiet.heard(subscriptions=0)
    hall.takes("new", *[HERE] * 2)
    assert hall.left == ["seat3", "seat2"]


def test_who_has_closed_his_subscriptions_is_idle_again() -> None:
    hall = Hall(1)
    seat = hall.take("seat")
    seat.heard(subscriptions=1)
    assert hall.seats.take(HERE) is None
    seat.heard(subscriptions=0)
    hall.take("new")
    assert hall.left == ["seat"]


def test_listeners_of_one_address_make_room_for_others_until_all_have_as_many() -> None:
    hall = Hall(4)
    for seat in hall.takes("seat", *[HERE] * 4):
        seat.heard(subscriptions=1)
    for name in ("new0", "new1"):
        hall.take(name, THERE).heard(subscriptions=1)
    assert hall.left == ["seat0", "seat1"]
    assert hall.seats.take(THERE) is None
    assert hall.seats.take(HERE) is None
    hall.take("third", ELSEWHERE).heard(subscriptions=1)
    assert len(hall.left) == 3


def test_one_address_has_no_more_than_its_share_and_this_machine_has_none() -> None:
    hall = Hall(10, share=2)
    first, second = hall.takes("seat", HERE, HERE)
    third = hall.take("third")
    assert (hall.left, first.is_gone) == (["seat0"], True)
    for seat in (second, third):
        seat.heard(subscriptions=1)
    assert hall.seats.take(HERE) is None
    hall.takes("local", *["127.0.0.1"] * 4)


def test_a_seat_that_was_given_back_is_free_once() -> None:
    hall = Hall(2)
    seats = hall.takes("seat", HERE, THERE)
    for _ in range(2):
        seats[0].free()
    assert len(hall.seats) == 1
    seats[0].heard(subscriptions=1)
    seats[0].vouch()
    hall.take("new")
    assert (hall.left, len(hall.seats)) == ([], 2)


@pytest.mark.parametrize(
    ("peer", "place"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("::ffff:192.0.2.1", 5, 0, 0), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 5, 0, 0), "2001:db8:1:2::"),
        (("2001:db8:1:2::9", 5, 0, 0), "2001:db8:1:2::"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::"),
        (("::1", 5, 0, 0), "::"),
        ("", ""),
    ],
)
def test_a_customer_s_whole_network_is_one_address(peer: object, place: str) -> None:
    assert place_of(peer) == place
