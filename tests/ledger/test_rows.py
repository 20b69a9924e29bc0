"""Rows to values and back: what comes out is what went in, and shows no more than its owner may see."""

from kitestring.base.budgets import Budget
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.grants import Grant, Offer, OfferState
from kitestring.base.money import Msat
from kitestring.base.payments import State
from kitestring.base.store import Scope, Store
from kitestring.base.transactions.owner import SaveGrant, SaveOffer
from tests.kit.changed import replace
from tests.kit.ledger.steps import open_invoice
from tests.kit.ledger.values import (
    NODE,
    NOW,
    answered,
    claim,
    execute,
    hash_of,
    invoice,
    payment,
    preimage_of,
    record_invoice,
    request,
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
        budgets=(Budget.rolling(Msat(5), 60),),
        per_payment_msat=Msat(3),
        expires_at=NOW + 9,
        cipher="legacy",
        nip44_seen=True,
        relays=("wss://a.example", "wss://b.example/x"),
        created_at=NOW,
    )
    offer = Offer(
        offer_id="o",
        label="tea",
        price_msat=Msat(5),
        min_msat=Msat(1),
        max_msat=Msat(9),
        payer_data=("name", "email"),
        relays=("wss://a.example",),
        created_at=NOW,
    )
    moved = replace(offer, state=OfferState.MOVED, latest="noffer1new")
    await store.apply(execute("save", SaveGrant(grant), SaveOffer(offer), SaveOffer(moved)))
    assert await store.grant("g") == grant
    assert await store.offer("o") == moved
    assert await store.offers() == [moved]
    assert {one.grant_id for one in await store.grants()} == {"owner", "app", "bobs", "g"}
    assert [one.account_id for one in await store.accounts()] == ["owner", "alice", "bob"]
    changed = replace(grant, version=2, budgets=(), methods=frozenset(), revoked_at=NOW)
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


async def test_payments_and_invoices_come_back_with_every_member(store: Store) -> None:
    made = payment(
        "a", 1000, 100, destination=Bolt11("lnbcrt-a", True), expires_at=NOW + 60, description="tea ☕",
        description_hash="ab" * 32, metadata='{"order":17}',
    )  # fmt: skip
    await store.apply(claim("a", made))
    assert await store.payment("pay-a") == replace(made, state=State.DISPATCHED)
    sent = payment("k", destination=Keysend("02" * 33, "ab" * 32, ((65_536, "00ff"), (70_000, ""))))
    await store.apply(claim("k", sent))
    assert await store.payment("pay-k") == replace(sent, state=State.DISPATCHED)
    asked = invoice(
        "i", None, description="cake", description_hash="cd" * 32, metadata="{}", offer_id="tea", payer_data='{"n":1}',
    )  # fmt: skip
    await store.apply(record_invoice("i", asked))
    found = await store.invoice_by_hash(NODE, hash_of("i"))
    assert found is not None
    assert replace(found, bolt11="") == replace(asked, bolt11="")
    assert await store.request("ask-a") == request("ask-a", payment_id="pay-a")
