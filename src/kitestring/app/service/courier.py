"""Deliveries to the webhooks of offers, on their way out: each is tried until its receiver has taken it, for a day.

The ledger says what is owed (:mod:`kitestring.ledger.apply.webhooks`); nothing of it is kept here but which offers have
something due, and when. So a restart goes on where it was.

Whoever does not answer keeps nobody else waiting. Of one offer a few deliveries are under way at once, to one host a
few, and offers of which one has failed before have places of their own: a thousand dead webhooks fill those, and the
others are told as if they were alone. Offers made by apps have places of their own, too: a receiver that is slow on
purpose takes none of the owner's.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from kitestring.app.service.background import Background
from kitestring.app.service.seldom import Seldom
from kitestring.base.errors import CodecError, KitestringError
from kitestring.base.grants import Offer, Webhook
from kitestring.base.ports import Clock
from kitestring.base.records import OwnInvoice
from kitestring.base.store import Store
from kitestring.base.transactions.feed import Committed, NoteAttempt
from kitestring.base.webhooks import (
    PAUSES_S,
    DeliveryState,
    WebhookAnswer,
    WebhookDelivery,
    WebhookLane,
    after,
)
from kitestring.transport.border import FetchError, parse_url
from kitestring.transport.fetch import FetchCaps, Fetcher
from kitestring.wire.webhooks import SIGNATURE_HEADER, WebhookNotice, call, signature

log = logging.getLogger(__name__)

#: Of one attempt: a receiver that has work to do says 2xx first. Only the status of an answer counts, and no more of it
#: is read: whoever shows a page after that has taken the payment, however long the page is. Redirects of a GET are
#: followed, those of a POST never.
CAPS: Final = FetchCaps(total_s=10.0, body_bytes=0, redirects=3)
#: Deliveries under way at once of one offer, and to one host.
OF_ONE_OFFER: Final = 4
TO_ONE_HOST: Final = 4
#: The sorts of offers, and the deliveries of each that are under way at once: not more than a fetcher has places. Those
#: with a delivery that has failed before are ailing.
OF_THE_OWNER, OF_APPS, AILING = "owner", "apps", "ailing"
PLACES: Final[Mapping[str, int]] = {OF_THE_OWNER: 24, OF_APPS: 16, AILING: 16}
#: Offers of each of the two sorts that are looked at at once (some kB each); the others have their turn.
MAX_LANES: Final = 500
#: What is due is looked for this often.
LOOK_S: Final = 1.0
#: What the ledger cannot say, or note, is tried again after this.
UNSTORED_S: Final = 60
#: An answer that means that nothing is to be told there any more.
GONE: Final = 410

WAITING, DELIVERED, FAILED = DeliveryState.WAITING, DeliveryState.DELIVERED, DeliveryState.FAILED
Secrets = Callable[[str], str]


class Courier:
    """Tells the webhooks of one service. :meth:`hear` is told of each commit. ``secret`` is that of an offer by its
    id."""

    def __init__(self, store: Store, fetcher: Fetcher, secret: Secrets, clock: Clock) -> None:
        self._store = store
        self._fetcher = fetcher
        self._secret = secret
        self._clock = clock
        self._lanes: dict[str, WebhookLane] = {}
        self._served: dict[str, bool] = {}  # offers that are looked at, and whether they are ailing
        self._number = {False: 0, True: 0}  # of these, by the same
        self._again: set[str] = set()  # of these, those with something new
        self._hosts: dict[str, _Places] = {}
        self._places: Final = {sort: asyncio.Semaphore(number) for sort, number in PLACES.items()}
        self._due = asyncio.Event()
        self._background = Background(clock)
        self._log = Seldom(log, clock)
        self._is_running = False

    async def start(self) -> None:
        """Go on with what waits."""
        self._lanes = {**await self._store.lanes(), **self._lanes}
        self._is_running = True
        self._due.set()
        self._background.keep(self._watch)

    async def stop(self) -> None:
        """End what is under way: the ledger has it for the next start."""
        self._is_running = False
        await self._background.cancel()

    def hear(self, news: Committed) -> None:
        """Take the news of a commit; to be subscribed to the ledger."""
        for offer_id in news.webhooks:
            known = self._lanes.get(offer_id)
            self._lanes[offer_id] = lane = WebhookLane(0, 0 if known is None else known.attempts)
            if offer_id in self._served:
                self._again.add(offer_id)
            elif self._is_running:
                self._begin(offer_id, lane)
        if news.webhooks:
            self._due.set()

    async def send_test(self, offer: Offer, webhook: Webhook, event_id: str) -> WebhookAnswer:
        """Tell a webhook of nothing, once, signed as a payment would be."""
        return await self._ask(offer, webhook, WebhookNotice(event_id, offer, None, self._clock.now()))

    # ------------------------------------------------------------ what is due

    async def _watch(self) -> None:
        """Begin what is due, as long as anything waits."""
        while True:
            await self._due.wait()
            now = self._clock.now()
            for offer_id, lane in self._lanes.items():
                if offer_id not in self._served and (lane.next_at <= now or lane.next_at > now + PAUSES_S[-1]):
                    self._begin(offer_id, lane)
            if not self._lanes:
                self._due.clear()
                continue
            await self._clock.sleep(LOOK_S)

    def _begin(self, offer_id: str, lane: WebhookLane) -> None:
        """Look at an offer, if there is room for one more of its sort."""
        ailing = lane.attempts > 0
        if self._number[ailing] < MAX_LANES:
            self._number[ailing] += 1
            self._served[offer_id] = ailing
            self._background.spawn(self._serve(offer_id, ailing=ailing))

    async def _serve(self, offer_id: str, *, ailing: bool) -> None:
        """Try what is due of one offer, then note when it goes on."""
        lane: WebhookLane | None = WebhookLane(self._clock.now() + UNSTORED_S, 1)
        try:
            lane = await self._try_due(offer_id, ailing=ailing)
        except KitestringError as failure:
            self._log.warning("a webhook is not told yet: %s", failure.message)
        finally:
            del self._served[offer_id]
            self._number[ailing] -= 1
            self._go_on(offer_id, lane)

    def _go_on(self, offer_id: str, lane: WebhookLane | None) -> None:
        """Remember when an offer has its next turn; at once where something new came while it was looked at."""
        if offer_id in self._again:
            self._lanes[offer_id] = WebhookLane(0, 0 if lane is None else lane.attempts)
        elif lane is None:
            self._lanes.pop(offer_id, None)
        else:
            self._lanes[offer_id] = lane

    async def _try_due(self, offer_id: str, *, ailing: bool) -> WebhookLane | None:
        """Try a few at once until nothing is due or the offer is of the other sort. Raises KitestringError where the
        ledger cannot be read or written."""
        while True:
            self._again.discard(offer_id)
            due = await self._store.due_deliveries(offer_id, self._clock.now(), OF_ONE_OFFER)
            offer = await self._store.offer(offer_id)
            if offer is not None:
                invoices = [await self._store.invoice(one.invoice_id) for one in due]
                tries = [self._try(offer, *pair, ailing=ailing) for pair in zip(due, invoices, strict=True)]
                await self._note(offer, await asyncio.gather(*tries))
            lane = await self._store.lane(offer_id)
            if not due or offer is None or lane is None or (lane.attempts > 0) is not ailing:
                return lane

    async def _note(self, offer: Offer, done: Sequence[WebhookDelivery]) -> None:
        for delivery in done:
            why = _why(offer, delivery) if delivery.state is FAILED else ""
            if why:
                self._log.warning("%s", why)
            await self._store.apply(NoteAttempt(delivery, self._clock.now(), why))

    async def _try(
        self, offer: Offer, delivery: WebhookDelivery, invoice: OwnInvoice | None, *, ailing: bool
    ) -> WebhookDelivery:
        """The delivery after one attempt, which begins when there is a place for it."""
        attempt = await self._attempt(offer, delivery.invoice_id, invoice, ailing=ailing)
        return after(delivery, attempt, self._clock.now())

    async def _attempt(self, offer: Offer, event_id: str, invoice: OwnInvoice | None, *, ailing: bool) -> WebhookAnswer:
        webhook = offer.webhook
        if webhook is None:
            return WebhookAnswer(FAILED, "the offer has no webhook any more")
        if invoice is None:
            return WebhookAnswer(FAILED, "the invoice is not in the ledger any more")
        sort = AILING if ailing else OF_APPS if offer.creator else OF_THE_OWNER
        async with self._host(webhook.url), self._places[sort]:
            return await self._ask(offer, webhook, WebhookNotice(event_id, offer, invoice))

    @asynccontextmanager
    async def _host(self, url: str) -> AsyncIterator[None]:
        """A place at the host of a URL; a host is forgotten when nobody sits or waits there."""
        host = _HOST.sub("", url.lower())
        row = self._hosts.setdefault(host, _Places())
        row.taken += 1
        try:
            async with row.places:
                yield
        finally:
            row.taken -= 1
            if not row.taken:
                del self._hosts[host]

    # ------------------------------------------------------------ one question

    async def _ask(self, offer: Offer, webhook: Webhook, notice: WebhookNotice) -> WebhookAnswer:
        try:
            said = call(webhook, notice)
            url, at = str(parse_url(said.url)), self._clock.now()
            secret = self._secret(offer.webhook_key)
            headers = {SIGNATURE_HEADER: signature(secret, at, said.method, url, said.body)}
            if said.body is not None:
                headers["Content-Type"] = "application/json"
            answer = await self._fetcher.fetch(
                url, own=not offer.creator, method=said.method, body=said.body, headers=headers, caps=CAPS
            )
        except FetchError as failure:
            return WebhookAnswer(WAITING, failure.message)
        except CodecError as failure:
            return WebhookAnswer(FAILED, str(failure))
        return WebhookAnswer(_meaning(answer.status), f"HTTP status {answer.status}")


def _meaning(status: int) -> DeliveryState:
    """The meaning of a status: what is not taken may be taken later, but for one answer."""
    if 200 <= status < 300:
        return DELIVERED
    return FAILED if status == GONE else WAITING


def _why(offer: Offer, done: WebhookDelivery) -> str:
    times = "1 attempt" if done.attempts == 1 else f"{done.attempts} attempts"
    return (
        f"the webhook of the offer {offer.label!r} was not told of a payment, {times} in vain: {done.status}; "
        f"see `kitestring offer deliveries --failed`, then `kitestring offer resend {done.invoice_id}`"
    )


@dataclass(slots=True)
class _Places:
    """The places at one host, with the number of those who sit or wait there."""

    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(TO_ONE_HOST))
    taken: int = 0


#: What of a URL, or of a template of one, does not tell its host.
_HOST: Final = re.compile(r"^[a-z]+://|[/?{].*$")
