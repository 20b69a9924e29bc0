"""The types that each command answers with ``--json``: those of the owner's command, or of the command line itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from kitestring.app.cli.results.beacons import BeaconJson, OperatorJson
from kitestring.app.cli.results.debits import (
    ChargeJson,
    DebitBudgetJson,
    DebitPaidJson,
    SubscriptionJson,
    SubscriptionListJson,
)
from kitestring.app.cli.results.decoded import DECODED
from kitestring.app.cli.results.demo import DemoEndJson, DemoSceneJson, DemoTextJson, DemoWireJson
from kitestring.app.cli.results.enrolled import (
    EnrolledJson,
    ManagedOfferDeletedJson,
    ManagedOfferJson,
    ManagedOfferListJson,
)
from kitestring.app.cli.results.more import InvoiceEndJson, QuestionNewsJson, WebhookJson
from kitestring.app.cli.results.rates import CurrencyRateJson
from kitestring.app.cli.results.sandbox import NodeKeyJson, SandboxInvoiceJson, SandboxInvoiceListJson, SandboxPaidJson
from kitestring.app.cli.results.service import (
    AuditJson,
    CompletionJson,
    DirectoryJson,
    DoctorJson,
    FileJson,
    RelayJson,
    RestoredJson,
    ServiceFileJson,
    UpJson,
)
from kitestring.app.cli.results.wallets import (
    WalletBalanceJson,
    WalletHoldJson,
    WalletInfoJson,
    WalletInvoiceEndJson,
    WalletInvoiceJson,
    WalletLinkJson,
    WalletNewsJson,
    WalletPaidJson,
    WalletTransactionJson,
    WalletTransactionListJson,
)
from kitestring.app.owner.commands import command
from kitestring.app.owner.results.activity import ActivityJson
from kitestring.app.owner.results.connections import ConnectionEditedJson
from kitestring.app.owner.results.money import PreviewJson, ResolvedJson
from kitestring.app.owner.results.words import AnswerJson, says
from kitestring.app.owner.table import TABLE


class ErrorJson(AnswerJson):
    """The reason and the words of a failure."""

    reason: Annotated[str, says("One of the [reasons](errors.md), or `interrupted`.")]
    message: Annotated[str, says("The sentence for people.")]
    details: Annotated[dict[str, Any], says("More for programs; which members there are depends on the failure.")]


class FailureJson(AnswerJson):
    """The answer of every command that fails; its exit code is not 0."""

    error: Annotated[ErrorJson, says("The failure.")]


class VersionJson(AnswerJson):
    """The version of the program."""

    version: Annotated[str, says("The version.")]


#: The answers of commands that are not those of the owner's command of the same words; several, where options decide.
ANSWERS: Final[Mapping[str, tuple[Any, ...]]] = {
    "": (VersionJson,),  # the program itself, with --version
    "up": (UpJson,),
    "demo": (DemoSceneJson, DemoTextJson, DemoWireJson, DemoEndJson),
    "init": (FileJson,),
    "receive": (WalletLinkJson,),
    "enroll": (EnrolledJson,),
    "watch": (ActivityJson, WalletNewsJson),
    "call": (dict[str, Any],),
    "rate": (CurrencyRateJson,),
    "decode": DECODED,
    "relay": (RelayJson,),
    "audit": (AuditJson,),
    "backup": (DirectoryJson,),
    "restore": (RestoredJson,),
    "doctor": (DoctorJson,),
    "service-file": (ServiceFileJson,),
    "completion": (CompletionJson,),
    "transaction resolve": (ResolvedJson,),
    "sandbox pay": (SandboxPaidJson,),
    "sandbox invoice": (SandboxInvoiceJson,),
    "sandbox settle": (SandboxInvoiceJson,),
    "sandbox cancel": (SandboxInvoiceJson,),
    "sandbox list": (SandboxInvoiceListJson,),
    "sandbox node": (NodeKeyJson,),
    "beacon show": (BeaconJson,),
    "beacon attest": (OperatorJson,),
    "beacon revoke": (OperatorJson,),
    "connection rename": (ConnectionEditedJson,),
    "debit request": (DebitPaidJson,),
    "debit budget": (DebitBudgetJson,),
    "debit subscribe": (ChargeJson,),
    "debit subscriptions": (SubscriptionListJson, SubscriptionJson),
    "manage create": (ManagedOfferJson,),
    "manage update": (ManagedOfferJson,),
    "manage get": (ManagedOfferJson,),
    "manage list": (ManagedOfferListJson,),
    "manage delete": (ManagedOfferDeletedJson,),
    "offer webhook": (WebhookJson,),
}
#: What some of the owner's commands answer beside their own: with ``--wallet``, ``--dry-run``, or as it happens.
BESIDE: Final[Mapping[str, tuple[Any, ...]]] = {
    "approvals": (QuestionNewsJson,),
    "pay": (WalletPaidJson, PreviewJson),
    "keysend": (WalletPaidJson, PreviewJson),
    "invoice": (InvoiceEndJson, WalletInvoiceJson, WalletInvoiceEndJson),
    "hold create": (WalletHoldJson,),
    "balance": (WalletBalanceJson,),
    "transactions": (WalletTransactionListJson,),
    "lookup": (WalletTransactionJson,),
    "info": (WalletInfoJson,),
}
#: The name of the owner's command behind each of these words.
_NAMES: Final = {row.words: row.name for row in TABLE if row.words}


def answers(words: str) -> tuple[Any, ...]:
    """The types of what the command of these words answers with ``--json``, the usual one first. Raises KeyError for a
    command that names none."""
    if words in ANSWERS:
        return ANSWERS[words]
    own = command(_NAMES[words]).result
    return (own, *BESIDE.get(words, ()))
