from __future__ import annotations

from kitestring.base.errors import Reason
from kitestring.base.grants import Account, Grant
from kitestring.base.store import Store
from kitestring.base.transactions.answers import Denied, Stale
from kitestring.base.transactions.owner import SaveAccount, SaveGrant
from tests.kit.ledger.values import NOW, execute, move


async def test_a_step_that_refuses_takes_back_what_the_others_have_done(store: Store) -> None:
    before = await store.last_event()
    new = SaveAccount(Account(account_id="new", name="new", created_at=NOW))
    refused = await store.apply(execute("both", new, move("t", "alice", "bob", 10), SaveGrant(Grant(
        grant_id="app", name="app", wire="nwc", version=7))))  # fmt: skip
    assert refused == Stale()
    assert await store.account("new") is None
    alice = await store.account("alice")
    assert alice is not None
    assert alice.posted_msat == 0
    assert await store.last_event() == before


async def test_the_books_go_on_as_if_a_refused_step_had_not_been(store: Store) -> None:
    poor = await store.apply(execute("poor", move("a", "alice", "bob", 10), move("b", "alice", "bob", 10**12)))
    assert isinstance(poor, Denied)
    assert poor.reason is Reason.INSUFFICIENT_FUNDS
    assert await store.apply(execute("rich", move("a", "alice", "bob", 10))) is not None
    bob = await store.account("bob")
    assert bob is not None
    assert bob.credits_msat > 0
