"""Methods of a wallet that NIP-47 does not know: the client's side of what a plugin of the service adds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.outcomes import Refused
from kitestring.codec.json import dumps, loads_reply
from kitestring.wire.ask.nwc.announcement import ServiceInfo
from kitestring.wire.ask.nwc.codes import read_error
from kitestring.wire.envelope import MAX_REPLY_BYTES

_METHOD: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
#: Payments are asked for by methods that find out what became of one whose answer is lost.
PAYING: Final = frozenset({"pay_invoice", "pay", "pay_keysend", "multi_pay_invoice", "multi_pay_keysend"})


@dataclass(frozen=True, slots=True)
class Called:
    """The result of a method: a JSON object, as the wallet has sent it."""

    result: dict[str, object]


def encode_call(method: str, params: Mapping[str, object]) -> str:
    """The plaintext that asks for ``method``. Raises KitestringError(MALFORMED) for a name that no method has, for one
    that pays, and for params that are no JSON."""
    if not _METHOD.fullmatch(method):
        raise KitestringError(Reason.MALFORMED, "a method has small letters, digits and underscores, at most 64")
    if method in PAYING:
        raise KitestringError(Reason.MALFORMED, f"{method} pays: use the methods for payments, which lose none")
    try:
        return dumps({"method": method, "params": dict(params)})
    except (TypeError, ValueError) as error:
        raise KitestringError(Reason.MALFORMED, f"the params of {method} are no JSON: {error}") from error


def decode_call(plaintext: str) -> Called | Refused:
    """Read the answer. Raises CodecError where it has neither a result nor an error."""
    members = loads_reply(plaintext, MAX_REPLY_BYTES)
    result, error = members.get("result"), members.get("error")
    if error:
        return read_error(error)
    if not isinstance(result, dict):
        raise CodecError("the wallet's response has neither a result nor an error")
    return Called(result)


def refuse_uncalled(method: str, info: ServiceInfo | None) -> Refused | None:
    """The refusal of a method that the wallet does not list, though it lists some; None where it does."""
    if info is None or not info.methods or method in info.methods:
        return None
    return Refused(Reason.UNSUPPORTED, f"this wallet does not announce {method}, and was not asked")
