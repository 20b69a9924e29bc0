"""One row for each type of notification: what it follows from, and who may hear it."""

from __future__ import annotations

import json

from kitestring.base.events import EventKind
from kitestring.base.grants import Grant
from kitestring.base.outcomes import Direction, TransactionState
from kitestring.codec.bolt11 import MAX_DESCRIPTION_BYTES, MAX_INVOICE_LENGTH
from kitestring.nostr import kinds
from kitestring.wire.registry import NOTIFYING
from kitestring.wire.serve.nwc import WIRE
from kitestring.wire.serve.nwc.notifications import KINDS, NOTIFICATIONS, notification, notified
from kitestring.wire.serve.nwc.table import METHODS
from kitestring.wire.text import MAX_PLAINTEXT_BYTES
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE
from tests.kit.wire.samples import transaction

SETTLED = transaction(state=TransactionState.SETTLED, preimage=PREIMAGE, settled_at=NOW + 31)


def test_every_type_follows_from_events_of_one_kind_and_tells_one_direction() -> None:
    rows = {row.name: (row.event, row.direction) for row in NOTIFICATIONS.values()}
    assert rows == {
        "payment_received": (EventKind.RECEIVED, Direction.INCOMING),
        "hold_invoice_accepted": (EventKind.ACCEPTED, Direction.INCOMING),
        "payment_sent": (EventKind.SETTLED, Direction.OUTGOING),
    }
    extensions = {row.name: row.extensions for row in NOTIFICATIONS.values()}
    assert extensions.pop("hold_invoice_accepted") == ("03",)
    assert set(extensions.values()) == {("02",)}


def test_no_permission_is_that_of_a_method() -> None:
    permissions = [row.permission for row in NOTIFICATIONS.values()]
    assert {row.permission for row in METHODS.values()}.isdisjoint(permissions)
    assert [row.name for row in notified({"payment_sent", "pay_invoice"})] == ["payment_sent"]
    assert notified(()) == []


def test_a_grant_is_told_what_it_lists() -> None:
    told = WIRE.notifies
    assert told is not None
    assert {"nwc": told} == NOTIFYING
    grant = Grant(grant_id="g", name="app", wire="nwc", methods=frozenset({"payment_sent"}))
    assert [told.name(grant, kind) for kind in (EventKind.SETTLED, EventKind.RECEIVED, EventKind.FAILED)] == [
        "payment_sent", "", "",
    ]  # fmt: skip


def test_it_is_written_as_nip_47_has_it() -> None:
    assert json.loads(notification("payment_received", SETTLED)) == {
        "notification_type": "payment_received",
        "notification": {
            "type": "incoming",
            "payment_hash": PAYMENT_HASH,
            "amount": 21_000,
            "fees_paid": 0,
            "created_at": NOW,
            "state": "settled",
            "preimage": PREIMAGE,
            "settled_at": NOW + 31,
        },
    }


def test_the_longest_one_fits_into_an_event() -> None:
    metadata = json.dumps({"comment": "\N{LOCK}" * 4_080}, ensure_ascii=False)
    longest = transaction(
        state=TransactionState.SETTLED, preimage=PREIMAGE, settled_at=NOW, expires_at=NOW, metadata=metadata,
        bolt11="l" * MAX_INVOICE_LENGTH, description="\N{LOCK}" * (MAX_DESCRIPTION_BYTES // 4),
        description_hash="ab" * 32,
    )  # fmt: skip
    assert len(notification("payment_received", longest)) < 26_000 < MAX_PLAINTEXT_BYTES


def test_each_cipher_has_a_kind_that_is_passed_on_between_two() -> None:
    assert KINDS == {"nip44": 23197, "nip04": 23196}
    assert set(KINDS.values()) <= kinds.CONVERSATIONS
