"""What has happened is booked, whatever is said of it; what cannot be true is told in an alarm."""

from __future__ import annotations

import pytest

from kitestring.base.money import MAX_MSAT, Msat
from kitestring.base.payments import Failed, State
from kitestring.base.records import Node
from kitestring.base.store import Store
from kitestring.base.transactions.answers import AlreadyCredited, Credited, NotCredited
from kitestring.base.transactions.invoices import Credit
from kitestring.base.transactions.payments import RecordPayment, ResolvePayment
from kitestring.base.transactions.service import SaveNode
from kitestring.ledger.apply.truth import MAX_WORDS_CHARS, words
from tests.kit.changed import replace
from tests.kit.ledger.steps import balance, open_invoice, state_of
from tests.kit.ledger.values import NODE, NOW, answered, claim, credit, hash_of, lose, payment, settle


async def alarms(store: Store) -> list[str]:
    return [event.detail for event in await store.alarms(0, 100)]


@pytest.mark.parametrize("said", [-5, -(2**63) - 1, MAX_MSAT + 1, 10**30])
async def test_a_payment_with_a_fee_that_cannot_be_is_booked_with_its_cap_and_an_alarm(store: Store, said: int) -> None:
    await store.apply(claim("a", payment("a", 1_000, 100)))
    await store.apply(settle("a", said, answered("a")))
    assert await state_of(store, "a") is State.SETTLED
    assert await balance(store, "alice") == (100_000, 1_100, 0)
    (alarm,) = await alarms(store)
    assert alarm.startswith(f"payment {hash_of('a')}: a fee of ")
    assert alarm.endswith(" cannot be; its cap of 100 msat is booked")


async def test_fees_beyond_all_bitcoin_there_is_end_in_no_overflow(store: Store) -> None:
    names = [f"{number}" for number in range(8)]
    for name in names:
        await store.apply(claim(name, payment(name, 1_000, 100)))
    for name in names:
        await store.apply(settle(name, MAX_MSAT, answered(name)))
        assert await state_of(store, name) is State.SETTLED
    assert sum("cannot be" in alarm for alarm in await alarms(store)) == 4


async def test_a_failure_without_a_word_releases_what_was_reserved(store: Store) -> None:
    await store.apply(claim("a"))
    await store.apply(RecordPayment("pay-a", Failed(""), NOW, (answered("a"),)))
    assert await balance(store, "alice") == (100_000, 0, 0)
    found = await store.payment("pay-a")
    assert found is not None
    assert (found.state, found.evidence) == (State.FAILED, "no words were given")


async def test_the_operators_word_counts_without_a_note(store: Store) -> None:
    await store.apply(claim("a"))
    await store.apply(lose("a"))
    await store.apply(ResolvePayment("pay-a", " ", NOW))
    assert await state_of(store, "a") is State.RESOLVED


def test_words_are_cut_and_hold_nothing_that_a_database_refuses() -> None:
    assert words("no route") == "no route"
    assert words("half \ud800") == "half ?"
    assert words("x" * 100_000) == "x" * MAX_WORDS_CHARS


@pytest.mark.parametrize("said", [0, -1, MAX_MSAT + 1, 10**30])
async def test_an_amount_that_cannot_have_come_in_is_told_once_and_keeps_nothing_waiting(
    store: Store, said: int
) -> None:
    await store.apply(SaveNode(Node(NODE, 1, "sandbox", "regtest", b"1")))
    await open_invoice(store, "i", 500)
    assert await store.apply(credit("i", said, b"2")) == NotCredited()
    assert await store.apply(credit("i", said, b"3")) == NotCredited()
    node = await store.node(NODE)
    assert node is not None
    assert node.cursor == b"3"
    assert await balance(store, "alice") == (100_000, 0, 0)
    assert len(await alarms(store)) == 1
    assert isinstance(await store.apply(credit("i", 500)), Credited)  # the node has come to its senses
    assert await balance(store, "alice") == (100_500, 0, 0)
    assert await store.apply(credit("i", 500)) == AlreadyCredited()


async def test_a_preimage_that_proves_nothing_and_a_time_that_is_none_are_not_kept(store: Store) -> None:
    await open_invoice(store, "i", 500)
    told = replace(credit("i"), preimage="\ud800", settled_at=10**30)
    assert isinstance(await store.apply(told), Credited)
    found = await store.invoice_by_hash(NODE, hash_of("i"))
    assert found is not None
    assert (found.preimage, found.settled_at) == (found.preimage.lower(), 2**53 - 1)
    late = Credit(NODE, hash_of("j"), Msat(5), -7, "ff" * 32)
    assert await store.apply(late) == Credited(None)
