"""Rows to values and back: what comes out is what went in, and shows no more than its owner may see."""

from kitestring.base.grants import Budget, Grant, Offer
from kitestring.base.money import Msat
from kitestring.base.store import Scope, Store
from kitestring.base.transactions import (
    SaveGrant,
    SaveOffer,
)
from tests.kit.changed import replace
from tests.kit.ledger.steps import open_invoice
from tests.kit.ledger.values import (
    NOW,
    answered,
    claim,
    execute,
    hash_of,
    preimage_of,
    settle,
)


async def test_grants_accounts_and_offers_come_back_as_they_were_saved(store: Store) -> None:
    grant = Grant(
        grant_id="g",
        name="g",
        wire="nwc",
        caller="ca" * 32,
        service_pubkey="5e" * 32,
        account_id="alice",
        methods=frozenset({"pay_invoice", "get_info"}),
        budget=Budget.rolling(Msat(5), 60),
        per_payment_msat=Msat(3),
        expires_at=NOW + 9,
        cipher="legacy",
        nip44_seen=True,
        created_at=NOW,
    )
    offer = Offer(
        offer_id="o",
        label="tea",
        price_msat=Msat(5),
        min_msat=Msat(1),
        max_msat=Msat(9),
        payer_data=("name", "email"),
        created_at=NOW,
    )
    moved = replace(offer, state="moved", latest="noffer1new")
    await store.apply(execute("save", SaveGrant(grant), SaveOffer(offer), SaveOffer(moved)))
    assert await store.grant("g") == grant
    assert await store.offer("o") == moved
    assert await store.offers() == [moved]
    assert {one.grant_id for one in await store.grants()} == {"owner", "app", "bobs", "g"}
    assert [one.account_id for one in await store.accounts()] == ["owner", "alice", "bob"]
    changed = replace(grant, version=2, budget=None, methods=frozenset(), revoked_at=NOW)
    await store.apply(execute("change", SaveGrant(changed)))
    assert await store.grant("g") == changed
    assert await store.grant("nobody") is None
    assert await store.offer("nobody") is None
    assert await store.account("@world") is None


async def test_a_transaction_is_shown_only_in_its_scope_and_with_its_preimage_only_when_settled(
    store: Store,
) -> None:
    await store.apply(claim("a"))
    mine, theirs = Scope(grant_id="app"), Scope(grant_id="bobs")
    pending = await store.transaction(mine, hash_of("a"))
    assert pending is not None
    assert (pending.state, pending.preimage) == ("pending", "")
    await store.apply(settle("a", 10, answered("a")))
    paid = await store.transaction(mine, hash_of("a"))
    assert paid is not None
    assert (paid.state, paid.preimage, paid.fee_msat) == ("settled", preimage_of("a"), 10)
    assert await store.transaction(theirs, hash_of("a")) is None
    await open_invoice(store, "i")
    unpaid = await store.transaction(mine, hash_of("i"))
    assert unpaid is not None
    assert (unpaid.type, unpaid.state, unpaid.preimage) == ("incoming", "pending", "")
