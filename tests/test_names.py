"""One name for one thing: fields of the SDK are called as in the answers of ``--json``."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import msgspec
import pytest

import kitestring as sdk
from kitestring.app.cli.results import beacons, sandbox
from kitestring.app.cli.results import debits as taken
from kitestring.app.cli.results import wallets as wallet
from kitestring.app.owner.results import accounts, budgets, connections, debits, money, node, offers

#: The types that mean the same, and the fields that ``--json`` has not: values beside the others, or around them.
SAME: list[tuple[Any, Any, set[str]]] = [
    (sdk.Transaction, money.TransactionJson, set()),
    (sdk.Receipt, money.PaidJson, {"bolt11", "description", "target"}),
    (sdk.Preview, money.PreviewJson, set()),
    (sdk.Info, wallet.WalletInfoJson, {"color", "without", "foreign"}),
    (sdk.Invoice, wallet.WalletInvoiceJson, set()),
    (sdk.PaymentLink, wallet.WalletLinkJson, {"invoice"}),
    (sdk.WalletBudget, wallet.WalletBudgetJson, set()),
    (sdk.Budget, budgets.BudgetJson, {"budget_id"}),
    (sdk.BudgetUse, budgets.BudgetNowJson, {"budget"}),
    (sdk.Connection, connections.ConnectionMadeJson, {"missing_on"}),
    (sdk.ConnectionInfo, connections.ConnectionListedJson, set()),
    (sdk.AccountInfo, accounts.AccountJson, set()),
    (sdk.OfferCode, offers.OfferJson, set()),
    (sdk.OfferInfo, offers.OfferJson, set()),
    (sdk.DebitCode, debits.PointerJson, set()),
    (sdk.SessionCode, debits.SessionMadeJson, set()),
    (sdk.SessionEnd, debits.SessionJson, set()),
    (sdk.ServiceEvent, node.EventJson, {"position", "transaction"}),
    (sdk.Notification, wallet.WalletNewsJson, {"transaction"}),
    (sdk.SandboxInvoice, sandbox.SandboxInvoiceJson, set()),
    (sdk.SandboxReceipt, sandbox.SandboxPaidJson, set()),
    (sdk.DebitPaid, taken.DebitPaidJson, set()),
    (sdk.DebitBudget, taken.DebitBudgetJson, set()),
    (sdk.DebitCharge, taken.ChargeJson, set()),
    (sdk.BeaconFees, beacons.BeaconFeesJson, {"floor_sats"}),
]
#: ``min_msat`` and ``max_msat`` are Python's words without the unit.
AMOUNTS = {"min_amount": "min_msat", "max_amount": "max_msat"}


@pytest.mark.parametrize(("ours", "answer", "beside"), SAME, ids=lambda one: getattr(one, "__name__", ""))
def test_a_field_is_called_as_in_the_answers_of_json(ours: Any, answer: Any, beside: set[str]) -> None:
    there = {field.name for field in msgspec.structs.fields(answer)}
    here = typed(ours)
    others = {name for name, kind in here.items() if name not in there and in_json(name, kind) not in there}
    assert others == beside


def test_a_transaction_has_the_very_names() -> None:
    there = {field.name for field in msgspec.structs.fields(money.TransactionJson)}
    assert set(typed(sdk.Transaction)) <= there


def typed(kind: Any) -> dict[str, str]:
    """The fields of a type, each with its type as a text."""
    found = fields(kind) if is_dataclass(kind) else msgspec.structs.fields(kind)
    hints = {
        name: str(hint) for one in reversed(kind.__mro__) for name, hint in vars(one).get("__annotations__", {}).items()
    }
    return {field.name: hints[field.name] for field in found}


def in_json(name: str, kind: str) -> str:
    """The name in the answers: an amount has its unit there."""
    return AMOUNTS.get(name, f"{name}_msat") if "Msat" in kind else name
