"""Nostr Wallet Connect (NIP-47), the service's side: one table of methods; requests in, responses and info out.

State of the text: 2026-09, with the extensions 02 (notifications), 03 (hold invoices), 04 (keysend), 05 (history), 06
(metadata) and 13 (budget). Amounts on this wire are millisatoshi.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, Final

import msgspec

from kitestring.base import commands as c
from kitestring.base import outcomes as o
from kitestring.base.clocks import AHEAD_S
from kitestring.base.errors import TABLE, CodecError, KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.money import MAX_WHOLE, Msat
from kitestring.base.outcomes import Outcome, Refused
from kitestring.base.text import clean
from kitestring.codec import bolt11
from kitestring.codec.json import int_member, loads_object, text_member
from kitestring.codec.keysend import Records, keysend, read_node_key, read_records, write_records
from kitestring.codec.members import count_member, flag_member, hash_member, object_member, words_member
from kitestring.nostr import kinds
from kitestring.nostr.event import Event
from kitestring.nostr.inbox import DAY_S, Window
from kitestring.wire.encryption import Choice, allowed_ciphers, choose_cipher, spoken_ciphers
from kitestring.wire.grammar import Announcement, Asked, Draft, Facts, NotificationType, Notifying, Speakers, Wire
from kitestring.wire.invoices import payment_of, read_invoice
from kitestring.wire.refusal import WireRefusalError, refusal
from kitestring.wire.renewals import renewal_word
from kitestring.wire.reply_to import Cipher, ReplyTo
from kitestring.wire.serve import nwc_bip321 as bip321
from kitestring.wire.serve.nwc_auth import answer_to_app
from kitestring.wire.serve.nwc_bundles import addressed, read_bundle
from kitestring.wire.serve.nwc_codes import CODES, NARROW_CODES, code_of
from kitestring.wire.serve.nwc_foreign import called, read_call, with_calls
from kitestring.wire.serve.nwc_lookup import EXTENSION, read_lookup, write_record
from kitestring.wire.serve.nwc_notifications import KINDS, NOTIFICATIONS, WORD, notified
from kitestring.wire.text import MAX_PLAINTEXT_BYTES, clean_description, metadata_text

DEFAULT_LIMIT: Final = 20
#: Fifty transactions with ordinary invoices fill about half of the largest reply.
MAX_LIMIT: Final = 50
#: Longer metadata is dropped, the request goes on (extension 06).
MAX_METADATA_CHARS: Final = 4096
#: Longest method name that is echoed.
MAX_METHOD_CHARS: Final = 64
MAX_MESSAGE_CHARS: Final = 400

#: The service's name for a network → NIP-47's.
NETWORK_NAMES: Final = {"bitcoin": "mainnet"}

#: Longer texts are rare, and the strict loader's to judge.
MAX_CANONICAL_CHARS: Final = 16_384

Params = dict[str, object]
_SafeInteger = Annotated[int, msgspec.Meta(ge=-MAX_WHOLE, le=MAX_WHOLE)]
_Scalar = str | _SafeInteger | bool | None


@dataclass(frozen=True, slots=True)
class Method:
    """One row of the table. ``permission`` is the name a grant lists; ``extensions`` are those of NIP-47 that it
    serves. It is served where the service has everything that it ``needs``: an ability of the node, a setting."""

    name: str
    command: type[c.AnyCommand]
    decode: Callable[[Params, str], c.AnyCommand]
    outcome: type[Outcome]
    encode: Callable[[Any], object]
    permission: str
    extensions: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()


# ---------------------------------------------------------------- requests


def read(text: str, _: Event, to: ReplyTo, facts: Facts) -> Asked:
    """The ``read`` of this wire. Refused are MALFORMED texts, methods we have not (UNSUPPORTED), and WRONG_NETWORK.

    Whether an invoice has expired is not asked here: one that is already paid still gets its answer.
    """
    name = ""
    try:
        members = read_canonical(text) or loads_object(text)
        name = text_member(members, "method") or ""
        if name in facts.plugins:
            return Asked(read_call(facts.plugins[name], object_member(members, "params")), to.named(name))
        method = METHODS.get(name)
        if method is None or name in facts.without:
            raise _no_such_method(name)
        command, to_it = method.decode(object_member(members, "params"), facts.network), to.named(name)
        return Asked(addressed(command, to_it) if isinstance(command, c.Bundle) else command, to_it)
    except (CodecError, KitestringError) as failure:
        raise WireRefusalError(to.named(clean(name, MAX_METHOD_CHARS)), refusal(failure)) from None


def read_method(text: str) -> str:
    """The method that a text names; "" where that cannot be seen."""
    try:
        members = read_canonical(text) or loads_object(text)
        return clean(text_member(members, "method") or "", MAX_METHOD_CHARS)
    except CodecError:
        return ""


class _Flat(msgspec.Struct):
    method: str
    params: dict[str, _Scalar]


_read_flat: Final = msgspec.json.Decoder(_Flat).decode
_write: Final = msgspec.json.Encoder().encode


def read_canonical(plaintext: str) -> Params | None:
    """Read as the strict loader does, in a third of its time, the texts that most clients send; None for others.

    The proof that nothing was read differently is that writing it again gives the same bytes: no name twice, no float,
    no other spelling, nothing unknown. Numbers and lengths are bounded as the strict loader bounds them.
    """
    if len(plaintext) > MAX_CANONICAL_CHARS:
        return None
    try:
        text = plaintext.encode()
        flat = _read_flat(text)
        return {"method": flat.method, "params": flat.params} if _write(flat) == text else None
    except (msgspec.MsgspecError, UnicodeError):
        return None


def _no_such_method(name: str) -> KitestringError:
    if not name:
        return KitestringError(Reason.MALFORMED, "the request names no method")
    return KitestringError(Reason.UNSUPPORTED, "this method is not supported")


def _amount(params: Params, name: str = "amount", low: int = 0) -> int | None:
    return int_member(params, name, low=low, decimal_text=True)


def _pay_invoice(params: Params, network: str) -> c.PayInvoice:
    invoice = read_invoice(_required(params, "invoice"), network)
    amount = _amount(params, low=1)
    try:
        amount_msat = bolt11.amount_to_pay(invoice, None if amount is None else Msat(amount))
    except KitestringError as error:
        raise CodecError(error.message) from None
    max_fee = _amount(params, "max_fee")
    max_fee_msat = None if max_fee is None else Msat(max_fee)
    return payment_of(invoice, amount_msat, max_fee_msat=max_fee_msat, metadata=_metadata(params))


def _pay_keysend(params: Params, _: str) -> c.PayInvoice:
    amount, max_fee = _amount(params, low=1), _amount(params, "max_fee")
    if amount is None:
        raise CodecError("amount is missing")
    records = read_records(params.get("tlv_records"))
    return keysend(
        read_node_key(_required(params, "pubkey")),
        Msat(amount),
        preimage=hash_member(params, "preimage"),
        records=records,
        max_fee_msat=None if max_fee is None else Msat(max_fee),
        metadata=_with_records(params, records),
    )


def _pay_invoices(params: Params, network: str) -> c.Bundle:
    return read_bundle(params, "invoices", _pay_invoice, network)


def _pay_keysends(params: Params, network: str) -> c.Bundle:
    return read_bundle(params, "keysends", _pay_keysend, network)


def _with_records(params: Params, records: Records) -> str:
    """The metadata with the records, as extension 06 names them; without them where it would be too long."""
    given = params.get("metadata")
    both = {**(given if isinstance(given, dict) else {}), "tlv_records": write_records(records)}
    return (metadata_text(both, MAX_METADATA_CHARS) if records else "") or _metadata(params)


def _make_invoice(params: Params, _: str) -> c.MakeInvoice:
    amount = _amount(params)
    described_by_hash = hash_member(params, "description_hash")
    expiry = count_member(params, "expiry")
    return c.MakeInvoice(
        amount_msat=Msat(amount) if amount else None,
        # An invoice carries one of the two; the hash wins.
        description="" if described_by_hash else clean_description(words_member(params, "description")),
        description_hash=described_by_hash,
        expiry_s=min(max(expiry, c.MIN_EXPIRY_S), c.MAX_EXPIRY_S) if expiry else c.DEFAULT_EXPIRY_S,
        metadata=_metadata(params),
    )


def _make_hold_invoice(params: Params, network: str) -> c.MakeHoldInvoice:
    made = _make_invoice(params, network)
    if made.amount_msat is None:
        raise CodecError("amount is missing")
    return c.MakeHoldInvoice(
        payment_hash=_required_hash(params, "payment_hash"),
        min_cltv_delta=count_member(params, "min_cltv_expiry_delta") or 0,
        amount_msat=made.amount_msat,
        description=made.description,
        description_hash=made.description_hash,
        expiry_s=made.expiry_s,
        metadata=made.metadata,
    )


def _settle_hold_invoice(params: Params, _: str) -> c.SettleHold:
    preimage = _required_hash(params, "preimage")
    return c.SettleHold(payment_hash=sha256(bytes.fromhex(preimage)).hexdigest(), preimage=preimage)


def _cancel_hold_invoice(params: Params, _: str) -> c.CancelHold:
    return c.CancelHold(payment_hash=_required_hash(params, "payment_hash"))


def _required_hash(params: Params, name: str) -> str:
    value = hash_member(params, name)
    if not value:
        raise CodecError(f"{name} is missing")
    return value


def _lookup_invoice(params: Params, _: str) -> c.LookupInvoice:
    asked, text = hash_member(params, "payment_hash"), text_member(params, "invoice")
    found = bolt11.decode(text, recover=False).payment_hash if text else asked
    if not found:
        raise CodecError("payment_hash or invoice is missing")
    if asked and asked != found:
        raise CodecError("payment_hash is not that of the invoice")
    return c.LookupInvoice(payment_hash=found)


def _list_transactions(params: Params, _: str) -> c.ListTransactions:
    direction = (text_member(params, "type") or "").lower()
    if direction not in {"", "incoming", "outgoing"}:
        raise CodecError("type must be incoming or outgoing")
    unpaid = flag_member(params, "unpaid")
    return c.ListTransactions(
        from_=count_member(params, "from") or 0,
        until=count_member(params, "until") or 0,
        limit=min(count_member(params, "limit") or DEFAULT_LIMIT, MAX_LIMIT),
        offset=count_member(params, "offset") or 0,
        unpaid_incoming=unpaid or flag_member(params, "unpaid_incoming"),
        unpaid_outgoing=unpaid or flag_member(params, "unpaid_outgoing"),
        direction=direction,
    )


def _required(params: Params, name: str) -> str:
    value = text_member(params, name)
    if value is None:
        raise CodecError(f"{name} is missing")
    return value


def _metadata(params: Params) -> str:
    return metadata_text(params.get("metadata"), MAX_METADATA_CHARS)


# ---------------------------------------------------------------- responses


class TransactionEntry(msgspec.Struct, omit_defaults=True):
    """The transaction object. The first five members are always there, the others only when they say something."""

    type: str
    payment_hash: str
    amount: int
    fees_paid: int
    created_at: int
    state: str
    invoice: str = ""
    description: str = ""
    description_hash: str = ""
    preimage: str = ""
    expires_at: int | None = None
    settled_at: int | None = None
    settle_deadline: int | None = None
    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Error(msgspec.Struct):
    code: str
    message: str


class _Answer(msgspec.Struct):
    """Without ``error``: its absence reads as null, and a client in use takes the bare member for a failure."""

    result_type: str
    result: object


class _Refusal(msgspec.Struct):
    result_type: str
    error: _Error
    result: None = None


def refuse(refused: Refused, to: ReplyTo) -> bytes | None:
    """The ``refuse`` of this wire. FEE_LIMIT_EXCEEDED is sent only when the details have ``max_fee_msat``: the caller
    set a limit."""
    reason = refused.reason
    if reason is Reason.FEE_LIMIT and "max_fee_msat" not in refused.details:
        reason = Reason.PAYMENT_FAILED
    code = code_of(reason, to, refused.details)
    if code is None:
        return None
    message = refused.message or TABLE[refused.reason].sentence
    return _write(_Refusal(to.method, _Error(code, clean(message, MAX_MESSAGE_CHARS))))


def encode(outcome: Outcome, to: ReplyTo) -> bytes | None:
    """The ``encode`` of this wire: a response under the method that was asked.

    There are no receipts: who made an invoice over NWC is told by notifications, never by a second response.
    """
    if isinstance(outcome, o.MethodCalled):
        return _write(_Answer(to.method, called(outcome)))
    row = METHODS.get(to.method)
    if row is None or not isinstance(outcome, row.outcome):
        return None
    return _write(_Answer(to.method, row.encode(outcome)))


def _paid(paid: o.Paid) -> object:
    return {"preimage": paid.preimage, "fees_paid": int(paid.fee_msat)}


def _entry(record: o.Transaction) -> TransactionEntry:
    return TransactionEntry(
        record.type,
        record.payment_hash,
        int(record.amount_msat),
        int(record.fee_msat),
        record.created_at,
        record.state,
        record.bolt11,
        record.description,
        record.description_hash,
        record.preimage if record.state is o.TransactionState.SETTLED else "",
        record.expires_at,
        record.settled_at,
        record.settle_deadline,
        msgspec.Raw(record.metadata.encode()) if record.metadata else msgspec.UNSET,
    )


def _listed(listed: o.Listed) -> object:
    """As many of the newest as fit into one reply. Where nobody has counted them all, no number is told."""
    fitting: list[msgspec.Raw] = []
    left = MAX_PLAINTEXT_BYTES - 200  # the frame around the list has less than 100 bytes
    for record in listed.transactions:
        entry = _write(_entry(record))
        left -= len(entry) + 1
        if left < 0:
            break
        fitting.append(msgspec.Raw(entry))
    return {"transactions": fitting} | ({} if listed.total is None else {"total_count": listed.total})


def _info(info: o.Info) -> object:
    """Facts about the node are left out where the grant does not cover them."""
    facts = {
        "alias": info.alias,
        "color": info.color,
        "pubkey": info.pubkey,
        "network": NETWORK_NAMES.get(info.network, info.network),
        "block_height": info.block_height,
        "block_hash": info.block_hash,
        "lud16": info.lud16,
    }
    told = {name: fact for name, fact in facts.items() if fact not in (None, "")}
    methods, types = granted(info.methods, info.without), notified(info.methods)
    lists = {"notifications": [row.name for row in types], "extensions": extensions_of([*methods, *types])}
    return (
        told
        | {"methods": sorted([*(row.name for row in methods), *info.foreign])}
        | {name: each for name, each in lists.items() if each}
    )


def _balance(balance: o.Balance) -> object:
    return {"balance": max(0, int(balance.balance_msat))}


def _budget(state: o.BudgetState) -> object:
    """Empty where there is no budget; a budget of 0 is one."""
    if state.budget is None:
        return {}
    told: dict[str, object] = {
        "used_budget": int(state.used_msat),
        "total_budget": int(state.budget.limit_msat),
        "renewal_period": renewal_word(state.budget),
    }
    return told if state.renews_at is None else told | {"renews_at": state.renews_at}


def _hold_ended(_: o.HoldEnded) -> object:
    return {}


def _transaction(outcome: o.Invoiced | o.Found) -> object:
    return _entry(outcome.transaction)


_HOLDING: Final = frozenset({"hold"})
METHODS: Final[dict[str, Method]] = {
    row.name: row
    for row in (
        Method("pay_invoice", c.PayInvoice, _pay_invoice, o.Paid, _paid, "pay_invoice", ("06",)),
        Method(
            "pay_keysend",
            c.PayInvoice,
            _pay_keysend,
            o.Paid,
            _paid,
            "pay_keysend",
            ("04", "06"),
            frozenset({"keysend"}),
        ),
        Method(
            "multi_pay_invoice",
            c.Bundle,
            _pay_invoices,
            o.Paid,
            _paid,
            "pay_invoice",
            needs=frozenset({"legacy_methods"}),
        ),
        Method(
            "multi_pay_keysend",
            c.Bundle,
            _pay_keysends,
            o.Paid,
            _paid,
            "pay_keysend",
            needs=frozenset({"legacy_methods", "keysend"}),
        ),
        Method("make_invoice", c.MakeInvoice, _make_invoice, o.Invoiced, _transaction, "make_invoice", ("06",)),
        Method("lookup_invoice", c.LookupInvoice, _lookup_invoice, o.Found, _transaction, "lookup_invoice"),
        Method(
            "lookup_payment",
            c.LookupPayment,
            lambda params, _: read_lookup(params),
            o.Found,
            write_record,
            "lookup_invoice",
            (EXTENSION,),
            frozenset({"draft_methods"}),
        ),
        Method("get_balance", c.GetBalance, lambda *_: c.GetBalance(), o.Balance, _balance, "get_balance"),
        Method("get_budget", c.GetBudget, lambda *_: c.GetBudget(), o.BudgetState, _budget, "get_budget", ("13",)),
        Method("get_info", c.GetInfo, lambda *_: c.GetInfo(), o.Info, _info, "get_info"),
        Method(
            "list_transactions", c.ListTransactions, _list_transactions, o.Listed, _listed, "list_transactions", ("05",)
        ),
        Method(
            "make_hold_invoice",
            c.MakeHoldInvoice,
            _make_hold_invoice,
            o.Invoiced,
            _transaction,
            "make_hold_invoice",
            ("03", "06"),
            _HOLDING,
        ),
        Method(
            "settle_hold_invoice",
            c.SettleHold,
            _settle_hold_invoice,
            o.HoldEnded,
            _hold_ended,
            "settle_hold_invoice",
            ("03",),
            _HOLDING,
        ),
        Method(
            "cancel_hold_invoice",
            c.CancelHold,
            _cancel_hold_invoice,
            o.HoldEnded,
            _hold_ended,
            "cancel_hold_invoice",
            ("03",),
            _HOLDING,
        ),
        Method(
            "pay",
            c.PayInvoice,
            lambda params, network: bip321.read_pay(params, network, _metadata(params)),
            o.Paid,
            bip321.paid,
            "pay_invoice",
            ("06", bip321.EXTENSION),
            frozenset({"amountless"}),
        ),
        Method(
            "receive",
            c.MakeInvoice,
            lambda params, _: bip321.read_receive(params, _metadata(params)),
            o.Invoiced,
            bip321.received,
            "make_invoice",
            ("06", bip321.EXTENSION),
            frozenset({"amountless"}),
        ),
    )
}


# ---------------------------------------------------------------- what is announced


def not_served(features: Collection[str]) -> frozenset[str]:
    """The methods that a service with these features does not serve."""
    return frozenset(row.name for row in METHODS.values() if not row.needs.issubset(features))


def granted(permissions: Collection[str], without: Collection[str] = ()) -> list[Method]:
    """The methods of a grant that lists these, but those in ``without``; ``get_info`` is always granted."""
    return [
        row
        for row in METHODS.values()
        if row.name not in without and (row.permission in permissions or row.name == "get_info")
    ]


def extensions_of(rows: Iterable[Method | NotificationType]) -> list[str]:
    """The extensions of NIP-47 that these methods and notifications serve."""
    return sorted({extension for row in rows for extension in row.extensions})


def info_event(permissions: Collection[str], ciphers: Sequence[Cipher], without: Collection[str] = ()) -> Draft:
    """The info event for the permissions that a grant lists, at a service that is ``without`` these methods."""
    methods, types = granted(permissions, without), notified(permissions)
    tags = []
    if "nip44" in ciphers:  # no tag means NIP-04 alone
        tags.append(["encryption", "nip44_v2 nip04" if "nip04" in ciphers else "nip44_v2"])
    if types:
        tags.append(["notifications", " ".join(row.name for row in types)])
    if extensions := extensions_of([*methods, *types]):
        tags.append(["extensions", " ".join(extensions)])
    words = [row.name for row in methods] + [WORD] * bool(types)
    return Draft(kinds.NWC_INFO, tags, " ".join(words))


def _info_event(grant: Grant, without: Collection[str]) -> Draft:
    draft = info_event(grant.announced, allowed_ciphers(grant.cipher, grant.nip44_seen), without)
    return answer_to_app(draft, grant) if grant.asked_relays else draft


# ---------------------------------------------------------------- notifications


class _Notification(msgspec.Struct):
    notification_type: str
    notification: TransactionEntry


def notification(name: str, record: o.Transaction) -> bytes:
    """The plaintext of a notification. The longest one, with 4,096 characters of metadata and the longest invoice, has
    less than 26,000 bytes."""
    return _write(_Notification(name, _entry(record)))


def _spoken(grant: Grant) -> tuple[Cipher, ...]:
    return spoken_ciphers(grant.cipher, grant.nip44_seen, is_used=not grant.link_salt)


# ---------------------------------------------------------------- the wire


def _cipher(event: Event, grant: Grant | None) -> Choice:
    return choose_cipher(event, grant.cipher, grant.nip44_seen) if grant else Choice("nip44", allowed=False)


WIRE: Final = Wire(
    name="nwc",
    title="NWC",
    speakers=Speakers.CONNECTIONS,
    windows={kinds.NWC_REQUEST: Window(back_s=300, ahead_s=AHEAD_S, answer_s=DAY_S)},
    reply_kind=kinds.NWC_RESPONSE,
    codes=CODES,
    older_codes=NARROW_CODES,
    cipher=_cipher,
    unreadable=Reason.MALFORMED,
    method=read_method,
    questions=frozenset(row.name for row in METHODS.values() if not issubclass(row.command, c.Journaled)),
    read=read,
    encode=encode,
    refuse=refuse,
    announces=Announcement(kinds.NWC_INFO, _info_event, with_calls),
    notifies=Notifying(NOTIFICATIONS, notification, _spoken, KINDS),
)
