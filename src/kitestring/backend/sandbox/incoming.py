"""Money that comes in to the sandbox's node: invoices that are paid at once, and those whose payment is held.

Inside a transaction, except :func:`state_at` and :func:`status`. What is held is no balance, and has its place in the
channels; at its deadline it goes back by itself.
"""

from __future__ import annotations

import sqlite3
from hashlib import sha256
from typing import Final

from kitestring.backend.sandbox.file import BLOCK_MS
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import ZERO, Msat
from kitestring.base.node import HashTakenError, InvoiceStatus, NodeInvoice, NodeInvoiceState

#: Blocks that a payment leaves for the decision unless the invoice asks for more; half a day, as other nodes do it.
CLTV_DELTA: Final = 80
_ROOM: Final = """
SELECT capacity_msat - balance_msat
  - (SELECT coalesce(sum(received_msat), 0) FROM invoices WHERE state = 'accepted' AND settle_deadline > ?)
FROM node"""
_FULL: Final = "the channels of the sandbox node are full: pay something out first"


def height(now: int) -> int:
    """The height of the chain at ``now`` (milliseconds)."""
    return now // BLOCK_MS


def state_at(row: sqlite3.Row, now: int) -> NodeInvoiceState:
    """The state of an invoice at ``now`` (milliseconds): time ends what nobody has paid, and what nobody has taken."""
    state = NodeInvoiceState(row["state"])
    is_over = {
        NodeInvoiceState.OPEN: row["expires_at"] * 1000 <= now,
        NodeInvoiceState.ACCEPTED: row["settle_deadline"] <= height(now),
    }
    return NodeInvoiceState.CANCELED if is_over.get(state) else state


def status(row: sqlite3.Row, now: int) -> InvoiceStatus:
    """The node's word about an invoice at ``now`` (milliseconds)."""
    state = state_at(row, now)
    has_money = state in {NodeInvoiceState.SETTLED, NodeInvoiceState.ACCEPTED}
    return InvoiceStatus(
        state=state,
        bolt11=row["bolt11"],
        received_msat=Msat(row["received_msat"]) if has_money else ZERO,
        settled_at=row["settled_at"],
        preimage=row["preimage"],
        expires_at=row["expires_at"],
        settle_deadline=row["settle_deadline"] if state is NodeInvoiceState.ACCEPTED else 0,
    )


def room_msat(connection: sqlite3.Connection, now: int) -> Msat:
    """The amount that can come in at ``now`` (milliseconds)."""
    room: int = connection.execute(_ROOM, (height(now),)).fetchone()[0]
    return Msat(room)


def insert_held(connection: sqlite3.Connection, made: NodeInvoice, amount_msat: Msat, cltv_delta: int) -> NodeInvoice:
    """Raises HashTakenError."""
    row = (made.payment_hash, made.bolt11, int(amount_msat), made.expires_at, cltv_delta)
    inserted = connection.execute(
        "INSERT INTO invoices (payment_hash, bolt11, preimage, amount_msat, expires_at, cltv_delta)"
        " VALUES (?, ?, '', ?, ?, ?) ON CONFLICT (payment_hash) DO NOTHING",
        row,
    )
    if inserted.rowcount != 1:
        raise HashTakenError("the sandbox node has an invoice of this hash already")
    return made


def receive(connection: sqlite3.Connection, row: sqlite3.Row, paid_msat: Msat, now: int) -> None:
    """Credit the node and settle its invoice under the next index: one commit, so the indexes have no gap."""
    if paid_msat > room_msat(connection, now):
        raise KitestringError(Reason.PAYMENT_FAILED, _FULL)
    _settle(connection, row["payment_hash"], paid_msat, row["preimage"], now)


def hold(connection: sqlite3.Connection, row: sqlite3.Row, paid_msat: Msat, now: int) -> None:
    """Keep a payment until the node is told what to do with it."""
    if paid_msat > room_msat(connection, now):
        raise KitestringError(Reason.PAYMENT_FAILED, _FULL)
    connection.execute(
        "UPDATE invoices SET state = 'accepted', received_msat = ?, settle_deadline = ? WHERE payment_hash = ?",
        (int(paid_msat), height(now) + row["cltv_delta"], row["payment_hash"]),
    )


def settle(connection: sqlite3.Connection, preimage: str, now: int) -> None:
    """Take what is held for the hash of this preimage, if anything is."""
    payment_hash = sha256(bytes.fromhex(preimage)).hexdigest()
    row = connection.execute("SELECT * FROM invoices WHERE payment_hash = ?", (payment_hash,)).fetchone()
    if row is not None and state_at(row, now) is NodeInvoiceState.ACCEPTED:
        _settle(connection, payment_hash, Msat(row["received_msat"]), preimage, now)


def cancel(connection: sqlite3.Connection, payment_hash: str) -> None:
    """Refuse every payment of an invoice, and give back what is held."""
    connection.execute(
        "UPDATE invoices SET state = 'canceled', received_msat = 0, settle_deadline = 0"
        " WHERE payment_hash = ? AND state IN ('open', 'accepted')",
        (payment_hash,),
    )


def _settle(connection: sqlite3.Connection, payment_hash: str, paid_msat: Msat, preimage: str, now: int) -> None:
    connection.execute(
        "UPDATE node SET balance_msat = balance_msat + ?, settle_index = settle_index + 1", (int(paid_msat),)
    )
    connection.execute(
        "UPDATE invoices SET state = 'settled', received_msat = ?, settled_at = ?, preimage = ?,"
        " settle_index = (SELECT settle_index FROM node) WHERE payment_hash = ?",
        (int(paid_msat), now // 1000, preimage, payment_hash),
    )
