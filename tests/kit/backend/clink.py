"""A wallet by its CLINK codes as a node, with the outside world around it: our own service on a sandbox."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from kitestring.backend.clink.invoices import ReceiptPace
from kitestring.backend.clink.link import ClinkWalletLink
from kitestring.backend.clink.node import ClinkWallet
from kitestring.backend.clink.orders import OrderPace
from kitestring.backend.registry import BackendContext
from kitestring.backend.sandbox.world import World
from kitestring.base.money import Msat, sat
from kitestring.base.node import Backend
from kitestring.base.ports import Clock
from kitestring.client.net import Waits
from kitestring.codec.pointers import Ndebit, Noffer, decode
from kitestring.nostr.event import Event
from kitestring.transport.clock import SystemClock
from tests.kit.backend.sides import Wire, stranger_invoice
from tests.kit.backend.wallet import WalletSide
from tests.kit.chance import entropy
from tests.kit.changed import replace
from tests.kit.client.hostile import HostileRelay, Request, Script, hostile_relay, ndebit, noffer
from tests.kit.clock import StandingClock

Answer = Mapping[str, Any] | str

#: Short, because a test waits for it.
PACE: Final = OrderPace(look_s=2, track_s=5, pause_s=0)
RECEIPTS: Final = ReceiptPace(answer_s=5, again_s=2, each_s=0)
WAITS: Final = Waits(reach_s=0.3, connect_s=0.3, eose_s=1, publish_s=5)
#: What the owner says that a wallet which plays a script holds, in sats.
OPENING_SATS: Final = 200_000

_LIST: Final = "CLINK has no list"
_WORK: Final = "CLINK does not say that a payment is under way"
_HOLD: Final = "hold is not declared"
#: Checks that cannot hold for a wallet by its codes, by their names in ``tests/contract``, and why. What holds in their
#: place is tested in ``tests/backend/clink``.
LACKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "the_same_hash_is_paid_once": _LIST,
        "payments_and_invoices_are_listed": _LIST,
        "an_amountless_invoice_is_paid_with_the_amount_of_the_order": _LIST,
        "a_payment_in_flight_is_seen_and_followed_to_its_end": _WORK,
        "a_payment_outlives_a_cancelled_caller": _WORK,
        "a_node_that_goes_away_in_mid_payment_was_asked_all_the_same": _WORK,
        "the_nodes_own_count_of_payments_grows_with_each_that_it_has_not_known": "payment_index is not declared",
        "the_nodes_own_count_of_payments_falls_when_records_are_lost": "payment_index is not declared",
        "a_route_dearer_than_the_cap_is_not_taken": "a debit carries no bound of the fee",
        "the_same_preimage_gives_the_same_invoice": "own_preimage is not declared",
        "an_invoice_carries_what_was_ordered": "sub_sat is not declared",
        "an_invoice_may_carry_the_hash_of_its_description": "description_hash is not declared",
        "an_amountless_invoice_can_be_received": "amountless is not declared",
        "an_open_invoice_can_be_cancelled_and_a_settled_one_cannot": "CLINK has no word to cancel with",
        "an_invoice_takes_the_steps_of_the_table_and_no_other": "it would have to be cancelled, by a preimage of ours",
        "an_invoice_that_has_expired_is_canceled_by_the_node_itself": "it is followed for a day longer",
        "an_invoice_that_is_not_there_is_unknown": "nobody can be asked for it",
        "a_held_payment_is_taken_with_the_preimage_and_told_by_the_stream": _HOLD,
        "a_held_payment_goes_back_when_it_is_cancelled_and_stays_there": _HOLD,
        "a_hash_that_the_node_has_an_invoice_of_is_taken_whatever_has_become_of_it": _HOLD,
        "a_hold_invoice_leaves_the_blocks_that_it_was_asked_to_leave": _HOLD,
        "nobody_waits_for_news_of_an_invoice_that_has_another_state_already": _HOLD,
        "another_node_at_the_address_is_told_nothing_and_the_first_one_goes_on_when_it_is_back":
            "nobody else can answer: the keys are the wallet",
        "only_the_node_itself_says_never_seen_or_failed": "what the wallet has said is kept in the book here",
        "a_text_is_signed_with_the_key_of_the_node": "sign_message is not declared",
    }
)  # fmt: skip


def link_to(relay: str, *, is_known: bool = False, network: str = "regtest") -> ClinkWalletLink:
    """The codes of a service that plays a script."""
    return ClinkWalletLink(noffer(relay, "wallet"), ndebit(relay), sat(OPENING_SATS), network, is_known)


def open_wallet(
    link: ClinkWalletLink, directory: Path, *, clock: Clock | None = None, pace: OrderPace = PACE, waits: Waits = WAITS
) -> ClinkWallet:
    """Not open yet."""
    context = BackendContext(clock or SystemClock(), entropy, directory)
    return ClinkWallet(link, context, waits=waits, pace=pace, receipts=RECEIPTS)


def over(link: ClinkWalletLink, relay: str) -> ClinkWalletLink:
    """The same wallet over another relay."""
    return replace(link, noffer=replace(link.noffer, relays=(relay,)), ndebit=replace(link.ndebit, relays=(relay,)))


@dataclass
class ClinkSide(WalletSide):
    """``link`` is that of the wallet; ``uri`` is not used."""

    link: ClinkWalletLink

    def cursors_of_another_epoch(self) -> tuple[bytes, ...]:
        return (b"5000", *(f"{number} {entropy(32).hex()}".encode() for number in (5_000, 1)))

    def unreachable(self) -> Backend:
        return open_wallet(over(self.link, "ws://127.0.0.1:1"), self.directory)

    @asynccontextmanager
    async def on_a_wire(self) -> AsyncIterator[tuple[Backend, Callable[[], None]]]:
        port = urlsplit(self.link.ndebit.relays[0]).port
        assert port is not None
        async with Wire(port) as wire:
            backend = open_wallet(over(self.link, f"ws://127.0.0.1:{wire.port}"), self.directory)
            await backend.open()
            try:
                yield backend, wire.cut
            finally:
                await backend.close()

    async def broken(self) -> AsyncIterator[tuple[str, Backend, str]]:
        for number, (how, is_known) in enumerate(itertools.product(SPOILED, (False, True))):
            async with hostile_relay(partial(_debits, SPOILED[how])) as relay:
                backend = open_wallet(link_to(relay.url, is_known=is_known), self.directory)
                await backend.open()
                yield how, backend, stranger_invoice(1_000 + number, int(time.time()))
                await backend.close()


def _debits(answer: Answer, request: Request) -> Iterable[Event]:
    return [request.reply(answer)] if "bolt11" in request.members else []


#: How an answer to a payment is spoiled, so that nobody can know what became of it.
SPOILED: Final[Mapping[str, Answer]] = MappingProxyType(
    {
        "no JSON": "{",
        "neither yes nor no": {},
        "yes and no": {"res": "ok", "code": 5},
        "a preimage of something else": {"res": "ok", "preimage": "00" * 32},
        "no preimage": {"res": "ok"},
        "an empty preimage": {"res": "ok", "preimage": ""},
        "temporary failure": {"res": "GFY", "code": 2, "error": "Temporary Failure"},
        "no code": {"res": "GFY", "error": "no"},
        "a code that nobody knows": {"res": "GFY", "code": 99, "error": "no"},
        "somebody pays it": {"res": "GFY", "code": 6, "reason": "invoice_in_progress"},
        "somebody has paid it": {"res": "GFY", "code": 6, "reason": "invoice_already_paid"},
    }
)


@asynccontextmanager
async def scripted(
    script: Script, directory: Path, *, is_known: bool = False, pace: OrderPace = PACE, network: str = "regtest",
    clock: StandingClock | None = None,
) -> AsyncIterator[tuple[ClinkWallet, HostileRelay, StandingClock]]:  # fmt: skip
    """An open wallet whose service plays a script. The wall clock stands, waits are real."""
    clock = clock or StandingClock()
    async with hostile_relay(script) as relay:
        link = link_to(relay.url, is_known=is_known, network=network)
        backend = open_wallet(link, directory, clock=clock, pace=pace)
        await backend.open()
        try:
            yield backend, relay, clock
        finally:
            await backend.close()


@asynccontextmanager
async def clink_side(codes: tuple[str, str], held: Msat, sandbox: Path, directory: Path) -> AsyncIterator[ClinkSide]:
    """``codes`` are an offer and a debit pointer of a service on this ``sandbox``, which ``held`` that much."""
    offer, pointer = map(decode, codes)
    assert isinstance(offer, Noffer)
    assert isinstance(pointer, Ndebit)
    link = ClinkWalletLink(offer, pointer, held, "", is_known=True)
    backend = open_wallet(link, directory)
    await backend.open()
    await backend.info()  # as a service does at its start
    with World(sandbox) as world:
        try:
            yield ClinkSide(backend, None, world, directory, link)  # type: ignore[arg-type]  # of another wallet
        finally:
            await backend.close()
