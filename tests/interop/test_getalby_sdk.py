"""The sdk of Alby, as it is: the methods of its NWCClient, its typed errors, and its LNClient."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from kitestring.backend.sandbox.payments import Behaviour
from kitestring.backend.sandbox.world import World
from kitestring.base.money import Msat, sat
from kitestring.codec import bolt11
from kitestring.codec.uri import decode_nwc
from tests.interop.conftest import ForeignWallet
from tests.kit.interop.asked import Asked, ClientError
from tests.kit.interop.program import Kitestring, Witness, tag
from tests.rig.network import LightningRig

#: The key of an app: one times the base point.
KEY = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"


@pytest.fixture
def outside(stall: Kitestring) -> Iterator[World]:
    """Whoever is not the service: they pay, and are paid."""
    with World(stall.home / "sandbox.db") as world:
        yield world


def proves(preimage: str, payment_hash: str) -> bool:
    return hashlib.sha256(bytes.fromhex(preimage)).hexdigest() == payment_hash


def hash_of(invoice: str) -> str:
    return bolt11.decode(invoice).payment_hash


async def refused(client: Asked, method: str, **params: object) -> str:
    """The code of its typed error. The sentence is ours, and no text of an exception."""
    with pytest.raises(ClientError) as caught:
        await client(method, params)
    assert (caught.value.name, bool(caught.value.message)) == ("Nip47WalletError", True)
    return str(caught.value.code)


async def test_what_the_info_event_says_is_what_the_wallet_says(
    stall: Kitestring, foreign_wallet: ForeignWallet
) -> None:
    async with foreign_wallet("sdk", stall.connect("sdk reads")) as client:
        announced, info = await client("getWalletServiceInfo"), await client("getInfo")
    assert announced["encryptions"] == ["nip44_v2", "nip04"]
    assert sorted(set(announced["capabilities"]) - {"notifications"}) == sorted(info["methods"])
    assert announced["notifications"] == info.get("notifications", [])
    assert (info["network"], info["block_height"] >= 0, len(info["pubkey"])) == ("regtest", True, 66)


async def test_balance_and_budget_are_told_before_and_after_a_payment(
    stall: Kitestring, foreign_wallet: ForeignWallet, outside: World
) -> None:
    uri = stall.connect("sdk spends", "--budget", "100/day")
    async with foreign_wallet("sdk", uri) as client, foreign_wallet("sdk", stall.connect("sdk unbounded")) as free:
        assert await client("getBalance") == {"balance": 100_000}
        before = await client("getBudget")
        paid = await client("payInvoice", {"invoice": outside.invoice(sat(21))})
        left = await client("getBudget")
        assert await client("getBalance") == {"balance": 79_000 - paid["fees_paid"]}
        assert await free("getBudget") == {}
        assert (await free("getBalance"))["balance"] == stall.ask("balance")["balance_msat"]
    assert (before["used_budget"], left["used_budget"]) == (0, 21_000 + paid["fees_paid"])
    assert (left["total_budget"], left["renewal_period"], left["renews_at"] > 0) == (100_000, "daily", True)


async def test_a_payment_is_proven_and_told_once_more_and_kept_from_other_connections(
    stall: Kitestring, foreign_wallet: ForeignWallet, outside: World
) -> None:
    invoice = outside.invoice(Msat(1_000_123), "a kite")
    payment_hash = hash_of(invoice)
    metadata = {"comment": "für dich ☕", "payer_data": {"name": "ada"}}
    async with foreign_wallet("sdk", stall.connect("sdk pays")) as client:
        paid = await client("payInvoice", {"invoice": invoice, "metadata": metadata})
        assert proves(paid["preimage"], payment_hash)
        booked = stall.booked(payment_hash)
        assert (booked["state"], booked["fee_msat"]) == ("settled", paid["fees_paid"])
        assert await client("payInvoice", {"invoice": invoice.upper()}) == paid
        found = await client("lookupInvoice", {"invoice": invoice})
        assert found == await client("lookupInvoice", {"payment_hash": payment_hash})
    assert (found["type"], found["state"], found["amount"]) == ("outgoing", "settled", 1_000_123)
    assert (found["preimage"], found["fees_paid"], found["metadata"]) == (
        paid["preimage"], paid["fees_paid"], metadata,
    )  # fmt: skip
    assert found["settled_at"] >= found["created_at"] > 0
    async with foreign_wallet("sdk", stall.connect("sdk another")) as other:
        assert await refused(other, "payInvoice", invoice=invoice) == "OTHER"
        assert await refused(other, "lookupInvoice", payment_hash=payment_hash) == "NOT_FOUND"
    assert len(stall.rows("SELECT * FROM payments WHERE payment_hash = ?", payment_hash)) == 1


async def test_an_open_amount_is_paid_as_named_and_never_without(
    stall: Kitestring, foreign_wallet: ForeignWallet, outside: World
) -> None:
    open_one, fixed = outside.invoice(None), outside.invoice(sat(5))
    async with foreign_wallet("sdk", stall.connect("sdk names amounts")) as client:
        assert await refused(client, "payInvoice", invoice=open_one) == "OTHER"
        assert await refused(client, "payInvoice", invoice=fixed, amount=6_000) == "OTHER"
        await client("payInvoice", {"invoice": open_one, "amount": 42_001})
        await client("payInvoice", {"invoice": fixed, "amount": 5_000})
    assert [stall.booked(hash_of(code))["amount_msat"] for code in (open_one, fixed)] == [42_001, 5_000]


async def test_an_invoice_is_open_until_somebody_out_there_pays_it(
    stall: Kitestring, foreign_wallet: ForeignWallet, outside: World
) -> None:
    wanted = {"amount": 21_007, "description": "été ☕", "expiry": 900, "metadata": {"order": 7}}
    async with foreign_wallet("sdk", stall.connect("sdk sells")) as client:
        made = await client("makeInvoice", wanted)
        by_hash = {"payment_hash": made["payment_hash"]}
        before = await client("lookupInvoice", by_hash)
        outside.pay(made["invoice"])
        after = await settled(client, by_hash)
        assert await client("lookupInvoice", {"invoice": made["invoice"]}) == after
    invoice = bolt11.decode(made["invoice"])
    assert (invoice.amount_msat, invoice.description, invoice.expiry_s) == (21_007, "été ☕", 900)
    assert made == before
    assert (made["type"], made["state"], made["expires_at"]) == ("incoming", "pending", invoice.expires_at)
    assert "preimage" not in before
    assert proves(after["preimage"], invoice.payment_hash)
    assert (after["amount"], after["fees_paid"], after["metadata"]) == (21_007, 0, {"order": 7})


async def settled(client: Asked, by_hash: dict[str, str]) -> Any:
    while (found := await client("lookupInvoice", by_hash))["state"] != "settled":
        assert found["state"] == "pending"
    return found


@pytest.mark.parametrize("setting", ["auto", "legacy"])
async def test_it_hears_of_what_it_was_paid_and_of_what_it_has_paid(
    stall: Kitestring, foreign_wallet: ForeignWallet, outside: World, setting: str
) -> None:
    async with foreign_wallet("sdk", stall.connect(f"sdk listens {setting}", "--encryption", setting)) as client:
        made = await client("makeInvoice", {"amount": 21_000})
        await client("listen")
        outside.pay(made["invoice"])
        received = await client("heard")
        bill = outside.invoice(sat(5))
        paid = await client("payInvoice", {"invoice": bill})
        sent = await client("heard")
    assert [told["notification_type"] for told in (received, sent)] == ["payment_received", "payment_sent"]
    told, sold = sent["notification"], received["notification"]
    assert (sold["payment_hash"], sold["amount"], sold["state"]) == (made["payment_hash"], 21_000, "settled")
    assert (told["payment_hash"], told["preimage"], told["fees_paid"]) == (
        hash_of(bill), paid["preimage"], paid["fees_paid"],
    )  # fmt: skip


async def test_a_key_is_paid_with_records_of_the_apps_own(
    stall: Kitestring, foreign_wallet: ForeignWallet, outside: World
) -> None:
    order = {"amount": 7_001, "pubkey": outside.node(), "tlv_records": [{"type": 7_629_169, "value": "7b7d"}]}
    async with foreign_wallet("sdk", stall.connect("sdk keysends", "--budget", "100/day")) as client:
        paid = await client("payKeysend", order)
        assert await client("getBalance") == {"balance": 92_999 - paid["fees_paid"]}
        assert await refused(client, "payKeysend", **{**order, "amount": 200_000}) == "QUOTA_EXCEEDED"
    payment_hash = hashlib.sha256(bytes.fromhex(paid["preimage"])).hexdigest()
    (arrived,) = (one for one in outside.payments() if one.payment_hash == payment_hash)
    assert (arrived.amount_msat, arrived.records) == (7_001, ((7_629_169, "7b7d"),))


async def test_several_payments_go_in_one_request(
    stall: Kitestring, foreign_wallet: ForeignWallet, outside: World
) -> None:
    bills = [outside.invoice(sat(amount)) for amount in (5, 6, 7)]
    keys = [{"amount": 1_000, "pubkey": outside.node(), "id": name} for name in ("one", "two")]
    async with foreign_wallet("sdk", stall.connect("sdk pays many")) as client:
        paid = await client("multiPayInvoice", {"invoices": [{"invoice": bill} for bill in bills]})
        sent = await client("multiPayKeysend", {"keysends": keys})
    assert {one["dTag"] for one in paid["invoices"]} == {hash_of(bill) for bill in bills}
    assert all(proves(one["preimage"], one["dTag"]) for one in paid["invoices"])
    assert {one["dTag"] for one in sent["keysends"]} == {"one", "two"}


async def test_one_app_pays_another_within_the_service_without_a_fee(
    stall: Kitestring, foreign_wallet: ForeignWallet
) -> None:
    stall.ask("account", "create", "till")
    async with (
        foreign_wallet("sdk", stall.connect("sdk till", "--account", "till")) as seller,
        foreign_wallet("sdk", stall.connect("sdk guest")) as buyer,
    ):
        made = await seller("makeInvoice", {"amount": 30_000})
        paid = await buyer("payInvoice", {"invoice": made["invoice"]})
        assert paid["fees_paid"] == 0
        assert proves(paid["preimage"], made["payment_hash"])
        sold, bought = [await app("lookupInvoice", {"payment_hash": made["payment_hash"]}) for app in (seller, buyer)]
        assert await seller("getBalance") == {"balance": 30_000}
    assert [(row["type"], row["state"]) for row in (sold, bought)] == [
        ("incoming", "settled"), ("outgoing", "settled"),
    ]  # fmt: skip


async def test_the_history_is_paged_the_newest_first_and_counted(
    stall: Kitestring, foreign_wallet: ForeignWallet, outside: World
) -> None:
    bills = [outside.invoice(sat(amount)) for amount in range(1, 6)]
    async with foreign_wallet("sdk", stall.connect("sdk lists")) as client:
        for bill in bills:
            await client("payInvoice", {"invoice": bill})
        made = await client("makeInvoice", {"amount": 9_000})

        async def listed(**query: object) -> tuple[list[str], int]:
            page = await client("listTransactions", query)
            return [row["payment_hash"] for row in page["transactions"]], page["total_count"]

        newest_first = [hash_of(bill) for bill in reversed(bills)]
        assert await listed() == (newest_first, 5)
        pages = [await listed(limit=2, offset=offset) for offset in (0, 2, 4, 6)]
        assert [hash_ for page, _ in pages for hash_ in page] == newest_first
        assert [count for _, count in pages] == [5] * 4
        assert await listed(type="incoming") == ([], 0)
        assert await listed(type="incoming", unpaid=True) == ([made["payment_hash"]], 1)
        everything, count = await listed(unpaid_incoming=True)
        assert (sorted(everything), count) == (sorted([made["payment_hash"], *newest_first]), 6)
        assert (await listed(until=made["created_at"] - 3_600))[0] == []
        assert (await listed(**{"from": made["created_at"] - 3_600}))[0] == newest_first


async def test_a_link_that_only_looks_lists_looks_up_and_hears_what_came_to_its_account(
    stall: Kitestring, foreign_wallet: ForeignWallet, outside: World
) -> None:
    stall.ask("account", "create", "purse")
    looks = stall.connect("sdk looks", "--account", "purse", "--preset", "read-only", "--show-history", "account")
    till = stall.connect("sdk at the till", "--account", "purse")
    async with foreign_wallet("sdk", looks) as client, foreign_wallet("sdk", till) as other:
        await client("listen")
        made = await other("makeInvoice", {"amount": 7_000})
        outside.pay(made["invoice"])
        heard = await client("heard")
        found = await client("lookupInvoice", {"payment_hash": made["payment_hash"]})
        assert (heard["notification_type"], heard["notification"]) == ("payment_received", found)
        assert (found["state"], found["type"], found["amount"]) == ("settled", "incoming", 7_000)
        page = await client("listTransactions", {})
        assert (page["transactions"], page["total_count"]) == ([found], 1)
        assert await refused(client, "makeInvoice", amount=1_000) == "RESTRICTED"


async def test_each_refusal_is_its_typed_error_with_the_code_of_the_text(
    stall: Kitestring, foreign_wallet: ForeignWallet, outside: World
) -> None:
    stall.ask("account", "create", "empty")
    bill = outside.invoice(sat(200))
    for code, options, method, params in (
        ("QUOTA_EXCEEDED", ("--budget", "100/day"), "payInvoice", {"invoice": bill}),
        ("QUOTA_EXCEEDED", ("--per-payment", "100"), "payInvoice", {"invoice": bill}),
        ("RESTRICTED", ("--methods", "get_info"), "getBalance", {}),
        ("RESTRICTED", ("--methods", "get_info,get_balance"), "payInvoice", {"invoice": bill}),
        ("INSUFFICIENT_BALANCE", ("--account", "empty"), "payInvoice", {"invoice": bill}),
        ("NOT_FOUND", (), "lookupInvoice", {"payment_hash": "00" * 32}),
        ("PAYMENT_FAILED", (), "payInvoice", {"invoice": outside.invoice(sat(7), behaviour=Behaviour.FAIL)}),
        ("OTHER", (), "payInvoice", {"invoice": "lnbcrt1nonsense"}),
        ("RESTRICTED", (), "createConnection", {"pubkey": KEY, "name": "x", "request_methods": ["get_info"]}),
        ("RESTRICTED", ("--preset", "receive-only"), "signMessage", {"message": "it is I"}),
    ):
        async with foreign_wallet("sdk", stall.connect(f"sdk {code} {method} {options}", *options)) as client:
            assert (await refused(client, method, **params), code) == (code, code)


async def test_an_app_that_was_revoked_while_it_runs_is_told_that_it_is_none_any_more(
    stall: Kitestring, foreign_wallet: ForeignWallet
) -> None:
    async with foreign_wallet("sdk", stall.connect("sdk leaves")) as client:
        await client("getBalance")
        stall.ask("revoke", "sdk leaves", "--yes")
        assert await refused(client, "getBalance") == "UNAUTHORIZED"


@pytest.mark.parametrize(("setting", "spoken"), [
    ("auto", "nip44_v2"), ("nip44", "nip44_v2"), ("both", "nip44_v2"), ("legacy", "nip04"),
])  # fmt: skip
async def test_it_speaks_the_best_cipher_that_is_offered_and_is_answered_in_it(
    stall: Kitestring, foreign_wallet: ForeignWallet, witness: Witness, setting: str, spoken: str
) -> None:
    uri = stall.connect(f"sdk speaks {setting}", "--encryption", setting)
    service = decode_nwc(uri).service_pubkey
    async with foreign_wallet("sdk", uri) as client:
        made = await client("makeInvoice", {"amount": 21_000, "description": "ümläut ☕"})
        assert await client("get", "encryptionType") == spoken
    assert made["description"] == "ümläut ☕"
    request = await witness.one(23194, to=service)
    reply = await witness.one(23195, author=service, answers=request["id"])
    assert tag(request, "encryption") == spoken
    assert [("?iv=" in event["content"]) for event in (request, reply)] == [spoken == "nip04"] * 2


async def test_its_simple_client_pays_and_hears_of_what_it_was_paid(
    stall: Kitestring, foreign_wallet: ForeignWallet, outside: World
) -> None:
    bill, open_bill = outside.invoice(sat(12), "tea"), outside.invoice(None)
    async with foreign_wallet("simple", stall.connect("sdk simple")) as client:
        paid = await client("pay", bill)
        assert proves(paid["preimage"], hash_of(bill))
        assert (paid["invoice"]["description"], paid["invoice"]["satoshi"]) == ("tea", 12)
        await client("pay", open_bill, 13)
        made = await client("requestPayment", 14, {"description": "a kite"})
        await client("listen")
        outside.pay(made["invoice"])
        received = await client("heard")
    assert stall.booked(hash_of(open_bill))["amount_msat"] == 13_000
    assert (received["payment_hash"], received["amount"]) == (made["payment_hash"], 14_000)
    assert proves(received["preimage"], made["payment_hash"])


async def test_on_a_real_node_it_pays_and_is_paid(
    shop: Kitestring, rig: LightningRig, foreign_wallet: ForeignWallet
) -> None:
    bill = await rig.c.invoice(5_000_123)
    async with foreign_wallet("sdk", shop.connect("sdk on lnd", "--budget", "100000/day")) as client:
        paid = await client("payInvoice", {"invoice": bill.bolt11})
        made = await client("makeInvoice", {"amount": 123_456, "description": "a kite"})
        outside = await rig.c.pay(made["invoice"])
        found = await settled(client, {"payment_hash": made["payment_hash"]})
        assert (await client("getInfo"))["alias"] == "kitestring-rig-a"
        assert (await client("getBudget"))["used_budget"] == 5_000_123 + paid["fees_paid"]
        listed = await client("listTransactions", {"limit": 1, "type": "outgoing"})
        assert listed["transactions"] == [await client("lookupInvoice", {"invoice": bill.bolt11})]
        assert (listed["total_count"], (await client("listTransactions", {"limit": 1}))["total_count"]) == (1, 2)
    at_lnd = (await rig.a.payments())[bill.payment_hash]
    assert (at_lnd.status, at_lnd.preimage, at_lnd.fee_msat) == ("SUCCEEDED", paid["preimage"], paid["fees_paid"])
    assert (found["preimage"], found["amount"]) == (outside.preimage, 123_456)


async def test_on_a_real_node_it_pays_keys_and_several_at_once(
    shop: Kitestring, rig: LightningRig, foreign_wallet: ForeignWallet
) -> None:
    key, bills = await rig.c.pubkey(), [await rig.c.invoice(amount) for amount in (11_000, 12_000)]
    note = {"type": 7_629_169, "value": "7b7d"}
    keys = [{"amount": amount, "pubkey": key, "id": str(amount)} for amount in (21_001, 21_002)]
    async with foreign_wallet("sdk", shop.connect("sdk keys on lnd")) as client:
        sent = await client("payKeysend", {"amount": 21_000, "pubkey": key, "tlv_records": [note]})
        paid = await client("multiPayInvoice", {"invoices": [{"invoice": bill.bolt11} for bill in bills]})
        many = await client("multiPayKeysend", {"keysends": keys})
    assert {one["dTag"]: proves(one["preimage"], one["dTag"]) for one in paid["invoices"]} == {
        bill.payment_hash: True for bill in bills
    }
    proofs = {21_000: sent["preimage"]} | {int(one["dTag"]): one["preimage"] for one in many["keysends"]}
    assert set(proofs) == {21_000, 21_001, 21_002}
    for amount, preimage in proofs.items():
        arrived = await rig.c.lookup(hashlib.sha256(bytes.fromhex(preimage)).hexdigest())
        assert (arrived["state"], arrived["amt_paid_msat"]) == ("SETTLED", str(amount))
        (htlc,) = arrived["htlcs"]
        assert (str(note["type"]) in htlc["custom_records"]) == (amount == 21_000)
