"""Words that are good once: taken with what they pay for, free again in the commit in which that fails."""

from __future__ import annotations

from typing import Final

from kitestring.base.approvals import Token
from kitestring.base.clocks import AHEAD_S
from kitestring.base.errors import Reason
from kitestring.base.transactions.answers import Denied
from kitestring.base.transactions.owner import SaveSession
from kitestring.ledger.apply.batch import Batch
from kitestring.ledger.rows import SESSION, marks, write_session

_FIND: Final = (
    "SELECT holder, min_msat, max_msat, expires_at, minted_at FROM tokens WHERE service = ? AND scope = ? AND value = ?"
)
_TAKE: Final = """
INSERT INTO tokens (service, scope, value, holder) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET holder = excluded.holder"""
#: Without the name of the index SQLite walks through all tokens.
_FORGET: Final = (
    "DELETE FROM tokens INDEXED BY tokens_by_holder"
    " WHERE service = ? AND holder = ? AND holder <> '' AND minted_at IS NULL"
)
_FREE: Final = "UPDATE tokens SET holder = '' WHERE service = ? AND holder = ? AND holder <> ''"
_MINT: Final = f"INSERT INTO tokens (service, {SESSION}) VALUES ({marks(SESSION)}) ON CONFLICT DO NOTHING"  # noqa: S608 - the column list of rows.py
_OVER: Final = (
    "SELECT service, scope, value FROM tokens INDEXED BY tokens_free"
    " WHERE service = ? AND holder = '' AND expires_at IS NOT NULL AND expires_at < ? LIMIT ?"
)
_DELETE: Final = "DELETE FROM tokens WHERE service = ? AND scope = ? AND value = ?"


def refuse(batch: Batch, token: Token, amount: int, now: int, holders: tuple[str, ...]) -> Denied | None:
    """The refusal of a token that is not free for one of ``holders``, or not good for ``amount`` msat at ``now``."""
    row = batch.execute(_FIND, (batch.service, token.scope, token.value)).fetchone()
    if row is None:
        return Denied(Reason.UNKNOWN_TARGET) if token.minted else None
    holder, least, most, expires_at, minted_at = row
    if holder and holder not in holders:
        return Denied(Reason.ALREADY_USED)
    if expires_at is None and token.minted:  # somebody has shown it while any word was good
        return Denied(Reason.UNKNOWN_TARGET)
    # One that is dated ahead of the clock was made nobody knows how long ago.
    if expires_at is not None and not minted_at - AHEAD_S <= now < expires_at:
        return Denied(Reason.UNKNOWN_TARGET)
    if most is not None and not least <= amount <= most:
        return Denied(Reason.AMOUNT_OUT_OF_RANGE)
    return None


def take(batch: Batch, token: Token, holder: str) -> None:
    """Give it to an approval or a payment."""
    batch.execute(_TAKE, (batch.service, token.scope, token.value, holder))


def release(batch: Batch, holder: str) -> None:
    """Make everything free that this approval or payment has held."""
    batch.execute(_FORGET, (batch.service, holder))
    batch.execute(_FREE, (batch.service, holder))


def save_session(batch: Batch, write: SaveSession, _now: int) -> Denied | None:
    """Write a session that is new."""
    made = batch.execute(_MINT, (batch.service, *write_session(write.session)))
    return None if made.rowcount else Denied(Reason.ALREADY_USED)


def prune(batch: Batch, before: int, limit: int) -> int:
    """Forget sessions that nobody used and that ended before ``before``; tells how many."""
    over = batch.execute(_OVER, (batch.service, before, limit)).fetchall()
    batch.connection.executemany(_DELETE, over)
    return len(over)
