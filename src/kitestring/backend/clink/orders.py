"""Payments by a CLINK wallet: one order for each invoice, and the two ways to ask what has become of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kitestring.backend.clink.book import OrderRow, WalletBook
from kitestring.backend.clink.line import ServiceLine
from kitestring.backend.clink.words import DebitQuestion, judge
from kitestring.base.errors import CodecError, KitestringError
from kitestring.base.node import PayOrder
from kitestring.base.payments import Failed, FailureReason, LookupAnswer, NeverSeen, PayAnswer, Settled, Unknown
from kitestring.base.ports import Clock
from kitestring.client.debits import pay_wish
from kitestring.codec import bolt11
from kitestring.codec.pointers import Ndebit
from kitestring.nostr.event import decode_event, encode_event
from kitestring.transport.changes import Changes
from kitestring.wire.ask import debits as wire


@dataclass(frozen=True, slots=True)
class OrderPace:
    """Seconds.

    ``again_after_s``: the same event is sent again no sooner, so that it begins nothing: services take requests that
    are 30 seconds old, and clocks differ. ``over_after_s``: a new event for the invoice is sent so long after its
    expiry, and no sooner. ``pause_s``: between two questions about one order. ``look_s``: for the answer to one;
    ``track_s``: for news of an order, before it is looked for again.
    """

    again_after_s: float = 120.0
    over_after_s: float = 120.0
    pause_s: float = 60.0
    look_s: float = 10.0
    track_s: float = 60.0


DEFAULT_PACE: Final = OrderPace()


class WalletOrders:
    """The orders of one wallet. Raises NodeUnreachableError where nothing was sent."""

    def __init__(
        self, ndebit: Ndebit, line: ServiceLine, book: WalletBook, clock: Clock, *, is_known: bool,
        pace: OrderPace,
    ) -> None:  # fmt: skip
        self._ndebit: Final = ndebit
        self._line: Final = line
        self._book: Final = book
        self._clock: Final = clock
        self._is_known: Final = is_known
        self._pace: Final = pace
        self._changes: Final = Changes(clock)
        self._words: Final[dict[str, int]] = {}  # how often the wallet has said something about an order
        self._asked_s: Final[dict[str, float]] = {}
        self._sent_s: Final[dict[str, float]] = {}

    def resume(self) -> None:
        """Hear what becomes of the orders that are open."""
        for row in self._book.open_orders():
            self._follow(row)

    def joined(self, payment_hash: str) -> bool:
        """Whether an order of this hash is open or has been paid: then no other one is sent."""
        row = self._book.order(payment_hash)
        return row is not None and not isinstance(row.end, Failed)

    async def pay(self, order: PayOrder, text: str) -> PayAnswer:
        """Order the payment of the invoice ``text``, or join the one that is under way. The line has been reached."""
        payment_hash = order.payment_hash
        if not self.joined(payment_hash):
            invoice = bolt11.decode(text)
            try:
                wish = pay_wish(invoice, order.amount_msat, want_preimage=True)
                plaintext = wire.encode_request(self._ndebit, wish)
            except KitestringError as unfit:
                return Failed(f"the wallet was not asked: {unfit.message}", FailureReason.REFUSED)
            self._order(order, invoice, plaintext)
        await self._news(payment_hash, 0, order.timeout_s)
        known = self._known(payment_hash)
        return Unknown("the book of orders has lost it") if isinstance(known, NeverSeen) else known

    def _order(self, order: PayOrder, invoice: bolt11.DecodedInvoice, plaintext: str) -> None:
        """Write the order down and send it."""
        payment_hash, event = order.payment_hash, self._line.request(plaintext)
        row = OrderRow(
            payment_hash, invoice.text, order.amount_msat, order.fee_cap_msat, invoice.expires_at, encode_event(event),
            event.created_at,
        )  # fmt: skip
        if self._book.begin(row):
            self._sent_s[payment_hash] = self._clock.monotonic()
            self._follow(row)
            self._line.send(event)

    async def look(self, payment_hash: str) -> LookupAnswer:
        """The end of an order; one that is open is asked for, where that can begin nothing."""
        return await self._looked(payment_hash, self._pace.look_s, is_patient=False)

    async def track(self, payment_hash: str) -> LookupAnswer:
        """As :meth:`look`, but wait for news."""
        return await self._looked(payment_hash, self._pace.track_s, is_patient=True)

    async def _looked(self, payment_hash: str, limit_s: float, *, is_patient: bool) -> LookupAnswer:
        row = self._book.order(payment_hash)
        if row is None or row.end is not None:
            return self._known(payment_hash)
        said = self._words.get(payment_hash, 0)
        fresh_id = self._ask(row)
        try:
            if is_patient or fresh_id is not None:
                await self._news(payment_hash, said, limit_s)
        finally:
            if fresh_id:
                self._line.forget(fresh_id)
        return self._known(payment_hash)

    def _ask(self, row: OrderRow) -> str | None:
        """Ask what has become of an open order: the id of a new request, "" for the same one again, None where it is
        not time for either."""
        now, now_s = self._clock.now(), self._clock.monotonic()
        last_s = self._asked_s.get(row.payment_hash)
        if last_s is not None and now_s - last_s < self._pace.pause_s:
            return None
        if now > row.expires_at + self._pace.over_after_s:
            self._asked_s[row.payment_hash] = now_s
            return self._ask_anew(row)
        if now > row.sent_at + self._pace.again_after_s:
            self._asked_s[row.payment_hash] = now_s
            self._book.repeat(row.payment_hash)
            self._line.send(row.event)
            return ""
        return None

    def _ask_anew(self, row: OrderRow) -> str:
        wish = pay_wish(bolt11.decode(row.bolt11, recover=False), row.amount_msat, want_preimage=True)
        event = self._line.request(wire.encode_request(self._ndebit, wish))
        began_s = self._clock.monotonic()
        self._line.follow(
            event.id, lambda text: self._hear(row.payment_hash, text, DebitQuestion.AFTER_EXPIRY, began_s)
        )
        self._line.send(event)
        return event.id

    def _follow(self, row: OrderRow) -> None:
        began_s = self._sent_s.get(row.payment_hash, float("-inf"))
        self._line.follow(
            decode_event(row.event).id, lambda text: self._hear(row.payment_hash, text, DebitQuestion.ORDER, began_s)
        )

    def _hear(self, payment_hash: str, text: str, asked: DebitQuestion, began_s: float) -> None:
        row = self._book.order(payment_hash)
        if row is None or row.end is not None:
            return
        try:
            reply = wire.decode_reply(text)
        except CodecError as unread:
            self._note(row, f"its answer cannot be read: {unread}")
            return
        if asked is DebitQuestion.ORDER and row.is_repeated:
            asked = DebitQuestion.AGAIN
        after_s = self._clock.monotonic() - began_s
        verdict = judge(reply, payment_hash, row.fee_cap_msat, asked, after_s=after_s, is_known=self._is_known)
        if isinstance(verdict, Unknown):
            self._note(row, verdict.why)
            return
        self._book.end_order(payment_hash, verdict)
        self._line.forget(decode_event(row.event).id)
        for times in (self._words, self._asked_s, self._sent_s):
            times.pop(payment_hash, None)
        self._changes.notify()

    def _note(self, row: OrderRow, why: str) -> None:
        self._book.note(row.payment_hash, why)
        self._words[row.payment_hash] = self._words.get(row.payment_hash, 0) + 1
        self._changes.notify()

    async def _news(self, payment_hash: str, said: int, limit_s: float) -> None:
        """Wait until an order has ended, or the wallet has said more about it than ``said`` times."""

        def is_there() -> bool:
            if self._words.get(payment_hash, 0) > said:
                return True
            row = self._book.order(payment_hash)
            return row is None or row.end is not None

        await self._changes.until(is_there, limit_s)

    def _known(self, payment_hash: str) -> LookupAnswer:
        """Say what the book does: it is written before an order is sent, so what is not in it was never sent."""
        row = self._book.order(payment_hash)
        if row is None:
            return NeverSeen(self._clock.now())
        if isinstance(row.end, Settled | Failed):
            return row.end
        silent = "the wallet has not answered: it may be at work on it, or its owner may be deciding"
        return Unknown(row.said or silent)
