"""The requestor of CLINK debits: asks somebody else's service to pay, and says what its answer proves."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import MSAT_PER_SAT, Msat, sat
from kitestring.client.clocks import clock_words
from kitestring.client.net import Net
from kitestring.client.owner_wait import Waiting, wait_for_owner
from kitestring.client.session import Dialog, Exchange
from kitestring.codec import bolt11, pointers
from kitestring.codec.pointers import Ndebit
from kitestring.crypto.keys import SecretKey, derive
from kitestring.nostr.work import MAX_WORK_BITS
from kitestring.wire.ask import debits as wire

#: Part of the derivation of every requestor's key; another one would lose every budget that was ever granted.
REQUESTOR: Final = "requestor"
#: An event that is called late at this age, in seconds, may have lain at a relay: it is worth a new one.
LATE_S: Final = 15.0

#: The end of the year 9999 in Unix seconds.
LAST_NAMED_S: Final = 253_402_300_799


@dataclass(frozen=True, slots=True)
class DebitPaid:
    """The service says that it has paid the invoice.

    ``proof``: ``proven`` by a preimage that hashes to the invoice; ``received`` when the wallet that made the invoice
    has the money; merely ``claimed`` otherwise, which is all that a payment inside the service gives. ``preimage`` (64
    hex digits) is set only with a proof, and then not always.
    """

    payment_hash: str
    preimage: str | None
    proof: Literal["proven", "received", "claimed"]


@dataclass(frozen=True, slots=True)
class DebitBudget:
    """The right to take without further questions, by the service's own word: up to ``amount`` in each ``number`` times
    ``every`` (``day``, ``week``, ``month`` of 30 days), ``every`` None = once and for all."""

    amount: Msat
    every: str | None
    number: int = 1

    def __str__(self) -> str:
        """``300 sat per day``."""
        if self.every is None:
            return f"{self.amount} once"
        return (
            f"{self.amount} per {self.every}" if self.number == 1 else f"{self.amount} per {self.number} {self.every}s"
        )


@dataclass(frozen=True, slots=True)
class DebitAsked:
    """The end of one question. ``reply`` None = none came in time, which proves nothing; ``trouble`` is what is known
    about that, as part of a sentence."""

    reply: wire.DebitReply | None
    trouble: str = ""


def read_ndebit(text: str) -> Ndebit:
    """The code of a service that may be asked for debits. Raises KitestringError."""
    try:
        pointer = pointers.decode(text)
    except CodecError as error:
        raise KitestringError(Reason.MALFORMED, f"the debit code cannot be read: {error}") from error
    if not isinstance(pointer, Ndebit):
        raise KitestringError(Reason.MALFORMED, "this is no debit code: one begins with ndebit1")
    return pointer


def requestor_key(seed: bytes, service: str) -> SecretKey:
    """The key with which ``service`` (hex) is asked, always the same one: what it grants, it grants to that key. No two
    services see the same. Raises CodecError for a seed that is not 32 bytes."""
    return derive(seed, REQUESTOR, service)


def pay_wish(
    invoice: bolt11.DecodedInvoice,
    amount_msat: Msat | None = None,
    *,
    description: str = "",
    want_preimage: bool = False,
) -> wire.PayWish:
    """The question for one invoice. ``amount_msat`` is for one without amount. Raises KitestringError."""
    amount = bolt11.amount_to_pay(invoice, amount_msat)
    if invoice.amount_msat is None and amount % MSAT_PER_SAT:
        raise KitestringError(Reason.MALFORMED, "a debit of an invoice without amount is over whole sats")
    return wire.PayWish(invoice.text, amount.sats_up(), description, want_preimage)


async def ask_debit(
    ndebit: Ndebit,
    wish: wire.DebitWish,
    key: SecretKey,
    net: Net,
    *,
    wait_s: float | None = None,
    waiting: Waiting | None = None,
) -> DebitAsked:
    """Ask once over the relays in the code, as far as ``net`` lets them be dialled, and wait ``wait_s`` seconds.

    The same event is sent again while no answer comes. One that lay at a relay until it was too old is followed by a
    new one. Asking for the same invoice again never pays twice, because a hash is paid once. Raises KitestringError
    when nothing was sent: UNAVAILABLE without a relay, NOT_PERMITTED for relays that are not dialled, UNSUPPORTED for a
    wish that this code cannot have.

    A service that is busy with others is asked once more with the proof of work that it names, which takes seconds.
    """
    plaintext = wire.encode_request(ndebit, wish)
    dialog = _dialog(key, ndebit)
    own, foreign = net.dialable(ndebit.relays, "debit code")
    wait_s = net.waits.debit_s if wait_s is None else wait_s
    started = net.clock.monotonic()
    async with net.pool(own, key, foreign=foreign) as pool:
        asked, bits = DebitAsked(None), 0
        for _ in range(2):
            request = await dialog.worked_request(plaintext, net, bits)
            left_s = wait_s - (net.clock.monotonic() - started)
            async with Exchange(pool, dialog, request, net) as exchange:
                reply = await wait_for_owner(exchange, wire.decode_reply, left_s, net, waiting)
                asked = DebitAsked(reply, _trouble(exchange, reply))
            bits = _work_for(reply)
            is_late = isinstance(reply, wire.DebitRefusal) and reply.is_stale
            passed_s = net.clock.monotonic() - started
            if passed_s >= wait_s or not (bits or (is_late and passed_s >= LATE_S)):
                break
        return asked


def _work_for(reply: wire.DebitReply | None) -> int:
    """The proof of work that a busy service wants to see, if it is not too much; else 0."""
    bits = (reply.work_bits or 0) if isinstance(reply, wire.DebitRefusal) else 0
    is_busy = isinstance(reply, wire.DebitRefusal) and reply.refused.reason is Reason.RATE_LIMITED
    return bits if is_busy and 0 < bits <= MAX_WORK_BITS else 0


def _dialog(key: SecretKey, ndebit: Ndebit) -> Dialog:
    try:
        return Dialog.debits(key, ndebit.pubkey)
    except CodecError as error:
        raise KitestringError(Reason.MALFORMED, f"the debit code cannot be used: {error}") from error


def _trouble(exchange: Exchange, reply: wire.DebitReply | None) -> str:
    if reply is None:
        return exchange.trouble()
    is_late = isinstance(reply, wire.DebitRefusal) and reply.is_stale
    words = clock_words(exchange.ahead_s or 0) if is_late else ""
    return f" ({words})" if words else ""


# ---------------------------------------------------------------- what the answer proves


def judge_payment(asked: DebitAsked, invoice: bolt11.DecodedInvoice) -> DebitPaid:
    """The end of a payment, as far as the answer tells.

    Raises KitestringError: PAYMENT_IN_FLIGHT (details ``payment_hash``, ``expires_at`` and, where there was one,
    ``code``) when nobody can say before the invoice is looked up, or has expired; every other reason means that this
    request has paid nothing, which is no word about an earlier one for the same invoice.
    """
    reply = asked.reply
    if reply is None:
        raise _undecided(invoice, f"its service has not answered{asked.trouble}; its owner may still be deciding")
    if isinstance(reply, wire.DebitRefusal):
        if reply.proves_unpaid:
            _raise(reply, "", asked.trouble)
        code = "without a code" if reply.code is None else f"with code {reply.code}"
        words = f"its service answered {code} ({_said(reply)}), after which it may still be paid"
        raise _undecided(invoice, words, **reply.refused.details)
    proof = wire.judge_preimage(reply.preimage, invoice.payment_hash)
    if proof == "false":
        words = "its service says that it is paid, with a preimage that is not that of the invoice: do not trust it"
        raise _undecided(invoice, words, proof="false")
    return DebitPaid(invoice.payment_hash, reply.preimage if proof == "proven" else None, proof)


def judge_grant(asked: DebitAsked, wish: wire.DebitWish) -> DebitBudget | None:
    """Tell what was granted: as much as was asked for where the answer says nothing else, None = without limits.
    Lightning.Pub also says so where it leaves an older, smaller budget as it is.

    Raises KitestringError: UNAVAILABLE without an answer, else the refusal, which is final. Asking again is safe.
    """
    reply = asked.reply
    if reply is None:
        raise KitestringError(
            Reason.UNAVAILABLE,
            f"the service has not answered{asked.trouble}: its owner may be deciding; ask for the same again later",
        )
    if isinstance(reply, wire.DebitRefusal):
        _raise(reply, wire.one_time_hint(wish, reply), asked.trouble)
    given = reply.budget or wish
    if not isinstance(given, wire.BudgetWish):
        return None
    if given.every is None:
        return DebitBudget(sat(given.amount_sats), None)
    return DebitBudget(sat(given.amount_sats), given.every.unit, given.every.number)


def _undecided(invoice: bolt11.DecodedInvoice, known: str, **details: Any) -> KitestringError:
    return KitestringError(
        Reason.PAYMENT_IN_FLIGHT,
        f"the payment of {invoice.payment_hash} is not decided: {known}; until the invoice has expired, ask for this "
        "very invoice again and for no other for the same thing",
        payment_hash=invoice.payment_hash,
        expires_at=invoice.expires_at,
        bolt11=invoice.text,
        **details,
    )


def _again_words(refusal: wire.DebitRefusal) -> str:
    """Part of a sentence: when the service may be asked again, as far as it says so in a time that has a name."""
    if refusal.retry_in_s is not None:
        return f"; it may be asked again in {refusal.retry_in_s:,} s"
    if refusal.retry_at is None or refusal.retry_at > LAST_NAMED_S:
        return ""
    return f"; it may be asked again at {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(refusal.retry_at))}"


def _said(refusal: wire.DebitRefusal) -> str:
    return refusal.text or (refusal.token or "no reason given")


def _raise(refusal: wire.DebitRefusal, advice: str, trouble: str) -> NoReturn:
    refused, hint = refusal.refused, ""
    if refusal.range_sats is not None:
        low, high = refusal.range_sats
        parts = (f"at least {low:,} sat" if low else "", f"at most {high:,} sat" if high is not None else "")
        hint = f"; it names {' and '.join(filter(None, parts))}" if any(parts) else ""
    elif refusal.is_stale and refusal.actual_delta_ms is not None:
        hint = f"; by its clock the request is {refusal.actual_delta_ms / 60_000:,.1f} minutes from its own time"
    elif refused.reason is Reason.CONNECTION_ENDED:
        hint = "; what was granted is over, ask for a new budget"
    elif refused.reason is Reason.RATE_LIMITED:
        hint = _again_words(refusal)
    said = refused.message or f"code {refusal.code}"
    raise KitestringError(
        refused.reason, f"the service refused the debit: {said}{hint}{advice}{trouble}", **refused.details
    )
