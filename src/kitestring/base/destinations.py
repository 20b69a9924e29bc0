"""Destinations of a payment: an invoice, or the key of a node. Closed, so that whoever pays must know each of them."""

from __future__ import annotations

from typing import Final

import msgspec

#: TLV types below are Lightning's own.
MIN_RECORD_TYPE: Final = 65_536
#: The record in which the preimage of a keysend travels: nobody else may write it.
PREIMAGE_RECORD: Final = 5_482_373_484
#: The record in which senders put words to the payee, as UTF-8.
MESSAGE_RECORD: Final = 34_349_334
#: Records of one keysend and the bytes of their values together: an onion has 1,300 bytes for all hops.
MAX_RECORDS: Final = 20
MAX_RECORD_BYTES: Final = 1_000


class Bolt11(msgspec.Struct, frozen=True, tag="bolt11", gc=False):
    """An invoice as its payee wrote it. ``amountless``: it names no amount, so the node is told the one to pay."""

    text: str
    amountless: bool = False


class Keysend(msgspec.Struct, frozen=True, tag="keysend", gc=False):
    """A node that has asked for nothing, by its key (66 hex digits).

    The payer draws the ``preimage`` (64 hex digits, the payment hash is its SHA-256) and stores it before the node is
    asked: nobody else can tell it again. "" = not drawn yet, which the engine does. ``records`` are TLV types from
    65,536 on with their values in hex, in the order of the types.
    """

    node_key: str
    preimage: str = ""
    records: tuple[tuple[int, str], ...] = ()


Destination = Bolt11 | Keysend


def invoice_text(destination: Destination) -> str:
    """The invoice that is paid; "" where there is none."""
    return destination.text if isinstance(destination, Bolt11) else ""
