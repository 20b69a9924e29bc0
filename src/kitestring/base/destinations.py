"""Destinations of a payment: an invoice, or the key of a node. Closed, so that whoever pays must know each of them."""

from __future__ import annotations

import msgspec


class Bolt11(msgspec.Struct, frozen=True, tag="bolt11", gc=False):
    """An invoice as its payee wrote it. ``amountless``: it names no amount, so the node is told the one to pay."""

    text: str
    amountless: bool = False


class Keysend(msgspec.Struct, frozen=True, tag="keysend", gc=False):
    """A node that has asked for nothing, by its key (66 hex digits).

    The payer draws the ``preimage`` (64 hex digits, the payment hash is its SHA-256) and stores it before the node is
    asked: nobody else can tell it again. ``records`` are TLV types from 65,536 on with their values in hex.
    """

    node_key: str
    preimage: str
    records: tuple[tuple[int, str], ...] = ()


Destination = Bolt11 | Keysend


def invoice_text(destination: Destination) -> str:
    """The invoice that is paid; "" where there is none."""
    return destination.text if isinstance(destination, Bolt11) else ""
