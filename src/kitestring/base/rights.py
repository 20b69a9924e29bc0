"""Rights to the owner's commands: what they are called. Who has them is decided in :mod:`kitestring.policy.access`."""

from __future__ import annotations

from enum import Enum


class Right(Enum):
    """One right to the owner's commands. The value is what a grant names in its ``methods``; no right implies another.

    ``read`` looks, ``receive`` makes invoices, ``spend`` pays, ``manage`` changes who may do what, but lets nobody do
    more than its holder may.
    """

    READ = "read"
    RECEIVE = "receive"
    SPEND = "spend"
    MANAGE = "manage"
