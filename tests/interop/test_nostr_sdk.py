"""nostr-sdk's wallet client, as it is, on a connection of a service that stands in front of a real node."""

import hashlib

import nostr_sdk
import pytest

from kitestring.codec import bolt11
from tests.kit.codec.signatures import unsigned
from tests.kit.interop.program import Kitestring, Witness, eventually, tag, witnessing
from tests.rig.network import LightningRig

# Large enough that the fee of the way through B (1 sat and a millionth) has a part below one sat.
AMOUNT_MSAT = 5_000_123


def wallet(uri: str) -> nostr_sdk.NostrWalletConnect:
    return nostr_sdk.NostrWalletConnect(nostr_sdk.NostrWalletConnectUri.parse(uri))


def order(invoice: str, amount_msat: int | None = None) -> nostr_sdk.PayInvoiceRequest:
    return nostr_sdk.PayInvoiceRequest(id=None, invoice=invoice, amount=amount_msat)


async def test_the_fee_of_a_payment_is_the_same_in_the_reply_the_ledger_and_lnd(
    shop: Kitestring, rig: LightningRig
) -> None:
    invoice = await rig.c.invoice(AMOUNT_MSAT)
    paid = await wallet(shop.connect("pays")).pay_invoice(order(invoice.bolt11))
    assert hashlib.sha256(bytes.fromhex(paid.preimage)).hexdigest() == invoice.payment_hash
    at_lnd = (await rig.a.payments())[invoice.payment_hash]
    booked = shop.booked(invoice.payment_hash)
    assert paid.fees_paid == at_lnd.fee_msat == booked["fee_msat"]
    assert at_lnd.fee_msat > 1_000
    assert (at_lnd.status, at_lnd.preimage, at_lnd.amount_msat) == ("SUCCEEDED", paid.preimage, AMOUNT_MSAT)
    assert (booked["state"], booked["preimage"], booked["amount_msat"]) == ("settled", paid.preimage, AMOUNT_MSAT)
    entries = shop.entries(invoice.payment_hash)
    assert entries["owner"] == -(AMOUNT_MSAT + at_lnd.fee_msat)
    assert sorted(entries.values()) == sorted([entries["owner"], AMOUNT_MSAT, at_lnd.fee_msat])
    assert (await rig.c.lookup(invoice.payment_hash))["state"] == "SETTLED"


async def test_an_open_amount_is_paid_as_named(shop: Kitestring, rig: LightningRig) -> None:
    invoice = await rig.c.invoice(0)
    client = wallet(shop.connect("names the amount"))
    with pytest.raises(nostr_sdk.NostrSdkError):
        await client.pay_invoice(order(invoice.bolt11))
    await client.pay_invoice(order(invoice.bolt11, 42_000))
    assert (await rig.c.lookup(invoice.payment_hash))["amt_paid_msat"] == "42000"


async def test_the_wallet_reads_itself(shop: Kitestring, rig: LightningRig) -> None:
    client = wallet(shop.connect("reads"))
    info = await client.get_info()
    assert (info.alias, info.pubkey, info.network) == ("kitestring-rig-a", await rig.a.pubkey(), "regtest")
    assert {str(method).removeprefix("Method.").removesuffix("()") for method in info.methods} == {
        "PAY_INVOICE", "PAY_KEYSEND", "MAKE_INVOICE", "LOOKUP_INVOICE", "LIST_TRANSACTIONS", "GET_BALANCE", "GET_INFO",
        "MAKE_HOLD_INVOICE", "SETTLE_HOLD_INVOICE", "CANCEL_HOLD_INVOICE",
        "UNKNOWN(unknown=get_budget)", "UNKNOWN(unknown=pay)", "UNKNOWN(unknown=receive)",
        "UNKNOWN(unknown=multi_pay_invoice)", "UNKNOWN(unknown=multi_pay_keysend)", "UNKNOWN(unknown=sign_message)",
    }  # fmt: skip
    balance_msat = (await client.get_balance()).balance
    assert balance_msat == shop.ask("balance")["balance_msat"]
    assert 0 < balance_msat <= await rig.a.balance_msat()
    bounded = wallet(shop.connect("reads its budget", "--budget", "100/day"))
    assert (await bounded.get_balance()).balance == 100_000


async def test_an_invoice_it_makes_is_seen_settled_once_another_node_has_paid_it(
    shop: Kitestring, rig: LightningRig
) -> None:
    client = wallet(shop.connect("sells"))
    request = nostr_sdk.MakeInvoiceRequest(amount=123_456, description="a kite", description_hash=None, expiry=900)
    made = await client.make_invoice(request)
    invoice = bolt11.decode(made.invoice)
    assert (invoice.amount_msat, invoice.description) == (123_456, "a kite")
    assert made.payment_hash == invoice.payment_hash
    by_hash = nostr_sdk.LookupInvoiceRequest(payment_hash=invoice.payment_hash, invoice=None)
    by_code = nostr_sdk.LookupInvoiceRequest(payment_hash=None, invoice=made.invoice)
    assert (await client.lookup_invoice(by_hash)).state is nostr_sdk.TransactionState.PENDING
    paid = await rig.c.pay(made.invoice)

    async def settled() -> bool:
        return (await client.lookup_invoice(by_code)).state is nostr_sdk.TransactionState.SETTLED

    await eventually(settled, "the invoice is seen settled")
    found = await client.lookup_invoice(by_hash)
    assert (found.transaction_type, found.amount, found.fees_paid) == (nostr_sdk.TransactionType.INCOMING, 123_456, 0)
    assert (found.preimage, found.description, found.invoice) == (paid.preimage, "a kite", made.invoice)


async def test_the_list_has_what_this_connection_made_the_newest_first(shop: Kitestring, rig: LightningRig) -> None:
    client = wallet(shop.connect("lists"))
    mine = nostr_sdk.MakeInvoiceRequest(amount=9_000, description="unpaid", description_hash=None, expiry=None)
    made = await client.make_invoice(mine)
    theirs = [await rig.c.invoice(amount) for amount in (11_000, 12_000)]
    for invoice in theirs:
        await client.pay_invoice(order(invoice.bolt11))

    async def listed(unpaid: bool, kind: nostr_sdk.TransactionType | None = None, limit: int = 10) -> list[str]:
        wanted = nostr_sdk.ListTransactionsRequest(
            _from=None, until=None, limit=limit, offset=None, unpaid=unpaid, transaction_type=kind
        )
        return [found.payment_hash for found in await client.list_transactions(wanted)]

    hashes = [invoice.payment_hash for invoice in reversed(theirs)]
    assert await listed(unpaid=False) == hashes
    assert await listed(unpaid=False, limit=1) == hashes[:1]
    assert await listed(unpaid=False, kind=nostr_sdk.TransactionType.INCOMING) == []
    assert sorted(await listed(unpaid=True)) == sorted([*hashes, str(made.payment_hash)])


async def test_refusals_reach_it_as_errors_with_their_code(shop: Kitestring, rig: LightningRig) -> None:
    client = wallet(shop.connect("small", "--budget", "100/day", "--methods", "pay_invoice"))
    invoice = await rig.c.invoice(200_000)
    with pytest.raises(nostr_sdk.NostrSdkError, match=r"(?i)quota"):
        await client.pay_invoice(order(invoice.bolt11))
    with pytest.raises(nostr_sdk.NostrSdkError, match=r"(?i)restricted"):
        await client.get_balance()
    unknown = wallet(shop.connect("asks")).lookup_invoice
    with pytest.raises(nostr_sdk.NostrSdkError, match=r"(?i)not.?found"):
        await unknown(nostr_sdk.LookupInvoiceRequest(payment_hash="00" * 32, invoice=None))
    assert invoice.payment_hash not in await rig.a.payments()


async def test_an_invoice_that_nobody_can_have_signed_fails_at_once_and_holds_nothing(
    shop: Kitestring, rig: LightningRig
) -> None:
    client, before = wallet(shop.connect("forges")), shop.ask("balance")["balance_msat"]
    invoice = await rig.c.invoice(70_000)
    forged = dict(unsigned(invoice.bolt11))["r is not on the curve"]
    for _ in range(2):  # a failure that is proven: the second is a new attempt, and no hash is taken
        with pytest.raises(nostr_sdk.NostrSdkError, match=r"(?i)payment.?failed"):
            await client.pay_invoice(order(forged))
    attempts = shop.rows("SELECT * FROM payments WHERE payment_hash = ?", invoice.payment_hash)
    assert [attempt["state"] for attempt in attempts] == ["failed", "failed"]
    assert shop.ask("balance")["balance_msat"] == before
    assert invoice.payment_hash not in await rig.a.payments()
    await client.pay_invoice(order(invoice.bolt11))


@pytest.mark.parametrize(("setting", "offered", "used"), [
    ("auto", "nip44_v2 nip04", "nip44_v2"), ("nip44", "nip44_v2", "nip44_v2"), ("legacy", None, None),
])  # fmt: skip
async def test_it_speaks_the_best_cipher_of_the_info_event_and_is_answered_in_it(
    shop: Kitestring, witness: Witness, setting: str, offered: str | None, used: str | None
) -> None:
    uri = nostr_sdk.NostrWalletConnectUri.parse(shop.connect(f"speaks {setting}", "--encryption", setting))
    service = uri.public_key().to_hex()
    assert tag(await witness.one(13194, author=service), "encryption") == offered
    await nostr_sdk.NostrWalletConnect(uri).get_info()
    request = await witness.one(23194, to=service)
    reply = await witness.one(23195, author=service, answers=request["id"])
    assert tag(request, "encryption") == used
    assert reply["tags"] == [["p", request["pubkey"]], ["e", request["id"]]]
    assert [("?iv=" in event["content"]) for event in (request, reply)] == [used is None] * 2


async def test_after_the_first_nip44_request_the_relay_shows_that_nothing_less_is_taken(
    shop: Kitestring, witness: Witness, foreign_relay: str
) -> None:
    uri = nostr_sdk.NostrWalletConnectUri.parse(shop.connect("rises"))
    service = uri.public_key().to_hex()
    await nostr_sdk.NostrWalletConnect(uri).get_info()
    await witness.until(lambda: len(witness.of(13194, author=service)) == 2, "the info event is replaced")
    async with witnessing(foreign_relay) as late:
        assert [tag(event, "encryption") for event in late.of(13194, author=service)] == ["nip44_v2"]
