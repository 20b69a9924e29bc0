"""Tokens by themselves; with payments and questions: test_approvals.py."""

from __future__ import annotations

import pytest

from kitestring.base.approvals import DebitSession
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.store import Store
from kitestring.base.transactions.answers import Claimed, Denied, Done, More
from kitestring.base.transactions.owner import SaveSession
from kitestring.base.transactions.requests import Prune
from tests.kit.ledger.values import NOW, claim, execute, request


async def test_a_session_is_made_once_in_its_scope_and_apart_in_another(store: Store) -> None:
    here = DebitSession("p1", "c4" * 32, Msat(1), Msat(5), NOW + 60, NOW)
    there = DebitSession("p2", "c4" * 32, Msat(1), Msat(5), NOW + 60, NOW)
    assert await store.apply(execute("one", SaveSession(here), SaveSession(there))) == Claimed()
    assert await store.apply(execute("two", SaveSession(here))) == Denied(Reason.ALREADY_USED)
    assert await store.sessions("p1", 9) == [here]
    assert await store.session("p2", "c4" * 32) == there


async def test_sessions_are_forgotten_some_at_a_time_and_all_of_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.ledger.apply.requests.PRUNE_LIMIT", 2)
    made = [DebitSession("p1", f"{number:064x}", Msat(1), Msat(5), NOW + 60, NOW) for number in range(5)]
    await store.apply(execute("mint", *map(SaveSession, made)))
    later = NOW + 86_400
    await store.apply(claim("new", asked=request("new", sent_at=later, received_at=later)))
    answers = [await store.apply(Prune(later, 3_600)) for _ in range(3)]
    assert answers == [More(), More(), Done()]
    assert await store.sessions("p1", 9) == []
