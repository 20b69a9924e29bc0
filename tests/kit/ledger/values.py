"""Short makers of ledger values for tests: everything has a default, names say what differs."""

from __future__ import annotations

import hashlib
from typing import Any

from kitestring.base.destinations import Bolt11
from kitestring.base.errors import Reason
from kitestring.base.grants import Account, Grant
from kitestring.base.money import Msat
from kitestring.base.payments import Failed, FailureReason, Settled, Unknown
from kitestring.base.records import Charge, Message, NodeView, OwnInvoice, Payment, Request
from kitestring.base.shares import Share
from kitestring.base.transactions.answers import Denied
from kitestring.base.transactions.invoices import Credit, RecordInvoice
from kitestring.base.transactions.owner import Execute, SaveAccount, SaveGrant, Transfer, Write
from kitestring.base.transactions.payments import ClaimPayment, RecordPayment
from kitestring.base.transactions.requests import Refuse
from tests.kit.changed import replace

SERVICE = "5e" * 32
NODE = "02" + "ab" * 32
NOW = 1_800_000_000
PLENTY = NodeView(Msat(10**12), Msat(0))


def preimage_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def hash_of(name: str) -> str:
    """The payment hash whose preimage is ``preimage_of(name)``."""
    return hashlib.sha256(bytes.fromhex(preimage_of(name))).hexdigest()


def request(name: str, **changes: Any) -> Request:
    made = Request(name, "nwc", "app", b"command " + name.encode(), b"to " + name.encode(), NOW, NOW)
    return replace(made, **changes)


def reply(name: str, text: str = "reply", **changes: Any) -> Message:
    return replace(Message(name, "reply", text.encode(), b"event " + text.encode(), NOW, b"to"), **changes)


def receipt(name: str) -> Message:
    return Message(name, "receipt", b"receipt", b"event receipt", NOW, b"to")


def payment(name: str, amount: int = 1000, fee_cap: int = 100, **changes: Any) -> Payment:
    made = Payment(
        payment_id=f"pay-{name}",
        node_id=NODE,
        epoch=1,
        account_id="alice",
        grant_id="app",
        payment_hash=hash_of(name),
        destination=Bolt11(f"lnbcrt-{name}"),
        amount_msat=Msat(amount),
        fee_cap_msat=Msat(fee_cap),
        created_at=NOW,
        send_until=NOW + 120,
    )
    return replace(made, **changes)


def charge(
    amount: int, limit: int, bucket: int = 10, oldest: int = 0, grant: str = "app", budget_id: int = 0, ends: int = 0,
    at: int = 0,
) -> Charge:  # fmt: skip
    return Charge(grant, Msat(amount), Msat(limit), bucket, oldest, budget_id, ends, at)


def claim(name: str, paid: Payment | None = None, *charges: Charge, asked: Request | None = None) -> ClaimPayment:
    paid = paid or payment(name)
    asked = asked or request(f"ask-{name}", grant_id=paid.grant_id)
    return ClaimPayment(asked, 1, paid, charges, PLENTY if paid.account_id == "owner" else None)


def too_little(left: int, reserved: int = 0) -> Denied:
    """The refusal of a claim that an account does not cover."""
    return Denied(Reason.INSUFFICIENT_FUNDS, Msat(left), reserved_msat=Msat(reserved))


def settle(name: str, fee: int = 10, *messages: Message) -> RecordPayment:
    return RecordPayment(f"pay-{name}", Settled(preimage_of(name), Msat(fee)), NOW + 1, messages)


def fail(name: str, *messages: Message) -> RecordPayment:
    return RecordPayment(f"pay-{name}", Failed("the node said no route", FailureReason.NO_ROUTE), NOW + 1, messages)


def lose(name: str) -> RecordPayment:
    return RecordPayment(f"pay-{name}", Unknown("the connection broke"), NOW + 1)


def answered(name: str, text: str = "reply") -> Message:
    return reply(f"ask-{name}", text)


def invoice(name: str, amount: int | None = 500, **changes: Any) -> OwnInvoice:
    made = OwnInvoice(
        invoice_id=f"inv-{name}",
        node_id=NODE,
        epoch=1,
        account_id="alice",
        grant_id="app",
        payment_hash=hash_of(name),
        bolt11=f"lnbcrt-{name}",
        amount_msat=None if amount is None else Msat(amount),
        created_at=NOW,
        expires_at=NOW + 3600,
        preimage=preimage_of(name),
        request_id=f"want-{name}",
    )
    return replace(made, **changes)


def record_invoice(name: str, made: OwnInvoice | None = None, *shares: Share) -> RecordInvoice:
    made, asked = made or invoice(name), request(f"want-{name}", grant_id=(made or invoice(name)).grant_id)
    return RecordInvoice(asked, 1, made, (reply(f"want-{name}", "invoice"),), NOW, shares)


def refuse(
    name: str,
    text: str | None = "no",
    *,
    until: int = NOW + 360,
    max_bytes: int = 1_000,
    max_number: int = 1_000,
    is_no: bool = True,
    **of: Any,
) -> Refuse:
    """With ``text`` None in silence; without ``is_no`` an answer."""
    said = None if text is None else replace(reply(name, text), is_no=is_no)
    return Refuse(request(name, **of), until, NOW, said, max_bytes, max_number)


def no(name: str, text: str = "no") -> Message:
    """The reply of :func:`refuse`, as it is stored."""
    return replace(reply(name, text), is_no=True)


def credit(name: str, received: int = 500, cursor: bytes = b"", *messages: Message) -> Credit:
    return Credit(NODE, hash_of(name), Msat(received), NOW + 2, preimage_of(name), cursor, messages)


def execute(name: str, *writes: Write) -> Execute:
    return Execute(request(name, wire="owner", grant_id="owner"), writes, reply(name, "done", event=b""))


def move(name: str, source: str, target: str, amount: int) -> Transfer:
    return Transfer(name, source, target, Msat(amount), "a note", NOW, PLENTY)


def setting(alice: int = 100_000, bob: int = 100_000) -> Execute:
    """Two accounts with credit, a grant on each ("app" for alice, "bobs" for bob)."""
    writes: list[Write] = [
        SaveAccount(Account(account_id="alice", name="Alice", created_at=NOW)),
        SaveAccount(Account(account_id="bob", name="Bob", created_at=NOW)),
        SaveGrant(Grant(grant_id="app", name="app", wire="nwc", account_id="alice")),
        SaveGrant(Grant(grant_id="bobs", name="bobs", wire="nwc", account_id="bob")),
    ]
    funds = {"alice": alice, "bob": bob}
    writes += [move(f"fund-{name}", "owner", name, amount) for name, amount in funds.items() if amount]
    return execute("setting", *writes)
