"""``kitestring transaction resolve``: another name of ``kitestring resolve``."""

from __future__ import annotations

from kitestring.app.cli.resolve import command

__all__ = ["command"]
