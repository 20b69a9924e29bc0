"""Nostr Wallet Connect (NIP-47), the client's side: requests out, responses and info in.

Reading is tolerant where wallets differ: missing members, null times, empty texts, numbers as texts, unknown codes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kitestring.base import commands as c
from kitestring.base import outcomes as o
from kitestring.base.destinations import Bolt11
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Outcome, Refused
from kitestring.base.payments import preimage_fits
from kitestring.base.text import clean
from kitestring.codec.bolt11 import MAX_DESCRIPTION_BYTES
from kitestring.codec.json import dumps, int_member, loads_object
from kitestring.nostr.event import Event
from kitestring.wire.reply_to import Cipher
from kitestring.wire.text import MAX_PEER_MESSAGE, metadata_text

#: Longest invoice, hash, name and the like that is taken over from a wallet, in characters.
MAX_TEXT_CHARS: Final = 8192
MAX_CODE_CHARS: Final = 40
#: Methods and extensions that an info event or get_info may list.
MAX_NAMES: Final = 100
#: No wallet sends more transactions in one reply; the size of the reply bounds it as well.
MAX_TRANSACTIONS: Final = 1000

_NETWORKS: Final = {"mainnet": "bitcoin"}
_STATES: Final = {state.value: state for state in o.TransactionState}
_REASONS: Final = {
    "RATE_LIMITED": Reason.RATE_LIMITED,
    "NOT_IMPLEMENTED": Reason.UNSUPPORTED,
    "INSUFFICIENT_BALANCE": Reason.INSUFFICIENT_FUNDS,
    "QUOTA_EXCEEDED": Reason.OVER_BUDGET,
    "RESTRICTED": Reason.NOT_PERMITTED,
    "UNAUTHORIZED": Reason.CONNECTION_ENDED,
    "NOT_FOUND": Reason.UNKNOWN_TARGET,
    "PAYMENT_FAILED": Reason.PAYMENT_FAILED,
    "FEE_LIMIT_EXCEEDED": Reason.FEE_LIMIT,
    "UNSUPPORTED_ENCRYPTION": Reason.UNSUPPORTED_ENCRYPTION,
    "INTERNAL": Reason.INTERNAL,
    "OTHER": Reason.MALFORMED,
}

Members = Mapping[str, object]


# ---------------------------------------------------------------- requests


def encode_request(command: c.AnyCommand) -> str:
    """The plaintext that asks a wallet for ``command``. Members that say nothing are left out. Raises
    KitestringError(UNSUPPORTED) for a payment without an invoice."""
    method, params = _WRITERS[type(command)]
    members = {name: value for name, value in params(command).items() if value is not None and value != ""}
    return dumps({"method": method, "params": members})


def _pay_params(command: c.PayInvoice) -> dict[str, object]:
    if not isinstance(command.destination, Bolt11):
        raise KitestringError(Reason.UNSUPPORTED, "a connection is asked to pay invoices only")
    return {
        "invoice": command.destination.text,
        "amount": command.amount_msat if command.destination.amountless else None,
        "max_fee": command.max_fee_msat,
        "metadata": loads_object(command.metadata) if command.metadata else None,
    }


def _make_params(command: c.MakeInvoice) -> dict[str, object]:
    return {
        "amount": command.amount_msat,
        "description": command.description,
        "description_hash": command.description_hash,
        "expiry": command.expiry_s,
        "metadata": loads_object(command.metadata) if command.metadata else None,
    }


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


_WRITERS: Final[dict[type[c.AnyCommand], tuple[str, Callable[[Any], dict[str, object]]]]] = {
    c.PayInvoice: ("pay_invoice", _pay_params),
    c.MakeInvoice: ("make_invoice", _make_params),
    c.LookupInvoice: ("lookup_invoice", lambda command: {"payment_hash": command.payment_hash}),
    c.ListTransactions: ("list_transactions", _list_params),
    c.GetBalance: ("get_balance", lambda _: {}),
    c.GetInfo: ("get_info", lambda _: {}),
}


# ---------------------------------------------------------------- responses


def decode_response(plaintext: str, command: c.AnyCommand) -> Outcome:
    """Read the answer of a wallet to ``command``.

    An error becomes Refused with ``details["code"]``; a code this text does not know is ``OTHER``, with the wallet's
    own word in ``details["raw_code"]`` and its sentence, capped, as the message. Raises CodecError when the response
    cannot be read or a preimage does not hash to the invoice: then nothing is known about the outcome.
    """
    members = loads_object(plaintext)
    error = members.get("error")
    if error:
        return _refused(error)
    result = members.get("result")
    if not isinstance(result, dict):
        raise CodecError("the wallet's response has neither a result nor an error")
    return _READERS[type(command)](result, command)


def _refused(error: object) -> Refused:
    members = error if isinstance(error, dict) else {"message": error}
    raw = _text(members, "code", MAX_CODE_CHARS)
    code = raw if raw in _REASONS else "OTHER"
    details = {"code": code} if code == raw else {"code": code, "raw_code": raw}
    return Refused(_REASONS[code], _text(members, "message", MAX_PEER_MESSAGE) or raw, details)


def _read_paid(result: Members, command: c.PayInvoice) -> o.Paid:
    preimage = _hex(result, "preimage")
    if not preimage_fits(preimage, command.payment_hash):
        raise CodecError("the wallet's preimage does not belong to the invoice")
    return o.Paid(command.payment_hash, preimage, command.amount_msat, Msat(_number(result, "fees_paid") or 0))


def _read_listed(result: Members, _: c.ListTransactions) -> o.Listed:
    entries = result.get("transactions")
    if not isinstance(entries, list):
        raise CodecError("the wallet's response has no list of transactions")
    return o.Listed(tuple(_read_entry(entry) for entry in entries[:MAX_TRANSACTIONS]))


def _read_balance(result: Members, _: c.GetBalance) -> o.Balance:
    balance = _number(result, "balance")
    if balance is None:
        raise CodecError("the wallet's response has no balance")
    return o.Balance(Msat(balance))


def _read_info(result: Members, _: c.GetInfo) -> o.Info:
    network = _text(result, "network", MAX_CODE_CHARS).lower()
    return o.Info(
        alias=_text(result, "alias", MAX_PEER_MESSAGE),
        color=_text(result, "color", MAX_CODE_CHARS),
        pubkey=_text(result, "pubkey", MAX_PEER_MESSAGE),
        network=_NETWORKS.get(network, network),
        block_height=_number(result, "block_height") or 0,
        block_hash=_text(result, "block_hash", MAX_PEER_MESSAGE),
        methods=_names(result.get("methods")),
    )


def _read_entry(entry: object) -> o.Transaction:
    if not isinstance(entry, dict):
        raise CodecError("the wallet's transaction is not an object")
    amount, settled_at = _number(entry, "amount"), _number(entry, "settled_at") or None
    if amount is None:
        raise CodecError("the wallet's transaction has no amount")
    state = _STATES.get(_text(entry, "state", MAX_CODE_CHARS).lower())
    if state is None:  # older wallets have none, hold invoices have more
        state = o.TransactionState.SETTLED if settled_at else o.TransactionState.PENDING
    metadata = entry.get("metadata")
    return o.Transaction(
        type=o.Direction.OUTGOING if entry.get("type") == "outgoing" else o.Direction.INCOMING,
        state=state,
        payment_hash=_hex(entry, "payment_hash"),
        amount_msat=Msat(amount),
        fee_msat=Msat(_number(entry, "fees_paid") or 0),
        created_at=_number(entry, "created_at") or 0,
        settled_at=settled_at,
        expires_at=_number(entry, "expires_at") or None,
        bolt11=_text(entry, "invoice", MAX_TEXT_CHARS),
        description=_text(entry, "description", MAX_DESCRIPTION_BYTES),
        description_hash=_hex(entry, "description_hash"),
        preimage=_hex(entry, "preimage") if state is o.TransactionState.SETTLED else "",
        metadata=metadata_text(metadata, MAX_TEXT_CHARS),
    )


_READERS: Final[dict[type[c.AnyCommand], Callable[[Members, Any], Outcome]]] = {
    c.PayInvoice: _read_paid,
    c.MakeInvoice: lambda result, _: o.Invoiced(_read_entry(result)),
    c.LookupInvoice: lambda result, _: o.Found(_read_entry(result)),
    c.ListTransactions: _read_listed,
    c.GetBalance: _read_balance,
    c.GetInfo: _read_info,
}


def _number(members: Members, name: str) -> int | None:
    if members.get(name) == "":
        return None
    return int_member(members, name, decimal_text=True)


def _text(members: Members, name: str, max_length: int) -> str:
    value = members.get(name)
    return clean(value, max_length) if isinstance(value, str) else ""


def _hex(members: Members, name: str) -> str:
    value = _text(members, name, 128).lower()
    try:
        return value if bytes.fromhex(value).hex() == value else ""
    except ValueError:
        return ""


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(clean(name, MAX_CODE_CHARS) for name in value[:MAX_NAMES] if isinstance(name, str))


# ---------------------------------------------------------------- info event


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """The contents of a wallet's info event (kind 13194). Empty ``extensions`` means that it does not say."""

    methods: tuple[str, ...]
    ciphers: tuple[Cipher, ...]
    notifications: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()


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
    names = " ".join(clean(text, MAX_TEXT_CHARS) for text in texts[:MAX_NAMES]).replace(",", " ").split()
    return tuple(clean(name, MAX_CODE_CHARS) for name in names[:MAX_NAMES])
