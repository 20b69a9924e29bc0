"""A wallet over Nostr Wallet Connect as a node, with the outside world around it: our own service on a sandbox."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from kitestring.backend.nostr.history import Pace
from kitestring.backend.nostr.link import WalletLink
from kitestring.backend.nostr.node import NwcWallet
from kitestring.backend.registry import BackendContext
from kitestring.backend.sandbox.payments import Behaviour
from kitestring.backend.sandbox.world import World
from kitestring.base.errors import KitestringError
from kitestring.base.money import Msat
from kitestring.base.node import Backend
from kitestring.client.net import Waits
from kitestring.codec import bolt11
from kitestring.codec.uri import NwcUri, decode_nwc
from kitestring.nostr.event import Event
from kitestring.transport.clock import SystemClock
from tests.kit.backend.sides import OnASandbox, Wire, stranger_invoice
from tests.kit.chance import entropy
from tests.kit.client.hostile import Request, Script, hostile_relay, info_event, nwc_uri
from tests.kit.waiting import until

#: Short, because a test waits for it.
PACE: Final = Pace(poll_s=0.05, scan_s=0.2, track_s=0.05, track_limit_s=20, hold_s=0.05, hold_heard_s=0.5)
WAITS: Final = Waits(
    reach_s=0.3, connect_s=0.3, eose_s=1, info_s=2, others_s=0.1, read_s=1, unread_s=0.1, lookup_pauses_s=(0, 0.1),
    recheck_s=0.05,
)  # fmt: skip

#: Checks that cannot hold for a wallet over NIP-47, by their names in ``tests/contract``, and why. What holds in their
#: place is tested in ``tests/backend/nostr``.
LACKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "the_nodes_own_count_of_payments_grows_with_each_that_it_has_not_known": "payment_index is not declared",
        "the_nodes_own_count_of_payments_falls_when_records_are_lost": "payment_index is not declared",
        "the_same_preimage_gives_the_same_invoice": "own_preimage is not declared",
        "a_text_is_signed_with_the_key_of_the_node": "sign_message is not declared",
        "an_amountless_invoice_can_be_received": "amountless is not declared",
        "an_open_invoice_can_be_cancelled_and_a_settled_one_cannot": "NIP-47 has no word to cancel with",
        "an_invoice_takes_the_steps_of_the_table_and_no_other": "it would have to be cancelled, by a preimage of ours",
        "an_invoice_that_has_expired_is_canceled_by_the_node_itself": "the shortest life of an invoice is a minute",
        "another_node_at_the_address_is_told_nothing_and_the_first_one_goes_on_when_it_is_back":
            "nobody else can answer: the key is the wallet",
    }
)  # fmt: skip
#: The same of a wallet that Alby's service helper serves, which hands on no request about hold invoices.
ALBY_LACKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **LACKS,
        "a_held_payment_is_taken_with_the_preimage_and_told_by_the_stream": "hold is not declared",
        "a_held_payment_goes_back_when_it_is_cancelled_and_stays_there": "hold is not declared",
        "a_hash_that_the_node_has_an_invoice_of_is_taken_whatever_has_become_of_it": "hold is not declared",
        "a_hold_invoice_leaves_the_blocks_that_it_was_asked_to_leave": "hold is not declared",
        "nobody_waits_for_news_of_an_invoice_that_has_another_state_already": "hold is not declared",
    }
)


def open_wallet(uri: NwcUri, directory: Path, waits: Waits = WAITS) -> NwcWallet:
    context = BackendContext(SystemClock(), entropy, directory)
    return NwcWallet(WalletLink(uri, "auto", is_literal=False), context, waits=waits, pace=PACE)


@dataclass
class WalletSide(OnASandbox):
    """``world`` is the sandbox behind the wallet; ``refused_at`` a port at which nobody listens."""

    backend: Backend
    uri: NwcUri
    world: World
    directory: Path

    async def held_invoice(self, amount_msat: int) -> tuple[str, Callable[[], Awaitable[None]]]:
        text = self.world.invoice(Msat(amount_msat), behaviour=Behaviour.HANG)

        async def release() -> None:
            """The wallet calls it pending before its node has it; only then can it be released."""
            await until(is_released, pause_s=0.02)

        def is_released() -> bool:
            try:
                self.world.release(bolt11.decode(text).payment_hash)
            except KitestringError:
                return False
            return True

        return text, release

    async def receive(self, text: str, amount_msat: int | None = None) -> None:
        """Whoever is told of a settlement has it from the wallet, which may see it a moment later than the payer."""
        self.world.pay(text, None if amount_msat is None else Msat(amount_msat))
        payment_hash = bolt11.decode(text).payment_hash

        async def is_seen() -> bool:
            return (await self.backend.lookup_invoice(payment_hash)).state == "settled"

        await until(is_seen, pause_s=0.02)

    def cursors_of_another_epoch(self) -> tuple[bytes, ...]:
        return tuple(f"{second} {entropy(32).hex()}".encode() for second in (int(time.time()) + 5_000, 1))

    async def forget_payments(self) -> None:
        raise NotImplementedError(LACKS["the_nodes_own_count_of_payments_falls_when_records_are_lost"])

    def unreachable(self) -> Backend:
        return open_wallet(replace(self.uri, relays=("ws://127.0.0.1:1",)), self.directory)

    @asynccontextmanager
    async def on_a_wire(self) -> AsyncIterator[tuple[Backend, Callable[[], None]]]:
        port = urlsplit(self.uri.relays[0]).port
        assert port is not None
        async with Wire(port) as wire:
            backend = open_wallet(replace(self.uri, relays=(f"ws://127.0.0.1:{wire.port}",)), self.directory)
            await backend.open()
            try:
                yield backend, wire.cut
            finally:
                await backend.close()

    @asynccontextmanager
    async def exchanged(self) -> AsyncIterator[tuple[Backend, Callable[[], None], Callable[[], None]]]:
        """Nobody else can take the place of a key."""
        yield self.backend, lambda: None, lambda: None

    async def broken(self) -> AsyncIterator[tuple[str, Backend, str]]:
        for number, (how, script) in enumerate(SPOILED.items()):
            async with hostile_relay(script, stored=[info_event()]) as relay:
                backend = open_wallet(nwc_uri(relay.url), self.directory)
                await backend.open()
                yield how, backend, stranger_invoice(1_000 + number, int(time.time()))
                await backend.close()


@asynccontextmanager
async def wallet_side(link: str, sandbox: Path, directory: Path) -> AsyncIterator[WalletSide]:
    uri = decode_nwc(link)
    backend = open_wallet(uri, directory)
    await backend.open()
    await backend.info()  # as a service does at its start: so it learns what the wallet announces
    with World(sandbox) as world:
        try:
            yield WalletSide(backend, uri, world, directory)
        finally:
            await backend.close()


def spoiled(reply: Callable[[Request], Event], record: object = None) -> Script:
    """A wallet whose answer to a payment is spoiled, and which has this record of it: an error by its code, or a
    transaction."""

    def answer(request: Request) -> Iterable[Event]:
        if request.method == "get_info":
            return [request.result({"network": "regtest", "methods": []})]
        if request.method == "pay_invoice":
            return [reply(request)]
        if request.method != "lookup_invoice" or record is None:
            return []
        return [request.result(record) if isinstance(record, dict) else refuses(str(record))(request)]

    return answer


def refuses(code: str) -> Callable[[Request], Event]:
    return lambda request: request.result(error={"code": code, "message": "no"})


def says(result: object) -> Callable[[Request], Event]:
    return lambda request: request.result(result)


PENDING: Final[dict[str, Any]] = {"type": "outgoing", "state": "pending", "amount": 1_000, "created_at": 1}
FAILED: Final[dict[str, Any]] = {**PENDING, "state": "failed"}

#: How an answer to a payment is spoiled, so that nobody can know what became of it.
SPOILED: Final[Mapping[str, Script]] = MappingProxyType(
    {
        "no JSON": spoiled(lambda request: request.reply("{"), "NOT_FOUND"),
        "neither result nor error": spoiled(says(None), PENDING),
        "a preimage of something else": spoiled(says({"preimage": "00" * 32}), "NOT_FOUND"),
        "no preimage": spoiled(says({}), {**PENDING, "state": "settled"}),
        "an unclear code, and no record": spoiled(refuses("OTHER"), "NOT_FOUND"),
        "an error inside the wallet, and no record": spoiled(refuses("INTERNAL"), "NOT_FOUND"),
        "a code that nobody knows, and no record": spoiled(refuses("GATEWAY_TIMEOUT"), "NOT_FOUND"),
        "failed, but the record says under way": spoiled(refuses("PAYMENT_FAILED"), PENDING),
        "failed, and no look-up is answered": spoiled(refuses("PAYMENT_FAILED")),
        "failed, and the record is not shown": spoiled(refuses("PAYMENT_FAILED"), "RESTRICTED"),
        "an unclear code, and a failure of long ago": spoiled(refuses("OTHER"), FAILED),
    }
)
