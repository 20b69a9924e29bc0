"""One standing question: cut into requests of a bounded size, of which only those that change are sent again."""

from __future__ import annotations

import asyncio

import pytest

from kitestring.nostr.relay import MAX_SUBSCRIPTION_ID_CHARS
from kitestring.transport import subscriptions as module
from kitestring.transport.changes import Changes
from kitestring.transport.subscriptions import MAX_KEYS_PER_REQ, Chunk, Subscription
from tests.kit.clock import ManualClock
from tests.kit.transport.relays import Inbox, to_keys, within

A, B = "wss://a.example", "wss://b.example"


class Pool:
    """In the place of the relays: notes what would be sent to them."""

    def __init__(self, *urls: str) -> None:
        self.urls = list(urls)
        self.sent: list[tuple[str, str, int]] = []
        self.forgotten: list[str] = []

    def open_chunk(self, chunk: Chunk) -> None:
        self.sent.append(("REQ", chunk.subscription_id, len(chunk.keys)))

    def close_chunk(self, chunk: Chunk) -> None:
        self.sent.append(("CLOSE", chunk.subscription_id, len(chunk.keys)))

    def forget(self, subscription: Subscription) -> None:
        self.forgotten.append(subscription.name)

    def connected_urls(self) -> list[str]:
        return self.urls

    def take(self) -> list[tuple[str, str, int]]:
        sent, self.sent = self.sent, []
        return sent


def subscription(pool: Pool, name: str = "in", clock: ManualClock | None = None) -> Subscription:
    return Subscription(name, to_keys(), Inbox(), pool, Changes(clock or ManualClock()))


def keys(count: int, first: int = 0) -> list[str]:
    return [f"{number:064x}" for number in range(first, first + count)]


# ---------------------------------------------------------------- requests


def test_a_question_without_keys_is_one_request_and_one_with_many_is_cut() -> None:
    pool = Pool()
    subscription(pool, "all").begin(())
    assert pool.take() == [("REQ", "all:0", 0)]
    subscription(pool).begin(keys(2 * MAX_KEYS_PER_REQ + 1))
    assert pool.take() == [("REQ", "in:0", 200), ("REQ", "in:1", 200), ("REQ", "in:2", 1)]


def test_only_requests_that_change_are_sent_again() -> None:
    pool = Pool()
    asked = subscription(pool)
    asked.begin(keys(250))
    pool.take()
    asked.add_keys(keys(3))
    assert pool.take() == []
    asked.add_keys(keys(1, 250))
    assert pool.take() == [("REQ", "in:1", 51)]


def test_more_keys_than_the_limit_are_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REQS", 2)
    asked = subscription(Pool())
    with pytest.raises(ValueError, match="at most 400 keys"):
        asked.begin(keys(401))


@pytest.mark.parametrize("name", ["", "x" * (MAX_SUBSCRIPTION_ID_CHARS - 3)])
def test_a_name_leaves_room_for_the_number_of_the_request(name: str) -> None:
    with pytest.raises(ValueError, match="at most 60 characters"):
        subscription(Pool(), name)
    subscription(Pool(), "x" * (MAX_SUBSCRIPTION_ID_CHARS - 4))


def test_the_filters_of_a_request_are_asked_for_its_own_keys() -> None:
    asked = subscription(Pool())
    asked.begin(keys(201))
    assert [set(one.filters()[0].tags["p"]) for one in asked.chunks.values()] == [set(keys(200)), set(keys(1, 200))]


def test_a_closed_subscription_is_ended_on_the_relays_and_forgotten() -> None:
    pool = Pool()
    asked = subscription(pool)
    asked.begin(keys(201))
    pool.take()
    asked.close()
    assert ([one[:2] for one in pool.take()], pool.forgotten) == ([("CLOSE", "in:0"), ("CLOSE", "in:1")], ["in"])
    assert asked.chunks == {}


# ---------------------------------------------------------------- what the relays say


def test_a_relay_is_live_when_it_has_answered_every_request_and_no_more_when_one_is_asked_again() -> None:
    asked = subscription(Pool(A))
    asked.begin(keys(201))
    for name in ("in:0", "in:1"):
        asked.note_asked(A, name)
    asked.note_eose(A, "in:0")
    assert asked.live_on() == []
    asked.note_eose(A, "in:1")
    assert asked.live_on() == [A]
    asked.note_asked(A, "in:0")
    assert asked.live_on() == []
    asked.note_eose(A, "in:0")
    asked.note_lost(A)
    asked.note_lost(B)
    assert asked.live_on() == []


def test_a_refusal_is_shown_until_the_relay_has_answered_every_request() -> None:
    asked = subscription(Pool(A))
    asked.begin(keys(201))
    first, second = asked.chunks.values()
    asked.note_refused(A, first, "restricted: members only")
    asked.note_refused(A, second, "rate-limited: slow down")
    asked.note_asked(A, "in:0")
    asked.note_eose(A, "in:0")
    assert asked.refusals == {A: "rate-limited: slow down"}
    asked.note_eose(A, "in:1")
    assert (asked.refusals, asked.live_on()) == ({}, [A])


def test_a_relay_that_closes_a_request_is_not_live_any_more() -> None:
    asked = subscription(Pool(A))
    asked.begin(())
    asked.note_eose(A, "in:0")
    assert asked.is_live(A, "in:0")
    asked.note_refused(A, asked.chunks["in:0"], "error: shutting down")
    assert (asked.live_on(), asked.is_live(A, "in:0")) == ([], False)


@pytest.mark.parametrize(
    ("message", "pauses_s"),
    [
        ("error: disk", [5, 10, 20, 40, 80, 160, 300, 300]),
        ("good bye", [5, 10, 20, 40, 80, 160, 300, 300]),
        ("blocked: too many requests", [20, 40, 80, 160, 300, 300, 300, 300]),
        ("unsupported: no", [20, 40, 80, 160, 300, 300, 300, 300]),
    ],
)
def test_no_refusal_is_final_and_the_pauses_grow_up_to_five_minutes_until_the_relay_answers(
    message: str, pauses_s: list[float]
) -> None:
    asked = subscription(Pool(A))
    asked.begin(())
    (chunk,) = asked.chunks.values()
    assert [asked.note_refused(A, chunk, message) for _ in pauses_s] == pauses_s
    assert asked.note_refused(B, chunk, message) == pauses_s[0]
    asked.note_eose(A, "in:0")
    assert asked.note_refused(A, chunk, message) == pauses_s[0]


@pytest.mark.parametrize("other", ["eose", "refused", "gone"])
async def test_the_wait_ends_when_every_connected_relay_has_answered_refused_or_gone(other: str) -> None:
    pool, clock = Pool(A, B), ManualClock()
    asked = subscription(pool, clock=clock)
    asked.begin(())
    waiting = asyncio.create_task(asked.wait_eose(5))
    await clock.asleep(5, 5)
    asked.note_eose(A, "in:0")
    await asyncio.sleep(0)
    assert not waiting.done()
    if other == "eose":
        asked.note_eose(B, "in:0")
    elif other == "refused":
        asked.note_refused(B, asked.chunks["in:0"], "unsupported: no")
    else:
        pool.urls.remove(B)
        asked.note_lost(B)
    assert await within(waiting)


def test_a_question_is_settled_when_every_connected_relay_has_answered_or_refused() -> None:
    pool = Pool()
    asked = subscription(pool)
    asked.begin(())
    assert not asked.settled()  # nobody is connected
    pool.urls += [A, B]
    asked.note_eose(A, "in:0")
    assert not asked.settled()
    asked.note_refused(B, asked.chunks["in:0"], "unsupported: no")
    assert asked.settled()
    asked.note_lost(A)
    assert not asked.settled()


async def test_where_nobody_is_live_at_the_limit_the_wait_says_so() -> None:
    clock = ManualClock()
    asked = subscription(Pool(A), clock=clock)
    asked.begin(())
    waiting = asyncio.create_task(asked.wait_eose(5))
    await clock.asleep(5, 5)
    asked.note_refused(A, asked.chunks["in:0"], "unsupported: no")
    clock.advance(5)
    assert not await within(waiting)
