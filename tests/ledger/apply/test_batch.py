"""How money is booked, what an overdrawn account waits for, and that the owner's account is the node."""

from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.records import NodeView
from kitestring.base.store import Store
from kitestring.base.transactions import (
    Answer,
    Claimed,
    Denied,
    ExpireInvoices,
    Recorded,
)
from tests.kit.changed import replace
from tests.kit.ledger.steps import open_invoice, overdraw, owned
from tests.kit.ledger.values import (
    NODE,
    NOW,
    answered,
    claim,
    credit,
    execute,
    invoice,
    move,
    payment,
    record_invoice,
    reply,
    request,
    settle,
)

# ------------------------------------------------------------ overdrawn


async def test_an_overdrawn_account_may_spend_again_as_soon_as_funding_covers_it(store: Store) -> None:
    await overdraw(store)
    await store.apply(execute("most", move("t1", "owner", "alice", 79_999)))
    assert await store.apply(claim("c", payment("c", 1, 0))) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(0))
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
    assert await store.apply(owned("b", 10, before)) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(0))
    poor = NodeView(Msat(200_005), Msat(1001))
    assert await store.apply(owned("b", 10, poor)) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(5))
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
    assert await store.apply(owned("a", 50_001, view)) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(50_000))
    assert await store.apply(owned("a", 30_000, view)) == Claimed()
    assert await store.apply(owned("b", 20_001, view)) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(20_000))
    await store.apply(settle("a", 0, answered("a")))
    # The view is older than this payment: what was spent since counts against it.
    assert await store.apply(owned("b", 20_001, view)) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(20_000))
    fresh = NodeView(Msat(220_000), Msat(30_000))
    assert await store.apply(owned("b", 20_000, fresh)) == Claimed()
    assert (await store.totals()).owner_pending_msat == 20_000


async def test_an_account_that_pays_leaves_the_owners_share_alone(store: Store) -> None:
    view = NodeView(Msat(250_000), Msat(0))
    await store.apply(claim("a", payment("a", 60_000, 0)))
    assert await store.apply(owned("b", 50_001, view)) == Denied(Reason.INSUFFICIENT_FUNDS, Msat(50_000))
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
        await store.apply(ExpireInvoices(end, end, NODE, NOW))
    assert newest not in await store.outbox(0, 10)
    await store.apply(Answer(request("a"), (reply("a"),), NOW))
    *_, after = await store.outbox(0, 10)
    assert (after.number, after.message) == (newest.number + 1, reply("a"))
