"""Requests of Nostr Wallet Connect: a decrypted text becomes a command."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from kitestring.base.commands import Bundle
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import MAX_WHOLE
from kitestring.base.text import clean
from kitestring.codec.json import loads_object, text_member
from kitestring.codec.members import object_member
from kitestring.nostr.event import Event
from kitestring.wire.grammar import Asked, Facts
from kitestring.wire.refusal import WireRefusalError, refusal
from kitestring.wire.reply_to import ReplyTo
from kitestring.wire.serve.nwc.bundles import addressed
from kitestring.wire.serve.nwc.foreign import read_call
from kitestring.wire.serve.nwc.members import Params
from kitestring.wire.serve.nwc.table import METHODS

#: Longest method name that is echoed.
MAX_METHOD_CHARS: Final = 64
#: Longer texts are rare, and the strict loader's to judge.
MAX_CANONICAL_CHARS: Final = 16_384

_SafeInteger = Annotated[int, msgspec.Meta(ge=-MAX_WHOLE, le=MAX_WHOLE)]
_Scalar = str | _SafeInteger | bool | None


def read(text: str, _: Event, to: ReplyTo, facts: Facts) -> Asked:
    """The ``read`` of this wire. Refused are MALFORMED texts, methods we have not (UNSUPPORTED), and WRONG_NETWORK.

    Whether an invoice has expired is not asked here: one that is already paid still gets its answer.
    """
    name = ""
    try:
        members = read_canonical(text) or loads_object(text)
        name = text_member(members, "method") or ""
        if name in facts.plugins:
            return Asked(read_call(facts.plugins[name], object_member(members, "params")), to.named(name))
        method = METHODS.get(name)
        if method is None or name in facts.without:
            raise _no_such_method(name)
        command, to_it = method.decode(object_member(members, "params"), facts.network), to.named(name)
        return Asked(addressed(command, to_it) if isinstance(command, Bundle) else command, to_it)
    except (CodecError, KitestringError) as failure:
        raise WireRefusalError(to.named(clean(name, MAX_METHOD_CHARS)), refusal(failure)) from None


def read_method(text: str) -> str:
    """The method that a text names; "" where that cannot be seen."""
    try:
        members = read_canonical(text) or loads_object(text)
        return clean(text_member(members, "method") or "", MAX_METHOD_CHARS)
    except CodecError:
        return ""


class _Flat(msgspec.Struct):
    method: str
    params: dict[str, _Scalar]


_read_flat: Final = msgspec.json.Decoder(_Flat).decode
_write: Final = msgspec.json.Encoder().encode


def read_canonical(plaintext: str) -> Params | None:
    """Read as the strict loader does, in a third of its time, the texts that most clients send; None for others.

    The proof that nothing was read differently is that writing it again gives the same bytes: no name twice, no float,
    no other spelling, nothing unknown. Numbers and lengths are bounded as the strict loader bounds them.
    """
    if len(plaintext) > MAX_CANONICAL_CHARS:
        return None
    try:
        text = plaintext.encode()
        flat = _read_flat(text)
        return {"method": flat.method, "params": flat.params} if _write(flat) == text else None
    except (msgspec.MsgspecError, UnicodeError):
        return None


def _no_such_method(name: str) -> KitestringError:
    if not name:
        return KitestringError(Reason.MALFORMED, "the request names no method")
    return KitestringError(Reason.UNSUPPORTED, "this method is not supported")
