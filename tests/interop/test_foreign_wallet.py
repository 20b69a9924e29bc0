"""A wallet service made with nostr-tools: odd tags and clocks, one cipher alone, the end of an app, long replies."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.client.net import Waits
from kitestring.codec.uri import NwcUri, encode_nwc
from kitestring.sdk.results import WalletBudget
from kitestring.sdk.source import Encryption
from kitestring.sdk.wallet import Wallet
from kitestring.transport.clock import SystemClock
from tests.conftest import NodeJs
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice
from tests.kit.interop.program import Json, running
from tests.kit.relay.client import new_relay

SECRET, CLIENT = "07" * 32, bytes([9]) * 32
WAITS = Waits(read_s=10, pay_s=5, info_s=2, others_s=0.2, lookup_pauses_s=(0, 1))
ROW = {"type": "outgoing", "state": "settled", "payment_hash": PAYMENT_HASH, "amount": 21_000, "created_at": 1}


def payable() -> str:
    return invoice(at=int(time.time()))


Serve = Callable[..., AbstractAsyncContextManager[Wallet]]


@pytest.fixture
def serve(node_js: NodeJs, scripts: Path, foreign_relay: str) -> Serve:
    """The service runs with these settings, and a wallet is open on a connection to it."""

    @asynccontextmanager
    async def start(
        says: Json, *, tags: str = "pe", cipher: str = "nip44", clock_s: int = 0, encryption: Encryption = "auto",
        relay: str = foreign_relay,
    ) -> AsyncIterator[Wallet]:  # fmt: skip
        given = {
            "relay": relay, "secret": SECRET, "cipher": cipher, "tags": list(tags), "clock_s": clock_s,
            "says": says,
        }  # fmt: skip
        async with running(node_js.command(scripts / "wallet.mjs"), given) as script:
            uri = encode_nwc(NwcUri((await script.line())["pubkey"], (relay,), CLIENT))
            async with Wallet.open(uri, waits=WAITS, encryption=encryption) as wallet:
                yield wallet

    return start


@pytest.mark.parametrize("clock_s", [0, -600, 600])
@pytest.mark.parametrize("tags", ["pe", "e", "ve"])
async def test_the_answer_is_heard_whatever_its_tags_and_its_clock(serve: Serve, tags: str, clock_s: int) -> None:
    async with serve({"get_balance": {"result": {"balance": -1_500}}}, tags=tags, clock_s=clock_s) as wallet:
        assert await wallet.balance() == Msat(-1_500)


async def test_a_wallet_of_nip04_alone_is_spoken_to_where_its_owner_says_so(serve: Serve) -> None:
    says = {"get_info": {"result": {"network": "regtest"}}, "pay_invoice": {"result": {"preimage": PREIMAGE}}}
    async with serve(says, cipher="nip04", encryption="legacy") as wallet:
        assert (await wallet.pay(payable())).preimage == PREIMAGE


async def test_an_app_whose_time_is_over_has_not_paid(serve: Serve) -> None:
    ended = {"result_type": "pay_invoice", "error": {"code": "EXPIRED", "message": "This app has expired"}}
    says = {"get_info": {"result": {"network": "regtest"}}, "pay_invoice": ended, "lookup_invoice": ended}
    async with serve(says, clock_s=900) as wallet:
        with pytest.raises(KitestringError, match=r"This app has expired.*15 minutes ahead") as caught:
            await wallet.pay(payable())
    assert caught.value.reason is Reason.CONNECTION_ENDED


async def test_a_budget_is_read_as_wallets_tell_it_and_its_absence_as_they_say_it(serve: Serve) -> None:
    told = {"used_budget": 21_000, "total_budget": 100_000, "renewal_period": "monthly", "renews_at": 1_793_491_200}
    async with serve({"get_budget": {"result_type": "get_budget", "error": None, "result": told}}) as wallet:
        assert await wallet.budget() == WalletBudget(Msat(100_000), Msat(21_000), "month", 1_793_491_200)
    async with serve({"get_budget": {"result_type": "get_budget", "result": {}}}) as wallet:
        assert await wallet.budget() is None
    unknown = {"result_type": "get_budget", "error": {"code": "NOT_IMPLEMENTED", "message": "unknown method"}}
    async with serve({"get_budget": unknown}) as wallet:
        with pytest.raises(KitestringError, match="unknown method") as caught:
            await wallet.budget()
    assert caught.value.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize(("cipher", "encryption", "rows"), [("nip44", "auto", 260), ("nip04", "legacy", 310)])
async def test_a_list_as_long_as_our_relay_carries_is_read(
    serve: Serve, cipher: str, encryption: Encryption, rows: int
) -> None:
    listed = [{**ROW, "description": "x" * 100, "settled_at": 1.5} for _ in range(rows)] + ["odd"]
    says = {"list_transactions": {"result": {"transactions": listed}}}
    assert len(json.dumps(says)) > 70_000
    async with (
        new_relay(clock=SystemClock()) as relay,
        serve(says, cipher=cipher, encryption=encryption, relay=relay.url) as wallet,
    ):
        assert len(await wallet.transactions(limit=500)) == rows
