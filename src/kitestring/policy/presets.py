"""Presets: what people call the usual rights of a wallet connection, as the commands that each has.

They are rules about commands and no lists of methods: a method that is added later is in the right ones by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from kitestring.base.commands import (
    AnyCommand,
    GetBalance,
    GetBudget,
    GetInfo,
    ListTransactions,
    LookupInvoice,
    MakeInvoice,
    PayInvoice,
    SignMessage,
)
from kitestring.base.rights import Right


@dataclass(frozen=True, slots=True)
class Preset:
    """A connection may do whatever needs one of ``rights``, and the commands ``also``, but never what the permissions
    ``without`` stand for. One that ``needs_budget`` is not made without a limit; ``words`` say for whom it is."""

    rights: frozenset[Right]
    words: str
    also: frozenset[type[AnyCommand]] = frozenset()
    without: frozenset[str] = frozenset()
    needs_budget: bool = False

    def has(self, command: type[AnyCommand]) -> bool:
        """Whether a connection of this preset may give the command."""
        return command.right in self.rights or command in self.also


#: The names of ``PRESETS``.
PresetName = Literal["read-only", "receive-only", "app", "pay", "full"]
#: That of a connection of which nothing else is said.
DEFAULT_PRESET: Final[PresetName] = "app"
#: By the name that is typed. A till must see whether its own invoices were paid, and needs no balance for that.
PRESETS: Final[Mapping[PresetName, Preset]] = {
    "read-only": Preset(frozenset({Right.READ}), "looks at balance and history, and moves nothing"),
    "receive-only": Preset(
        frozenset({Right.RECEIVE}),
        "makes invoices and sees what became of its own, not the balance",
        also=frozenset({GetInfo, LookupInvoice, ListTransactions}),
    ),
    "app": Preset(
        frozenset(),
        "pays invoices, makes them and looks: what most apps need",
        also=frozenset({PayInvoice, MakeInvoice, LookupInvoice, ListTransactions, GetBalance, GetBudget, GetInfo}),
        without=frozenset({"pay_keysend", "hold_invoice_accepted"}),
    ),
    "pay": Preset(frozenset({Right.READ, Right.SPEND}), "pays within a budget, and looks", needs_budget=True),
    "full": Preset(
        frozenset({Right.READ, Right.RECEIVE, Right.SPEND}),
        "everything about money, and signs in the name of the node",
        also=frozenset({SignMessage}),
    ),
}
