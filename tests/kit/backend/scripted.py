"""A wallet that answers as it is told, with the backend in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from kitestring.backend.nostr.abilities import NEEDED
from kitestring.backend.nostr.history import Pace
from kitestring.backend.nostr.link import WalletLink
from kitestring.backend.nostr.node import NwcWallet
from kitestring.backend.registry import BackendContext
from kitestring.base.node import PayOrder
from kitestring.nostr.event import Event
from tests.kit.backend.sides import order
from tests.kit.backend.wallet import PACE, WAITS
from tests.kit.chance import entropy
from tests.kit.changed import replace
from tests.kit.client.hostile import CLOCK, HostileRelay, Request, hostile_relay, info_event, nwc_uri
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice

RECORD = {
    "type": "outgoing", "state": "pending", "payment_hash": PAYMENT_HASH, "amount": 21_000, "created_at": NOW + 1,
    "invoice": invoice(),
}  # fmt: skip
FAILED, PAID = {**RECORD, "state": "failed"}, {**RECORD, "state": "settled", "preimage": PREIMAGE, "fees_paid": 7}
SOLD = {**PAID, "type": "incoming", "settled_at": NOW + 5, "expires_at": NOW + 3_600}
INFO = {"network": "regtest", "alias": "mine", "methods": list(NEEDED)}

Says = dict[str, object]


def script(answers: Says) -> Callable[[Request], Iterable[Event]]:
    """Per method: a result, the code of an error, None for silence, or a list of these, one after the other."""

    def answer(request: Request) -> Iterable[Event]:
        found = answers.get(request.method, "NOT_IMPLEMENTED")
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(found, str):
            return [request.result(error={"code": found, "message": f"no: {found}"})]
        return [] if found is None else [request.result(found)]

    return answer


@asynccontextmanager
async def wallet(
    answers: Says, *, encryption: str = "auto", is_literal: bool = False, stored: Iterable[Event] | None = None,
    pace: Pace = PACE,
) -> AsyncIterator[tuple[NwcWallet, HostileRelay]]:  # fmt: skip
    events = [info_event("pay_invoice get_info")] if stored is None else list(stored)
    async with hostile_relay(script({"get_info": INFO, **answers}), stored=events) as relay:
        link = WalletLink(nwc_uri(relay.url), encryption, is_literal)
        backend = NwcWallet(link, BackendContext(CLOCK, entropy, Path()), waits=WAITS, pace=pace)
        await backend.open()
        try:
            yield backend, relay
        finally:
            await backend.close()


def bill(amount_msat: int | None = 21_000, **changes: Any) -> PayOrder:
    return replace(order(invoice(amount_msat), 21_000, timeout_s=1), **changes)


def asked(relay: HostileRelay, method: str) -> list[dict[str, Any]]:
    return [request.members["params"] for request in relay.requests if request.method == method]
