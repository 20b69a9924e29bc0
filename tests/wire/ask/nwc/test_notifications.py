"""A notification is believed as an answer is, and read as far as wallets differ in what they write."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.base.errors import CodecError
from kitestring.base.money import Msat
from kitestring.base.outcomes import Direction, TransactionState
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from kitestring.wire.ask.nwc.announcement import ServiceInfo
from kitestring.wire.ask.nwc.notifications import (
    SETTLED_TYPES,
    TYPES,
    decode_notification,
    is_notification,
    may_notify,
)
from kitestring.wire.serve.nwc.notifications import KINDS, NOTIFICATIONS, notification
from tests.kit.changed import replace
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice
from tests.kit.wire.samples import CLIENT, SERVICE, STRANGER, transaction

#: As Alby Hub writes it.
HUB: dict[str, Any] = {
    "type": "incoming", "state": "settled", "invoice": "", "description": "", "description_hash": "",
    "preimage": PREIMAGE, "payment_hash": PAYMENT_HASH, "amount": 21_000, "fees_paid": 0, "created_at": NOW,
    "expires_at": None, "settled_at": NOW + 31, "settle_deadline": None, "metadata": None,
}  # fmt: skip


def event(kind: int = kinds.NWC_NOTIFY, key: Any = SERVICE, to: str | None = CLIENT.public_hex) -> Event:
    tags = [] if to is None else [["p", to]]
    return sign_event(key, kind=kind, tags=tags, content="x", created_at=NOW)


def read(name: str, told: object) -> Any:
    return decode_notification(json.dumps({"notification_type": name, "notification": told}))


@pytest.mark.parametrize("kind", KINDS.values())
def test_what_the_wallet_has_signed_for_us_is_believed_in_either_kind(kind: int) -> None:
    for to in (CLIENT.public_hex, None):
        assert is_notification(event(kind, to=to), SERVICE.public_hex, CLIENT.public_hex)


@pytest.mark.parametrize(
    "forged",
    [
        event(kinds.NWC_RESPONSE),
        event(key=STRANGER),
        event(to=STRANGER.public_hex),
        replace(event(), content="y"),
        replace(event(), sig="00" * 64),
        replace(event(key=STRANGER), pubkey=SERVICE.public_hex),
    ],
    ids=["another kind", "another author", "to somebody else", "changed", "not signed", "under a false name"],
)
def test_what_is_forged_or_for_somebody_else_is_not(forged: Event) -> None:
    assert not is_notification(forged, SERVICE.public_hex, CLIENT.public_hex)


@pytest.mark.parametrize("name", NOTIFICATIONS)
def test_what_our_service_writes_is_read_as_it_was_meant(name: str) -> None:
    record = transaction(
        type=NOTIFICATIONS[name].direction, state=TransactionState.SETTLED, preimage=PREIMAGE, settled_at=NOW + 31,
        fee_msat=Msat(7), bolt11=invoice(), metadata='{"comment":"tea"}',
    )  # fmt: skip
    told = decode_notification(notification(name, record).decode())
    assert (told.type, told.transaction) == (name, record)


def test_the_types_are_those_that_the_service_has_and_hold_invoices() -> None:
    assert {*NOTIFICATIONS, "hold_invoice_accepted"} == set(TYPES)
    assert {Direction.INCOMING: "payment_received", Direction.OUTGOING: "payment_sent"} == SETTLED_TYPES


def test_alby_hubs_are_read() -> None:
    told = read("payment_received", HUB)
    assert (told.transaction.payment_hash, told.transaction.settled_at) == (PAYMENT_HASH, NOW + 31)
    assert (told.transaction.amount_msat, told.transaction.preimage) == (Msat(21_000), PREIMAGE)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("payment_received", {"invoice": invoice(), "settled_at": NOW}),
        ("payment_received", {"payment_hash": PAYMENT_HASH, "amount": 1, "type": "incoming"}),
        ("payment_sent", {"payment_hash": PAYMENT_HASH, "amount": 1}),
    ],
)
def test_what_goes_without_saying_may_be_left_out(name: str, told: dict[str, Any]) -> None:
    found = read(name, told)
    assert (found.transaction.payment_hash, found.transaction.state) == (PAYMENT_HASH, TransactionState.SETTLED)
    assert SETTLED_TYPES[found.transaction.type] == name


def test_a_hold_invoice_that_is_accepted_has_not_ended() -> None:
    told = read("hold_invoice_accepted", {**HUB, "state": "accepted", "settled_at": None, "preimage": ""})
    assert (told.type, told.transaction.payment_hash) == ("hold_invoice_accepted", PAYMENT_HASH)
    assert told.transaction.state is not TransactionState.SETTLED


@pytest.mark.parametrize(
    ("name", "told", "words"),
    [
        ("payment_lost", HUB, "of no known type: payment_lost"),
        ("payment_received", None, "has no transaction"),
        ("payment_sent", HUB, "tells something else"),
        ("payment_received", {**HUB, "state": "pending"}, "tells something else"),
        ("payment_received", {"amount": 5}, "checksum|this is no code"),
    ],
)
def test_what_says_two_things_or_nothing_is_passed_over(name: str, told: object, words: str) -> None:
    with pytest.raises(CodecError, match=words):
        read(name, told)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"notification_type":5}', '{"notification":{}}'])
def test_what_is_no_notification_is_passed_over(text: str) -> None:
    with pytest.raises(CodecError):
        decode_notification(text)


@pytest.mark.parametrize(
    ("info", "may"),
    [
        (None, False),
        (ServiceInfo(("pay_invoice",), ("nip44",)), False),
        (ServiceInfo(("pay_invoice", "notifications"), ("nip44",)), True),
        (ServiceInfo(("pay_invoice",), ("nip44",), notifications=("payment_received",)), True),
        (ServiceInfo((), ("nip44",), extensions=("02",)), True),
    ],
)
def test_whether_a_wallet_tells_is_read_in_every_form(info: ServiceInfo | None, may: bool) -> None:
    assert may_notify(info) is may
