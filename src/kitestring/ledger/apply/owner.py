"""Changes by the owner and by the service itself: grants, accounts, offers, transfers, nodes, the breaker."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from kitestring.base.approvals import MAX_BLOCKED
from kitestring.base.errors import Reason
from kitestring.base.events import EventKind
from kitestring.base.grants import OFFER_STEPS, OfferState
from kitestring.base.records import StopCause
from kitestring.base.transactions.answers import Claimed, Denied, Done, Finished, Running, Stale
from kitestring.base.transactions.owner import (
    CheckOffer,
    CloseAccount,
    EndOffers,
    Execute,
    SaveAccount,
    SaveBlock,
    SaveGrant,
    SaveOffer,
    SaveQuestion,
    SaveSession,
    SendAgain,
    Transfer,
    Write,
)
from kitestring.base.transactions.service import NoteUses, SaveNode, SetSpending
from kitestring.ledger.apply import accounts, offers, questions, tokens, webhooks
from kitestring.ledger.apply.batch import USERS, Batch
from kitestring.ledger.apply.together import together
from kitestring.ledger.rows import GRANT, NODE, OFFER, marks, write_grant, write_offer, write_webhook

_VERSION: Final = "SELECT version FROM grants WHERE service = ? AND grant_id = ?"
#: One key has one grant at a pointer. Without the name of the index SQLite walks through all grants.
_SAME_PLACE: Final = (
    "SELECT 1 FROM grants INDEXED BY grants_by_caller"
    " WHERE service = ? AND wire = ? AND caller = ? AND pointer_id = ? AND grant_id <> ? AND revoked_at IS NULL"
)
_DEAD_POINTER: Final = "SELECT 1 FROM grants WHERE service = ? AND grant_id = ? AND revoked_at IS NOT NULL"
_SAVE_GRANT: Final = f"INSERT OR REPLACE INTO grants (service, {GRANT}) VALUES ({marks(GRANT)})"
_BLOCKS: Final = "SELECT count(*) FROM blocks WHERE service = ? AND caller <> ?"
_BLOCK: Final = "INSERT INTO blocks VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_UNBLOCK: Final = "DELETE FROM blocks WHERE service = ? AND caller = ?"
_OFFER_STATE: Final = "SELECT state, webhook, webhook_since FROM offers WHERE service = ? AND offer_id = ?"
_SAVE_OFFER: Final = f"INSERT OR REPLACE INTO offers (service, webhook_since, {OFFER}) VALUES (?, {marks(OFFER)})"
_NOTE_USE: Final = """
INSERT INTO uses (service, grant_id, used_at) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET used_at = excluded.used_at"""
_SAVE_NODE: Final = f"""
INSERT INTO nodes (service, {NODE}) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET epoch = excluded.epoch, backend = excluded.backend, network = excluded.network,
  cursor = iif(excluded.cursor = x'', cursor, excluded.cursor)"""
_EPOCH: Final = "SELECT epoch FROM nodes WHERE service = ? AND node_id = ?"

_STOP: Final = "SELECT why FROM stops WHERE service = ? AND cause = ?"
_SET_STOP: Final = "INSERT INTO stops VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET why = excluded.why"
_NO_STOP: Final = "DELETE FROM stops WHERE service = ? AND cause = ?"
_FIRST_STOP: Final = "SELECT why FROM stops WHERE service = ? ORDER BY at, cause LIMIT 1"
_NEW_LEDGER: Final = "UPDATE services SET ledger_id = lower(hex(randomblob(16))), since = ? WHERE service = ?"

Refusal = Denied | Stale


def execute(batch: Batch, tx: Execute) -> Claimed | Finished | Running | Denied | Stale:
    """All writes or none: a refusal in the middle takes back what came before it."""
    known = batch.known(tx.request.request_id)
    if known is not None:
        return known
    if tx.request.sent_at < batch.sums.pruned_before:
        return Denied(Reason.STALE_REQUEST)
    at = tx.request.received_at
    refusal = together(batch, steps(batch, tx.writes, at))
    if refusal is not None:
        return refusal
    batch.insert_answered(tx.request, (tx.message,), at)
    return Claimed()


def steps(batch: Batch, writes: tuple[Write, ...], at: int) -> Iterator[Callable[[], Refusal | None]]:
    """Each write as a step of :func:`together`."""
    for write in writes:
        yield partial(WRITES[type(write)], batch, write, at)


def _save_grant(batch: Batch, write: SaveGrant, now: int) -> Refusal | None:
    grant = write.grant
    row = batch.execute(_VERSION, (batch.service, grant.grant_id)).fetchone()
    if row is not None and grant.version != row[0] + 1:
        return Stale()
    account = batch.balance(grant.account_id)
    if account is None or account.kind not in USERS or (account.is_closed and grant.revoked_at is None):
        return Denied(Reason.UNKNOWN_TARGET)
    if len({budget.budget_id for budget in grant.budgets}) != len(grant.budgets):
        return Denied(Reason.CONFLICT)
    place = (batch.service, grant.wire, grant.caller, grant.pointer_id, grant.grant_id)
    if grant.pointer_id and grant.revoked_at is None:
        pointer = (batch.service, grant.pointer_id)
        if batch.execute(_SAME_PLACE, place).fetchone() or batch.execute(_DEAD_POINTER, pointer).fetchone():
            return Stale()
    batch.execute(_SAVE_GRANT, (batch.service, *write_grant(grant)))
    kind = EventKind.GRANTED if row is None else EventKind.CHANGED
    if grant.revoked_at is not None:
        kind = EventKind.REVOKED
    batch.tell(kind, grant.grant_id, now, grant_id=grant.grant_id, account_id=grant.account_id)
    return None


def _save_offer(batch: Batch, write: SaveOffer, _now: int) -> Refusal | None:
    """Write an offer. One that was deleted is not changed any more, and no other step leaves the table."""
    offer, since = write.offer, 0
    row = batch.execute(_OFFER_STATE, (batch.service, offer.offer_id)).fetchone()
    if row is not None:
        before, after = OfferState(row[0]), offer.state
        if before is OfferState.DELETED or after not in {before, *OFFER_STEPS[before]}:
            return Denied(Reason.UNKNOWN_TARGET)
    account = batch.balance(offer.account_id)
    if account is not None and account.is_closed and offer.is_standing:
        return Denied(Reason.UNKNOWN_TARGET)
    if offer.webhook is not None:
        since = row[2] if row is not None and row[1] else batch.sums.last_event
    batch.execute(_SAVE_OFFER, (batch.service, since, *write_offer(offer)))
    if row is not None and row[1] != write_webhook(offer.webhook):
        webhooks.set_due(batch, offer.offer_id)
    return None


def _save_block(batch: Batch, write: SaveBlock, _now: int) -> Refusal | None:
    """Block a key, or let it ask again."""
    if write.block is None:
        batch.execute(_UNBLOCK, (batch.service, write.caller))
    elif batch.execute(_BLOCKS, (batch.service, write.caller)).fetchone()[0] >= MAX_BLOCKED:
        return Denied(Reason.RATE_LIMITED)
    else:
        batch.execute(_BLOCK, (batch.service, write.caller, write.block.at, write.block.note))
    return None


WRITES: Final[dict[type[Write], Callable[[Batch, Any, int], Refusal | None]]] = {
    SaveGrant: _save_grant,
    SaveAccount: accounts.save_account,
    CloseAccount: accounts.close_account,
    SaveOffer: _save_offer,
    SendAgain: webhooks.send_again,
    CheckOffer: offers.check_offer,
    EndOffers: offers.end_offers,
    SaveBlock: _save_block,
    SaveSession: tokens.save_session,
    SaveQuestion: questions.save_question,
    Transfer: accounts.transfer,
}


# ---------------------------------------------------------------- the service itself


def note_uses(batch: Batch, tx: NoteUses) -> Done:
    batch.connection.executemany(_NOTE_USE, [(batch.service, grant_id, at) for grant_id, at in tx.uses])
    return Done()


def save_node(batch: Batch, tx: SaveNode) -> Done:
    """An empty cursor keeps the stored one. What was known of another node's balance, or epoch's, is forgotten."""
    node, service = tx.node, batch.service
    row = batch.execute(_EPOCH, (service, node.node_id)).fetchone()
    if row is None or row[0] != node.epoch:
        batch.sums.node_balance = None
    batch.execute(_SAVE_NODE, (service, node.node_id, node.epoch, node.backend, node.network, node.cursor))
    return Done()


def set_spending(batch: Batch, tx: SetSpending) -> Done:
    """Stop or allow for one cause; what another has stopped stays so."""
    key = (batch.service, tx.cause.value)
    was_stopped = batch.execute(_STOP, key).fetchone() is not None
    if tx.stopped:
        batch.execute(_SET_STOP, (*key, tx.why or "stopped", tx.now))
        if not was_stopped:
            batch.tell(EventKind.ALARM, "spending", tx.now, detail=f"spending stops: {tx.why}")
    elif was_stopped:
        batch.execute(_NO_STOP, key)
        if tx.cause is StopCause.LEDGER:
            batch.execute(_NEW_LEDGER, (tx.now, batch.service))
        if tx.why:
            batch.tell(EventKind.ALLOWED, "spending", tx.now, detail=f"spending is allowed again: {tx.why}")
    first = batch.execute(_FIRST_STOP, (batch.service,)).fetchone()
    batch.sums.stopped = first[0] if first is not None else ""
    return Done()
