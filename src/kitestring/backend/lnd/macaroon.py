"""The macaroon of an lnd: where it is kept, and whether it allows what kitestring needs and no more."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kitestring.backend.http import read_file
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.node import Finding, FindingState
from kitestring.crypto.macaroon import VERSION, rights

#: The rights that kitestring needs of lnd: ``lncli bakemacaroon`` takes these words.
NEEDED: Final = frozenset({"info:read", "invoices:read", "invoices:write", "offchain:read", "offchain:write"})
#: What signing texts needs: a macaroon without it works all the same, and then no text is signed.
SIGNING: Final = "message:write"
SIGNING_CALL: Final = "uri:/lnrpc.Lightning/SignMessage"
#: All that a macaroon may allow without a warning: what is baked.
USED: Final = NEEDED | {SIGNING}
#: What hold invoices need; a macaroon may instead name the calls themselves.
HOLDING: Final = frozenset({"invoices:read", "invoices:write"})
HOLDING_CALLS: Final = frozenset(
    f"uri:/invoicesrpc.Invoices/{name}"
    for name in ("AddHoldInvoice", "CancelInvoice", "SettleInvoice", "SubscribeSingleInvoice")
)
#: A macaroon that is in the service's environment and not in a file.
ENVIRONMENT: Final = "env:"
#: The macaroon itself where its place is asked for: an error that named the file would show it.
_HEX: Final = re.compile("[0-9A-Fa-f]{64,}")
#: Rights beyond the needed ones that a finding names.
MAX_NAMED: Final = 4


@dataclass(frozen=True, slots=True)
class Macaroon:
    """``where`` is the path or ``env:NAME`` that it was read from."""

    where: str
    data: bytes = field(repr=False)


def read_macaroon(where: str, environment: Mapping[str, str]) -> Macaroon:
    """The macaroon in a file, as lnd writes it or in hex, or in a variable in hex. Raises KitestringError."""
    if not where:
        raise KitestringError(Reason.MALFORMED, "the backend URL lacks macaroon=PATH or macaroon=env:NAME")
    if where.startswith(ENVIRONMENT):
        name = where.removeprefix(ENVIRONMENT)
        if name not in environment:
            raise KitestringError(Reason.MALFORMED, f"macaroon={where} leads to no macaroon: {name} is not set here")
        return Macaroon(where, _from_hex(environment[name]))
    if _HEX.fullmatch(where):
        raise KitestringError(
            Reason.MALFORMED,
            "macaroon= takes a path or env:NAME; the macaroon itself does not belong into a URL: use a variable",
        )
    raw = read_file(Path(where), "the macaroon")
    return Macaroon(where, raw if raw[:1] == bytes([VERSION]) else _from_hex(raw.decode("latin-1")))


def _from_hex(text: str) -> bytes:
    try:
        data = bytes.fromhex(text.strip())
    except ValueError:
        data = b""
    if not data:
        raise KitestringError(Reason.MALFORMED, "macaroon= leads to no macaroon; give lnd's file, or its bytes in hex")
    return data


def judge(macaroon: Macaroon) -> Finding:
    """Whether it allows what is needed, and what else."""
    try:
        allowed = rights(macaroon.data)
    except CodecError as error:
        return _found(FindingState.WARN, f"{macaroon.where} cannot be looked at: {error}")
    if missing := sorted(NEEDED - allowed):
        return _found(FindingState.FAIL, f"lacks {', '.join(missing)}: bake one with {_bake()}")
    if wider := sorted(allowed - USED):
        named = ", ".join(wider[:MAX_NAMED]) + (", …" if len(wider) > MAX_NAMED else "")
        return _found(FindingState.WARN, f"allows more than is needed ({named}): bake one with {_bake()}")
    without = "" if SIGNING in allowed else f"; without {SIGNING} the node signs no texts (sign_message)"
    return _found(FindingState.OK, f"allows what is needed, and nothing else{without}")


def may_hold(macaroon: Macaroon) -> bool:
    """Whether it allows hold invoices. One that cannot be looked at is believed: lnd refuses what it does not allow."""
    try:
        allowed = rights(macaroon.data)
    except CodecError:
        return True
    return allowed >= HOLDING or allowed >= HOLDING_CALLS


def may_sign(macaroon: Macaroon) -> bool:
    """Whether it allows to sign texts, as :func:`may_hold`."""
    try:
        allowed = rights(macaroon.data)
    except CodecError:
        return True
    return bool(allowed & {SIGNING, SIGNING_CALL})


def _found(state: FindingState, sentence: str) -> Finding:
    return Finding("macaroon", state, sentence)


def _bake() -> str:
    return f"`lncli bakemacaroon {' '.join(sorted(USED))}`"
