"""Several steps as one: all of them, or nothing of any."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from kitestring.ledger.apply.batch import Batch

A = TypeVar("A")


def together(batch: Batch, steps: Iterable[Callable[[], A]]) -> A | None:
    """Do the steps in their order. One that answers something refuses, having written nothing: then what the others
    have done is taken back, and its answer is returned."""
    batch.flush()
    before, news, told = replace(batch.sums), len(batch.events), len(batch.outgoing)
    batch.execute("SAVEPOINT together")
    for step in steps:
        refusal = step()
        if refusal is not None:
            batch.execute("ROLLBACK TO together")
            batch.execute("RELEASE together")
            batch.sums, batch.accounts = before, {}
            del batch.events[news:], batch.outgoing[told:]
            return refusal
    batch.execute("RELEASE together")
    return None
