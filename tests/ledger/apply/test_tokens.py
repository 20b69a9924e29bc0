"""Tokens by themselves; with payments and questions: test_approvals.py."""

from __future__ import annotations

from kitestring.base.approvals import DebitSession
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.store import Store
from kitestring.base.transactions import Claimed, Denied, SaveSession
from tests.kit.ledger.values import NOW, execute


async def test_a_session_is_made_once_in_its_scope_and_apart_in_another(store: Store) -> None:
    here = DebitSession("p1", "c4" * 32, Msat(1), Msat(5), NOW + 60, NOW)
    there = DebitSession("p2", "c4" * 32, Msat(1), Msat(5), NOW + 60, NOW)
    assert await store.apply(execute("one", SaveSession(here), SaveSession(there))) == Claimed()
    assert await store.apply(execute("two", SaveSession(here))) == Denied(Reason.ALREADY_USED)
    assert await store.sessions("p1", 9) == [here]
    assert await store.session("p2", "c4" * 32) == there
