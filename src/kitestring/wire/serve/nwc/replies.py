"""Answers and refusals of Nostr Wallet Connect, written as responses under the method that was asked."""

from __future__ import annotations

from typing import Final

import msgspec

from kitestring.base.errors import TABLE, Reason
from kitestring.base.outcomes import MethodCalled, Outcome, Refused
from kitestring.base.text import clean
from kitestring.wire.reply_to import ReplyTo
from kitestring.wire.serve.nwc.codes import code_of
from kitestring.wire.serve.nwc.foreign import called
from kitestring.wire.serve.nwc.table import METHODS

MAX_MESSAGE_CHARS: Final = 400

_write: Final = msgspec.json.Encoder().encode


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
    if isinstance(outcome, MethodCalled):
        return _write(_Answer(to.method, called(outcome)))
    row = METHODS.get(to.method)
    if row is None or not isinstance(outcome, row.outcome):
        return None
    return _write(_Answer(to.method, row.encode(outcome)))
