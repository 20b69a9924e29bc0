"""An account is closed when nothing of it is open, and what is in the way is named with the command that ends it."""

from __future__ import annotations

from typing import Any

from kitestring.app.owner.params import npub
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.transactions.invoices import Credit, ExpireInvoices
from kitestring.crypto.keys import SecretKey
from tests.kit.app.desk import Office
from tests.kit.ledger.values import answered, claim, payment, settle

KEY = SecretKey(bytes([1]) * 32).public_hex


async def has(office: Office, amount_msat: int = 0) -> None:
    await office.run("account_create", "make", name="alice")
    if amount_msat:
        await office.run("account_fund", "fund", account="alice", amount_msat=amount_msat)


async def in_the_way(office: Office, key: str, **more: Any) -> Any:
    refused = await office.refused("account_close", key, account="alice", **more)
    assert refused.reason is Reason.NOT_PERMITTED
    found: Any = refused.details["in_the_way"]
    assert refused.message.startswith(f"alice cannot be closed yet: {found[0]}")
    return found


async def test_an_empty_account_is_closed_and_its_history_stays(office: Office) -> None:
    await has(office, 5_000)
    await office.run("account_withdraw", "back", account="alice")
    closed = await office.run("account_close", account="alice")
    assert (closed["account"], closed["closed_at"], closed["withdrawn_msat"]) == ("alice", office.rig.clock.now(), 0)
    assert (await office.run("account_list"))["accounts"] == []
    (row,) = (await office.run("account_list", closed=True))["accounts"]
    assert row["closed_at"] is not None
    shown = await office.run("account_show", account="alice")
    assert [(move["from_account"], move["to_account"]) for move in shown["moves"]] == [
        ("alice", "owner"), ("owner", "alice"),
    ]  # fmt: skip
    assert (await office.run("transactions", account="alice"))["transactions"] == []


async def test_what_is_left_goes_back_with_it_in_one_commit_once_for_each_key(office: Office) -> None:
    await has(office, 5_500)
    before = (await office.run("balance"))["balance_msat"]
    assert await in_the_way(office, "k1") == [
        "it has 5.500 sat (close it with --withdraw, or `kitestring account withdraw alice --all`)"
    ]
    told = [await office.run("account_close", "k2", account="alice", withdraw=True) for _ in range(2)]
    assert told[0] == told[1]
    assert (told[0]["withdrawn_msat"], told[0]["available_msat"]) == (5_500, 0)
    assert (await office.run("balance"))["balance_msat"] == before + 5_500
    again = await office.run("account_close", "k3", account="alice")
    assert (again["closed_at"], again["withdrawn_msat"]) == (told[0]["closed_at"], 0)


async def test_everything_that_is_open_is_named_with_the_command_that_ends_it(office: Office) -> None:
    await has(office, 500_000)
    await office.run("connect", "k1", name="my shop", account="alice")
    offer = await office.run("offer_create", "k2", label="tea", account="alice", price_msat=1_000)
    pointer = await office.run("debit_pointer_create", "k3", label="till", account="alice")
    link = await office.run("manage_link", "k4", label="market", account="alice")
    made = await office.run("invoice", "k5", amount_msat=7_000, account="alice")
    found = await in_the_way(office, "k6", withdraw=True)
    assert sorted(found) == sorted(
        [
            "the connection 'my shop' (`kitestring revoke 'my shop'`)",
            f"the offer 'tea' (`kitestring offer delete {offer['offer_id']}`)",
            f"the debit pointer 'till' (`kitestring debit pointer delete {pointer['pointer_id']}`)",
            f"the link 'market' (`kitestring manage unlink {link['link_id']}`)",
            f"an open invoice for 7 sat (`kitestring invoice cancel {made['payment_hash'][:8]}`)",
        ]
    )
    await office.run("revoke", "k7", name="my shop")
    await office.run("offer_delete", "k8", offer=offer["offer_id"])
    await office.run("debit_pointer_delete", "k9", pointer=pointer["pointer_id"])
    await office.run("manage_unlink", "k10", link=link["link_id"])
    (left,) = await in_the_way(office, "k11", withdraw=True)
    assert left.startswith("an open invoice for 7 sat")
    assert (await office.run("account_show", account="alice"))["available_msat"] == 500_000


async def test_its_open_invoices_are_named_and_once_they_are_cancelled_it_is_closed(office: Office) -> None:
    await has(office)
    made = [await office.run("invoice", f"i{one}", amount_msat=1_000, account="alice") for one in range(2)]
    hashes = {one["payment_hash"] for one in made}
    refused = await office.refused("account_close", "k1", account="alice")
    assert set(refused.details["open_invoices"]) == hashes  # type: ignore[call-overload]  # a list of texts
    assert refused.message.endswith("; with --cancel-invoices its invoices are cancelled first")
    office.node.offline = True
    await office.refused("invoice_cancel", "c", invoice=made[0]["payment_hash"], wait_s=0)
    assert "an invoice for 1 sat that is to be cancelled (wait until the node has said so)" in await in_the_way(
        office, "k2"
    )
    office.node.offline = False
    for number, payment_hash in enumerate(hashes):
        await office.run("invoice_cancel", f"c{number}", invoice=payment_hash)
    assert (await office.run("account_close", "k1", account="alice"))["closed_at"] is not None


async def test_payments_under_way_and_an_overdraft_are_in_the_way(office: Office) -> None:
    await has(office, 10_000)
    await office.rig.grant("app", account="alice")
    await office.store.apply(claim("a", payment("a", 9_000, 1_000)))
    await office.rig.change("app", revoked_at=1)
    assert await in_the_way(office, "k1") == ["payments under way reserve 10 sat of it (wait for their end)"]
    await office.store.apply(settle("a", 5_000, answered("a")))
    assert await in_the_way(office, "k2") == [
        "it is overdrawn by 4 sat (`kitestring account fund alice AMOUNT_SAT` covers it)"
    ]


async def test_a_closed_account_is_used_no_more(office: Office) -> None:
    await has(office)
    await office.run("account_create", "bob", name="bob")
    await office.run("account_fund", "fund-bob", account="bob", amount_msat=5_000)
    await office.run("account_close", "k1", account="alice")
    for command, params in (
        ("account_fund", {"account": "alice", "amount_msat": 1}),
        ("account_transfer", {"from_account": "bob", "to_account": "alice", "amount_msat": 1}),
        ("account_transfer", {"from_account": "alice", "to_account": "bob"}),
        ("connect", {"name": "shop", "account": "alice"}),
        ("offer_create", {"label": "tea", "account": "alice"}),
        ("debit_pointer_create", {"label": "till", "account": "alice"}),
        ("manage_link", {"label": "market", "account": "alice"}),
        ("invoice", {"amount_msat": 1_000, "account": "alice"}),
    ):
        refused = await office.refused(command, "k2", **params)
        assert refused.message == "the account 'alice' is closed: its history can be read", command
    assert (await office.refused("account_withdraw", "k3", account="alice")).reason is Reason.INSUFFICIENT_FUNDS


async def test_its_name_is_not_taken_before_it_has_another(office: Office) -> None:
    await has(office)
    await office.run("account_close", "k1", account="alice")
    refused = await office.refused("account_create", "k2", name="alice")
    assert "run `kitestring account rename alice alice-old` first" in refused.message
    await office.run("account_rename", "k3", account="alice", new_name="alice-old")
    assert (await office.run("account_create", "k4", name="alice"))["created"] is True
    assert (await office.run("account_show", account="alice-old"))["closed_at"] is not None


async def test_the_owner_is_never_closed_and_nobody_is_not_either(office: Office) -> None:
    assert (await office.refused("account_close", account="owner")).reason is Reason.MALFORMED
    assert (await office.refused("account_close", account="nobody")).reason is Reason.UNKNOWN_TARGET


async def test_what_comes_late_is_told_by_the_doctor_and_taken_back(office: Office) -> None:
    await has(office)
    made = await office.run("invoice", "k1", amount_msat=7_000, account="alice")
    node_id, now = (await office.node.info()).node_id, office.rig.clock.now()
    await office.store.apply(ExpireInvoices((made["payment_hash"],), 0, node_id, now))
    await office.run("account_close", "k2", account="alice")
    await office.store.apply(Credit(node_id, made["payment_hash"], Msat(7_000), now, ""))
    facts = await office.run("doctor")
    assert facts["late_money"] == [{"account": "alice", "available_msat": 7_000}]
    assert "money came for the account alice, which is closed" in facts["alarms"][0]["sentence"]
    assert [row["account"] for row in (await office.run("account_list"))["accounts"]] == ["alice"]
    back = await office.run("account_withdraw", "k3", account="alice")
    assert (back["amount_msat"], (await office.run("doctor"))["late_money"]) == (7_000, [])


async def test_the_account_of_an_enrolled_key_ends_and_the_key_is_told_so(office: Office) -> None:
    await office.rig.enroll("r1", KEY)
    shown = await office.run("account_show", account=npub(KEY))
    refused = await office.refused("account_close", "k1", account=npub(KEY))
    assert refused.message.count("`kitestring ") == 2
    await office.run("offer_delete", "k2", offer=shown["offers"][0]["offer_id"])
    await office.run("debit_pointer_delete", "k3", pointer=shown["pointers"][0]["pointer_id"])
    closed = await office.run("account_close", "k4", account=npub(KEY))
    assert closed["closed_at"] is not None
    await office.rig.enroll("r2", KEY)
    (answer,) = office.rig.told("r2")
    assert "ended" in answer.message


async def test_late_money_of_an_enrolled_key_is_told_with_the_name_that_takes_it_back(office: Office) -> None:
    await office.rig.enroll("r1", KEY)
    shown = await office.run("account_show", account=npub(KEY))
    made = await office.run("invoice", "k1", amount_msat=7_000, account=npub(KEY))
    node_id, now = (await office.node.info()).node_id, office.rig.clock.now()
    await office.store.apply(ExpireInvoices((made["payment_hash"],), 0, node_id, now))
    await office.run("offer_delete", "k2", offer=shown["offers"][0]["offer_id"])
    await office.run("debit_pointer_delete", "k3", pointer=shown["pointers"][0]["pointer_id"])
    await office.run("account_close", "k4", account=npub(KEY))
    await office.store.apply(Credit(node_id, made["payment_hash"], Msat(7_000), now, ""))
    sentence = (await office.run("doctor"))["alarms"][0]["sentence"]
    name = sentence.partition("account withdraw ")[2].partition(" ")[0]
    assert (await office.run("account_withdraw", "k5", account=name))["amount_msat"] == 7_000
