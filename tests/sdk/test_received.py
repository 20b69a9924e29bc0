"""The wallet's word about its own invoice, and when it is the last one."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Direction, Transaction, TransactionState
from kitestring.sdk.received import GRACE_S, TillWord, ask_till
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE
from tests.kit.wire.samples import transaction


class Till:
    """Answers with a record, or raises what is laid ready."""

    def __init__(self, answer: Transaction | KitestringError) -> None:
        self.answer = answer

    async def lookup(self, payment_hash: str) -> Transaction:
        assert payment_hash == PAYMENT_HASH
        if isinstance(self.answer, KitestringError):
            raise self.answer
        return self.answer

    async def make_invoice(self, amount_msat: Msat | None, description: str, expiry_s: int) -> Transaction:
        raise AssertionError("nobody asks for an invoice here")

    async def network(self) -> str:
        return "regtest"


async def word(after_expiry_s: int = 0, **changes: Any) -> TillWord:
    till = Till(transaction(**changes))
    return await ask_till(till, PAYMENT_HASH, NOW, NOW + after_expiry_s)


async def test_money_that_came_is_received_however_late() -> None:
    settled: dict[str, Any] = {"state": TransactionState.SETTLED, "settled_at": NOW - 5}
    assert await word(10**9, **settled, preimage=PREIMAGE) == TillWord("received", PREIMAGE, NOW - 5)
    assert await word(**settled, preimage="33" * 32) == TillWord("received", None, NOW - 5)


@pytest.mark.parametrize(
    ("state", "after_s", "expected"),
    [
        (TransactionState.PENDING, -60, "open"),
        (TransactionState.PENDING, GRACE_S, "open"),
        (TransactionState.PENDING, 10**9, "open"),
        (TransactionState.EXPIRED, -60, "open"),
        (TransactionState.EXPIRED, GRACE_S - 1, "open"),
        (TransactionState.EXPIRED, GRACE_S, "unpaid"),
        (TransactionState.FAILED, GRACE_S, "unpaid"),
    ],
)
async def test_it_is_unpaid_only_when_both_clock_and_wallet_say_so(
    state: TransactionState, after_s: int, expected: str
) -> None:
    assert (await word(after_s, state=state)).state == expected


async def test_a_payment_is_no_invoice_and_what_the_wallet_does_not_know_is_none_of_its_own() -> None:
    assert (await word(10**9, type=Direction.OUTGOING, state=TransactionState.SETTLED)).state == "foreign"
    absent = KitestringError(Reason.UNKNOWN_TARGET, "there is no such invoice")
    assert (await ask_till(Till(absent), PAYMENT_HASH, NOW, NOW + 10**9)).state == "foreign"
    assert (await ask_till(None, PAYMENT_HASH, NOW, NOW)).state == "foreign"


async def test_a_wallet_that_cannot_be_asked_decides_nothing() -> None:
    away = KitestringError(Reason.UNAVAILABLE, "the wallet did not answer")
    found = await ask_till(Till(away), PAYMENT_HASH, NOW, NOW + 10**9)
    assert found == TillWord("unknown", why="the wallet did not answer")
