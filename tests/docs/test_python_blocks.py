"""Blocks of Python in the pages run as they stand, on a wallet connection of a real service."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from textwrap import indent
from typing import Any

from kitestring import BeaconContent, Service, Wallet, sat
from kitestring.backend.sandbox.world import World
from kitestring.codec import nip19
from kitestring.codec.pointers import Noffer, PriceType, encode
from kitestring.codec.uri import decode_nwc
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, encode_event, sign_event
from kitestring.nostr.filter import Filter
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock
from kitestring.transport.relays import RelayPool
from kitestring.wire.beacon import beacon_draft
from tests.kit.client.hostile import SERVICE as SELLER
from tests.kit.client.hostile import read_request
from tests.kit.pages import HOW_TO, blocks, names_of
from tests.kit.relay.client import client
from tests.kit.waiting import until

LINK = "nostr+walletconnect://…"
#: What the pages ask of the connection that their reader has made.
METHODS = (
    *("pay_invoice", "pay_keysend", "make_invoice", "lookup_invoice", "list_transactions", "get_balance", "get_budget"),
    *("make_hold_invoice", "settle_hold_invoice", "cancel_hold_invoice"),
    *("payment_received", "payment_sent", "hold_invoice_accepted"),
)


@asynccontextmanager
async def connected(room: Path) -> AsyncIterator[tuple[str, World]]:
    """The link of a connection, and whoever is not the service."""
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as relay:
        service = Service(relays=[relay.url], store=room / "kite.db")
        uri = str((await asyncio.to_thread(service.grant, "the reader", methods=METHODS, budget=None)).nwc_uri)
        async with service, asyncio.timeout(60):
            with World(room / "kite.sandbox.db") as world:
                yield uri, world


def program(code: str, uri: str, said: list[Any], **names: object) -> Any:
    """The coroutine that a block is, with what the page has said before it; ``said`` is what it prints."""
    text = f"async def block():\n{indent(code, '    ')}\n    return locals()\n"
    known = names_of(text.replace(LINK, uri), "block")
    known |= {"Wallet": Wallet, "sat": sat, "uri": uri, "print": lambda *words: said.append(words), **names}
    return known["block"]()


async def test_what_is_held_is_heard_of_and_taken(tmp_path: Path) -> None:
    (code,) = blocks("hold-a-payment")
    said: list[Any] = []
    async with connected(tmp_path) as (uri, world):
        running = asyncio.create_task(program(code, uri, said))
        await until(lambda: bool(said), pause_s=0.01)
        world.pay(said[0][0])
        ours = (await running)["ours"]
        async with Wallet.open(uri) as wallet:
            found = await wallet.lookup(ours.payment_hash)
    assert (found.state, found.amount_msat, found.description) == ("settled", sat(2_100), "a room for Saturday")


async def test_a_program_hears_of_payments_and_goes_on_where_it_was(tmp_path: Path) -> None:
    first, again = blocks("hear-of-payments")
    said: list[Any] = []
    async with connected(tmp_path) as (uri, world), Wallet.open(uri) as wallet:
        running = asyncio.create_task(program(first, uri, said))
        until_said = asyncio.create_task(until(lambda: bool(said), pause_s=0.01))
        while not until_said.done():  # it may not listen yet: it is told what comes from then on
            world.pay((await wallet.invoice(sat(21))).bolt11)
            await asyncio.wait({until_said}, timeout=0.5)
        await until_said
        running.cancel()
        dealt: list[Any] = []
        kept: list[str] = []
        goes_on = program(again, uri, said, wallet=wallet, kept=0, deal_with=dealt.append, keep=kept.append)
        running_on = asyncio.create_task(goes_on)
        await until(lambda: bool(kept), pause_s=0.01)
        running_on.cancel()
        await asyncio.gather(running, running_on, return_exceptions=True)
    assert said[0] == ("payment_received", sat(21))
    assert (dealt[0].type, dealt[0].transaction.amount_msat, kept[0][:5]) == ("payment_received", sat(21), "kite1")


async def test_a_key_is_paid_with_a_message(tmp_path: Path) -> None:
    (code,) = blocks("pay-a-node-without-an-invoice")
    async with connected(tmp_path) as (uri, world):
        receipt = (await program(code, uri, [], pubkey=world.node()))["receipt"]
        (arrived,) = (one for one in world.payments() if one.payment_hash == receipt.payment_hash)
    assert sha256(bytes.fromhex(receipt.preimage)).hexdigest() == receipt.payment_hash
    assert (arrived.amount_msat, dict(arrived.records)[7_629_169]) == (sat(50), b"{}".hex())


async def test_a_program_looks_for_a_beacon_before_it_asks() -> None:
    (code,) = blocks("say-that-you-are-there")
    said: list[Any] = []
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as relay, client(relay) as writer:
        draft = beacon_draft(BeaconContent(name="Corner shop", supported_kinds=(21001,)))
        key, now = SecretKey(b"\x07" * 32), SystemClock().now()
        event = sign_event(key, kind=draft.kind, tags=draft.tags, content=draft.content, created_at=now)
        assert (await writer.publish(event))[0] is True
        here = code.replace("wss://relay.example.com", relay.url)
        await program(here, "", said, service=nip19.encode(nip19.PublicKey(key.public_hex)))
    assert said == [("Corner shop", "nobody known")]


async def test_an_offer_is_paid_up_to_the_most_that_is_named(tmp_path: Path) -> None:
    (code,) = blocks("pay-an-offer")
    async with connected(tmp_path) as (uri, world):
        seller = Noffer(SELLER.public_hex, decode_nwc(uri).relays, "tea", PriceType.VARIABLE, currency="EUR")
        asked: list[Any] = []
        async with RelayPool(seller.relays, clock=SystemClock(), entropy=os.urandom) as relays:

            def sell(event: Event, _: str) -> None:
                asked.append(request := read_request(event, SELLER))
                answer = request.reply({"bolt11": world.invoice(sat(5_211))}, key=SELLER, at=int(time.time()))
                relays.send(answer.id, answer.pubkey, encode_event(answer), lambda _: None)

            wanted = Filter(kinds={kinds.OFFER}, tags={"p": {SELLER.public_hex}})
            assert await relays.subscribe("seller", lambda _: (wanted,), sell).wait_eose()
            receipt = (await program(code, uri, [], offer=encode(seller)))["receipt"]
        (arrived,) = world.payments()
    assert (receipt.amount, arrived.payment_hash) == (sat(5_211), receipt.payment_hash)
    assert asked[0].members == {"offer": "tea", "payer_data": {"name": "Bob"}}


def test_each_page_with_a_block_of_python_is_named_by_a_test() -> None:
    here = Path(__file__).parent
    tests = "".join(
        path.read_text(encoding="utf-8") for path in (*here.glob("test_*.py"), *here.parent.glob("test_*.py"))
    )
    pages = [
        page.stem for page in HOW_TO.glob("*.md") if re.search("^```python", page.read_text("utf-8"), re.MULTILINE)
    ]
    assert len(pages) > 5
    assert [page for page in pages if f'"{page}' not in tests and f"/{page}.md" not in tests] == []
