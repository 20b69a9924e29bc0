"""How money is booked, what an overdrawn account waits for, and that the owner's account is the node."""

from pathlib import Path

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.records import NodeView
from kitestring.base.store import Store
from kitestring.base.transactions.answers import Claimed, Denied, Recorded
from kitestring.base.transactions.feed import Tell
from kitestring.base.transactions.invoices import ExpireInvoices
from kitestring.base.transactions.requests import Answer
from kitestring.ledger.apply.batch import message_id, message_number
from tests.kit.changed import replace
from tests.kit.ledger.steps import batch, open_invoice, overdraw, owned
from tests.kit.ledger.values import (
    NODE,
    NOW,
    answered,
    claim,
    credit,
    execute,
    hash_of,
    invoice,
    move,
    payment,
    receipt,
    record_invoice,
    reply,
    request,
    settle,
    too_little,
)

# ------------------------------------------------------------ overdrawn


async def test_an_overdrawn_account_may_spend_again_as_soon_as_funding_covers_it(store: Store) -> None:
    await overdraw(store)
    await store.apply(execute("most", move("t1", "owner", "alice", 79_999)))
    assert await store.apply(claim("c", payment("c", 1, 0))) == too_little(0)
    await store.apply(execute("rest", move("t2", "owner", "alice", 2)))
    assert await store.apply(claim("c", payment("c", 1, 0))) == Claimed()


async def test_an_overdrawn_account_may_spend_again_as_soon_as_its_invoices_cover_it(store: Store) -> None:
    await overdraw(store)
    await open_invoice(store, "i", 80_000)
    await store.apply(credit("i", 80_000))
    alice = await store.account("alice")
    assert alice is not None
    assert (alice.overdrawn, int(alice.available_msat)) == (False, 0)


async def test_the_overdrawn_owner_may_spend_again_when_a_later_look_at_the_node_covers_it(store: Store) -> None:
    before = NodeView(Msat(10**12), Msat(0))
    await store.apply(owned("a", 1000, before))
    done = await store.apply(settle("a", 1, answered("a")))
    assert isinstance(done, Recorded)
    assert done.overdrawn
    assert await store.apply(owned("b", 10, before)) == too_little(0)
    poor = NodeView(Msat(200_005), Msat(1001))
    assert await store.apply(owned("b", 10, poor)) == too_little(5)
    stale = execute("fund", replace(move("t", "owner", "alice", 1), view=before))
    assert await store.apply(stale) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(0))
    owner = await store.account("owner")
    assert owner is not None
    assert owner.overdrawn
    fresh = NodeView(Msat(10**12), Msat(1001))
    assert await store.apply(execute("fund", replace(move("t", "owner", "alice", 1), view=fresh))) == Claimed()
    owner = await store.account("owner")
    assert owner is not None
    assert not owner.overdrawn
    assert await store.apply(owned("b", 10, fresh)) == Claimed()


# ------------------------------------------------------------ the owner's account is the node


async def test_the_owner_spends_what_the_node_has_beyond_the_accounts_and_what_is_pending(store: Store) -> None:
    view = NodeView(Msat(250_000), Msat(0))
    assert await store.apply(owned("a", 50_001, view)) == too_little(50_000)
    assert await store.apply(owned("a", 30_000, view)) == Claimed()
    assert await store.apply(owned("b", 20_001, view)) == too_little(20_000, 30_000)
    await store.apply(settle("a", 0, answered("a")))
    # The view is older than this payment: what was spent since counts against it.
    assert await store.apply(owned("b", 20_001, view)) == too_little(20_000)
    fresh = NodeView(Msat(220_000), Msat(30_000))
    assert await store.apply(owned("b", 20_000, fresh)) == Claimed()
    assert (await store.totals()).owner_pending_msat == 20_000


async def test_an_account_that_pays_leaves_the_owners_share_alone(store: Store) -> None:
    view = NodeView(Msat(250_000), Msat(0))
    await store.apply(claim("a", payment("a", 60_000, 0)))
    assert await store.apply(owned("b", 50_001, view)) == too_little(50_000)
    await store.apply(settle("a", 0, answered("a")))
    assert await store.apply(owned("b", 50_000, view)) == Claimed()


async def test_without_a_view_of_the_node_the_owner_spends_nothing(store: Store) -> None:
    assert await store.apply(owned("a", 1, None)) == Denied(Reason.UNAVAILABLE)
    unseen = execute("fund", replace(move("t", "owner", "alice", 1), view=None))
    assert await store.apply(unseen) == Denied(Reason.UNAVAILABLE)


# ------------------------------------------------------------ messages


async def test_no_number_of_a_message_comes_twice_even_when_the_newest_is_forgotten(store: Store) -> None:
    offered = invoice("o", grant_id="", offer_id="tea", account_id="owner")
    await store.apply(record_invoice("o", offered))
    *_, newest = await store.outbox(0, 10)
    end = NOW + 3601
    for _ in range(2):
        await store.apply(ExpireInvoices((hash_of("o"),), end, NODE, NOW))
    assert newest not in await store.outbox(0, 10)
    await store.apply(Answer(request("a"), (reply("a"),), NOW))
    *_, after = await store.outbox(0, 10)
    assert (after.number, after.message) == (newest.number + 1, reply("a"))


async def test_what_a_request_was_told_before_stays_and_it_gets_one_message_of_each_kind(store: Store) -> None:
    await store.apply(Answer(request("a"), (reply("a", "first"),), NOW))
    more = (reply("a", "second"), replace(receipt("a"), plaintext=b"one"), replace(receipt("a"), plaintext=b"two"))
    await store.apply(Tell("books", 1, NOW, more))
    assert [message.plaintext for message in await store.messages("a")] == [b"first", b"one"]


async def test_an_answer_to_a_request_that_was_forgotten_goes_to_nobody(store: Store) -> None:
    *_, before = await store.outbox(0, 100)
    await store.apply(Tell("books", 1, NOW, (reply("nobody"), receipt("nobody"))))
    assert (await store.outbox(before.number, 100), await store.messages("nobody")) == ([], ())


# ---------------------------------------------------------------- one batch


async def test_members_of_a_batch_see_each_others_sums_and_the_database_gets_them_once(
    store: Store, ledger: Path
) -> None:
    with batch(ledger) as one:
        statements: list[str] = []
        one.connection.set_trace_callback(statements.append)
        for _ in range(5):
            one.move("alice", "bob", 10, 0)
            one.pend("alice", 3)
        assert (one.of("alice").available, one.of("bob").available) == (100_000 - 65, 100_050)
        assert not [text for text in statements if text.startswith("UPDATE")]
        one.pend("alice", -15)
        one.move("bob", "alice", 50, 0)
        one.flush()
        assert len([text for text in statements if text.startswith("UPDATE accounts")]) == 2
        one.flush()
        assert len([text for text in statements if text.startswith("UPDATE")]) == 2  # the totals are as they were
        for name in ("alice", "bob"):  # or the audit would miss the entries
            one.connection.execute(
                "UPDATE accounts SET credits_msat = 100000, posted_msat = 0 WHERE account_id = ?", (name,)
            )


async def test_nothing_is_booked_on_an_account_that_is_not_there(store: Store, ledger: Path) -> None:
    with batch(ledger) as one:
        assert one.balance("nobody") is None
        with pytest.raises(KitestringError, match="no account nobody: nothing was booked"):
            one.move("alice", "nobody", 1, 0)
        with pytest.raises(KitestringError, match="no account nobody"):
            one.pend("nobody", 1)


@pytest.mark.parametrize(("service", "number"), [(1, 1), (1, 2**48 - 1), (7, 123_456), (2**15, 5)])
def test_the_row_of_a_message_tells_its_number_and_services_do_not_meet(service: int, number: int) -> None:
    assert message_number(message_id(service, number)) == number
    assert message_id(service, 2**48 - 1) < message_id(service + 1, 0)


async def test_what_is_spent_after_the_node_was_asked_counts_against_the_owner(store: Store, ledger: Path) -> None:
    view = NodeView(Msat(500_000), Msat(0))
    with batch(ledger) as one:
        assert one.owner_spendable(view) == 500_000 - 200_000
        assert one.is_fresh(view)
        one.sums.spent += 70
        assert (one.owner_spendable(view), one.is_fresh(view)) == (500_000 - 200_000 - 70, False)
        assert one.is_fresh(NodeView(Msat(500_000), Msat(70)))
        one.sums.spent -= 70
