"""A client of Nostr Wallet Connect, and wallets that answer as a script says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from kitestring.base.errors import KitestringError
from kitestring.base.outcomes import Paid
from kitestring.client.net import Waits
from kitestring.client.nwc import NwcClient
from kitestring.nostr.event import Event
from tests.kit.client.hostile import IMPATIENT, PATIENT, HostileRelay, Request, hostile_relay, info_event, net, nwc_uri
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice

SETTLED = {
    "type": "outgoing", "state": "settled", "payment_hash": PAYMENT_HASH, "preimage": PREIMAGE, "amount": 21_000,
    "fees_paid": 7, "created_at": NOW, "settled_at": NOW,
}  # fmt: skip


def client(relay: HostileRelay, waits: Waits = PATIENT, **options: Any) -> NwcClient:
    return NwcClient(nwc_uri(relay.url), net(waits), **options)


def script(**answers: object) -> Callable[[Request], Iterable[Event]]:
    """Per method: the result, an error (a tuple of code and message), or None for silence."""

    def answer(request: Request) -> Iterable[Event]:
        found = answers[request.method]
        if isinstance(found, tuple):
            return [request.result(error={"code": found[0], "message": found[1]})]
        return [] if found is None else [request.result(found)]

    return answer


def settled(**changes: object) -> dict[str, object]:
    return {name: value for name, value in {**SETTLED, **changes}.items() if value is not None}


async def paying(answer: Callable[[Request], Iterable[Event]], waits: Waits = IMPATIENT) -> Paid:
    async with hostile_relay(answer, stored=[info_event()]) as relay, client(relay, waits) as wallet:
        return await wallet.pay_invoice(invoice())


async def refused(answer: Callable[[Request], Iterable[Event]], waits: Waits = IMPATIENT) -> KitestringError:
    with pytest.raises(KitestringError) as caught:
        await paying(answer, waits)
    return caught.value
