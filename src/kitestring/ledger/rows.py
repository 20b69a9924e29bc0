"""Rows to values and back: one list of columns per table, in the order both directions use."""

from __future__ import annotations

import json
from functools import lru_cache
from sys import intern
from typing import Any, Final, assert_never

import msgspec

from kitestring.base.approvals import Approval, ApprovalKind, ApprovalState, DebitSession
from kitestring.base.budgets import Budget
from kitestring.base.currency import ExchangeRate
from kitestring.base.destinations import Bolt11, Destination, Keysend, invoice_text
from kitestring.base.events import EventKind, FeedEvent
from kitestring.base.grants import Account, Grant, Offer, OfferState, Webhook
from kitestring.base.invoices import Decision, InvoiceState
from kitestring.base.money import Msat
from kitestring.base.payments import State
from kitestring.base.records import Node, OwnInvoice, Payment, Request
from kitestring.base.webhooks import DeliveryState, WebhookDelivery

Row = tuple[Any, ...]

#: The accounts of everything outside, of routing fees, and of the fees that the service itself takes, which are the
#: owner's. No user's account id begins with "@".
WORLD: Final = "@world"
FEES: Final = "@fees"
SERVICE_FEES: Final = "@service-fees"

STATES: Final = {state.value: state for state in State}
INVOICE_STATES: Final = {state.value: state for state in InvoiceState}
DECISIONS: Final = {decision.value: decision for decision in Decision}
APPROVAL_KINDS: Final = {kind.value: kind for kind in ApprovalKind}
APPROVAL_STATES: Final = {state.value: state for state in ApprovalState}
DELIVERY_STATES: Final = {state.value: state for state in DeliveryState}
OFFER_STATES: Final = {state.value: state for state in OfferState}
_read_keysend: Final = msgspec.json.Decoder(Keysend).decode
_read_webhook: Final = msgspec.json.Decoder(Webhook).decode
read_rate: Final = msgspec.json.Decoder(ExchangeRate).decode
_encoder: Final = msgspec.json.Encoder()
EVENT_KINDS: Final = {kind.value: kind for kind in EventKind}

REQUEST: Final = "request_id, wire, grant_id, command, reply_to, sent_at, received_at, payment_id"
#: Without the request it answers, which is a number in the outbox.
MESSAGE: Final = "kind, plaintext, event, signed_at, address, is_no"
EVENT: Final = "event, at, kind, subject, grant_id, account_id, detail"
#: As it was claimed, then what an outcome changes.
CLAIMED: Final = (
    "payment_id, node_id, epoch, account_id, grant_id, payment_hash, bolt11, amount_msat, fee_cap_msat, created_at,"
    " internal, amountless, expires_at, description, description_hash, metadata, keysend, send_until,"
    " requestor, payment_index, service_fee_msat"
)
PAYMENT: Final = f"{CLAIMED}, state, fee_msat, preimage, evidence, settled_at"
INVOICE: Final = (
    "invoice_id, node_id, epoch, account_id, grant_id, payment_hash, bolt11, amount_msat, created_at, expires_at,"
    " state, preimage, description, description_hash, metadata, offer_id, payer_data, zap, rate, request_id,"
    " received_msat, settled_at, internal, payer, hold_blocks, decision, settle_deadline, held_by, is_warned"
)
GRANT: Final = (
    "grant_id, name, wire, caller, service_pubkey, account_id, methods, budgets,"
    " per_payment_msat, fee_cap_msat, expires_at, cipher, nip44_seen, link_salt, relays, lud16,"
    " asked_relays, asked_state,"
    " pointer_id, strangers, sessions, shown_balance, shown_history, paused_at, revoked_at, created_at,"
    " version"
)
ACCOUNT: Final = "account_id, name, credits_msat, posted_msat, pending_msat, overdrawn, created_at, closed_at"
OFFER: Final = (
    "offer_id, label, account_id, price_msat, min_msat, max_msat, currency, price_minor, price_on_request, payer_data,"
    " relays, state, latest, expires_at, webhook, creator, pointer_id, zap_pubkey, created_at"
)
DELIVERY: Final = (
    "invoice_id, offer_id, creator, event, created_at, state, attempts, tried_since, next_at, status, ended_at"
)
APPROVAL: Final = (
    "approval_id, kind, wire, caller, target, command, asked_at, expires_at, is_known, version, state, decided_at,"
    " decided_by, decided_as, decision"
)
SESSION: Final = "scope, value, min_msat, max_msat, expires_at, minted_at, holder"
NODE: Final = "node_id, epoch, backend, network, cursor"
#: The number of a new payment or invoice. Both are numbered in one row, in the order in which they are made.
NEXT_ENTRY: Final = """(SELECT 1 + max(
  coalesce((SELECT max(payment) FROM payments), 0), coalesce((SELECT max(invoice) FROM invoices), 0)))"""
#: Alarms that are still of use: that spending stopped is none any more when nothing stops it.
ALARMS: Final = (
    "events WHERE service = ? AND kind = 'alarm'"
    " AND (subject <> 'spending' OR EXISTS (SELECT 1 FROM stops WHERE stops.service = events.service))"
)


def _msat(value: int | None) -> Msat | None:
    return None if value is None else Msat(value)


def _int(value: Msat | None) -> int | None:
    return None if value is None else int(value)


def read_request(row: Row) -> Request:
    return Request(*row)


def read_event(row: Row) -> FeedEvent:
    number, at, kind, *rest = row
    return FeedEvent(number, at, EVENT_KINDS[kind], *rest)


def read_node(row: Row) -> Node:
    return Node(*row)


def read_payment(row: Row) -> Payment:
    return Payment(
        payment_id=row[0],
        node_id=row[1],
        epoch=row[2],
        account_id=row[3],
        grant_id=row[4],
        payment_hash=row[5],
        destination=_read_keysend(row[16]) if row[16] else Bolt11(row[6], row[11] == 1),
        amount_msat=Msat(row[7]),
        fee_cap_msat=Msat(row[8]),
        created_at=row[9],
        internal=row[10] == 1,
        expires_at=row[12],
        description=row[13],
        description_hash=row[14],
        metadata=row[15],
        send_until=row[17],
        requestor=row[18],
        payment_index=row[19],
        service_fee_msat=Msat(row[20]),
        state=STATES[row[21]],
        fee_msat=Msat(row[22]),
        preimage=row[23],
        evidence=row[24],
        settled_at=row[25],
    )


def keysend_text(destination: Destination) -> str:
    """The row's text of what is sent to a key without an invoice; "" for an invoice."""
    match destination:
        case Bolt11():
            return ""
        case Keysend():
            return _write_json(destination)
        case _:
            assert_never(destination)


def write_claimed(p: Payment) -> Row:
    keysend = keysend_text(p.destination)
    text, amountless = invoice_text(p.destination), isinstance(p.destination, Bolt11) and p.destination.amountless
    return (
        *(p.payment_id, p.node_id, p.epoch, p.account_id, p.grant_id, p.payment_hash, text, int(p.amount_msat)),
        *(int(p.fee_cap_msat), p.created_at, 1 if p.internal else 0, 1 if amountless else 0, p.expires_at),
        *(p.description, p.description_hash, p.metadata, keysend, p.send_until, p.requestor, p.payment_index),
        int(p.service_fee_msat),
    )


def read_invoice(row: Row) -> OwnInvoice:
    return OwnInvoice(
        invoice_id=row[0],
        node_id=row[1],
        epoch=row[2],
        account_id=row[3],
        grant_id=row[4],
        payment_hash=row[5],
        bolt11=row[6],
        amount_msat=_msat(row[7]),
        created_at=row[8],
        expires_at=row[9],
        state=INVOICE_STATES[row[10]],
        preimage=row[11],
        description=row[12],
        description_hash=row[13],
        metadata=row[14],
        offer_id=row[15],
        payer_data=row[16],
        zap=row[17],
        rate=read_rate(row[18]) if row[18] else None,
        request_id=row[19],
        received_msat=_msat(row[20]),
        settled_at=row[21],
        internal=row[22] == 1,
        payer=row[23],
        hold_blocks=row[24],
        decision=DECISIONS[row[25]],
        settle_deadline=row[26],
        held_by=row[27],
        is_warned=row[28] == 1,
    )


def write_invoice(i: OwnInvoice) -> Row:
    return (
        *(i.invoice_id, i.node_id, i.epoch, i.account_id, i.grant_id, i.payment_hash, i.bolt11, _int(i.amount_msat)),
        *(i.created_at, i.expires_at, "open", i.preimage, i.description, i.description_hash, i.metadata, i.offer_id),
        *(
            i.payer_data,
            i.zap,
            _write_json(i.rate) if i.rate else "",
            i.request_id,
            None,
            None,
            0,
            i.payer,
            i.hold_blocks,
            "",
            None,
            "",
            0,
        ),
    )


def _write_json(value: Keysend | Webhook | ExchangeRate) -> str:
    return _encoder.encode(value).decode()


def marks(columns: str) -> str:
    """The question marks for the service and these columns."""
    return "?" + ", ?" * len(columns.split(","))


@lru_cache(maxsize=1_024)
def _names(text: str) -> frozenset[str]:
    """The names in a JSON list. Thousands of connections have the same, and share them in memory."""
    return frozenset(map(intern, json.loads(text)))


@lru_cache(maxsize=1_024)
def _texts(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def _shared(word: Any) -> Any:
    """One of few words, of which all rows share one object in memory."""
    return intern(word)


def read_grant(row: Row) -> Grant:
    (grant_id, name, wire, caller, pubkey, account_id, methods, budgets, *rest) = row
    per_payment, fee_cap, expires_at, cipher, nip44_seen, link_salt, relays, lud16, *rest = rest
    asked_relays, asked_state, *rest = rest
    pointer_id, strangers, sessions, shown_balance, shown_history, *rest = rest
    paused_at, revoked_at, created_at, version = rest
    return Grant(
        grant_id=grant_id,
        name=name,
        wire=_shared(wire),
        caller=caller,
        service_pubkey=pubkey,
        account_id=_shared(account_id),
        methods=_names(methods),
        budgets=tuple(
            Budget(Msat(limit), _shared(period), length, number, *in_currency)
            for number, limit, period, length, *in_currency in json.loads(budgets)
        ),
        per_payment_msat=_msat(per_payment),
        fee_cap_msat=_msat(fee_cap),
        expires_at=expires_at,
        cipher=_shared(cipher),
        nip44_seen=nip44_seen == 1,
        link_salt=link_salt,
        relays=_texts(relays),
        lud16=lud16,
        asked_relays=_texts(asked_relays),
        asked_state=asked_state,
        pointer_id=pointer_id,
        strangers=_shared(strangers),
        sessions=_shared(sessions),
        shown_balance=_shared(shown_balance),
        shown_history=_shared(shown_history),
        paused_at=paused_at,
        revoked_at=revoked_at,
        created_at=created_at,
        version=version,
    )


def _write_budget(b: Budget) -> tuple[Any, ...]:
    plain = (b.budget_id, int(b.limit_msat), b.period, b.length_s)
    return (*plain, b.currency, b.limit_minor) if b.currency else plain


def write_grant(g: Grant) -> Row:
    budgets = [_write_budget(budget) for budget in g.budgets]
    return (
        *(g.grant_id, g.name, g.wire, g.caller, g.service_pubkey, g.account_id, json.dumps(sorted(g.methods))),
        *(
            json.dumps(budgets),
            _int(g.per_payment_msat),
            _int(g.fee_cap_msat),
            g.expires_at,
            g.cipher,
            int(g.nip44_seen),
            g.link_salt,
        ),
        *(
            json.dumps(g.relays),
            g.lud16,
            json.dumps(g.asked_relays),
            g.asked_state,
            g.pointer_id,
            g.strangers,
            g.sessions,
            g.shown_balance,
            g.shown_history,
            g.paused_at,
            g.revoked_at,
            g.created_at,
            g.version,
        ),
    )


def read_approval(row: Row) -> Approval:
    return Approval(
        approval_id=row[0],
        kind=APPROVAL_KINDS[row[1]],
        wire=row[2],
        caller=row[3],
        target=row[4],
        command=row[5],
        asked_at=row[6],
        expires_at=row[7],
        is_known=row[8] == 1,
        version=row[9],
        state=APPROVAL_STATES[row[10]],
        decided_at=row[11],
        decided_by=row[12],
        decided_as=row[13],
        decision=row[14],
    )


def write_approval(a: Approval) -> Row:
    return (
        *(a.approval_id, a.kind.value, a.wire, a.caller, a.target, a.command, a.asked_at, a.expires_at),
        *(int(a.is_known), a.version, a.state.value, a.decided_at, a.decided_by, a.decided_as, a.decision),
    )


def read_session(row: Row) -> DebitSession:
    scope, value, least, most, expires_at, minted_at, holder = row
    return DebitSession(scope, value, Msat(least), Msat(most), expires_at, minted_at, holder)


def write_session(s: DebitSession) -> Row:
    return s.scope, s.value, int(s.min_msat), int(s.max_msat), s.expires_at, s.minted_at, s.holder


def read_account(row: Row) -> Account:
    return Account(
        account_id=row[0],
        name=row[1],
        credits_msat=Msat(row[2]),
        posted_msat=Msat(row[3]),
        pending_msat=Msat(row[4]),
        overdrawn=row[5] == 1,
        created_at=row[6],
        closed_at=row[7],
    )


def read_offer(row: Row) -> Offer:
    return Offer(
        offer_id=row[0],
        label=row[1],
        account_id=row[2],
        price_msat=_msat(row[3]),
        min_msat=_msat(row[4]),
        max_msat=_msat(row[5]),
        currency=row[6],
        price_minor=row[7],
        price_on_request=row[8] == 1,
        payer_data=_texts(row[9]),
        relays=_texts(row[10]),
        state=OFFER_STATES[row[11]],
        latest=row[12],
        expires_at=row[13],
        webhook=_read_webhook(row[14]) if row[14] else None,
        creator=row[15],
        pointer_id=row[16],
        zap_pubkey=row[17],
        created_at=row[18],
    )


def write_webhook(webhook: Webhook | None) -> str:
    return "" if webhook is None else _write_json(webhook)


def write_offer(o: Offer) -> Row:
    return (
        *(o.offer_id, o.label, o.account_id, _int(o.price_msat), _int(o.min_msat), _int(o.max_msat)),
        *(o.currency, o.price_minor, int(o.price_on_request), json.dumps(o.payer_data), json.dumps(o.relays), o.state),
        *(o.latest, o.expires_at, write_webhook(o.webhook), o.creator, o.pointer_id, o.zap_pubkey, o.created_at),
    )


def read_delivery(row: Row) -> WebhookDelivery:
    return WebhookDelivery(
        invoice_id=row[0],
        offer_id=row[1],
        creator=row[2],
        event=row[3],
        created_at=row[4],
        state=DELIVERY_STATES[row[5]],
        attempts=row[6],
        tried_since=row[7],
        next_at=row[8],
        status=row[9],
        ended_at=row[10],
    )


def write_delivery(d: WebhookDelivery) -> Row:
    return (
        *(d.invoice_id, d.offer_id, d.creator, d.event, d.created_at, d.state.value, d.attempts, d.tried_since),
        *(d.next_at, d.status, d.ended_at),
    )
