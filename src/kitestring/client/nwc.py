"""A client of one NWC connection (NIP-47): pays, invoices and looks through somebody's wallet service.

A payment is never called failed because its reply is missing: then the wallet is asked about its hash, and if that
does not tell either, the error is PAYMENT_IN_FLIGHT.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha256
from types import TracebackType
from typing import Final, Self, TypeVar

from msgspec.structs import replace

from kitestring.base.commands import (
    MAX_PARTS,
    AnyCommand,
    Bundle,
    CancelHold,
    GetBalance,
    GetBudget,
    GetInfo,
    ListTransactions,
    LookupInvoice,
    MakeHoldInvoice,
    MakeInvoice,
    Part,
    PayInvoice,
    SettleHold,
)
from kitestring.base.destinations import Keysend
from kitestring.base.errors import TABLE, CodecError, KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import (
    Balance,
    BudgetState,
    Found,
    HoldEnded,
    Info,
    Invoiced,
    Listed,
    Outcome,
    Paid,
    Refused,
    Transaction,
)
from kitestring.base.payments import Failed, LookupAnswer, NeverSeen, Settled, Unknown
from kitestring.client.clocks import MAX_AHEAD_S, clock_words
from kitestring.client.in_flight import as_words, in_flight
from kitestring.client.net import Net
from kitestring.client.nwc_listening import Listening
from kitestring.client.payable import Payable
from kitestring.client.session import MAX_REPLIES, Dialog, Exchange, reach
from kitestring.client.wallet_info import WalletInfo
from kitestring.codec import bolt11
from kitestring.codec.uri import NwcUri, decode_nwc
from kitestring.crypto.keys import SecretKey
from kitestring.transport.relays import RelayPool
from kitestring.wire.ask.nwc import (
    ServiceInfo,
    announces_bundles,
    client_cipher,
    decode_record,
    decode_response,
    encode_request,
    refuse_unannounced,
)
from kitestring.wire.ask.nwc_call import decode_call, encode_call, refuse_uncalled
from kitestring.wire.ask.nwc_codes import is_final, own_word
from kitestring.wire.ask.nwc_notifications import may_notify

_log: Final = logging.getLogger(__name__)
T = TypeVar("T", bound=Outcome)
A = TypeVar("A")

#: Refusals that a clock which differs may be the cause of.
_TIMED: Final = frozenset({Reason.CONNECTION_ENDED, Reason.STALE_REQUEST, Reason.MALFORMED})
_FAILED: Final = Refused(Reason.PAYMENT_FAILED, "its record says failed")
#: Hashes of unpaid payments remembered (about 200 bytes each). With more, none counts as one that was never asked for.
MAX_ASKED: Final = 10_000


class NwcClient:
    """``uri`` is ``nostr+walletconnect://…``; its relays count as the caller's own. Use it as an async context.

    ``legacy`` marks a wallet that knows only NIP-04 and whose info event may be gone. ``nip44_seen`` (give back what an
    earlier client had at its end) keeps the connection from ever being lowered to NIP-04. Raises CodecError for a bad
    URI, and on entering NothingSentError when no relay can be reached.
    """

    def __init__(self, uri: str | NwcUri, net: Net, *, legacy: bool = False, nip44_seen: bool = False) -> None:
        self.uri: Final = decode_nwc(uri) if isinstance(uri, str) else uri
        self._net: Final = net
        self._legacy: Final = legacy
        # Hashes that the wallet was asked to pay and has not paid; True where an order may still be carried out.
        self._asked: Final[dict[str, bool]] = {}
        self._key: Final = SecretKey(self.uri.secret)
        self._pool: Final[RelayPool] = net.pool(self.uri.relays, self._key)
        self._info: Final = WalletInfo(self._pool, self.uri.service_pubkey, nip44_seen=nip44_seen)
        self._dialog: Dialog | None = None
        self._ahead_s = 0
        self._listenings = 0

    @property
    def service(self) -> ServiceInfo | None:
        """The contents of the wallet's info event, None when there is none."""
        return self._info.latest

    @property
    def nip44_seen(self) -> bool:
        """Whether the wallet has ever offered NIP-44, or answered in it."""
        return self._info.nip44_seen

    def __repr__(self) -> str:
        return f"NwcClient({self.uri.service_pubkey[:16]}…)"

    async def __aenter__(self) -> Self:
        await self._pool.start()
        try:
            await reach(self._pool, self._net.waits)
            await self._info.open(self._net.waits)
        except BaseException:
            await self._pool.stop()
            raise
        if self.service is None:
            _log.warning("the wallet %s… publishes no info event; going on without", self.uri.service_pubkey[:16])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.stop()

    async def reach(self) -> None:
        """Wait for a relay where all are away. Raises NothingSentError."""
        await reach(self._pool, self._net.waits)

    # ------------------------------------------------------------ methods

    async def pay_invoice(
        self, text: str, amount_msat: Msat | None = None, max_fee_msat: Msat | None = None,
        *, timeout_s: float | None = None,
    ) -> Paid:  # fmt: skip
        """Pay an invoice; ``amount_msat`` is for one without amount. Returns only with a preimage that hashes to it.

        Raises KitestringError: MALFORMED for an unusable invoice or amount, NothingSentError, the wallet's refusal, or
        PAYMENT_IN_FLIGHT (detail ``payment_hash``) when nobody can say yet. Paying again is safe with the *same*
        invoice only.
        """
        try:
            invoice = bolt11.decode(text)
        except CodecError as error:
            raise KitestringError(Reason.MALFORMED, f"the invoice cannot be read: {error}") from error
        payable = Payable(invoice, bolt11.amount_to_pay(invoice, amount_msat))
        return await self.pay(payable.order(max_fee_msat), timeout_s=timeout_s)

    async def pay_keysend(self, command: PayInvoice, *, timeout_s: float | None = None) -> Paid:
        """Pay a key without an invoice. The preimage goes with the request, so that the payment can be looked up.

        Raises KitestringError as :meth:`pay_invoice` does, and UNSUPPORTED, without asking, where the wallet does not
        announce it. To ask again with another preimage is to pay again.
        """
        refused = refuse_unannounced(command, self.service)
        if refused is not None:
            raise KitestringError(refused.reason, refused.message)
        return await self.pay(command, timeout_s=timeout_s)

    async def pay(self, command: PayInvoice, *, timeout_s: float | None = None) -> Paid:
        """As :meth:`pay_invoice`, for a command that is already decoded."""
        read = partial(decode_response, command=command)
        payment_hash = command.payment_hash
        before = self._asked.get(payment_hash, len(self._asked) >= MAX_ASKED)
        sent_at = self._first_sent_at(payment_hash)
        wait_s = self._net.waits.pay_s if timeout_s is None else timeout_s
        async with self._exchange(encode_request(command), lasts_s=wait_s) as exchange:
            outcome = await exchange.next(read, wait_s)
            self._note(exchange)
            if outcome is None:
                outcome = await self._find_out(exchange, read, command, sent_at)
        if isinstance(outcome, Refused):
            outcome = await self._settle_refusal(outcome, command, sent_at, is_first=not before)
        if isinstance(outcome, Paid):
            self._asked.pop(payment_hash, None)
        elif payment_hash in self._asked:
            self._asked[payment_hash] = False
        return self._expect(outcome, Paid)

    async def pay_many(
        self, commands: Sequence[PayInvoice], *, timeout_s: float | None = None
    ) -> list[Paid | KitestringError]:
        """Pay several invoices, and tell of each how it ended, in their order.

        In one request for :data:`~kitestring.base.commands.MAX_PARTS` of them where the wallet announces that it takes
        several, else in one request for each, at the same time. Never raises for what becomes of one of them.
        """
        if not announces_bundles(self.service) or len(commands) < 2:
            return list(await asyncio.gather(*(_told(self.pay(one, timeout_s=timeout_s)) for one in commands)))
        slices = [commands[start : start + MAX_PARTS] for start in range(0, len(commands), MAX_PARTS)]
        found = await asyncio.gather(*(self._pay_together(some, timeout_s) for some in slices))
        return [one for some in found for one in some]

    async def _pay_together(
        self, commands: Sequence[PayInvoice], timeout_s: float | None
    ) -> list[Paid | KitestringError]:
        """One request for all of these: each is answered for itself, or looked up where it is not."""
        before = [self._asked.get(one.payment_hash, len(self._asked) >= MAX_ASKED) for one in commands]
        sent_at = [self._first_sent_at(one.payment_hash) for one in commands]
        wait_s = self._net.waits.pay_s if timeout_s is None else timeout_s
        try:
            heard = await self._hear_of_each(commands, wait_s)
        except KitestringError as unsent:  # of these requests nothing has left
            for one in commands:
                self._asked.pop(one.payment_hash, None)
            return [unsent for _ in commands]
        ends = (
            self._end(one, heard.get(place), sent_at[place], is_first=not before[place])
            for place, one in enumerate(commands)
        )
        return list(await asyncio.gather(*map(_told, ends)))

    async def _hear_of_each(self, commands: Sequence[PayInvoice], wait_s: float) -> dict[int, Outcome]:
        """The answers by the places of the payments."""
        heard: dict[int, Outcome] = {}
        bundle, until = Bundle(parts=tuple(map(Part, commands))), self._net.clock.monotonic() + wait_s
        async with self._exchange(encode_request(bundle), lasts_s=wait_s, max_replies=2 * len(commands)) as exchange:
            while len(heard) < len(commands):
                left_s = until - self._net.clock.monotonic()
                found = await exchange.next_named(partial(_read_named, commands), left_s)
                if found is None:
                    break
                heard = found | heard  # the first word about each stays
        self._note(exchange)
        return heard

    async def _end(self, command: PayInvoice, heard: Outcome | None, sent_at: int | None, *, is_first: bool) -> Paid:
        if heard is None:
            record = await self._record_of(command)
            if not isinstance(record, Settled) and not _is_of_this_attempt(record, sent_at):
                raise self._in_flight(command, _words(record))
            heard = _paid(command, record) if isinstance(record, Settled) else _FAILED
        if isinstance(heard, Refused):
            heard = await self._settle_refusal(heard, command, sent_at, is_first=is_first)
        if isinstance(heard, Paid):
            self._asked.pop(command.payment_hash, None)
        elif command.payment_hash in self._asked:
            self._asked[command.payment_hash] = False
        return self._expect(heard, Paid)

    def forget(self, payment_hash: str) -> None:
        """Take the next order of this hash for the first one: the caller knows that no earlier one is on its way, for
        the wallet's record has shown the end of it."""
        self._asked.pop(payment_hash, None)

    def _first_sent_at(self, payment_hash: str) -> int | None:
        """The time (Unix seconds) of the first order of this hash, None for a second one: a date is then no proof that
        a failure is of this attempt, because the clock here may have been set back, or the wallet's be ahead."""
        is_first = payment_hash not in self._asked and len(self._asked) < MAX_ASKED
        if is_first or payment_hash in self._asked:
            self._asked[payment_hash] = True
        return self._net.clock.now() if is_first else None

    async def make_invoice(
        self, amount_msat: Msat | None, *, description: str = "", description_hash: str = "", expiry_s: int = 3600,
        metadata: str = "",
    ) -> Transaction:  # fmt: skip
        """Ask for an invoice; ``amount_msat`` None = without amount, ``metadata`` is JSON text. Raises KitestringError,
        also when the wallet sends an invoice that is not what was asked for."""
        command = MakeInvoice(
            amount_msat=amount_msat, description=description, description_hash=description_hash, expiry_s=expiry_s,
            metadata=metadata,
        )  # fmt: skip
        made = (await self._expected(command, Invoiced)).transaction
        return _check_made(made, amount_msat)

    async def make_hold_invoice(
        self, payment_hash: str, amount_msat: Msat, *, description: str = "", description_hash: str = "",
        expiry_s: int = 3600, min_cltv_delta: int = 0, metadata: str = "",
    ) -> Transaction:  # fmt: skip
        """Ask for an invoice of a ``payment_hash`` (64 hex digits) of ours, whose payment the wallet holds until
        :meth:`settle_hold_invoice` or :meth:`cancel_hold_invoice`, or until its deadline.

        ``min_cltv_delta`` is the least number of blocks that a payment leaves for that, 0: as the wallet does it.
        Raises KitestringError as :meth:`make_invoice`, UNSUPPORTED where the wallet does not announce hold invoices.
        """
        command = MakeHoldInvoice(
            payment_hash=payment_hash, amount_msat=amount_msat, description=description,
            description_hash=description_hash, expiry_s=expiry_s, min_cltv_delta=min_cltv_delta, metadata=metadata,
        )  # fmt: skip
        made = _check_made((await self._expected(command, Invoiced)).transaction, amount_msat)
        if bolt11.decode(made.bolt11, recover=False).payment_hash != payment_hash:
            raise KitestringError(Reason.INTERNAL, "the wallet sent an invoice of another payment hash")
        return made

    async def settle_hold_invoice(self, preimage: str) -> HoldEnded:
        """Take what is held for the hash of this preimage (64 hex digits). Asking again is safe, also after an answer
        that was lost. Raises KitestringError: UNKNOWN_TARGET for no such invoice, another refusal where nobody has paid
        it, or it was cancelled."""
        payment_hash = sha256(bytes.fromhex(preimage)).hexdigest()
        return await self._expected(SettleHold(payment_hash=payment_hash, preimage=preimage), HoldEnded)

    async def cancel_hold_invoice(self, payment_hash: str) -> HoldEnded:
        """Let nobody pay a hold invoice any more, and give back what is held for it. Asking again is safe. Raises
        KitestringError as :meth:`settle_hold_invoice`, also where it was settled."""
        return await self._expected(CancelHold(payment_hash=payment_hash), HoldEnded)

    async def lookup_invoice(self, payment_hash: str) -> Transaction:
        """The payment or invoice with this hash (64 hex digits). Raises KitestringError, UNKNOWN_TARGET if none."""
        return (await self._expected(LookupInvoice(payment_hash=payment_hash), Found)).transaction

    async def lookup_payment(self, payment_hash: str) -> LookupAnswer:
        """Look up a payment in the wallet's record, which may prove its end. Never raises KitestringError: a look-up
        that fails is Unknown. A record of a failure is dated (``attempt_at``): it may be that of an earlier attempt."""
        answer = await self._look(payment_hash)
        return Unknown(f"the wallet refused: {_said(answer)}") if isinstance(answer, Refused) else answer

    async def _look(self, payment_hash: str, *, is_keysend: bool = False) -> LookupAnswer | Refused:
        read = partial(decode_record, payment_hash=payment_hash, now=self._net.clock.now(), is_keysend=is_keysend)
        try:
            answer = await self._ask(LookupInvoice(payment_hash=payment_hash), read)
        except KitestringError as error:
            return Unknown(error.message)
        if isinstance(answer, Failed) and answer.attempt_at is not None:
            return replace(answer, attempt_at=answer.attempt_at - max(self._ahead_s, 0))
        return answer

    async def get_balance(self) -> Msat:
        """Raises KitestringError."""
        return (await self._expected(GetBalance(), Balance)).balance_msat

    async def get_budget(self) -> BudgetState:
        """Tell how the budget of this connection stands. Raises KitestringError: UNSUPPORTED, without asking, where the
        wallet does not announce that it tells."""
        return await self._expected(GetBudget(), BudgetState)

    async def get_info(self) -> Info:
        """Raises KitestringError."""
        return await self._expected(GetInfo(), Info)

    async def list_transactions(self, query: ListTransactions | None = None) -> tuple[Transaction, ...]:
        """The newest first; entries that cannot be read are left out, and the log says so. Raises KitestringError."""
        listed = await self._expected(query or ListTransactions(), Listed)
        if listed.left_out:
            _log.warning("%d entries of the wallet's list cannot be read and are left out", listed.left_out)
        return listed.transactions

    def listening(self) -> Listening:
        """A listener to what the wallet says unasked, not open yet. It ends with this client."""
        self._listenings += 1
        return Listening(
            self._pool, self._key, self.uri.service_pubkey, self._net.clock, f"notifications-{self._listenings}",
            lambda: may_notify(self.service),
        )  # fmt: skip

    async def call(
        self, method: str, params: Mapping[str, object] | None = None, *, timeout_s: float | None = None
    ) -> dict[str, object]:
        """Ask for a method that is none of the above, such as one that a plugin of the wallet adds; its result.

        Raises KitestringError: MALFORMED for a method that pays and for params that are no JSON; UNSUPPORTED, without
        asking, where the wallet lists methods and not this one; UNAVAILABLE when no answer comes within ``timeout_s``
        seconds (default as for all questions); and the wallet's refusal. After UNAVAILABLE it may have been carried
        out: ask again only where that does no harm.
        """
        text = encode_call(method, params or {})
        refused = refuse_uncalled(method, self.service)
        if refused is not None:
            raise KitestringError(refused.reason, refused.message)
        answer = await self._answer(self._exchange(text), decode_call, timeout_s)
        if isinstance(answer, Refused):
            raise self._refusal(answer)
        return answer.result

    # ------------------------------------------------------------ asking

    async def _expected(self, command: AnyCommand, kind: type[T]) -> T:
        refused = refuse_unannounced(command, self.service)
        if refused is not None:
            raise KitestringError(refused.reason, refused.message)
        return self._expect(await self._ask(command, partial(decode_response, command=command)), kind)

    async def _ask(self, command: AnyCommand, read: Callable[[str], A]) -> A:
        """A question without money in it. Raises KitestringError: UNAVAILABLE when no reply comes, INTERNAL when it
        cannot be read."""
        return await self._answer(self._exchange(encode_request(command)), read)

    async def _answer(self, exchange: Exchange, read: Callable[[str], A], timeout_s: float | None = None) -> A:
        async with exchange:
            answer = await exchange.next(read, self._net.waits.read_s if timeout_s is None else timeout_s)
        self._note(exchange)
        if answer is not None:
            return answer
        if exchange.unreadable:
            raise KitestringError(Reason.INTERNAL, f"the wallet's reply cannot be read: {exchange.unreadable}")
        hint = exchange.trouble() or self._clock_words() or self._cipher_words()
        raise KitestringError(Reason.UNAVAILABLE, f"the wallet did not answer{hint}: check that its service is running")

    def _exchange(self, text: str, *, lasts_s: float | None = None, max_replies: int = MAX_REPLIES) -> Exchange:
        cipher = client_cipher(self.service, legacy=self._legacy, nip44_seen=self.nip44_seen)
        if self._dialog is None or self._dialog.cipher != cipher:
            self._dialog = Dialog.nwc(self._key, self.uri.service_pubkey, cipher)
        if lasts_s is not None:  # until when, it decides by its own clock
            lasts_s += min(max(self._ahead_s, 0), MAX_AHEAD_S)
        return Exchange(
            self._pool, self._dialog, self._dialog.request(text, self._net, lasts_s), self._net,
            max_replies=max_replies,
        )  # fmt: skip

    def _note(self, exchange: Exchange) -> None:
        """Keep what an exchange has shown about the wallet."""
        if exchange.cipher == "nip44":
            self._info.nip44_seen = True
        if exchange.ahead_s is not None:
            self._ahead_s = exchange.ahead_s

    def _expect(self, outcome: Outcome, kind: type[T]) -> T:
        if isinstance(outcome, Refused):
            raise self._refusal(outcome)
        assert isinstance(outcome, kind), "decode_response gives the outcome of its command"  # noqa: S101 - our own
        return outcome

    def _refusal(self, refused: Refused) -> KitestringError:
        words = self._clock_words() if refused.reason in _TIMED else ""
        return KitestringError(refused.reason, f"the wallet refused: {_said(refused)}{words}", **refused.details)

    def _clock_words(self) -> str:
        words = clock_words(self._ahead_s)
        return f" ({words})" if words else ""

    def _cipher_words(self) -> str:
        """A cause of silence that only the owner of the connection can know of."""
        guessed = self.service is None and not self._legacy and not self.nip44_seen
        return " (it publishes no info event, and may be one that knows NIP-04 only)" if guessed else ""

    # ------------------------------------------------------------ payments whose end is unclear

    async def _find_out(
        self, exchange: Exchange, read: Callable[[str], Outcome], command: PayInvoice, sent_at: int | None
    ) -> Outcome:
        """After a lost reply: the late reply or the wallet's own record, whichever comes first. A wallet that will not
        let its record be read is not asked again."""
        record: LookupAnswer | Refused = Unknown("its reply did not come")
        for pause_s in self._net.waits.lookup_pauses_s:
            late = await exchange.next(read, pause_s, patient=True)
            if late is not None:
                return late
            record = await self._record_of(command)
            if isinstance(record, Settled):
                return _paid(command, record)
            if _is_of_this_attempt(record, sent_at):
                return _FAILED
            if isinstance(record, Refused) and is_final(record):
                break
        raise self._in_flight(command, _words(record) + exchange.trouble())

    async def _settle_refusal(
        self, refused: Refused, command: PayInvoice, sent_at: int | None, *, is_first: bool
    ) -> Outcome:
        """A refusal by a code that says so is final, unless an earlier order of the same hash may still be carried out.
        Any other may have come after the payment was sent: only the record decides, and where it tells nothing,
        nobody knows."""
        stands = refused is _FAILED or (is_final(refused) and (is_first or refused.reason is Reason.PAYMENT_FAILED))
        if stands:
            return refused
        record = await self._record_of(command)
        if isinstance(record, NeverSeen):  # some wallets write their record after they have answered
            await self._net.clock.sleep(self._net.waits.recheck_s)
            record = await self._record_of(command)
        if isinstance(record, Settled):
            return _paid(command, record)
        if is_first and (isinstance(record, NeverSeen) or _is_of_this_attempt(record, sent_at)):
            return refused
        raise self._in_flight(command, f"it answered {own_word(refused)} ({_said(refused)}), and {_words(record)}")

    async def _record_of(self, command: PayInvoice) -> LookupAnswer | Refused:
        return await self._look(command.payment_hash, is_keysend=isinstance(command.destination, Keysend))

    def _in_flight(self, command: PayInvoice, known: str) -> KitestringError:
        return in_flight(command.payment_hash, known + self._clock_words())


def _read_named(commands: Sequence[PayInvoice], text: str, name: str) -> dict[int, Outcome]:
    """The payments, by their places, that a reply to several answers, with its word. Raises CodecError for none.

    A reply without a name refuses all of them, or proves the one that its preimage belongs to; so does one with a name
    that is not ours, but such a refusal is nobody's.
    """
    is_place = name.isascii() and name.isdecimal() and len(name) < 4
    places = [int(name)] if is_place else range(len(commands))
    found: dict[int, Outcome] = {}
    for place in places:
        with suppress(CodecError, IndexError):
            outcome = decode_response(text, commands[place])
            if is_place or not name or isinstance(outcome, Paid):
                found[place] = outcome
    if not found:
        raise CodecError("the wallet's response belongs to none of these payments")
    return found


async def _told(payment: Awaitable[Paid]) -> Paid | KitestringError:
    """The end of a payment as a value."""
    try:
        return await payment
    except KitestringError as error:
        return error


def _paid(command: PayInvoice, settled: Settled) -> Paid:
    return Paid(command.payment_hash, settled.preimage, command.amount_msat, settled.fee_msat)


def _said(refused: Refused) -> str:
    return refused.message or TABLE[refused.reason].sentence


def _words(record: LookupAnswer | Refused) -> str:
    return f"it does not let its record be read: {_said(record)}" if isinstance(record, Refused) else as_words(record)


def _is_of_this_attempt(record: LookupAnswer | Refused, sent_at: int | None) -> bool:
    """Whether the record shows a failure that is not older than the request, the first of its hash (``sent_at`` None:
    it is not). There is no tolerance for clocks: a wallet whose clock is behind leaves the payment in flight, which is
    a nuisance and no loss."""
    if sent_at is None or not isinstance(record, Failed) or record.attempt_at is None:
        return False
    return record.attempt_at >= sent_at


def _check_made(made: Transaction, amount_msat: Msat | None) -> Transaction:
    try:
        invoice = bolt11.decode(made.bolt11)
    except CodecError as error:
        text = f"the wallet sent an invoice that cannot be read: {error}"
        raise KitestringError(Reason.INTERNAL, text) from error
    if invoice.amount_msat != amount_msat or made.payment_hash not in ("", invoice.payment_hash):
        raise KitestringError(Reason.INTERNAL, "the wallet sent another invoice than the one asked for")
    return made
