"""Nostr Wallet Connect (NIP-47), the client's side: requests out, responses and info in.

Reading is tolerant where wallets differ: what is odd counts as absent (:mod:`kitestring.wire.ask.members`), an entry of
a list that cannot be read is left out. One thing no wallet can get wrong: a preimage that hashes proves the payment of
an invoice, whatever is written beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, assert_never

from msgspec.structs import replace

from kitestring.base import commands as c
from kitestring.base import outcomes as o
from kitestring.base.budgets import Budget
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.errors import CodecError, Reason
from kitestring.base.money import MAX_WHOLE, Msat
from kitestring.base.outcomes import Outcome
from kitestring.base.payments import Failed, InFlight, LookupAnswer, NeverSeen, Settled, Unknown, preimage_fits
from kitestring.base.text import clean
from kitestring.codec import bolt11
from kitestring.codec.bolt11 import MAX_DESCRIPTION_BYTES
from kitestring.codec.json import dumps, loads_object, loads_reply
from kitestring.codec.keysend import write_records
from kitestring.codec.signed_message import signer
from kitestring.codec.uri import MAX_LUD16_LENGTH
from kitestring.nostr.event import Event
from kitestring.wire.ask.members import Members, hex_in, names_in, number_in, text_in
from kitestring.wire.ask.nwc_codes import MAX_CODE_CHARS, read_error
from kitestring.wire.envelope import MAX_REPLY_BYTES
from kitestring.wire.renewals import read_period, renewal_word
from kitestring.wire.reply_to import Cipher
from kitestring.wire.text import MAX_PEER_MESSAGE, metadata_text

#: Longest invoice, hash, name and the like that is taken over from a wallet, in characters.
MAX_TEXT_CHARS: Final = 8192
#: Methods and extensions that an info event or get_info may list.
MAX_NAMES: Final = 100
#: No wallet sends more transactions in one reply; the size of the reply bounds it as well.
MAX_TRANSACTIONS: Final = 1000

_NETWORKS: Final = {"mainnet": "bitcoin"}
_STATES: Final = {state.value: state for state in o.TransactionState}


# ---------------------------------------------------------------- requests


def encode_request(command: c.AnyCommand) -> str:
    """The plaintext that asks a wallet for ``command``. Members that say nothing are left out."""
    form = _form_of(command)
    return dumps({"method": form.method, "params": _saying(form.write(command))})


def _pay_params(command: c.PayInvoice) -> dict[str, object]:
    more = {
        "max_fee": command.max_fee_msat,
        "metadata": loads_object(command.metadata) if command.metadata else None,
    }
    match command.destination:
        case Bolt11(text, amountless):
            return {"invoice": text, "amount": command.amount_msat if amountless else None, **more}
        case Keysend(node_key, preimage, records):
            named = {"preimage": preimage, "tlv_records": write_records(records) or None}
            return {"pubkey": node_key, "amount": command.amount_msat, **named, **more}
        case _:
            assert_never(command.destination)


def _bundle_params(bundle: c.Bundle) -> dict[str, object]:
    """Each payment is named by its place, so that two of the same invoice are told apart."""
    payments = [part.payment for part in bundle.parts]
    elements = [_pay_params(payment) for payment in payments if isinstance(payment, c.PayInvoice)]
    return {"invoices": [{"id": str(place), **_saying(members)} for place, members in enumerate(elements)]}


def _saying(members: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None and value != ""}


def _make_params(command: c.MakeInvoice) -> dict[str, object]:
    return {
        "amount": command.amount_msat,
        "description": command.description,
        "description_hash": command.description_hash,
        "expiry": command.expiry_s,
        "metadata": loads_object(command.metadata) if command.metadata else None,
    }


def _hold_params(command: c.MakeHoldInvoice) -> dict[str, object]:
    hold = {"payment_hash": command.payment_hash, "min_cltv_expiry_delta": command.min_cltv_delta or None}
    return _make_params(command) | hold


def _connect_params(command: c.Connect) -> dict[str, object]:
    budget = command.budget
    return {
        "pubkey": command.client,
        "name": command.name,
        "request_methods": list(command.methods),
        "notification_types": list(command.optional) or None,
        "max_amount": None if budget is None else budget.limit_msat,
        "budget_renewal": None if budget is None else renewal_word(budget),
        "expires_at": command.expires_at,
        "isolated": command.isolated or None,
    }


def _settle_params(command: c.SettleHold) -> dict[str, object]:
    return {"preimage": command.preimage}


def _hash_params(command: c.CancelHold | c.LookupInvoice) -> dict[str, object]:
    return {"payment_hash": command.payment_hash}


def _list_params(command: c.ListTransactions) -> dict[str, object]:
    both = command.unpaid_incoming and command.unpaid_outgoing
    return {
        "from": command.from_ or None,
        "until": command.until or None,
        "limit": command.limit or None,
        "offset": command.offset or None,
        "unpaid": both or None,
        "unpaid_incoming": (command.unpaid_incoming and not both) or None,
        "unpaid_outgoing": (command.unpaid_outgoing and not both) or None,
        "type": command.direction,
    }


# ---------------------------------------------------------------- responses


def decode_response(plaintext: str, command: c.AnyCommand) -> Outcome:
    """Read the answer of a wallet to ``command``.

    An error becomes Refused, see :func:`kitestring.wire.ask.nwc_codes.read_error`. Raises CodecError when the response
    cannot be read or a preimage does not hash to the invoice: then nothing is known about the outcome.
    """
    members = loads_reply(plaintext, MAX_REPLY_BYTES)
    result, error = members.get("result"), members.get("error")
    if error and not _is_proof(result, command):
        return read_error(error)
    if not isinstance(result, dict):
        if not isinstance(command, c.SettleHold | c.CancelHold):
            raise CodecError("the wallet's response has neither a result nor an error")
        result = {}  # there is nothing to say but that it was done
    return _form_of(command).read(result, command)


def _is_proof(result: object, command: c.AnyCommand) -> bool:
    """Whether the preimage can only come from the payee: that of a keysend is the payer's own."""
    if (
        not isinstance(command, c.PayInvoice)
        or not isinstance(result, dict)
        or isinstance(command.destination, Keysend)
    ):
        return False
    return preimage_fits(hex_in(result, "preimage"), command.payment_hash)


def _read_paid(result: Members, command: c.PayInvoice) -> o.Paid:
    preimage = hex_in(result, "preimage")
    if not preimage_fits(preimage, command.payment_hash):
        raise CodecError("the wallet's preimage does not belong to the payment")
    return o.Paid(command.payment_hash, preimage, command.amount_msat, Msat(number_in(result, "fees_paid") or 0))


def _read_none(_: Members, __: c.Bundle) -> Outcome:
    raise CodecError("the wallet answers several payments one by one, and not in one response")


def _read_made(result: Members, command: c.MakeInvoice) -> o.Invoiced:
    return o.Invoiced(_read_entry(result, command.amount_msat or Msat(0)))


def _read_held(result: Members, command: c.MakeHoldInvoice) -> o.Invoiced:
    _check_hash(result, command.payment_hash)
    return _read_made(result, command)


def _read_hold_ended(_: Members, command: c.SettleHold | c.CancelHold) -> o.HoldEnded:
    is_settled = isinstance(command, c.SettleHold)
    state = o.TransactionState.SETTLED if is_settled else o.TransactionState.EXPIRED
    return o.HoldEnded(command.payment_hash, state)


def _read_found(result: Members, command: c.LookupInvoice) -> o.Found:
    _check_hash(result, command.payment_hash)
    return o.Found(_read_entry(result))


def _check_hash(result: Members, payment_hash: str) -> None:
    if hex_in(result, "payment_hash") not in {"", payment_hash}:
        raise CodecError("the wallet's record is of another payment than the one asked for")


def _read_listed(result: Members, _: c.ListTransactions) -> o.Listed:
    entries = result.get("transactions")
    if not isinstance(entries, list):
        raise CodecError("the wallet's response has no list of transactions")
    rows: list[o.Transaction] = []
    faults: list[str] = []
    for entry in entries[:MAX_TRANSACTIONS]:
        try:
            rows.append(_read_entry(entry))
        except CodecError as error:
            faults.append(str(error))
    if faults and not rows:
        raise CodecError(f"none of {len(faults)} entries can be read: {faults[0]}")
    return o.Listed(tuple(rows), len(faults), number_in(result, "total_count"))


def _read_balance(result: Members, _: c.GetBalance) -> o.Balance:
    balance = number_in(result, "balance", low=-MAX_WHOLE)
    if balance is None:
        raise CodecError("the wallet's response has no balance")
    return o.Balance(Msat(balance))


def _read_budget(result: Members, _: c.GetBudget) -> o.BudgetState:
    """An answer without a limit means that there is none; a limit of 0 is one."""
    limit, used = number_in(result, "total_budget"), number_in(result, "used_budget")
    for name, number in (("total_budget", limit), ("used_budget", used)):
        if number is None and result.get(name) is not None:
            raise CodecError(f"the wallet's {name} cannot be read")
    if limit is None:
        return o.BudgetState()
    budget = Budget(Msat(limit), read_period(text_in(result, "renewal_period", MAX_CODE_CHARS)))
    return o.BudgetState(budget, Msat(used or 0), number_in(result, "renews_at") or None)


def _read_info(result: Members, _: c.GetInfo) -> o.Info:
    network = text_in(result, "network", MAX_CODE_CHARS).lower()
    return o.Info(
        alias=text_in(result, "alias", MAX_PEER_MESSAGE),
        color=text_in(result, "color", MAX_CODE_CHARS),
        node_pubkey=text_in(result, "pubkey", MAX_PEER_MESSAGE),
        network=_NETWORKS.get(network, network),
        block_height=number_in(result, "block_height") or 0,
        block_hash=text_in(result, "block_hash", MAX_PEER_MESSAGE),
        methods=names_in(result, "methods", MAX_NAMES, MAX_CODE_CHARS),
        extensions=names_in(result, "extensions", MAX_NAMES, MAX_CODE_CHARS),
        lud16=text_in(result, "lud16", MAX_LUD16_LENGTH),
    )


def _read_connected(result: Members, _: c.Connect) -> o.Connected:
    pubkey = hex_in(result, "wallet_pubkey")
    if len(pubkey) != 64:
        raise CodecError("the wallet does not say which key the new connection has")
    return o.Connected(pubkey)


def _read_signed(result: Members, command: c.SignMessage) -> o.Signed:
    """Raises CodecError where it is no signature, or of another text."""
    told, signature = result.get("message"), text_in(result, "signature", MAX_TEXT_CHARS)
    if told not in {None, command.message}:
        raise CodecError("the wallet has signed another text than the one it was given")
    signer(command.message, signature)
    return o.Signed(command.message, signature)


def _read_entry(entry: object, asked_msat: Msat | None = None) -> o.Transaction:
    """``asked_msat`` is the amount where the wallet leaves it out."""
    if not isinstance(entry, dict):
        raise CodecError("the wallet's transaction is not an object")
    amount = number_in(entry, "amount")
    if amount is None:
        amount = asked_msat if asked_msat is not None else _amount_of(text_in(entry, "invoice", MAX_TEXT_CHARS))
    settled_at = number_in(entry, "settled_at") or None
    payment_hash, preimage = hex_in(entry, "payment_hash"), hex_in(entry, "preimage")
    direction = o.Direction.OUTGOING if entry.get("type") == "outgoing" else o.Direction.INCOMING
    state = _STATES.get(text_in(entry, "state", MAX_CODE_CHARS).lower())
    if direction is o.Direction.OUTGOING and preimage_fits(preimage, payment_hash):
        # Whoever pays a key has drawn the preimage, and a wallet may show it before it is paid. Of an entry without an
        # invoice nobody knows whether it is such a payment: what its state denies is not known, and no failure.
        is_denied = state not in {None, o.TransactionState.SETTLED} and not settled_at
        is_proof = text_in(entry, "invoice", MAX_TEXT_CHARS) or not is_denied
        state = o.TransactionState.SETTLED if is_proof else o.TransactionState.PENDING
    elif state is None:  # older wallets have none
        state = o.TransactionState.SETTLED if settled_at else o.TransactionState.PENDING
    return o.Transaction(
        type=direction,
        state=state,
        payment_hash=payment_hash,
        amount_msat=Msat(amount),
        fee_msat=Msat(number_in(entry, "fees_paid") or 0),
        created_at=number_in(entry, "created_at") or 0,
        settled_at=settled_at,
        expires_at=number_in(entry, "expires_at") or None,
        bolt11=text_in(entry, "invoice", MAX_TEXT_CHARS),
        description=text_in(entry, "description", MAX_DESCRIPTION_BYTES),
        description_hash=hex_in(entry, "description_hash"),
        preimage=preimage if state is o.TransactionState.SETTLED else "",
        metadata=metadata_text(entry.get("metadata"), MAX_TEXT_CHARS),
        settle_deadline=number_in(entry, "settle_deadline") if state is o.TransactionState.ACCEPTED else None,
    )


def read_transaction(entry: object) -> o.Transaction:
    """One transaction that a wallet tells, with its payment hash. Raises CodecError."""
    found = _read_entry(entry)
    if not found.payment_hash:
        return replace(found, payment_hash=bolt11.decode(found.bolt11, recover=False).payment_hash)
    return found


def _amount_of(invoice: str) -> Msat:
    """The amount of a transaction that does not tell it."""
    try:
        amount_msat = bolt11.decode(invoice, recover=False).amount_msat
    except CodecError:
        amount_msat = None
    if amount_msat is None:
        raise CodecError("the wallet's transaction has no amount")
    return amount_msat


# ---------------------------------------------------------------- one row for each command


#: In the place of an extension: of a method that the text has dropped.
BY_NAME: Final = ""


@dataclass(frozen=True, slots=True)
class MethodForm:
    """The method that carries a command, how its params are written and its result is read. ``extension``: the only one
    of NIP-47 that knows the method, :data:`BY_NAME` where wallets list it by its name alone, None where the text itself
    knows it."""

    method: str
    write: Callable[[Any], dict[str, object]]
    read: Callable[[Members, Any], Outcome]
    extension: str | None = None


def _plain(_: c.AnyCommand) -> dict[str, object]:
    return {}


FORMS: Final[dict[type[c.AnyCommand], MethodForm]] = {
    c.PayInvoice: MethodForm("pay_invoice", _pay_params, _read_paid),
    c.Bundle: MethodForm("multi_pay_invoice", _bundle_params, _read_none),
    c.MakeInvoice: MethodForm("make_invoice", _make_params, _read_made),
    c.MakeHoldInvoice: MethodForm("make_hold_invoice", _hold_params, _read_held, "03"),
    c.SettleHold: MethodForm("settle_hold_invoice", _settle_params, _read_hold_ended, "03"),
    c.CancelHold: MethodForm("cancel_hold_invoice", _hash_params, _read_hold_ended, "03"),
    c.LookupInvoice: MethodForm("lookup_invoice", _hash_params, _read_found),
    # Without its extension: it is older than that, and wallets that announce nothing serve it.
    c.ListTransactions: MethodForm("list_transactions", _list_params, _read_listed),
    c.GetBalance: MethodForm("get_balance", _plain, _read_balance),
    c.GetBudget: MethodForm("get_budget", _plain, _read_budget, "13"),
    c.GetInfo: MethodForm("get_info", _plain, _read_info),
    c.Connect: MethodForm("create_connection", _connect_params, _read_connected, BY_NAME),
    c.SignMessage: MethodForm("sign_message", lambda command: {"message": command.message}, _read_signed, BY_NAME),
}
KEYSEND: Final = MethodForm("pay_keysend", _pay_params, _read_paid, "04")


def _form_of(command: c.AnyCommand) -> MethodForm:
    is_keysend = isinstance(command, c.PayInvoice) and isinstance(command.destination, Keysend)
    return KEYSEND if is_keysend else FORMS[type(command)]


# ---------------------------------------------------------------- the record of a payment


def decode_record(plaintext: str, payment_hash: str, now: int, *, is_keysend: bool = False) -> LookupAnswer | o.Refused:
    """The answer to a look-up as evidence about a payment, of which less has to be readable than to show it.

    ``now`` (Unix seconds) dates the word that there is no record. A record of a failure is dated by the wallet's clock.
    The preimage of a keysend is the payer's own, and proves nothing: then the state alone counts. Refused is everything
    else that the wallet would not tell. Raises CodecError when the answer cannot be read.
    """
    members = loads_reply(plaintext, MAX_REPLY_BYTES)
    result, error = members.get("result"), members.get("error")
    preimage = hex_in(result, "preimage") if isinstance(result, dict) else ""
    is_proof = preimage_fits(preimage, payment_hash) and not is_keysend
    if error and not is_proof:
        refused = read_error(error)
        return NeverSeen(now) if refused.reason is Reason.UNKNOWN_TARGET else refused
    if not isinstance(result, dict):
        raise CodecError("the wallet's response has neither a result nor an error")
    _check_hash(result, payment_hash)
    if result.get("type") != "outgoing":  # somebody else may have paid this wallet's own invoice
        return Unknown("its record is of an invoice, not of a payment")
    if is_proof:
        return Settled(preimage, Msat(number_in(result, "fees_paid") or 0))
    state = _STATES.get(text_in(result, "state", MAX_CODE_CHARS).lower())
    if state is o.TransactionState.FAILED:
        return Failed("its record says failed", attempt_at=number_in(result, "created_at") or None)
    if state is o.TransactionState.SETTLED and is_keysend and preimage_fits(preimage, payment_hash):
        return Settled(preimage, Msat(number_in(result, "fees_paid") or 0))
    if state is o.TransactionState.SETTLED:
        return Unknown("its record says settled, without a proof")
    # An invoice that expired while its payment is under way says nothing about the payment.
    return InFlight()


# ---------------------------------------------------------------- what a wallet announces


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """The contents of a wallet's info event (kind 13194). Empty ``extensions`` means that it does not say."""

    methods: tuple[str, ...]
    ciphers: tuple[Cipher, ...]
    notifications: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()


def announces_bundles(info: ServiceInfo | None) -> bool:
    """Whether a wallet says that it takes several payments in one request: no extension does, the name alone."""
    return info is not None and "multi_pay_invoice" in info.methods


def refuse_unannounced(command: c.AnyCommand, info: ServiceInfo | None) -> o.Refused | None:
    """The refusal of what a wallet does not announce, neither by the extension nor by name; to ask for it would be to
    wait for nothing. None where it does, and where it announces nothing at all."""
    form = _form_of(command)
    if form.extension is None or info is None or not (info.methods or info.extensions):
        return None
    if form.extension in info.extensions or form.method in info.methods:
        return None
    return o.Refused(Reason.UNSUPPORTED, f"this wallet does not announce {form.method}, and was not asked")


def read_info_event(event: Event) -> ServiceInfo:
    """The methods and ciphers of an info event; without an ``encryption`` tag it is NIP-04 alone."""
    encryption = _listed_names(event, "encryption") or ("nip04",)
    ciphers: list[Cipher] = []
    if "nip44_v2" in encryption or "nip44" in encryption:
        ciphers.append("nip44")
    if "nip04" in encryption:
        ciphers.append("nip04")
    return ServiceInfo(
        _split([event.content]),
        tuple(ciphers),
        _listed_names(event, "notifications"),
        _listed_names(event, "extensions"),
    )


def client_cipher(info: ServiceInfo | None, *, legacy: bool, nip44_seen: bool) -> Cipher:
    """The cipher to ask in: NIP-44 where it is offered, and always once it was seen; NIP-04 only where nothing else is.

    Without an info event NIP-44 is tried, unless the connection is marked ``legacy``.
    """
    if nip44_seen:
        return "nip44"
    if info is None:
        return "nip04" if legacy else "nip44"
    return "nip04" if info.ciphers == ("nip04",) else "nip44"


def _listed_names(event: Event, tag: str) -> tuple[str, ...]:
    for found in event.tags:
        if found and found[0] == tag:
            return _split(found[1:])
    return ()


def _split(texts: Sequence[str]) -> tuple[str, ...]:
    """Names from one text or several, separated by blanks (some wallets use commas)."""
    found = " ".join(clean(each, MAX_TEXT_CHARS) for each in texts[:MAX_NAMES]).replace(",", " ").split()
    return tuple(clean(name, MAX_CODE_CHARS) for name in found[:MAX_NAMES])
