"""Short looks and steps on a ledger."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kitestring.base.payments import State
from kitestring.base.records import NodeView
from kitestring.base.store import Store
from kitestring.base.transactions.answers import Claimed
from kitestring.base.transactions.feed import MarkSent
from kitestring.base.transactions.payments import ClaimPayment, ResolvePayment
from kitestring.ledger.apply.batch import Batch
from kitestring.ledger.apply.memory import Memory
from tests.kit.changed import replace
from tests.kit.ledger.values import (
    NOW,
    answered,
    claim,
    invoice,
    lose,
    payment,
    record_invoice,
    settle,
)


async def balance(store: Store, account_id: str) -> tuple[int, int, int]:
    account = await store.account(account_id)
    assert account is not None
    return int(account.credits_msat), int(account.posted_msat), int(account.pending_msat)


async def state_of(store: Store, name: str) -> State | None:
    found = await store.payment(f"pay-{name}")
    return None if found is None else found.state


def owned(name: str, amount: int, view: NodeView | None) -> ClaimPayment:
    paid = payment(name, amount, 0, account_id="owner", grant_id="owner")
    return replace(claim(name, paid), view=view)


def internal(name: str, amount: int = 500) -> ClaimPayment:
    inside = payment(name, amount, 0, internal=True, account_id="bob", grant_id="bobs")
    return claim(name, inside)


async def open_invoice(store: Store, name: str, amount: int | None = 500) -> None:
    assert await store.apply(record_invoice(name, invoice(name, amount))) == Claimed()


async def overdraw(store: Store) -> None:
    """Alice is 80,000 msat short."""
    await store.apply(claim("a", payment("a", 90_000, 0)))
    await store.apply(lose("a"))
    await store.apply(ResolvePayment("pay-a", "the node was lost", NOW))
    await store.apply(claim("b", payment("b", 90_000, 0)))
    await store.apply(settle("b", 0, answered("b")))
    await store.apply(settle("a", 0, answered("a")))


async def all_sent(store: Store) -> int:
    """Pass what was told before the test begins."""
    *_, newest = await store.outbox(0, 10)
    await store.apply(MarkSent(newest.number))
    return newest.number


@contextmanager
def batch(path: Path) -> Iterator[Batch]:
    """One open transaction of the service of :func:`setting`, kept in the end."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    opened = Batch(connection, 1, Memory())
    yield opened
    opened.flush()
    connection.execute("COMMIT")
    connection.close()
