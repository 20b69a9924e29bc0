"""Accounts as they are called now, and what is open of them."""

from kitestring.base.grants import Account
from kitestring.base.money import Msat
from kitestring.base.records import AccountMove
from kitestring.base.store import Store
from kitestring.base.transactions.owner import CloseAccount, SaveAccount, SaveGrant
from tests.kit.changed import replace
from tests.kit.ledger.plans import WALK, Plans
from tests.kit.ledger.steps import open_invoice
from tests.kit.ledger.values import NOW, execute, move


async def test_an_account_is_found_by_the_name_that_it_has_now(store: Store) -> None:
    await store.apply(execute("name", SaveAccount(Account(account_id="alice", name="carol"))))
    found = await store.account_named("carol")
    assert found == await store.account("alice")
    assert await store.renamed_accounts() == {"alice": "carol", "bob": "Bob"}


async def test_what_moved_between_accounts_is_told_from_either_side_the_newest_first(store: Store) -> None:
    await store.apply(execute("over", move("over", "alice", "bob", 7)))
    await store.apply(execute("back", move("back", "bob", "owner", 9)))
    funded = AccountMove("owner", "bob", Msat(100_000), "a note", NOW)
    over = AccountMove("alice", "bob", Msat(7), "a note", NOW)
    back = AccountMove("bob", "owner", Msat(9), "a note", NOW)
    assert await store.account_moves("bob", 10) == [back, over, funded]
    assert await store.account_moves("bob", 2) == [back, over]
    assert (await store.account_moves("alice", 10))[0] == over


async def test_what_is_open_of_an_account_is_listed(store: Store) -> None:
    await open_invoice(store, "i")
    assert [one.invoice_id for one in await store.account_invoices("alice", 5)] == ["inv-i"]
    assert await store.account_invoices("bob", 5) == []
    (app,) = await store.account_grants("alice")
    assert app.grant_id == "app"
    await store.apply(execute("end", SaveGrant(replace(app, revoked_at=NOW, version=2))))
    assert await store.account_grants("alice") == []


async def test_no_look_at_an_account_walks_a_table(plans: Plans) -> None:
    store, explained = plans
    await store.account_named("alice")
    await store.renamed_accounts()
    await store.account_grants("alice")
    await store.account_moves("alice", 10)
    await store.apply(execute("close", CloseAccount("alice", NOW)))
    walks = [step for _, step in explained() if WALK.search(step)]
    assert [step for step in walks if "accounts_renamed" not in step] == []  # in that index are few
