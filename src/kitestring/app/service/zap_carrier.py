"""Receipts of zaps (NIP-57) on their way to the relays that the senders have named.

A message of the outbox only says which invoice was paid. The receipt is made of it when it is sent, and is the same
event each time: relays and readers take it once, however often a crash makes us send it again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

from kitestring.app.service.receptions import OnReception, Reception
from kitestring.app.service.seams import Seams
from kitestring.app.service.seldom import Seldom
from kitestring.base.errors import CodecError, KitestringError
from kitestring.base.events import FeedEvent
from kitestring.base.records import Message, OwnInvoice
from kitestring.transport.guard import normalise
from kitestring.wire.zaps import zap_receipt

log = logging.getLogger(__name__)

#: The kind of message that is the receipt of a zap: ``address`` is the id of its invoice.
ZAP: Final = "zap"
#: Receipts on their way at once, each with a connection to every relay that its request names; more are tried later.
MAX_SENT: Final = 16


def zapped(event: FeedEvent) -> Iterator[Message]:
    """Tell everybody of a zap that was paid."""
    yield Message("", ZAP, b"", b"", event.at, event.subject.encode())


class ZapCarrier:
    """Publishes receipts. One is taken as soon as one relay has taken it, or none that it names may ever be dialled."""

    def __init__(self, seams: Seams) -> None:
        self._pool = seams.pool
        self._store = seams.store
        self._wires = seams.wires
        self._rendezvous = seams.rendezvous
        self._background = seams.background
        self._log = Seldom(log, seams.clock)
        self._sent = 0

    def carry(self, message: Message, done: OnReception) -> None:
        """Send the receipt of the invoice that ``message.address`` names."""
        if self._sent >= MAX_SENT:
            done(Reception.UNSENT)
            return
        self._sent += 1
        self._background.spawn(self._carry(message.address.decode(), done))

    async def _carry(self, invoice_id: str, done: OnReception) -> None:
        is_taken = False
        try:
            invoice = await self._store.invoice(invoice_id)
            is_taken = invoice is None or await self._publish(invoice)
        except CodecError as failure:
            self._log.warning("a zap gets no receipt: %s", failure)
            is_taken = True
        except KitestringError as failure:
            self._log.warning("the receipt of a zap is not sent yet: %s", failure.message)
        except Exception:  # noqa: BLE001 - not hidden: it is logged, and the outbox tries again
            self._log.exception("the receipt of a zap is not sent yet")
        finally:
            self._sent -= 1
        done(Reception.TAKEN if is_taken else Reception.UNSENT)

    async def _publish(self, invoice: OwnInvoice) -> bool:
        """Whether a relay has it. Raises CodecError where the request cannot be read."""
        draft, named = zap_receipt(invoice.zap, invoice.bolt11)
        event = self._wires.publish(draft, invoice.settled_at or invoice.created_at)
        wanted, ours = {normalise(url) for url in named}, [row.url for row in self._pool.status()]
        here = [url for url in ours if normalise(url) in wanted]
        elsewhere = self._rendezvous.elsewhere(named, ours)
        is_taken = bool(here) and (await self._pool.publish(event, here, every=True)).accepted
        return (
            bool(elsewhere) and await self._rendezvous.tell_each(event, self._wires.service_key, elsewhere)
        ) or is_taken
