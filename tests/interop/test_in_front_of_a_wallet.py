"""A service whose node is a wallet over Nostr Wallet Connect: another service of ours, on a sandbox or on lnd."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kitestring.backend.sandbox.payments import Behaviour
from kitestring.backend.sandbox.world import World
from kitestring.base.money import Msat, sat
from kitestring.codec import bolt11
from tests.interop.conftest import ForeignWallet
from tests.interop.test_getalby_sdk import proves
from tests.interop.test_getalby_sdk_holds import (
    AMOUNT_MSAT,
    TYPES,
    drawn,
    hears_that_it_is_held,
    ordered,
    takes,
)
from tests.kit.interop.asked import ClientError
from tests.kit.interop.program import Json, Kitestring, eventually
from tests.rig.network import LightningRig

Front = Callable[..., Kitestring]


@pytest.fixture
def front(tmp_path: Path, foreign_relay: str) -> Iterator[Front]:
    """`front(wallet, name)`: a service in front of a new connection of that one, its secret in a file. In the end its
    books must be right, and those of the wallet beside them."""
    running: list[Kitestring] = []

    def start(wallet: Kitestring, name: str, *options: str) -> Kitestring:
        link, _, secret = wallet.connect(name, *options).partition("&secret=")
        (tmp_path / "wallet.secret").write_text(f"{secret}\n")
        node = f"{link}&secret=file:{tmp_path / 'wallet.secret'}"
        running.append(Kitestring(tmp_path / "front", "--node", node, "--relay", foreign_relay))
        running[-1].start()
        return running[-1]

    try:
        yield start
        for service in running:
            assert service.ask("audit", "--node")["violations"] == []
    finally:
        codes = [service.stop() for service in running]
    assert codes == [0] * len(running)


def at(wallet: Kitestring, payment_hash: str) -> list[tuple[str, int]]:
    """The payments of this hash in a wallet's own books."""
    rows = wallet.rows("SELECT state, amount_msat FROM payments WHERE payment_hash = ?", payment_hash)
    return [(row["state"], row["amount_msat"]) for row in rows]


async def seen(service: Kitestring, payment_hash: str, state: str) -> Json:
    """The payment or invoice once it is in that state."""
    found: Json = {}

    async def arrived() -> bool:
        found.update(await service.ask_apart("lookup", payment_hash))
        return bool(found["state"] == state)

    await eventually(arrived, f"{payment_hash} is {state}")
    return found


@asynccontextmanager
async def outside(wallet: Kitestring) -> AsyncIterator[World]:
    with World(wallet.home / "sandbox.db") as world:
        yield world


async def test_an_app_pays_and_is_paid_through_the_wallet_behind_and_both_books_say_so(
    stall: Kitestring, front: Front, foreign_wallet: ForeignWallet
) -> None:
    service = front(stall, "behind an app")
    async with (
        outside(stall) as world,
        foreign_wallet("sdk", service.connect("app", "--budget", "5000/day")) as app,
    ):
        bill = world.invoice(sat(1_000), "tea")
        payment_hash = bolt11.decode(bill).payment_hash
        paid = await app("payInvoice", {"invoice": bill})
        assert hashlib.sha256(bytes.fromhex(paid["preimage"])).hexdigest() == payment_hash
        assert stall.booked(payment_hash)["fee_msat"] == service.booked(payment_hash)["fee_msat"] == paid["fees_paid"]
        made = await app("makeInvoice", {"amount": 7_000, "description": "a kite"})
        world.pay(made["invoice"])
        received = await seen(service, made["payment_hash"], "settled")
        assert (received["amount_msat"], bolt11.decode(made["invoice"]).description) == (7_000, "a kite")
        assert service.ask("balance")["balance_msat"] == stall.ask("balance")["balance_msat"]


async def test_what_the_wallet_refuses_has_failed_and_holds_nothing(
    stall: Kitestring, front: Front, foreign_wallet: ForeignWallet
) -> None:
    service = front(stall, "behind refusals")
    async with outside(stall) as world, foreign_wallet("sdk", service.connect("app", "--budget", "5000/day")) as app:
        bill = world.invoice(sat(1_000), behaviour=Behaviour.FAIL)
        with pytest.raises(ClientError) as caught:
            await app("payInvoice", {"invoice": bill})
        assert caught.value.code == "PAYMENT_FAILED"
        assert await app("getBalance") == {"balance": 5_000_000}
        dear = world.invoice(Msat(stall.ask("balance")["balance_msat"] + 1_000))
        with pytest.raises(ClientError) as caught:
            async with foreign_wallet("sdk", service.connect("rich app")) as rich:
                await rich("payInvoice", {"invoice": dear})
        assert caught.value.code == "INSUFFICIENT_BALANCE"


async def test_two_apps_of_it_pay_each_other_inside_and_who_pays_a_second_time_is_booked_too(
    stall: Kitestring, front: Front, foreign_wallet: ForeignWallet
) -> None:
    service = front(stall, "behind two apps")
    service.ask("account", "create", "till")
    async with (
        outside(stall) as world,
        foreign_wallet("sdk", service.connect("till", "--account", "till")) as seller,
        foreign_wallet("sdk", service.connect("guest")) as buyer,
    ):
        made = await seller("makeInvoice", {"amount": 30_000})
        assert await buyer("payInvoice", {"invoice": made["invoice"]}) == {"preimage": "", "fees_paid": 0}
        assert at(stall, made["payment_hash"]) == []
        assert await seller("getBalance") == {"balance": 30_000}
        world.pay(made["invoice"])

        async def is_booked() -> bool:
            return bool(await seller("getBalance") == {"balance": 60_000})

        await eventually(is_booked, "the second payment is booked")


async def test_an_offer_of_it_is_sold_to_the_wallets_own_owner(stall: Kitestring, front: Front) -> None:
    stall.ask("account", "create", "behind")
    service = front(stall, "behind an offer", "--account", "behind")
    paid = await stall.ask_apart("pay", "--yes", service.offer("tips", "--price", "21"))
    assert (await seen(service, paid["payment_hash"], "settled"))["amount_msat"] == 21_000
    assert service.ask("balance")["balance_msat"] == 21_000


async def test_killed_in_mid_payment_it_finds_the_end_in_the_wallets_record_and_pays_once(
    stall: Kitestring, front: Front, foreign_wallet: ForeignWallet
) -> None:
    service = front(stall, "behind a crash")
    async with outside(stall) as world:
        bill = world.invoice(sat(1_000), behaviour=Behaviour.HANG)
        payment_hash = bolt11.decode(bill).payment_hash
        uri = service.connect("app")
        app = foreign_wallet("sdk", uri)
        client = await app.__aenter__()
        client.ask("payInvoice", {"invoice": bill})

        async def is_under_way() -> bool:
            return at(stall, payment_hash) == [("dispatched", 1_000_000)]

        await eventually(is_under_way, "the wallet is paying")
        service.kill()
        world.release(payment_hash)

        async def is_paid() -> bool:
            return at(stall, payment_hash) == [("settled", 1_000_000)]

        await eventually(is_paid, "the wallet has paid")
        service.start()
        await seen(service, payment_hash, "settled")
        assert (await client.answer())["preimage"] == stall.booked(payment_hash)["preimage"]
        await app.__aexit__(None, None, None)
    assert at(stall, payment_hash) == at(service, payment_hash) == [("settled", 1_000_000)]


async def test_an_app_holds_a_payment_at_the_wallet_behind_and_takes_it_and_gives_another_back(
    stall: Kitestring, front: Front, foreign_wallet: ForeignWallet
) -> None:
    service = front(stall, "behind holds")
    service.ask("account", "create", "rooms")
    (preimage, taken), (_, returned) = drawn(), drawn()
    async with outside(stall) as world, foreign_wallet("sdk", service.connect("app", "--account", "rooms")) as app:
        await app("listen", TYPES)
        for payment_hash in (taken, returned):
            world.pay((await ordered(app, payment_hash))["invoice"])
            await hears_that_it_is_held(app, payment_hash)
        assert await app("getBalance") == {"balance": 0}
        await takes(app, preimage, taken)
        assert await app("cancelHoldInvoice", {"payment_hash": returned}) == {}
        assert await app("getBalance") == {"balance": AMOUNT_MSAT}
        assert {one.payment_hash for one in world.payments() if one.direction == "in"} & {taken, returned} == {taken}
    ends = [[each.ask("lookup", one)["state"] for one in (taken, returned)] for each in (service, stall)]
    assert ends == [["settled", "expired"]] * 2


async def test_killed_while_a_payment_is_held_it_goes_on_to_hold_it_and_takes_it_once(
    stall: Kitestring, front: Front, foreign_wallet: ForeignWallet
) -> None:
    service = front(stall, "behind a crash in a hold")
    preimage, payment_hash = drawn()
    async with outside(stall) as world, foreign_wallet("sdk", service.connect("app")) as app:
        world.pay((await ordered(app, payment_hash))["invoice"])
        await seen(service, payment_hash, "accepted")
        service.kill()
        service.start()
        assert (await app("lookupInvoice", {"payment_hash": payment_hash}))["state"] == "accepted"
        app.ask("settleHoldInvoice", {"preimage": preimage})

        async def is_decided() -> bool:
            rows = service.rows("SELECT decision FROM invoices WHERE payment_hash = ?", payment_hash)
            return bool(rows[0]["decision"])

        await eventually(is_decided, "the decision is stored")
        service.kill()
        service.start()
        received = await seen(service, payment_hash, "settled")
        assert await app.answer() == {}
    assert (received["amount_msat"], received["preimage"]) == (AMOUNT_MSAT, preimage)
    (row,) = service.rows("SELECT count(*) AS number FROM credits WHERE payment_hash = ?", payment_hash)
    assert row["number"] == 1


async def test_a_key_is_paid_through_the_wallet_behind_and_both_books_say_so(
    stall: Kitestring, front: Front, foreign_wallet: ForeignWallet
) -> None:
    service = front(stall, "behind a keysend")
    async with outside(stall) as world, foreign_wallet("sdk", service.connect("app", "--budget", "5000/day")) as app:
        records = [{"type": 7_629_169, "value": "7b7d"}]
        paid = await app("payKeysend", {"amount": 7_001, "pubkey": world.node(), "tlv_records": records})
        payment_hash = hashlib.sha256(bytes.fromhex(paid["preimage"])).hexdigest()
        (arrived,) = (one for one in world.payments() if one.payment_hash == payment_hash)
        with pytest.raises(ClientError) as caught:
            await app("payKeysend", {"amount": 7_002, "pubkey": world.node(Behaviour.FAIL)})
        assert caught.value.code == "PAYMENT_FAILED"
    assert (arrived.amount_msat, arrived.records) == (7_001, ((7_629_169, "7b7d"),))
    assert at(stall, payment_hash) == at(service, payment_hash) == [("settled", 7_001)]
    assert stall.booked(payment_hash)["fee_msat"] == service.booked(payment_hash)["fee_msat"] == paid["fees_paid"]


async def test_killed_in_mid_keysend_it_finds_the_end_by_the_hash_of_its_preimage_and_pays_once(
    stall: Kitestring, front: Front, foreign_wallet: ForeignWallet
) -> None:
    service = front(stall, "behind a crash in a keysend")
    async with outside(stall) as world, foreign_wallet("sdk", service.connect("app")) as app:
        app.ask("payKeysend", {"amount": 7_003, "pubkey": world.node(Behaviour.HANG)})
        under_way: list[str] = []

        async def is_under_way() -> bool:
            rows = stall.rows("SELECT payment_hash FROM payments WHERE state = 'dispatched' AND amount_msat = 7003")
            under_way[:] = [row["payment_hash"] for row in rows]
            return bool(under_way)

        await eventually(is_under_way, "the wallet is paying")
        service.kill()
        world.release(under_way[0])

        async def is_paid() -> bool:
            return at(stall, under_way[0]) == [("settled", 7_003)]

        await eventually(is_paid, "the wallet has paid")
        service.start()
        await seen(service, under_way[0], "settled")
        assert proves((await app.answer())["preimage"], under_way[0])
    assert at(stall, under_way[0]) == at(service, under_way[0]) == [("settled", 7_003)]


def test_the_doctor_says_what_the_link_allows(stall: Kitestring, front: Front) -> None:
    service = front(stall, "behind the doctor")
    lines = {line["name"]: line for line in service.run("doctor", "--json").json["checks"]}
    assert lines["permissions"]["state"] == "ok"
    assert "link" not in lines


async def test_on_a_real_node_behind_it_pays_and_is_paid(shop: Kitestring, front: Front, rig: LightningRig) -> None:
    service = front(shop, "behind on lnd")
    bill = await rig.c.invoice(5_000_123)
    paid = await service.ask_apart("pay", "--yes", bill.bolt11)
    made = await service.ask_apart("invoice", "21")
    payment = await rig.c.pay(made["bolt11"])
    received = await seen(service, made["payment_hash"], "settled")
    at_lnd = (await rig.a.payments())[bill.payment_hash]
    assert (at_lnd.status, at_lnd.preimage, at_lnd.fee_msat) == ("SUCCEEDED", paid["preimage"], paid["fee_msat"])
    assert received["preimage"] == payment.preimage


async def test_on_a_real_node_behind_it_holds_and_pays_keys(
    shop: Kitestring, front: Front, rig: LightningRig, foreign_wallet: ForeignWallet
) -> None:
    service = front(shop, "behind holds on lnd")
    (preimage, taken), (_, returned) = drawn(), drawn()
    async with foreign_wallet("sdk", service.connect("app")) as app:
        await app("listen", TYPES)
        paying = []
        for payment_hash in (taken, returned):
            made = await ordered(app, payment_hash)
            paying.append(asyncio.create_task(rig.c.pay(made["invoice"])))
            await hears_that_it_is_held(app, payment_hash)
        await takes(app, preimage, taken)
        assert await app("cancelHoldInvoice", {"payment_hash": returned}) == {}
        first, second = await asyncio.gather(*paying)
        sent = await app("payKeysend", {"amount": 21_000, "pubkey": await rig.c.pubkey()})
    assert (first.status, first.preimage, second.status) == ("SUCCEEDED", preimage, "FAILED")
    arrived = await rig.c.lookup(hashlib.sha256(bytes.fromhex(sent["preimage"])).hexdigest())
    assert (arrived["state"], arrived["amt_paid_msat"]) == ("SETTLED", "21000")
