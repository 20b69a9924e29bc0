"""A refused request is never claimed, keeps its id and its reply, and is forgotten when its age refuses it."""

import pytest

from kitestring.base.errors import Reason
from kitestring.base.store import Store
from kitestring.base.transactions import (
    Claimed,
    Denied,
    Done,
    Finished,
    ForgetRefusals,
    MarkSent,
    More,
    Prune,
    Running,
    Unstored,
)
from kitestring.ledger.apply.refusals import MOST_AHEAD_S
from tests.kit.changed import replace
from tests.kit.ledger.steps import all_sent
from tests.kit.ledger.values import NOW, answered, claim, fail, record_invoice, refuse, reply, request

EVER = ForgetRefusals(NOW + 10**9, 0)


async def test_what_was_refused_is_never_claimed(store: Store) -> None:
    for name in ("ask-a", "want-i"):
        assert await store.apply(refuse(name)) == Done()
        assert await store.messages(name) == (reply(name, "no"),)
    assert await store.apply(claim("a")) == Finished((reply("ask-a", "no"),))
    assert await store.apply(record_invoice("i")) == Finished((reply("want-i", "no"),))
    assert await store.request("ask-a") == request("ask-a", command=b"", reply_to=b"")


async def test_silence_is_a_refusal_too(store: Store) -> None:
    assert await store.apply(refuse("ask-a", None)) == Done()
    assert await store.messages("ask-a") == ()
    assert await store.apply(claim("a")) == Finished(())


async def test_what_was_answered_or_claimed_before_is_not_refused(store: Store) -> None:
    await store.apply(refuse("r", "first"))
    assert await store.apply(refuse("r", "second")) == Finished((reply("r", "first"),))
    await store.apply(claim("a"))
    assert await store.apply(refuse("ask-a")) == Running()
    assert await store.apply(fail("a", answered("a"))) is not None
    assert await store.messages("ask-a") == (answered("a"),)


async def test_a_grant_keeps_the_words_of_its_refusals_up_to_its_bytes_and_the_ids_of_all(store: Store) -> None:
    size = len(b"no") + len(b"event no") + len(b"to")
    told = [await store.apply(refuse(f"r{number}", max_bytes=2 * size)) for number in range(3)]
    assert told == [Done(), Done(), Unstored()]
    assert await store.messages("r2") == ()
    assert await store.apply(claim("a", asked=request("r2"))) == Finished(())
    assert await store.apply(refuse("s", grant_id="bobs", max_bytes=size)) == Done()
    await store.apply(MarkSent(await all_sent(store)))
    assert await store.apply(EVER) == Done()
    assert await store.apply(refuse("r4", sent_at=NOW + 1, max_bytes=size)) == Done()


async def test_a_refusal_is_forgotten_after_its_time_and_refuses_all_that_is_as_old(store: Store) -> None:
    await store.apply(refuse("ask-a"))
    await store.apply(refuse("late", until=NOW + 9_000, sent_at=NOW + 8_640))
    await all_sent(store)
    assert await store.apply(ForgetRefusals(NOW + 360, 0)) == Done()
    assert await store.request("ask-a") is not None
    assert await store.apply(ForgetRefusals(NOW + 361, 0)) == Done()
    assert await store.request("ask-a") is None
    assert await store.messages("ask-a") == ()
    assert await store.request("late") is not None
    assert await store.apply(claim("a")) == Denied(Reason.STALE_REQUEST)
    assert await store.apply(record_invoice("i")) == Denied(Reason.STALE_REQUEST)
    assert await store.apply(claim("a", asked=request("owners", wire="control"))) == Claimed()
    assert await store.apply(claim("b", asked=request("newer", sent_at=NOW + 1))) == Claimed()


async def test_what_was_dated_ahead_of_our_clock_moves_the_horizon_an_hour_at_most(store: Store) -> None:
    ahead = NOW + 10 * MOST_AHEAD_S
    await store.apply(refuse("r", until=ahead + 360, sent_at=ahead))
    await all_sent(store)
    await store.apply(EVER)
    assert await store.request("r") is None
    assert await store.apply(claim("a", asked=request("b", sent_at=NOW + MOST_AHEAD_S))) == Denied(Reason.STALE_REQUEST)
    assert await store.apply(claim("a", asked=request("c", sent_at=NOW + MOST_AHEAD_S + 1))) == Claimed()


async def test_a_refusal_that_no_relay_has_taken_yet_is_kept_until_nobody_waits_for_it(store: Store) -> None:
    await store.apply(refuse("unsent"))
    assert await store.apply(EVER) == Done()
    assert await store.request("unsent") is not None
    number = await all_sent(store)
    await store.apply(MarkSent(number, again=((number, 1, NOW + 60),)))
    assert await store.apply(EVER) == Done()
    assert await store.request("unsent") is not None
    assert await store.apply(replace(EVER, unsent_before=NOW + 1)) == Done()
    assert await store.request("unsent") is None


async def test_pruning_leaves_refusals_alone(store: Store) -> None:
    await store.apply(refuse("r", until=NOW + 10**8))
    newest = refuse("newest", sent_at=NOW + 99, received_at=NOW + 99)
    await store.apply(newest)
    assert await store.apply(Prune(NOW + 50, 0)) == Done()
    assert await store.request("r") is not None


async def test_much_is_forgotten_in_steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kitestring.ledger.apply.refusals.FORGET_LIMIT", 2)
    for number in range(3):
        await store.apply(refuse(f"r{number}", None))
    assert [await store.apply(EVER) for _ in range(2)] == [More(), Done()]
    assert [await store.request(f"r{number}") for number in range(3)] == [None] * 3
