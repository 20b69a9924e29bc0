"""Presets: what people call the usual rights of a wallet connection, as the commands that each has.

They are rules about commands and no lists of methods: a method that is added later is in the right ones by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from kitestring.base.commands import (
    OWNER_ACCOUNT,
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
from kitestring.base.grants import ShownHistory
from kitestring.base.rights import Right


@dataclass(frozen=True, slots=True)
class Preset:
    """A connection may do whatever needs one of ``rights``, and the commands ``also``, but never what the permissions
    ``without`` stand for. One that ``needs_budget`` is not made without a limit; ``words`` say for whom it is. One that
    is made on the owner's account is shown the ``history``."""

    rights: frozenset[Right]
    words: str
    also: frozenset[type[AnyCommand]] = frozenset()
    without: frozenset[str] = frozenset()
    needs_budget: bool = False
    history: ShownHistory = "own"

    def has(self, command: type[AnyCommand]) -> bool:
        """Whether a connection of this preset may give the command."""
        return command.right in self.rights or command in self.also


#: The names of ``PRESETS``.
PresetName = Literal["read-only", "receive-only", "app", "pay", "full"]
#: That of a connection of which nothing else is said.
DEFAULT_PRESET: Final[PresetName] = "app"
#: By the name that is typed. A till must see whether its own invoices were paid, and needs no balance for that.
PRESETS: Final[Mapping[PresetName, Preset]] = {
    "read-only": Preset(frozenset({Right.READ}), "looks at balance and history, and moves nothing", history="account"),
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
        history="account",
    ),
}


def first_history(account_id: str, methods: Collection[str], preset: PresetName | None) -> ShownHistory:
    """The history that a new connection is shown where its owner says nothing of it.

    A sub-account is one person's, and so is its history: who is told the balance is told where it comes from. The
    owner's account is shared by all his apps: there the ``preset`` says it, and a list of methods of his own (None)
    sees its own payments.
    """
    if account_id != OWNER_ACCOUNT:
        return "account" if set(GetBalance.allowed_by) & set(methods) else "own"
    return "own" if preset is None else PRESETS[preset].history
