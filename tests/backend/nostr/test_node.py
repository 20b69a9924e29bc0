"""A wallet over Nostr Wallet Connect as a node: what it says of a payment, and what may be believed of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256

import pytest

from kitestring.backend.nostr import late
from kitestring.backend.nostr.connection import WalletAnswerError
from kitestring.backend.nostr.late import OVER_S
from kitestring.backend.nostr.node import NwcWallet
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.money import MAX_MSAT, ZERO, Msat
from kitestring.base.node import (
    FindingState,
    InvoiceOrder,
    InvoiceStatus,
    NodeInvoiceState,
    NodePayment,
    NodePaymentState,
    NodeUnreachableError,
    PayOrder,
)
from kitestring.base.payments import Failed, FailureReason, InFlight, LookupAnswer, NeverSeen, Settled, Unknown
from kitestring.codec.signed_message import sign
from tests.kit.backend.scripted import FAILED, INFO, PAID, RECORD, SOLD, Says, asked, bill, wallet
from tests.kit.backend.sides import order
from tests.kit.backend.wallet import PACE
from tests.kit.changed import replace
from tests.kit.client.hostile import SERVICE, HostileRelay, info_event
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice
from tests.kit.codec.signatures import unsigned


async def paying(answers: Says, wanted: PayOrder | None = None) -> object:
    async with wallet(answers) as (backend, _):
        return await backend.pay(wanted or bill())


# ---------------------------------------------------------------- payments


async def test_an_order_carries_its_fee_cap_and_an_amount_only_where_the_invoice_has_none() -> None:
    async with wallet({"pay_invoice": {"preimage": PREIMAGE, "fees_paid": 7}}) as (backend, relay):
        assert await backend.pay(bill()) == Settled(PREIMAGE, Msat(7))
        await backend.pay(bill(None, fee_cap_msat=ZERO))
        assert [(params.get("amount"), params["max_fee"]) for params in asked(relay, "pay_invoice")] == [
            (None, 10_000), (21_000, 0),
        ]  # fmt: skip


@pytest.mark.parametrize(("code", "reason"), [
    ("QUOTA_EXCEEDED", FailureReason.INSUFFICIENT_FUNDS), ("RESTRICTED", FailureReason.REFUSED),
    ("RATE_LIMITED", FailureReason.REFUSED), ("UNAUTHORIZED", FailureReason.REFUSED),
    ("EXPIRED", FailureReason.REFUSED), ("NOT_IMPLEMENTED", FailureReason.REFUSED),
])  # fmt: skip
async def test_a_refusal_of_who_asks_and_how_much_has_begun_nothing(code: str, reason: FailureReason) -> None:
    async with wallet({"pay_invoice": code}) as (backend, relay):
        answer = await backend.pay(bill())
        assert isinstance(answer, Failed)
        assert (answer.reason, answer.attempt_at) == (reason, None)
        assert code in answer.evidence
        looks = (
            1 if reason is FailureReason.INSUFFICIENT_FUNDS else 0
        )  # another program may have given it what there is
        assert len(asked(relay, "lookup_invoice")) == looks


async def test_failures_do_not_add_up_to_doubts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kitestring.client.nwc.attempts.MAX_HASHES", 2)
    async with wallet({"pay_invoice": "QUOTA_EXCEEDED", "lookup_invoice": "NOT_FOUND"}) as (backend, _):
        for number in range(4):
            payment_hash = f"{number:064x}"
            text = invoice(payment_hash=payment_hash)
            assert isinstance(await backend.pay(order(text, timeout_s=1)), Failed)


@pytest.mark.parametrize(("code", "reason"), [
    ("PAYMENT_FAILED", FailureReason.OTHER), ("INSUFFICIENT_BALANCE", FailureReason.INSUFFICIENT_FUNDS),
    ("FEE_LIMIT_EXCEEDED", FailureReason.FEE_LIMIT),
])  # fmt: skip
async def test_a_failure_counts_where_the_record_does_not_say_otherwise(code: str, reason: FailureReason) -> None:
    for record, attempt_at in ((FAILED, NOW + 1), ("NOT_FOUND", None)):
        answer = await paying({"pay_invoice": code, "lookup_invoice": record})
        assert isinstance(answer, Failed)
        assert (answer.reason, answer.attempt_at) == (reason, attempt_at)
    assert await paying({"pay_invoice": code, "lookup_invoice": PAID}) == Settled(PREIMAGE, Msat(7))
    assert await paying({"pay_invoice": code, "lookup_invoice": RECORD}) == InFlight()
    unclear: tuple[object, ...] = (None, "RESTRICTED", {**RECORD, "type": "incoming"})
    for told in unclear:
        assert isinstance(await paying({"pay_invoice": code, "lookup_invoice": told}), Unknown)


@pytest.mark.parametrize("code", ["OTHER", "INTERNAL", "NOT_FOUND", "TEMPORARILY_UNAVAILABLE", "never heard of"])
async def test_an_unclear_refusal_is_no_failure_even_where_the_wallet_has_no_record(code: str) -> None:
    for record in ("NOT_FOUND", FAILED):
        assert isinstance(await paying({"pay_invoice": code, "lookup_invoice": record}), Unknown)
    assert await paying({"pay_invoice": code, "lookup_invoice": RECORD}) == InFlight()
    assert await paying({"pay_invoice": code, "lookup_invoice": PAID}) == Settled(PREIMAGE, Msat(7))


async def test_a_lost_answer_is_looked_up_and_the_order_never_sent_again() -> None:
    for record, kind in ((PAID, Settled), (RECORD, InFlight), ("NOT_FOUND", Unknown), (None, Unknown)):
        async with wallet({"pay_invoice": None, "lookup_invoice": record}) as (backend, relay):
            assert isinstance(await backend.pay(bill(timeout_s=0)), kind)
            assert len(asked(relay, "pay_invoice")) == 1


async def test_a_relay_that_is_gone_after_the_order_does_not_mean_that_nobody_was_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def gone(_: str) -> None:
        raise NodeUnreachableError("no relay can be reached")

    for said in ("PAYMENT_FAILED", "OTHER", None):
        async with wallet({"pay_invoice": said, "lookup_invoice": "NOT_FOUND"}) as (backend, _):
            monkeypatch.setattr(backend, "lookup_payment", gone)
            assert isinstance(await backend.pay(bill(timeout_s=0)), Unknown)


async def test_what_no_wallet_should_be_given_is_not_sent() -> None:
    spoiled = dict(unsigned(invoice()))["r is not on the curve"]
    for wanted, reason in (
        (bill(destination=Bolt11(invoice(at=NOW - 7_200))), FailureReason.EXPIRED),
        (bill(destination=Bolt11(invoice(network="bitcoin"))), FailureReason.REFUSED),
        (bill(destination=Bolt11(spoiled)), FailureReason.REFUSED),
    ):
        async with wallet({"pay_invoice": None, "lookup_invoice": "NOT_FOUND"}) as (backend, relay):
            answer = await backend.pay(wanted)
            assert isinstance(answer, Failed)
            assert answer.reason is reason
            assert asked(relay, "pay_invoice") == []


async def test_what_the_wallet_knows_of_an_unfit_invoice_counts_more_than_that_it_is_unfit() -> None:
    expired = bill(destination=Bolt11(invoice(at=NOW - 7_200)))
    assert await paying({"lookup_invoice": PAID}, expired) == Settled(PREIMAGE, Msat(7))
    assert isinstance(await paying({"lookup_invoice": None}, expired), Unknown)


async def test_a_wallet_that_does_not_tell_its_network_looks_at_that_of_an_invoice_itself() -> None:
    foreign = bill(destination=Bolt11(invoice(network="bitcoin")))
    untold: tuple[object, ...] = ("RESTRICTED", {"methods": []})
    for told in untold:
        assert await paying({"get_info": told, "pay_invoice": {"preimage": PREIMAGE}}, foreign) == Settled(
            PREIMAGE, ZERO
        )


async def test_a_look_up_says_what_the_record_says() -> None:
    for record, answer in ((PAID, Settled(PREIMAGE, Msat(7))), (RECORD, InFlight()), ("NOT_FOUND", NeverSeen(NOW))):
        async with wallet({"lookup_invoice": record}) as (backend, _):
            assert await backend.lookup_payment(PAYMENT_HASH) == answer


async def test_a_payment_is_followed_to_its_end() -> None:
    async with wallet({"lookup_invoice": [RECORD, RECORD, PAID]}) as (backend, relay):
        assert await backend.track(PAYMENT_HASH) == Settled(PREIMAGE, Msat(7))
        assert len(relay.requests) == 4  # the last one asks what the proof is worth


async def test_following_a_payment_ends_after_a_while() -> None:
    async with wallet({"lookup_invoice": RECORD}) as (backend, _):
        backend._pace = replace(PACE, track_limit_s=0)  # type: ignore[misc]  # otherwise it is for good
        assert await backend.track(PAYMENT_HASH) == InFlight()


# ---------------------------------------------------------------- a key without an invoice

KEY = f"02{SERVICE.public_hex}"
NOTES = ((7_629_169, "7b7d"),)
KEY_RECORD = {**RECORD, "invoice": "", "preimage": PREIMAGE, "fees_paid": 7}
KEYED = {**INFO, "methods": ["pay_keysend", "lookup_invoice"]}


def keysend(**changes: object) -> PayOrder:
    assert sha256(bytes.fromhex(PREIMAGE)).hexdigest() == PAYMENT_HASH
    return replace(bill(), **({"destination": Keysend(KEY, PREIMAGE, NOTES)} | changes))


@asynccontextmanager
async def able(answers: Says) -> AsyncIterator[tuple[NwcWallet, HostileRelay]]:
    """A wallet that announces keysend."""
    stored = [info_event("pay_keysend lookup_invoice")]
    async with wallet({"get_info": KEYED, **answers}, stored=stored) as (backend, relay):
        yield backend, relay


async def test_a_keysend_carries_our_own_preimage_and_the_records_of_the_order() -> None:
    async with able({"pay_keysend": {"preimage": PREIMAGE, "fees_paid": 7}}) as (backend, relay):
        assert await backend.pay(keysend()) == Settled(PREIMAGE, Msat(7))
        assert asked(relay, "pay_keysend") == [
            {
                "pubkey": KEY, "amount": 21_000, "preimage": PREIMAGE, "max_fee": 10_000,
                "tlv_records": [{"type": 7_629_169, "value": "7b7d"}],
            }
        ]  # fmt: skip


async def test_a_keysend_that_could_not_be_found_again_is_not_sent() -> None:
    for wanted in (
        keysend(payment_hash="11" * 32),
        keysend(destination=Keysend("02" + "ff" * 32, PREIMAGE)),
        keysend(destination=Keysend(KEY, "")),
    ):
        async with able({"lookup_invoice": "NOT_FOUND"}) as (backend, relay):
            answer = await backend.pay(wanted)
            assert isinstance(answer, Failed)
            assert (answer.reason, asked(relay, "pay_keysend")) == (FailureReason.REFUSED, [])
    async with wallet({"lookup_invoice": "NOT_FOUND"}) as (backend, relay):
        unable = await backend.pay(keysend())
        assert isinstance(unable, Failed)
        assert ("does not announce" in unable.evidence, asked(relay, "pay_keysend")) == (True, [])


async def test_a_lost_answer_to_a_keysend_is_looked_up_by_its_hash_and_the_order_never_sent_again() -> None:
    settled = {**KEY_RECORD, "state": "settled", "settled_at": NOW + 2}
    for record, kind in ((settled, Settled), (KEY_RECORD, InFlight), ("NOT_FOUND", Unknown), (None, Unknown)):
        async with able({"pay_keysend": None, "lookup_invoice": record}) as (backend, relay):
            assert isinstance(await backend.pay(keysend(timeout_s=0)), kind)
            assert len(asked(relay, "pay_keysend")) == 1
            assert {params["payment_hash"] for params in asked(relay, "lookup_invoice")} == {PAYMENT_HASH}


async def test_a_wallet_that_has_paid_with_a_preimage_of_its_own_leaves_the_end_unknown() -> None:
    async with able({"pay_keysend": {"preimage": "22" * 32}, "lookup_invoice": "NOT_FOUND"}) as (backend, relay):
        assert isinstance(await backend.pay(keysend(timeout_s=0)), Unknown)
        assert len(asked(relay, "pay_keysend")) == 1


@pytest.mark.parametrize(("changes", "answer"), [
    ({}, InFlight()),
    ({"state": "failed"}, InFlight()),
    ({"state": "settled"}, InFlight()),
    ({"state": "settled", "settled_at": NOW + 2}, Settled(PREIMAGE, Msat(7))),
    ({"invoice": invoice()}, Settled(PREIMAGE, Msat(7))),
])  # fmt: skip
async def test_our_own_preimage_in_a_record_proves_nothing_until_it_says_when_it_was_settled(
    changes: Says, answer: LookupAnswer
) -> None:
    listed = NodePaymentState.SETTLED if isinstance(answer, Settled) else NodePaymentState.OPEN
    record = {**KEY_RECORD, **changes}
    async with able({"lookup_invoice": record, "list_transactions": {"transactions": [record]}}) as (backend, _):
        assert await backend.lookup_payment(PAYMENT_HASH) == answer
        assert [entry.state async for entry in backend.list_payments()] == [listed]


async def test_a_proof_that_is_not_shown_again_is_none() -> None:
    async with able({"lookup_invoice": [PAID, None]}) as (backend, _):
        assert isinstance(await backend.lookup_payment(PAYMENT_HASH), Unknown)


# ---------------------------------------------------------------- what it is


async def test_the_identity_is_the_key_of_the_wallet() -> None:
    async with wallet({"get_info": {**INFO, "pubkey": "02" * 33, "block_height": 7}}) as (backend, _):
        info = await backend.info()
        assert (info.node_id, info.alias, info.network, info.block_height) == (SERVICE.public_hex, "mine", "regtest", 7)
        assert backend.node_id == info.node_id
        assert repr(backend) == f"NwcWallet({SERVICE.public_hex[:16]}…)"


async def test_without_a_network_it_is_no_node() -> None:
    async with wallet({"get_info": {"network": "moonnet"}}) as (backend, _):
        with pytest.raises(WalletAnswerError, match="moonnet"):
            await backend.info()


@pytest.mark.parametrize(("told", "spendable"), [(5_000, 5_000), (-3, 0)])
async def test_what_can_be_spent_is_what_the_wallet_says_and_what_can_come_in_nobody_tells(
    told: int, spendable: int
) -> None:
    async with wallet({"get_balance": {"balance": told}}) as (backend, _):
        balance = await backend.balance()
        assert (balance.spendable_msat, balance.owned_msat, balance.receivable_msat) == (spendable, spendable, MAX_MSAT)


async def test_it_counts_no_payments_and_has_no_books_of_its_own() -> None:
    async with wallet({}) as (backend, _):
        assert await backend.own_books() == ()
        with pytest.raises(WalletAnswerError):
            await backend.payment_index()


async def test_the_doctor_names_what_the_link_does_not_allow_and_a_secret_that_others_can_read() -> None:
    async with wallet({"get_info": {**INFO, "methods": ["make_invoice"]}}, is_literal=True) as (backend, _):
        for is_connected in (False, True):
            if is_connected:
                await backend.info()
            found = {line.name: line for line in await backend.findings()}
            assert found["permissions"].state is FindingState.WARN
            assert "lookup_invoice (no payment" in found["permissions"].sentence
            assert "make_invoice" not in found["permissions"].sentence
            assert found["link"].state is FindingState.WARN
            assert found["fees"].state is FindingState.INFO


async def test_the_doctor_is_content_with_a_link_that_allows_all_and_hides_its_secret() -> None:
    async with wallet({}) as (backend, _):
        assert [line.state for line in await backend.findings()] == [FindingState.OK, FindingState.INFO]
    async with wallet({"get_info": None}) as (backend, _):
        assert next(iter(await backend.findings())).state is FindingState.INFO


# ---------------------------------------------------------------- invoices


def wanted(description_hash: str = "", amount_msat: int = 21_000) -> InvoiceOrder:
    return InvoiceOrder(Msat(amount_msat), "tea", description_hash, 3_600, "")


async def test_an_invoice_is_that_of_the_wallet() -> None:
    async with wallet({"make_invoice": {"invoice": invoice()}}) as (backend, relay):
        made = await backend.make_invoice(wanted())
        assert (made.bolt11, made.payment_hash, made.expires_at) == (invoice(), PAYMENT_HASH, NOW + 3_600)
        assert asked(relay, "make_invoice") == [{"amount": 21_000, "description": "tea", "expiry": 3_600}]


async def test_an_invoice_without_what_was_ordered_is_none() -> None:
    async with wallet({"make_invoice": {"invoice": invoice(network="bitcoin")}}) as (backend, _):
        await backend.info()
        with pytest.raises(WalletAnswerError, match="of bitcoin"):
            await backend.make_invoice(wanted())
    async with wallet({"make_invoice": {"invoice": invoice()}}) as (backend, _):
        with pytest.raises(WalletAnswerError, match="without the hash"):
            await backend.make_invoice(wanted("ab" * 32))
        with pytest.raises(WalletAnswerError, match="another invoice"):
            await backend.make_invoice(wanted(amount_msat=1))


@pytest.mark.parametrize(("changes", "state"), [
    ({}, NodeInvoiceState.SETTLED),
    ({"state": "pending"}, NodeInvoiceState.OPEN),
    ({"state": "expired"}, NodeInvoiceState.CANCELED),
    ({"state": "failed"}, NodeInvoiceState.CANCELED),
    ({"state": "pending", "expires_at": NOW - OVER_S - 1}, NodeInvoiceState.OPEN),
])  # fmt: skip
async def test_the_state_of_an_invoice_is_the_wallets_word(changes: Says, state: NodeInvoiceState) -> None:
    async with wallet({"lookup_invoice": {**SOLD, **changes}}) as (backend, _):
        status = await backend.lookup_invoice(PAYMENT_HASH)
        assert status.state is state
        assert bool(status.received_msat) == bool(status.preimage) == (state is NodeInvoiceState.SETTLED)


async def test_what_the_wallet_calls_pending_for_ever_is_over_some_time_after_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with wallet({"lookup_invoice": {**SOLD, "state": "pending", "expires_at": NOW - OVER_S - 1}}) as (backend, _):
        assert (await backend.lookup_invoice(PAYMENT_HASH)).state is NodeInvoiceState.OPEN
        monkeypatch.setattr(late, "SEEN_S", 0.0)
        assert (await backend.lookup_invoice(PAYMENT_HASH)).state is NodeInvoiceState.CANCELED


async def test_a_paid_invoice_has_its_amount_and_time_and_a_preimage_only_if_it_fits() -> None:
    for preimage, kept in ((PREIMAGE, PREIMAGE), ("00" * 32, ""), ("", "")):
        async with wallet({"lookup_invoice": {**SOLD, "preimage": preimage}}) as (backend, _):
            assert await backend.lookup_invoice(PAYMENT_HASH) == InvoiceStatus(
                NodeInvoiceState.SETTLED, invoice(), Msat(21_000), NOW + 5, kept, NOW + 3_600
            )


async def test_an_invoice_that_the_wallet_does_not_know_is_unknown_and_a_payment_is_none() -> None:
    async with wallet({"lookup_invoice": "NOT_FOUND"}) as (backend, _):
        assert await backend.lookup_invoice(PAYMENT_HASH) == InvoiceStatus(NodeInvoiceState.UNKNOWN)
    for record in (PAID, "RESTRICTED"):
        async with wallet({"lookup_invoice": record}) as (backend, _):
            with pytest.raises(WalletAnswerError):
                await backend.lookup_invoice(PAYMENT_HASH)


async def test_nothing_is_called_canceled_that_can_still_be_paid() -> None:
    async with wallet({"lookup_invoice": {**SOLD, "state": "pending"}}) as (backend, _):
        with pytest.raises(WalletAnswerError, match="it stays open"):
            await backend.cancel_invoice(PAYMENT_HASH)
    for record, state in ((SOLD, "settled"), ({**SOLD, "state": "expired"}, "canceled"), ("NOT_FOUND", "unknown")):
        async with wallet({"lookup_invoice": record}) as (backend, _):
            assert (await backend.cancel_invoice(PAYMENT_HASH)).state == state


async def test_the_stream_tells_what_settles_and_goes_on_from_its_cursor() -> None:
    listed = {"transactions": [SOLD]}
    async with wallet({"list_transactions": [{"transactions": []}, listed], "lookup_invoice": SOLD}) as (backend, _):
        found = await anext(aiter(backend.settlements(b"")))
        assert (found.payment_hash, found.received_msat, found.preimage) == (PAYMENT_HASH, 21_000, PREIMAGE)
        resumed = aiter(backend.settlements(found.cursor))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(resumed), 0.3)


# ---------------------------------------------------------------- lists


async def test_everything_is_listed_the_oldest_first() -> None:
    rows = [{**record, "payment_hash": f"{number:064x}"} for number, record in enumerate((RECORD, FAILED, PAID), 1)]
    async with wallet({"list_transactions": {"transactions": rows}}) as (backend, relay):
        assert [entry async for entry in backend.list_payments()] == [
            NodePayment(f"{3:064x}", NodePaymentState.SETTLED, Msat(21_000), Msat(7), PREIMAGE),
            NodePayment(f"{2:064x}", NodePaymentState.FAILED, Msat(21_000), ZERO, ""),
            NodePayment(f"{1:064x}", NodePaymentState.OPEN, Msat(21_000), ZERO, ""),
        ]
        assert {(params["type"], params["unpaid"]) for params in asked(relay, "list_transactions")} == {
            ("outgoing", True)
        }
    async with wallet({"list_transactions": {"transactions": [SOLD]}}) as (backend, _):
        ((payment_hash, status),) = [entry async for entry in backend.list_invoices()]
        assert (payment_hash, status.state, status.bolt11) == (PAYMENT_HASH, NodeInvoiceState.SETTLED, invoice())


async def test_a_list_that_is_too_long_to_compare_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kitestring.backend.nostr.node.MAX_LISTED", 1)
    async with wallet({"list_transactions": {"transactions": [PAID]}}) as (backend, _):
        with pytest.raises(WalletAnswerError, match="too many"):
            await anext(aiter(backend.list_payments()))


@pytest.mark.parametrize("more", [[], ["sign_message"]])
async def test_texts_are_signed_where_the_wallet_lists_the_method_and_nowhere_else(more: list[str]) -> None:
    signature = sign("tea", b"\x05" * 32)
    told = {
        "get_info": {**INFO, "methods": ["pay_invoice", "get_info", *more]},
        "sign_message": {"message": "tea", "signature": signature},
    }
    async with wallet(told, stored=[info_event(" ".join(("get_info", *more)))]) as (backend, _):
        await backend.info()
        assert backend.capabilities.sign_message is bool(more)
        if more:
            assert await backend.sign_message("tea") == signature
        else:
            with pytest.raises(WalletAnswerError, match="does not announce sign_message"):
                await backend.sign_message("tea")
