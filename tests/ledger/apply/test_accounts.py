"""Accounts: one name each, and closed forever once nothing of them is open."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from kitestring.base.errors import Reason
from kitestring.base.events import EventKind, FeedEvent
from kitestring.base.grants import Account, Offer, OfferState
from kitestring.base.invoices import InvoiceState
from kitestring.base.store import Store
from kitestring.base.transactions.answers import Claimed, Credited, Denied, Stale
from kitestring.base.transactions.invoices import ExpireInvoices
from kitestring.base.transactions.owner import CloseAccount, SaveAccount, SaveGrant, SaveOffer, Write
from kitestring.base.transactions.payments import ResolvePayment
from tests.kit.changed import replace
from tests.kit.ledger.enrolling import NEWCOMER, enroll
from tests.kit.ledger.steps import balance, open_invoice
from tests.kit.ledger.values import (
    NODE,
    NOW,
    answered,
    claim,
    credit,
    execute,
    hash_of,
    invoice,
    lose,
    move,
    payment,
    record_invoice,
    request,
    settle,
)

CLOSE = CloseAccount("alice", NOW + 9)
EMPTY = move("empty", "alice", "owner", 100_000)


async def revoked(store: Store, grant_id: str = "app") -> SaveGrant:
    grant = await store.grant(grant_id)
    assert grant is not None
    return SaveGrant(replace(grant, revoked_at=NOW, version=grant.version + 1))


async def close(store: Store) -> None:
    assert await store.apply(execute("close", await revoked(store), EMPTY, CLOSE)) == Claimed()


async def is_closed(store: Store) -> bool:
    account = await store.account("alice")
    assert account is not None
    return account.closed_at is not None


async def test_an_account_has_another_name_and_keeps_its_id(store: Store) -> None:
    await store.apply(execute("name", SaveAccount(Account(account_id="alice", name="carol"))))
    found = await store.account_named("carol")
    assert found is not None
    assert (found.account_id, await store.account_named("Alice")) == ("alice", None)
    assert await balance(store, "alice") == (100_000, 0, 0)


async def test_no_two_accounts_have_one_name_also_where_one_is_closed(store: Store) -> None:
    taken = SaveAccount(Account(account_id="carol", name="Alice"))
    assert await store.apply(execute("new", taken)) == Denied(Reason.CONFLICT)
    await close(store)
    rename = SaveAccount(Account(account_id="bob", name="Alice"))
    assert await store.apply(execute("name", rename)) == Denied(Reason.CONFLICT)


async def test_an_account_is_closed_with_its_last_money_in_one_commit(store: Store) -> None:
    await close(store)
    account = await store.account("alice")
    assert account is not None
    assert (account.closed_at, account.available_msat) == (NOW + 9, 0)
    assert await store.apply(execute("again", CLOSE)) == Denied(Reason.ALREADY_USED)


@pytest.mark.parametrize("name", ["owner", "@world", "nobody"])
async def test_only_a_sub_account_is_closed(store: Store, name: str) -> None:
    assert await store.apply(execute("close", CloseAccount(name, NOW))) == Denied(Reason.UNKNOWN_TARGET)


async def test_money_that_is_left_keeps_it_open_and_is_not_moved_either(store: Store) -> None:
    end = await revoked(store)
    some = move("some", "alice", "owner", 99_999)
    assert await store.apply(execute("close", end, some, CLOSE)) == Stale()
    assert await balance(store, "alice") == (100_000, 0, 0)


async def test_a_grant_keeps_it_open(store: Store) -> None:
    assert await store.apply(execute("close", EMPTY, CLOSE)) == Stale()


async def test_an_offer_keeps_it_open_also_while_it_is_off(store: Store) -> None:
    offer = Offer(offer_id="tea", label="tea", account_id="alice")
    end = await revoked(store)
    await store.apply(execute("sell", SaveOffer(offer)))
    for state in (OfferState.OPEN, OfferState.OFF):
        await store.apply(execute(f"is {state}", SaveOffer(replace(offer, state=state))))
        assert await store.apply(execute(f"close {state}", end, EMPTY, CLOSE)) == Stale()
    await store.apply(execute("delete", SaveOffer(replace(offer, state=OfferState.DELETED))))
    await close(store)


async def test_a_payment_under_way_keeps_it_open_also_one_of_unknown_end(store: Store) -> None:
    end = await revoked(store)
    all_of_it = payment("a", 99_000, 1_000)
    await store.apply(claim("a", all_of_it))
    await store.apply(execute("revoke", end))
    assert await store.apply(execute("close", CLOSE)) == Stale()
    await store.apply(lose("a"))
    assert await store.apply(execute("close", CLOSE)) == Stale()
    await store.apply(settle("a", 1_000, answered("a")))
    assert await store.apply(execute("close", CLOSE)) == Claimed()


async def test_an_invoice_keeps_it_open_until_the_node_has_ended_it(store: Store) -> None:
    await open_invoice(store, "i")
    end = await revoked(store)
    assert await store.apply(execute("close", end, EMPTY, CLOSE)) == Stale()
    await store.apply(ExpireInvoices((hash_of("i"),), NOW, NODE, NOW))
    await close(store)


async def test_what_comes_late_for_it_is_booked_and_told_and_goes_back_to_the_owner_alone(store: Store) -> None:
    await open_invoice(store, "i")
    await store.apply(ExpireInvoices((hash_of("i"),), NOW, NODE, NOW))
    await close(store)
    assert isinstance(await store.apply(credit("i", 700)), Credited)
    (alarm,) = [one for one in await store.events(0, 100) if isinstance(one, FeedEvent) and one.kind is EventKind.ALARM]
    assert "money came for the account Alice, which is closed" in alarm.detail
    assert await store.apply(execute("on", move("on", "alice", "bob", 700))) == Denied(Reason.NOT_PERMITTED)
    assert await store.apply(execute("back", move("back", "alice", "owner", 700))) == Claimed()
    account = await store.account("alice")
    assert account is not None
    assert (account.available_msat, account.closed_at) == (0, NOW + 9)
    found = await store.invoice_by_hash(NODE, hash_of("i"))
    assert found is not None
    assert (found.state, found.received_msat) == (InvoiceState.SETTLED, 700)


@pytest.mark.parametrize(
    "write",
    [
        move("in", "owner", "alice", 1),
        move("in", "bob", "alice", 1),
        SaveOffer(Offer(offer_id="tea", label="tea", account_id="alice")),
    ],
)
async def test_nothing_new_is_written_for_it(store: Store, write: Write) -> None:
    await close(store)
    answer = await store.apply(execute("new", write))
    assert answer in (Denied(Reason.NOT_PERMITTED), Denied(Reason.UNKNOWN_TARGET))


async def test_it_gets_no_grant_and_no_invoice(store: Store) -> None:
    app = await store.grant("app")
    assert app is not None
    await close(store)
    new = SaveGrant(replace(app, grant_id="new", name="new"))
    assert await store.apply(execute("new", new)) == Denied(Reason.UNKNOWN_TARGET)
    asked = replace(record_invoice("i", invoice("i", grant_id="bobs")), request=request("want-i", grant_id="bobs"))
    assert await store.apply(asked) == Stale()


async def test_what_it_is_overdrawn_by_is_covered_by_the_owner_and_no_more(store: Store) -> None:
    await store.apply(claim("a", payment("a", 99_000, 1_000)))
    await store.apply(lose("a"))

    await store.apply(ResolvePayment("pay-a", "nobody knows", NOW))
    await close(store)
    await store.apply(settle("a", 500, answered("a")))  # a late truth
    assert (await balance(store, "alice"))[0] == 100_000
    account = await store.account("alice")
    assert account is not None
    assert (account.available_msat, account.overdrawn) == (-99_500, True)
    more = move("more", "owner", "alice", 99_501)
    assert await store.apply(execute("more", more)) == Denied(Reason.NOT_PERMITTED)
    assert await store.apply(execute("cover", move("cover", "owner", "alice", 99_500))) == Claimed()
    account = await store.account("alice")
    assert account is not None
    assert (account.available_msat, account.overdrawn) == (0, False)


async def test_a_closed_account_is_never_opened_again(store: Store, ledger: Path) -> None:
    await close(store)
    with closing(sqlite3.connect(ledger)) as raw, pytest.raises(sqlite3.IntegrityError, match="never opened again"):
        raw.execute("UPDATE accounts SET closed_at = NULL WHERE service = 1 AND account_id = 'alice'")


async def test_the_account_of_an_enrolled_key_has_the_key_for_its_name_and_is_in_nobodys_way(store: Store) -> None:
    await store.apply(execute("named", SaveAccount(Account(account_id=NEWCOMER, name=NEWCOMER))))
    assert await store.apply(enroll()) == Claimed()
    found = await store.account_named(NEWCOMER)
    assert found is not None
    assert (found.account_id, NEWCOMER in (await store.renamed_accounts()).values()) == (NEWCOMER, False)
