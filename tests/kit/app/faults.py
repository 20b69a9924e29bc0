"""Faults that are planted: each blinds the service where it would see, so that money goes wrong unless somebody looks.

They are planted at the seams of :class:`House` (what the store, the node, the files and the relay say), not in the
code: so they mean the same before and after a mend, however it was made. Where the fault is there anyway, planting
changes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from hashlib import sha256
from typing import Any, Final

import msgspec

from kitestring.app.home.datadir import DataDir
from kitestring.app.home.keyring import Keyring
from kitestring.app.service.relay_witness import D_TAG, Told
from kitestring.base.destinations import Keysend
from kitestring.base.node import Settlement
from kitestring.base.payments import NeverSeen, Unknown
from kitestring.base.records import BUNDLE, NOTIFICATION, Generation
from kitestring.base.transactions.answers import Claimed
from kitestring.base.transactions.invoices import DecideHold
from kitestring.crypto import nip44
from kitestring.nostr.event import Event, first_tag
from tests.kit.app.house import House

Plant = Callable[[House], None]

#: Tables in which an answer that moved no money may be kept.
_REFUSALS: Final = (
    "DELETE FROM requests WHERE payment_id = '' AND invoice IS NULL AND wire <> 'control' AND wire <> 'owner'",
    "DELETE FROM refusals",
    "DELETE FROM tombstones",
)
#: A truth that the ledger is made to refuse: that a payment cost more than was held for it.
_REFUSES: Final = """
CREATE TRIGGER IF NOT EXISTS planted BEFORE UPDATE OF state ON payments
WHEN NEW.state = 'settled' AND NEW.fee_msat > OLD.fee_cap_msat
BEGIN SELECT RAISE(ABORT, 'planted'); END"""
#: The notifications that no relay has taken yet.
_UNSENT: Final = f"""
DELETE FROM outbox WHERE kind = '{NOTIFICATION}' AND (message & (1 << 48) - 1) >
  coalesce((SELECT position FROM consumers c WHERE c.service = outbox.service AND name = '@outbox'), 0)"""
#: Seconds until a deadline that never comes.
_NEVER_S: Final = 10**9


class _Through:
    """Everything of another one, but what a subclass says itself."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


# ------------------------------------------------------------ the store


class _Forgetful(_Through):
    """What was answered without moving money is not in the ledger any more at the next start."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        connection = inner._store._writer.connection
        for statement in _REFUSALS:
            try:
                connection.execute(statement)
            except sqlite3.OperationalError as absent:
                if "no such table" not in str(absent):
                    raise


class _WithoutDeadline(_Through):
    """Every claim may be sent forever."""

    async def open_payments(self) -> Any:
        return [_endless(payment) for payment in await self._inner.open_payments()]

    async def payment(self, payment_id: str) -> Any:
        found = await self._inner.payment(payment_id)
        return None if found is None else _endless(found)

    async def apply(self, tx: Any) -> Any:
        paid = getattr(tx, "payment", None)
        return await self._inner.apply(tx if paid is None else msgspec.structs.replace(tx, payment=_endless(paid)))


def _endless(payment: Any) -> Any:
    if not hasattr(payment, "send_until"):
        return payment
    return msgspec.structs.replace(payment, send_until=payment.created_at + _NEVER_S)


def _refuses_a_truth(inner: Any) -> Any:
    inner._store._writer.connection.execute(_REFUSES)
    return inner


class _OtherPreimages(_Through):
    """A keysend that is open at the start goes on with a preimage that was drawn anew."""

    async def open_payments(self) -> Any:
        return [_drawn_anew(payment) for payment in await self._inner.open_payments()]

    async def payment(self, payment_id: str) -> Any:
        found = await self._inner.payment(payment_id)
        return None if found is None else _drawn_anew(found)


def _drawn_anew(payment: Any) -> Any:
    if not isinstance(payment.destination, Keysend) or payment.internal:
        return payment
    preimage = sha256(bytes.fromhex(payment.destination.preimage)).digest()
    to = msgspec.structs.replace(payment.destination, preimage=preimage.hex())
    return msgspec.structs.replace(payment, destination=to, payment_hash=sha256(preimage).hexdigest())


class _OtherParts(_Through):
    """A bundle that is carried on has parts with other ids: those that were begun are not known again."""

    async def running_requests(self) -> Any:
        running = await self._inner.running_requests()
        return [
            msgspec.structs.replace(one, request_id=f"{one.request_id}+") if one.payment_id == BUNDLE else one
            for one in running
        ]


class _DecidedInMemory(_Through):
    """The decision about a hold invoice is said to be in the ledger, and dies with the process."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self._decided: dict[str, DecideHold] = {}

    async def apply(self, tx: Any) -> Any:
        if not isinstance(tx, DecideHold):
            return await self._inner.apply(tx)
        self._decided[tx.invoice_id] = tx
        return Claimed()

    async def invoice(self, invoice_id: str) -> Any:
        found, decided = await self._inner.invoice(invoice_id), self._decided.get(invoice_id)
        if decided is None:
            return found
        return msgspec.structs.replace(found, decision=decided.decision, preimage=decided.preimage)


def _loses_notifications(inner: Any) -> Any:
    inner._store._writer.connection.execute(_UNSENT)
    return inner


# ------------------------------------------------------------ the node


class _Absent(_Through):
    """Whatever the node does not answer for certain is told as "never seen", by every kind of look-up, at any age."""

    async def lookup_payment(self, payment_hash: str) -> Any:
        return _absent(await self._inner.lookup_payment(payment_hash))

    async def track(self, payment_hash: str) -> Any:
        return _absent(await self._inner.track(payment_hash))

    async def payment_index(self, *_: Any, **__: Any) -> int:
        """The node's own count never shows that one is missing."""
        return 1_000


def _absent(answer: Any) -> Any:
    return NeverSeen(0) if isinstance(answer, Unknown) else answer


class _Masked(_Through):
    """Whoever stands behind the address bears the name of the first one."""

    def __init__(self, inner: Any, node_id: str) -> None:
        super().__init__(inner)
        self.node_id = node_id

    async def info(self) -> Any:
        return msgspec.structs.replace(await self._inner.info(), node_id=self.node_id)

    async def settlements(self, cursor: bytes) -> AsyncIterator[Settlement]:
        async for settlement in self._inner.settlements(cursor):
            yield settlement


# ------------------------------------------------------------ the table


def a_refusal_is_not_stored(house: House) -> None:
    house.spoil_store.append(_Forgetful)


def a_constraint_refuses_a_truth(house: House) -> None:
    house.spoil_store.append(_refuses_a_truth)


def never_seen_is_believed(house: House) -> None:
    house.spoil_backend.append(_Absent)


def an_order_is_sent_late(house: House) -> None:
    house.spoil_store.append(_WithoutDeadline)


def a_restored_ledger_pays(house: House) -> None:
    """No witness tells that the ledger is old: the relay's events and the ledger's own mark are gone."""
    house.spoil_restore.append(_silence)
    an_order_is_sent_late(house)


def an_exchanged_node_is_not_noticed(house: House) -> None:
    first = house.node.node_id
    house.spoil_backend.append(lambda inner: _Masked(inner, first))
    never_seen_is_believed(house)
    an_order_is_sent_late(house)


def a_keysend_is_sent_twice(house: House) -> None:
    house.spoil_store.append(_OtherPreimages)


def a_part_of_a_bundle_is_paid_twice(house: House) -> None:
    house.spoil_store.append(_OtherParts)


def a_hold_is_settled_before_that_is_stored(house: House) -> None:
    house.spoil_store.append(_DecidedInMemory)


def a_notification_is_lost(house: House) -> None:
    house.spoil_store.append(_loses_notifications)


def _silence(house: House) -> None:
    """Every witness is set back to what it would say of this ledger, as if it had always been there."""
    ledger, key = _generation(house), Keyring(DataDir(house.home, house.root).read_seed()).service_key
    secret = nip44.conversation_key(key, key.public_hex)

    def would_be_there(event: Event) -> bool:
        if event.pubkey != key.public_hex:
            return True
        if first_tag(event, "d") != D_TAG:
            return False
        told = msgspec.json.decode(nip44.decrypt(event.content, secret), type=Told)
        return not ledger.misses(told.ledger)

    house.relay.restore([event for event in house.relay.events if would_be_there(event)])
    with closing(sqlite3.connect(house.ledger)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if "totals" in tables:
            connection.execute("UPDATE totals SET spending_stopped = ''")
            connection.execute("DELETE FROM stops")
        connection.commit()


def _generation(house: House) -> Generation:
    with closing(sqlite3.connect(house.ledger)) as connection:
        sums = connection.execute("SELECT last_event, last_message FROM totals").fetchone()
        rows = [
            connection.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0] for table in ("payments", "transfers")
        ]
    return Generation("", *sums, *(number or 0 for number in rows))


FAULTS: Final[dict[str, Plant]] = {
    "a refusal is not stored": a_refusal_is_not_stored,
    "a constraint refuses a truth": a_constraint_refuses_a_truth,
    "never seen is believed": never_seen_is_believed,
    "an order is sent late": an_order_is_sent_late,
    "a restored ledger pays": a_restored_ledger_pays,
    "an exchanged node is not noticed": an_exchanged_node_is_not_noticed,
}
#: Those that only a death in the middle shows; the flows of money meet them (tests/prove/test_planted.py).
FAULTS_OF_A_DEATH: Final[dict[str, Plant]] = {
    "a keysend is sent twice": a_keysend_is_sent_twice,
    "a part of a bundle is paid twice": a_part_of_a_bundle_is_paid_twice,
    "a hold is settled before that is stored": a_hold_is_settled_before_that_is_stored,
    "a notification is lost": a_notification_is_lost,
}
