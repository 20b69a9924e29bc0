"""A client of one NWC connection (NIP-47): pays, invoices and looks through somebody's wallet service."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import sha256
from types import TracebackType
from typing import Final, Self

from kitestring.base.approvals import DECIDE_WITHIN_S
from kitestring.base.commands import (
    MAX_MESSAGE_BYTES,
    CancelHold,
    Connect,
    GetBalance,
    GetBudget,
    GetInfo,
    ListTransactions,
    LookupInvoice,
    MakeHoldInvoice,
    MakeInvoice,
    PayInvoice,
    SettleHold,
    SignMessage,
)
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import (
    Balance,
    BudgetState,
    Connected,
    Found,
    HoldEnded,
    Info,
    Invoiced,
    Listed,
    Paid,
    Refused,
    Signed,
    Transaction,
)
from kitestring.base.payments import LookupAnswer, Unknown
from kitestring.client.net import Net
from kitestring.client.nwc.listening import Listening
from kitestring.client.nwc.paying import Paying
from kitestring.client.nwc.records import PaymentRecords
from kitestring.client.nwc.session import NwcSession, said
from kitestring.client.payable import Payable
from kitestring.codec import bolt11
from kitestring.codec.uri import NwcUri, decode_nwc
from kitestring.wire.ask.nwc.announcement import ServiceInfo
from kitestring.wire.ask.nwc.call import decode_call, encode_call, refuse_uncalled
from kitestring.wire.ask.nwc.methods import decode_response, encode_request
from kitestring.wire.ask.nwc.notifications import may_notify

_log: Final = logging.getLogger(__name__)


class NwcClient:
    """``uri`` is ``nostr+walletconnect://…``; its relays count as the caller's own. Use it as an async context.

    ``legacy`` marks a wallet that knows only NIP-04 and whose info event may be gone. ``nip44_seen`` (give back what an
    earlier client had at its end) keeps the connection from ever being lowered to NIP-04. Raises CodecError for a bad
    URI, and on entering NothingSentError when no relay can be reached.
    """

    def __init__(self, uri: str | NwcUri, net: Net, *, legacy: bool = False, nip44_seen: bool = False) -> None:
        self.uri: Final = decode_nwc(uri) if isinstance(uri, str) else uri
        self._session: Final = NwcSession(self.uri, net, legacy=legacy, nip44_seen=nip44_seen)
        self._records: Final = PaymentRecords(self._session)
        self._paying: Final = Paying(self._session, self._records)
        self._listenings = 0

    @property
    def service(self) -> ServiceInfo | None:
        """The contents of the wallet's info event, None when there is none."""
        return self._session.service

    @property
    def nip44_seen(self) -> bool:
        """Whether the wallet has ever offered NIP-44, or answered in it."""
        return self._session.nip44_seen

    def __repr__(self) -> str:
        return f"NwcClient({self.uri.service_pubkey[:16]}…)"

    async def __aenter__(self) -> Self:
        await self._session.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def reach(self) -> None:
        """Wait for a relay where all are away. Raises NothingSentError."""
        await self._session.reach()

    # ------------------------------------------------------------ payments

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
        self._session.check_announced(command)
        return await self.pay(command, timeout_s=timeout_s)

    async def pay(self, command: PayInvoice, *, timeout_s: float | None = None) -> Paid:
        """As :meth:`pay_invoice`, for a command that is already decoded."""
        return await self._paying.pay(command, timeout_s=timeout_s)

    async def pay_many(
        self, commands: Sequence[PayInvoice], *, timeout_s: float | None = None
    ) -> list[Paid | KitestringError]:
        """Pay several invoices, and tell of each how it ended, in their order.

        In one request for :data:`~kitestring.base.commands.MAX_PARTS` of them where the wallet announces that it takes
        several, else in one request for each, at the same time. Never raises for what becomes of one of them.
        """
        return await self._paying.pay_many(commands, timeout_s=timeout_s)

    def forget(self, payment_hash: str) -> None:
        """Take the next order of this hash for the first one: the caller knows that no earlier one is on its way, for
        the wallet's record has shown the end of it."""
        self._paying.forget(payment_hash)

    # ------------------------------------------------------------ everything else

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
        made = (await self._session.expected(command, Invoiced)).transaction
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
        made = _check_made((await self._session.expected(command, Invoiced)).transaction, amount_msat)
        if bolt11.decode(made.bolt11, recover=False).payment_hash != payment_hash:
            raise KitestringError(Reason.INTERNAL, "the wallet sent an invoice of another payment hash")
        return made

    async def settle_hold_invoice(self, preimage: str) -> HoldEnded:
        """Take what is held for the hash of this preimage (64 hex digits). Asking again is safe, also after an answer
        that was lost. Raises KitestringError: UNKNOWN_TARGET for no such invoice, another refusal where nobody has paid
        it, or it was cancelled."""
        payment_hash = sha256(bytes.fromhex(preimage)).hexdigest()
        return await self._session.expected(SettleHold(payment_hash=payment_hash, preimage=preimage), HoldEnded)

    async def cancel_hold_invoice(self, payment_hash: str) -> HoldEnded:
        """Let nobody pay a hold invoice any more, and give back what is held for it. Asking again is safe. Raises
        KitestringError as :meth:`settle_hold_invoice`, also where it was settled."""
        return await self._session.expected(CancelHold(payment_hash=payment_hash), HoldEnded)

    async def lookup_invoice(self, payment_hash: str) -> Transaction:
        """The payment or invoice with this hash (64 hex digits). Raises KitestringError, UNKNOWN_TARGET if none."""
        return (await self._session.expected(LookupInvoice(payment_hash=payment_hash), Found)).transaction

    async def lookup_payment(self, payment_hash: str) -> LookupAnswer:
        """Look up a payment in the wallet's record, which may prove its end. Never raises KitestringError: a look-up
        that fails is Unknown. A record of a failure is dated (``attempt_at``): it may be that of an earlier attempt."""
        answer = await self._records.look(payment_hash)
        return Unknown(f"the wallet refused: {said(answer)}") if isinstance(answer, Refused) else answer

    async def get_balance(self) -> Msat:
        """Raises KitestringError."""
        return (await self._session.expected(GetBalance(), Balance)).balance_msat

    async def get_budget(self) -> BudgetState:
        """Tell how the budget of this connection stands. Raises KitestringError: UNSUPPORTED, without asking, where the
        wallet does not announce that it tells."""
        return await self._session.expected(GetBudget(), BudgetState)

    async def get_info(self) -> Info:
        """Raises KitestringError."""
        return await self._session.expected(GetInfo(), Info)

    async def sign_message(self, message: str) -> Signed:
        """A text, signed with the key of the wallet's node; :func:`kitestring.codec.signed_message.signer` says which
        one that is. Raises KitestringError: UNSUPPORTED, without asking, where the wallet does not list the method;
        MALFORMED above :data:`~kitestring.base.commands.MAX_MESSAGE_BYTES`; INTERNAL where it is no signature."""
        if not message or len(message.encode()) > MAX_MESSAGE_BYTES:
            raise KitestringError(Reason.MALFORMED, f"a text that is signed has 1 to {MAX_MESSAGE_BYTES} bytes")
        return await self._session.expected(SignMessage(message=message), Signed)

    async def create_connection(self, wanted: Connect, *, timeout_s: float = DECIDE_WITHIN_S) -> str:
        """Ask for one more connection of the wallet, for the app whose public key is ``wanted.client``; the key of the
        wallet there. It is on the relays of this one, and the app keeps its own secret. ``methods`` are all needed,
        ``optional`` are types of notifications.

        The wallet's owner is asked, so this waits up to ``timeout_s`` seconds; asking again for the very same joins the
        question while that is open. Raises KitestringError: UNSUPPORTED, without asking, where the wallet does not list
        the method; UNAVAILABLE when nobody has decided in time; and the refusal.
        """
        session = self._session
        session.check_announced(wanted)
        read = partial(decode_response, command=wanted)
        exchange = session.exchange(encode_request(wanted), lasts_s=timeout_s)
        return session.expect(await session.answer(exchange, read, timeout_s), Connected).service_pubkey

    async def list_transactions(self, query: ListTransactions | None = None) -> tuple[Transaction, ...]:
        """The newest first; entries that cannot be read are left out, and the log says so. Raises KitestringError."""
        listed = await self._session.expected(query or ListTransactions(), Listed)
        if listed.left_out:
            _log.warning("%d entries of the wallet's list cannot be read and are left out", listed.left_out)
        return listed.transactions

    def listening(self) -> Listening:
        """A listener to what the wallet says unasked, not open yet. It ends with this client."""
        self._listenings += 1
        name, session = f"notifications-{self._listenings}", self._session
        return Listening(
            session.pool,
            session.key,
            session.service_pubkey,
            session.net.clock,
            name,
            lambda: may_notify(session.service),
        )

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
        answer = await self._session.answer(self._session.exchange(text), decode_call, timeout_s)
        if isinstance(answer, Refused):
            raise self._session.refusal(answer)
        return answer.result


def _check_made(made: Transaction, amount_msat: Msat | None) -> Transaction:
    try:
        invoice = bolt11.decode(made.bolt11)
    except CodecError as error:
        text = f"the wallet sent an invoice that cannot be read: {error}"
        raise KitestringError(Reason.INTERNAL, text) from error
    if invoice.amount_msat != amount_msat or made.payment_hash not in ("", invoice.payment_hash):
        raise KitestringError(Reason.INTERNAL, "the wallet sent another invoice than the one asked for")
    return made
