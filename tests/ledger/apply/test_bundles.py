"""A request for several payments is claimed once, and waits for no payment."""

from __future__ import annotations

from kitestring.base.errors import Reason
from kitestring.base.records import BUNDLE
from kitestring.base.transactions import Answer, ClaimBundle, Claimed, Denied, Done, Finished, Prune, Running
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.changed import replace
from tests.kit.ledger.values import NOW, reply, request

ASKED = replace(request("b1", grant_id="app"), payment_id=BUNDLE)


async def test_it_is_claimed_once_and_finished_once(store: SqliteStore) -> None:
    assert await store.apply(ClaimBundle(ASKED)) == Claimed()
    assert await store.apply(ClaimBundle(ASKED)) == Running()
    assert await store.running_requests() == [ASKED]
    said = (reply("b1"),)
    assert await store.apply(Answer(replace(ASKED, payment_id=""), said, NOW)) == Running()
    assert await store.apply(Answer(ASKED, said, NOW)) == Done()
    assert await store.apply(ClaimBundle(ASKED)) == Finished(said)
    assert await store.running_requests() == []


async def test_what_is_as_old_as_what_was_forgotten_is_denied(store: SqliteStore) -> None:
    assert await store.apply(ClaimBundle(replace(ASKED, request_id="new", sent_at=NOW, received_at=NOW))) == Claimed()
    await store.apply(Prune(NOW, 60))
    old = replace(ASKED, sent_at=NOW - 3_600)
    assert await store.apply(ClaimBundle(old)) == Denied(Reason.STALE_REQUEST)
