"""A request for several payments is claimed once, and waits for no payment."""

from __future__ import annotations

from pathlib import Path

import pytest

from kitestring.base.errors import Reason
from kitestring.base.records import BUNDLE, REPLY, Message
from kitestring.base.transactions.answers import Claimed, Denied, Done, Finished, Running
from kitestring.base.transactions.payments import ClaimBundle, EndBundle
from kitestring.base.transactions.requests import Answer, ForgetRefusals, Prune
from kitestring.ledger.audit.checks import audit
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.changed import replace
from tests.kit.ledger.steps import all_sent
from tests.kit.ledger.values import NOW, SERVICE, claim, refuse, reply, request

END = EndBundle("b1", ("b1/0", "b1/1"), NOW + 360, NOW, 100)
ASKED = replace(request("b1", grant_id="app"), payment_id=BUNDLE)


async def test_it_is_claimed_once_and_finished_once(store: SqliteStore) -> None:
    assert await store.apply(ClaimBundle(ASKED)) == Claimed()
    assert await store.apply(ClaimBundle(ASKED)) == Running()
    assert await store.running_requests() == [ASKED]
    said = (reply("b1"),)
    assert await store.apply(Answer(replace(ASKED, payment_id=""), said, NOW)) == Running()
    assert await store.apply(END) == Done()
    assert await store.apply(END) == Done()
    assert await store.apply(ClaimBundle(ASKED)) == Finished(())
    assert await store.running_requests() == []


async def test_it_lasts_without_what_was_asked_where_one_of_its_parts_does(store: SqliteStore, ledger: Path) -> None:
    await store.apply(ClaimBundle(ASKED))
    await store.apply(refuse("b1/0", grant_id="app"))
    await store.apply(claim("a", asked=request("b1/1")))
    assert await store.apply(END) == Done()
    assert await store.request("b1") == replace(ASKED, command=b"", reply_to=b"")
    silence = Message("b1", REPLY, b"", b"", NOW, b"to b1")
    assert await store.apply(ClaimBundle(ASKED)) == Finished((silence,))
    await all_sent(store)
    await store.apply(ForgetRefusals(NOW + 10**6, 0))
    assert [await store.request(name) is not None for name in ("b1", "b1/0", "b1/1")] == [True, False, True]
    assert audit(ledger, SERVICE) == []


@pytest.mark.parametrize("until", [NOW + 360, None])
async def test_one_of_which_nothing_was_claimed_is_a_refusal_unless_it_has_no_age(
    store: SqliteStore, ledger: Path, until: int | None
) -> None:
    await store.apply(ClaimBundle(ASKED))
    await store.apply(refuse("b1/0", grant_id="app"))
    assert await store.apply(replace(END, until=until)) == Done()
    assert audit(ledger, SERVICE) == []
    await all_sent(store)
    await store.apply(ForgetRefusals(NOW + 361, 0))
    assert (await store.request("b1") is None) == (until is not None)
    assert audit(ledger, SERVICE) == []


async def test_it_counts_among_the_refusals_of_its_grant(
    store: SqliteStore, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.ledger.apply.refusals.FORGET_OLDEST", 1)
    for name in ("b1", "b2"):
        await store.apply(ClaimBundle(replace(ASKED, request_id=name)))
        await store.apply(replace(END, request_id=name, max_number=1))
    assert [await store.request(name) is not None for name in ("b1", "b2")] == [False, True]
    assert audit(ledger, SERVICE) == []


async def test_what_is_as_old_as_what_was_forgotten_is_denied(store: SqliteStore) -> None:
    assert await store.apply(ClaimBundle(replace(ASKED, request_id="new", sent_at=NOW, received_at=NOW))) == Claimed()
    await store.apply(Prune(NOW, 60))
    old = replace(ASKED, sent_at=NOW - 3_600)
    assert await store.apply(ClaimBundle(old)) == Denied(Reason.STALE_REQUEST)
