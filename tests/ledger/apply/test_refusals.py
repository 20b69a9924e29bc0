"""A refused request is never claimed, keeps its id and its reply, and is forgotten when its age refuses it."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kitestring.base.enrolments import ALL_ENROLLED, TOGETHER
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from kitestring.base.records import CONTROL_WIRE
from kitestring.base.store import Store, Unclaimed
from kitestring.base.transactions.answers import Claimed, Denied, Done, Finished, More, Running, Unstored
from kitestring.base.transactions.feed import MarkSent
from kitestring.base.transactions.owner import SaveGrant
from kitestring.base.transactions.payments import ClaimPayment
from kitestring.base.transactions.requests import ForgetRefusals, Prune
from kitestring.ledger.apply import refusals
from kitestring.ledger.apply.refusals import MOST_AHEAD_S
from kitestring.ledger.audit.checks import audit
from tests.kit.changed import replace
from tests.kit.ledger.enrolling import enroll, enrolment
from tests.kit.ledger.steps import all_sent
from tests.kit.ledger.values import (
    NOW,
    SERVICE,
    answered,
    claim,
    execute,
    fail,
    no,
    payment,
    record_invoice,
    refuse,
    request,
)

EVER = ForgetRefusals(NOW + 10**9, 0)
KEY = "a1" * 32


async def test_what_was_refused_is_never_claimed(store: Store) -> None:
    for name in ("ask-a", "want-i"):
        assert await store.apply(refuse(name)) == Done()
        assert await store.messages(name) == (no(name),)
    assert await store.apply(claim("a")) == Finished((no("ask-a"),))
    assert await store.apply(record_invoice("i")) == Finished((no("want-i"),))
    assert await store.request("ask-a") == request("ask-a", command=b"", reply_to=b"")


async def test_silence_is_a_refusal_too(store: Store) -> None:
    assert await store.apply(refuse("ask-a", None)) == Done()
    assert await store.messages("ask-a") == ()
    assert await store.apply(claim("a")) == Finished(())


async def test_what_was_answered_or_claimed_before_is_not_refused(store: Store) -> None:
    await store.apply(refuse("r", "first"))
    assert await store.apply(refuse("r", "second")) == Finished((no("r", "first"),))
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


async def test_answers_have_bytes_of_their_own_and_are_counted_with_the_refusals(
    store: Store, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.ledger.apply.refusals.FORGET_OLDEST", 5)
    size = len(b"no") + len(b"event no") + len(b"to")
    assert await store.apply(refuse("n1", max_bytes=size)) == Done()
    answers = [await store.apply(refuse(f"a{number}", is_no=False, max_bytes=2 * size)) for number in range(3)]
    assert answers == [Done(), Done(), Unstored()]
    assert await store.apply(refuse("n2", max_bytes=size)) == Unstored()
    assert await store.unclaimed("app") == Unclaimed(2 * size, 0)
    assert audit(ledger, SERVICE) == []
    await store.apply(MarkSent(await all_sent(store)))
    assert await store.apply(refuse("new", sent_at=NOW + 9, max_number=5)) == Done()
    assert await store.unclaimed("app") == Unclaimed(0, NOW + 1), "the oldest have made room"
    assert await store.unclaimed("bobs") == Unclaimed(0, 0)
    assert audit(ledger, SERVICE) == []
    await store.apply(EVER)
    assert (await store.unclaimed("bobs")).refused_before == 0
    assert audit(ledger, SERVICE) == []


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


# ------------------------------------------------------------ too many of one grant


async def flood(store: Store, number: int, **of: Any) -> list[object]:
    """So many refusals of one grant, a second apart; three are kept, and the two oldest go at once."""
    one = [refuse(f"f{n}", None, sent_at=NOW + n, max_number=3, **of) for n in range(number)]
    return [await store.apply(each) for each in one]


@pytest.fixture
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kitestring.ledger.apply.refusals.FORGET_OLDEST", 2)


@pytest.mark.usefixtures("two_at_once")
async def test_of_one_grant_no_more_than_a_number_of_refusals_are_kept_and_what_is_forgotten_is_refused_for_ever(
    store: Store,
) -> None:
    assert await flood(store, 4) == [Done()] * 4
    kept = [await store.request(f"f{n}") is not None for n in range(4)]
    assert kept == [False, False, True, True]
    old, new = request("f1", sent_at=NOW + 1), request("new", sent_at=NOW + 2)
    assert await store.apply(claim("a", asked=old)) == Denied(Reason.STALE_REQUEST)
    assert await store.apply(record_invoice("i")) == Denied(Reason.STALE_REQUEST)
    assert await store.apply(claim("a", asked=new)) == Claimed()
    assert await store.apply(refuse("f2", None, sent_at=NOW + 2)) == Finished(())


@pytest.mark.usefixtures("two_at_once")
async def test_what_is_forgotten_is_refused_in_the_same_commit_already(store: Store) -> None:
    *_, late = await asyncio.gather(
        *(store.apply(refuse(f"f{n}", None, sent_at=NOW + n, max_number=2)) for n in range(4)),
        store.apply(claim("a", asked=request("f1", sent_at=NOW + 1))),
    )
    assert late == Denied(Reason.STALE_REQUEST)


@pytest.mark.usefixtures("two_at_once")
async def test_a_flood_of_one_grant_closes_nothing_to_another_nor_to_the_owner(store: Store) -> None:
    await flood(store, 4)
    bobs = payment("a", grant_id="bobs", account_id="bob")
    assert await store.apply(claim("a", bobs, asked=request("b", grant_id="bobs", sent_at=NOW - 99))) == Claimed()
    assert await store.apply(claim("b", asked=request("owners", wire=CONTROL_WIRE, sent_at=NOW - 99))) == Claimed()


@pytest.mark.usefixtures("two_at_once")
async def test_of_what_is_refused_by_its_age_already_nothing_is_kept_and_its_earlier_answer_stays(store: Store) -> None:
    await store.apply(claim("a", asked=request("ask-a", sent_at=NOW)))
    await flood(store, 4)
    assert await store.apply(refuse("late", sent_at=NOW + 1)) == Unstored()
    assert await store.request("late") is None
    assert await store.apply(refuse("ask-a", sent_at=NOW)) == Running()


@pytest.mark.usefixtures("two_at_once")
async def test_a_flood_from_the_future_is_never_carried_out_when_its_time_has_come(store: Store) -> None:
    ahead = [refuse(f"a{n}", None, sent_at=NOW + 9_000 + n, until=NOW + 9_999, max_number=3) for n in range(4)]
    assert [await store.apply(one) for one in ahead] == [Done()] * 4
    assert await store.request("a0") is None
    assert await store.apply(claim("a", asked=request("a0", sent_at=NOW + 9_000))) == Denied(Reason.STALE_REQUEST)


@pytest.mark.usefixtures("two_at_once")
async def test_a_request_from_the_future_is_kept_as_long_as_older_ones_can_go(store: Store) -> None:
    await store.apply(refuse("ahead", None, sent_at=NOW + 9_000, max_number=3))
    assert await flood(store, 6) == [Done()] * 6
    assert await store.request("ahead") is not None
    assert await store.apply(claim("a", asked=request("new", sent_at=NOW + 10))) == Claimed()


@pytest.mark.usefixtures("two_at_once")
async def test_what_is_kept_is_counted_over_all_that_is_forgotten(store: Store, ledger: Path) -> None:
    await flood(store, 5, max_bytes=10**6)
    await store.apply(refuse("told", sent_at=NOW + 9, max_number=4))
    await store.apply(refuse("told too", sent_at=NOW + 10, max_number=4))
    assert audit(ledger, SERVICE) == []
    await store.apply(MarkSent(await all_sent(store)))
    await store.apply(EVER)
    assert audit(ledger, SERVICE) == []
    assert await store.apply(claim("a", asked=request("f0", sent_at=NOW))) == Denied(Reason.STALE_REQUEST)


@pytest.mark.usefixtures("two_at_once")
async def test_what_one_grant_of_a_requestor_has_forgotten_is_refused_to_all_of_its_grants(store: Store) -> None:
    """In the same commit too, whose refusals no row shows yet."""
    one = Grant(grant_id="one", name="one", wire="debits", account_id="alice", caller="key")
    await store.apply(execute("grants", SaveGrant(one), SaveGrant(replace(one, grant_id="two", name="two"))))

    def asked(name: str, sent_at: int) -> ClaimPayment:
        by_key = payment(name, grant_id="two", requestor="key")
        return claim(name, by_key, asked=request(name, wire="debits", grant_id="two", sent_at=sent_at))

    of_one: dict[str, Any] = {"wire": "debits", "grant_id": "one", "max_number": 2}
    *_, at_once = await asyncio.gather(
        *(store.apply(refuse(f"f{n}", None, sent_at=NOW + n, **of_one)) for n in range(4)),
        store.apply(asked("f1", NOW + 1)),
    )
    later, new = await store.apply(asked("f0", NOW + 1)), await store.apply(asked("new", NOW + 2))
    assert (at_once, later, new) == (Denied(Reason.STALE_REQUEST), Denied(Reason.STALE_REQUEST), Claimed())


@pytest.mark.usefixtures("two_at_once")
async def test_what_was_forgotten_of_a_grant_is_refused_after_that_was_revoked_too(store: Store) -> None:
    """Its key is a stranger again, which the pointer lets take: a copy of what it was refused is not carried out."""
    own = Grant(grant_id="own", name="own", wire="debits", caller=KEY, pointer_id="till", account_id="alice")
    await store.apply(execute("own", SaveGrant(own)))
    await flood(store, 4, grant_id="own", wire="debits")
    await store.apply(execute("end", SaveGrant(replace(own, revoked_at=NOW + 5, version=2))))
    copies = {
        number: await store.apply(
            claim(
                f"c{number}",
                payment(f"c{number}", requestor=KEY),
                asked=request(f"f{number}", wire="debits", sent_at=NOW + number),
            )
        )
        for number in range(4)
    }
    assert copies[0] == copies[1] == Denied(Reason.STALE_REQUEST)
    assert copies[2] == copies[3] == Finished(())
    new = claim("new", payment("new", requestor=KEY), asked=request("new", wire="debits", sent_at=NOW + 2))
    assert await store.apply(new) == Claimed()


# ------------------------------------------------------------ all enrolled keys together

NEWCOMERS = tuple(f"{number:02x}" * 32 for number in range(0xB0, 0xC0))


async def enrolled(store: Store) -> list[str]:
    """The grants of many keys that have made themselves known."""
    for key in NEWCOMERS:
        assert await store.apply(enroll(key, max_accounts=len(NEWCOMERS))) == Claimed()
    return [enrolment(key).grant.grant_id for key in NEWCOMERS]


async def test_all_enrolled_keys_together_keep_as_many_words_as_a_few_connections(store: Store) -> None:
    size = len(b"no") + len(b"event no") + len(b"to")
    keys = await enrolled(store)
    told = [
        await store.apply(refuse(f"{key} {number}", max_bytes=2 * size, grant_id=key))
        for key in keys for number in range(2)
    ]  # fmt: skip
    assert told == [Done()] * (2 * TOGETHER) + [Unstored()] * (len(told) - 2 * TOGETHER)
    answers = [await store.apply(refuse(f"a {key}", max_bytes=size, grant_id=key, is_no=False)) for key in keys]
    assert answers == [Done()] * TOGETHER + [Unstored()] * (len(keys) - TOGETHER)
    assert await store.apply(refuse("of a connection", max_bytes=2 * size)) == Done()


async def test_all_enrolled_keys_together_keep_as_many_refusals_as_a_few_connections(
    store: Store, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "FORGET_OLDEST", 2)
    keys = await enrolled(store)
    assert await store.apply(refuse("of a connection", max_number=3, until=NOW)) == Done()
    for number, key in enumerate((*keys, *keys)):
        sent_at = NOW + number
        said = await store.apply(refuse(f"r{number}", max_number=3, until=sent_at + 360, grant_id=key, sent_at=sent_at))
        assert said == Done()
        assert await store.messages(f"r{number}") == (no(f"r{number}"),)
    with closing(sqlite3.connect(ledger)) as db:
        (kept,) = db.execute("SELECT count(*) FROM requests WHERE until IS NOT NULL AND grant_id <> 'app'").fetchone()
    assert 3 * TOGETHER - 1 <= kept <= 3 * TOGETHER
    assert await store.request("of a connection") is not None
    assert await store.request("r0") is None
    assert await store.apply(refuse("r0", grant_id=keys[0], sent_at=NOW)) == Unstored()  # and never carried out
    assert await store.apply(refuse("later", grant_id=keys[0], sent_at=NOW + 40)) == Done()
    assert audit(ledger, SERVICE) == []


async def test_the_newest_answer_is_never_what_is_forgotten(store: Store) -> None:
    """Whoever dates its requests ahead makes its own refusals the last to go."""
    one, other, *_ = await enrolled(store)
    for number in range(3 * TOGETHER):
        await store.apply(refuse(f"ahead {number}", max_number=3_000, until=NOW + 900, grant_id=one))
    assert await store.apply(refuse("honest", max_number=3, until=NOW + 360, grant_id=other)) == Done()
    assert await store.messages("honest") == (no("honest"),)


async def test_what_enrolled_keys_were_refused_is_forgotten_with_its_figures(store: Store, ledger: Path) -> None:
    for key in await enrolled(store):
        await store.apply(refuse(f"r {key}", grant_id=key))
    assert await store.apply(ForgetRefusals(NOW + 10**9, NOW + 10**9)) == Done()
    assert audit(ledger, SERVICE) == []
    with closing(sqlite3.connect(ledger)) as db:
        together = db.execute("SELECT number, bytes FROM refusals WHERE grant_id = ?", (ALL_ENROLLED,)).fetchall()
    assert together == [(0, 0)]
