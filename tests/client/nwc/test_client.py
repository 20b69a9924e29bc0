"""The methods of a client that pay nothing."""

from __future__ import annotations

import pytest

from kitestring.base.approvals import DECIDE_WITHIN_S
from kitestring.base.budgets import Budget
from kitestring.base.commands import MAX_MESSAGE_BYTES, Connect, ListTransactions
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import BudgetState, Signed
from kitestring.client.nwc import NwcClient
from kitestring.codec.signed_message import sign
from kitestring.nostr.event import Event, first_tag
from tests.kit.client.hostile import CLIENT, hostile_relay, info_event, net, nwc_uri
from tests.kit.client.nwc import SETTLED, client, script, settled
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice


async def test_the_other_methods_give_typed_answers() -> None:
    entry = settled(type="incoming", state="pending", invoice=invoice(), preimage=None, settled_at=None)
    answer = script(
        make_invoice=entry, lookup_invoice=SETTLED, get_balance={"balance": "5000"},
        get_info={"alias": "a", "network": "mainnet", "methods": ["pay_invoice"]},
        list_transactions={"transactions": [SETTLED, entry]},
    )  # fmt: skip
    async with hostile_relay(answer, stored=[info_event()]) as relay, client(relay) as wallet:
        made = await wallet.make_invoice(sat(21), description="tea")
        assert (made.bolt11, made.state) == (invoice(), "pending")
        assert (await wallet.lookup_invoice(PAYMENT_HASH)).preimage == PREIMAGE
        assert await wallet.get_balance() == Msat(5000)
        info = await wallet.get_info()
        assert (info.network, info.methods) == ("bitcoin", ("pay_invoice",))
        listed = await wallet.list_transactions(ListTransactions(limit=5))
        assert [row.type for row in listed] == ["outgoing", "incoming"]
        assert relay.requests[-1].members["params"] == {"limit": 5}


async def test_the_log_says_how_much_of_a_list_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    answer = script(list_transactions={"transactions": [SETTLED, settled(amount=None), "x"]})
    async with hostile_relay(answer, stored=[info_event()]) as relay, client(relay) as wallet:
        assert len(await wallet.list_transactions()) == 1
    assert "2 entries of the wallet's list cannot be read and are left out" in caplog.text


@pytest.mark.parametrize(
    "entry",
    [
        {"invoice": invoice(sat(20)), "payment_hash": PAYMENT_HASH},
        {"invoice": invoice(None), "payment_hash": PAYMENT_HASH},
        {"invoice": invoice(), "payment_hash": "ab" * 32},
        {"invoice": "lnbc1", "payment_hash": PAYMENT_HASH},
    ],
)
async def test_an_invoice_that_was_not_asked_for_is_refused(entry: dict[str, str]) -> None:
    answer = script(make_invoice={"type": "incoming", "amount": 21_000, "created_at": NOW, **entry})
    async with hostile_relay(answer, stored=[info_event()]) as relay, client(relay) as wallet:
        with pytest.raises(KitestringError, match="the wallet sent"):
            await wallet.make_invoice(sat(21))


def test_neither_the_uri_nor_the_client_shows_the_secret() -> None:
    wallet = NwcClient(nwc_uri("ws://127.0.0.1:1"), net())
    assert CLIENT.hex() not in repr(wallet) + repr(wallet.uri)
    with pytest.raises(CodecError):
        NwcClient("nostr+walletconnect://00?secret=11", net())


BUDGET = {"used_budget": 5_000, "total_budget": 9_000, "renewal_period": "weekly", "renews_at": NOW + 60}


@pytest.mark.parametrize("stored", [[], [info_event("pay_invoice get_budget")]], ids=["no info event", "announced"])
async def test_a_budget_is_asked_of_who_announces_that_it_tells_or_announces_nothing(stored: list[Event]) -> None:
    async with hostile_relay(script(get_budget=BUDGET), stored=stored) as relay, client(relay) as wallet:
        assert await wallet.get_budget() == BudgetState(Budget.weekly(Msat(9_000)), Msat(5_000), NOW + 60)


async def test_a_wallet_that_does_not_announce_budgets_is_not_asked_for_one() -> None:
    async with (
        hostile_relay(script(), stored=[info_event("pay_invoice get_balance")]) as relay,
        client(relay) as wallet,
    ):
        with pytest.raises(KitestringError, match="does not announce get_budget") as caught:
            await wallet.get_budget()
        assert relay.requests == []
    assert caught.value.reason is Reason.UNSUPPORTED


async def test_a_wallet_that_knows_no_budgets_says_so_itself() -> None:
    answer = script(get_budget=("NOT_IMPLEMENTED", "unknown method"))
    async with hostile_relay(answer) as relay, client(relay) as wallet:
        with pytest.raises(KitestringError, match="the wallet refused: unknown method") as caught:
            await wallet.get_budget()
    assert caught.value.reason is Reason.UNSUPPORTED


async def test_a_text_is_signed_by_who_lists_the_method_and_what_is_too_long_is_not_sent() -> None:
    signature = sign("tea", b"\x05" * 32)
    answers = script(sign_message={"message": "tea", "signature": signature})
    async with hostile_relay(answers, stored=[info_event("sign_message")]) as relay, client(relay) as wallet:
        assert await wallet.sign_message("tea") == Signed("tea", signature)
        for text in ("", "x" * (MAX_MESSAGE_BYTES + 1)):
            with pytest.raises(KitestringError, match="1 to 8192 bytes"):
                await wallet.sign_message(text)
        assert len(relay.requests) == 1
    async with hostile_relay(answers, stored=[info_event("get_info")]) as relay, client(relay) as wallet:
        with pytest.raises(KitestringError, match="does not announce sign_message"):
            await wallet.sign_message("tea")
        assert relay.requests == []


async def test_one_more_connection_is_waited_for_as_long_as_its_owner_may_take() -> None:
    wanted = Connect(client="ab" * 32, name="Zap", methods=("pay_invoice",))
    answers = script(create_connection={"wallet_pubkey": "cd" * 32})
    announced = [info_event("create_connection")]
    async with hostile_relay(answers, stored=announced) as relay, client(relay) as wallet:
        assert await wallet.create_connection(wanted) == "cd" * 32
        ends = first_tag(relay.requests[0].event, "expiration")
        assert ends is not None
        assert int(ends) >= NOW + DECIDE_WITHIN_S
    denied = script(create_connection=("RESTRICTED", "the owner said no"))
    async with hostile_relay(denied, stored=announced) as relay, client(relay) as wallet:
        with pytest.raises(KitestringError, match="the owner said no") as caught:
            await wallet.create_connection(wanted)
        assert caught.value.reason is Reason.NOT_PERMITTED
    async with hostile_relay(script(create_connection=None), stored=announced) as relay, client(relay) as wallet:
        with pytest.raises(KitestringError, match="did not answer"):
            await wallet.create_connection(wanted, timeout_s=0.05)
