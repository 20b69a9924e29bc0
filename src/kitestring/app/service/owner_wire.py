"""The owner's own wire: outcomes as JSON that never leaves the machine, stored like every other answer."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from kitestring.base.money import from_stored, to_stored
from kitestring.base.outcomes import Canceled, HoldEnded, Invoiced, Outcome, Paid, Refused
from kitestring.base.ports import Encoded
from kitestring.base.records import CONTROL_WIRE, REPLY

#: The ``reply_to`` of the owner's commands: there is no peer to publish to.
CONTROL: Final = CONTROL_WIRE.encode()

_KINDS: Final[dict[str, type]] = {
    "paid": Paid, "invoiced": Invoiced, "hold": HoldEnded, "canceled": Canceled, "refused": Refused
}  # fmt: skip
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}


def encode_control(kind: str, outcome: Outcome, now: int) -> Encoded | None:
    """The stored form; None for receipts, which the owner reads in the list of transactions."""
    if kind != REPLY or type(outcome) not in _NAMES:
        return None
    body = {"kind": _NAMES[type(outcome)], "outcome": msgspec.to_builtins(outcome, enc_hook=to_stored)}
    return Encoded(msgspec.json.encode(body), b"", now)


def decode_control(plaintext: bytes) -> Outcome:
    """The outcome that :func:`encode_control` stored."""
    body: dict[str, Any] = msgspec.json.decode(plaintext)
    outcome: Outcome = msgspec.convert(body["outcome"], _KINDS[body["kind"]], dec_hook=from_stored)
    return outcome
