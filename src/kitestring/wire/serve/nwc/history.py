"""``list_transactions`` of Nostr Wallet Connect (extension 05)."""

from __future__ import annotations

from typing import Final

import msgspec

from kitestring.base.commands import ListTransactions
from kitestring.base.errors import CodecError
from kitestring.base.outcomes import Listed
from kitestring.codec.json import text_member
from kitestring.codec.members import count_member, flag_member
from kitestring.wire.serve.nwc.members import Params
from kitestring.wire.serve.nwc.transactions import entry_of
from kitestring.wire.text import MAX_PLAINTEXT_BYTES

DEFAULT_LIMIT: Final = 20
#: Fifty transactions with ordinary invoices fill about half of the largest reply.
MAX_LIMIT: Final = 50
#: The frame around the list has less than 100 bytes.
MAX_FRAME_BYTES: Final = 200

_write: Final = msgspec.json.Encoder().encode


def read_list(params: Params, _: str) -> ListTransactions:
    """Raises CodecError."""
    direction = (text_member(params, "type") or "").lower()
    if direction not in {"", "incoming", "outgoing"}:
        raise CodecError("type must be incoming or outgoing")
    unpaid = flag_member(params, "unpaid")
    return ListTransactions(
        from_=count_member(params, "from") or 0,
        until=count_member(params, "until") or 0,
        limit=min(count_member(params, "limit") or DEFAULT_LIMIT, MAX_LIMIT),
        offset=count_member(params, "offset") or 0,
        unpaid_incoming=unpaid or flag_member(params, "unpaid_incoming"),
        unpaid_outgoing=unpaid or flag_member(params, "unpaid_outgoing"),
        direction=direction,
    )


def write_list(listed: Listed) -> object:
    """As many of the newest as fit into one reply. Where nobody has counted them all, no number is told."""
    fitting: list[msgspec.Raw] = []
    left = MAX_PLAINTEXT_BYTES - MAX_FRAME_BYTES
    for record in listed.transactions:
        entry = _write(entry_of(record))
        left -= len(entry) + 1
        if left < 0:
            break
        fitting.append(msgspec.Raw(entry))
    return {"transactions": fitting} | ({} if listed.total is None else {"total_count": listed.total})
