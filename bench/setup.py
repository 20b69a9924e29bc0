"""How a service of the bench is set up: what the process that runs it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

INVOICES: Final = "invoices"


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """``directory`` holds the ledger (:mod:`bench.fill`) and the file of invoices that the node gives out.

    The node pays ``payable`` invoices from the number ``first_payable`` on, and takes ``lookup_s`` to look one of ours
    up. ``cache_mib`` 0 is the default of the settings. So many ``requestors`` have a grant of debits.
    """

    directory: str
    payable: int
    first_payable: int = 0
    requestors: int = 0
    cache_mib: int = 0
    lookup_s: float = 0

    @property
    def payable_numbers(self) -> range:
        return range(self.first_payable, self.first_payable + self.payable)

    @property
    def invoices(self) -> Path:
        return Path(self.directory) / INVOICES

    def encode(self) -> str:
        return msgspec.json.encode(self).decode()


decode: Final = msgspec.json.Decoder(Setup).decode
