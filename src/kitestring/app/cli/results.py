"""The answers of ``--json``: those of the owner's commands, and here those that are made by the command line itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from kitestring.app.cli.decoded import DECODED
from kitestring.app.cli.wallet_results import (
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
from kitestring.app.owner.results.money import PreviewJson, ResolvedJson, TransactionJson
from kitestring.app.owner.results.node import FindingJson, SpendingStopJson
from kitestring.app.owner.results.offers import WebhookShownJson
from kitestring.app.owner.results.questions import QuestionJson
from kitestring.app.owner.results.words import AnswerJson, Npub, ServicePubkey, says
from kitestring.app.owner.table import TABLE

# ------------------------------------------------------------ every command


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


# ------------------------------------------------------------ the service and its directory


class UpJson(AnswerJson):
    """The card of a service that is ready, once."""

    relay: Annotated[str | None, says("The first of its relays.")]
    relays: Annotated[list[str], says("Its relays.")]
    service_pubkey: ServicePubkey
    noffer: Annotated[str | None, says("The code of its first offer.")]
    ndebit: Annotated[str | None, says("The code of its first debit pointer.")]
    network: Annotated[str | None, says("The network of a real node; null in a sandbox.")]
    node: Annotated[str | None, says("What a real node calls itself; null in a sandbox, or where it does not say.")]
    nwc_uri: Annotated[
        str | None, says("The secret link of the first connection: at the very first start, and on a terminal alone.")
    ]
    socket: Annotated[str, says("The socket of its owner.")]
    unused: Annotated[str | None, says("The name of the first connection, as long as nobody has used its link.")]
    missing_on: Annotated[dict[str, str], says("Relays that do not carry that connection yet, with their words.")]
    old_relays: Annotated[list[str], says("Relays that the settings do not name any more, and that it serves.")]
    spending_stopped: Annotated[list[SpendingStopJson], says("Why spending is stopped; empty: it is not.")]


class FileJson(AnswerJson):
    """A file that was written."""

    file: Annotated[str, says("Its path.")]


class DirectoryJson(AnswerJson):
    """A directory that was written."""

    directory: Annotated[str, says("Its path.")]


class ServiceFileJson(AnswerJson):
    """The unit by which systemd runs the service."""

    unit: Annotated[str, says("The text of the unit.")]
    path: Annotated[str, says("Where systemd looks for it.")]


class CompletionJson(AnswerJson):
    """The script by which a shell completes commands."""

    shell: Annotated[str, says("The shell.")]
    script: Annotated[str, says("The script.")]


class RestoredJson(AnswerJson):
    """A backup that was put back."""

    data_dir: Annotated[str, says("The data directory.")]
    kept: Annotated[list[str], says("Files of before that were put aside.")]


class RelayJson(AnswerJson):
    """A relay that runs, once."""

    relay: Annotated[str, says("Its address.")]


class ClockJson(AnswerJson):
    """A clock that ours was compared with."""

    whose: Annotated[str, says("Whose it is.")]
    ahead_s: Annotated[int, says("Ours is so far ahead of it; less than 0: behind.")]
    wrong: Annotated[str, says("Whose clock is the wrong one.")]


class DoctorJson(AnswerJson):
    """The findings of the doctor; the exit code is 1 when one is `fail`."""

    checks: Annotated[list[FindingJson], says("The findings, in the order in which one would mend things.")]
    clocks: Annotated[list[ClockJson], says("The clocks that were compared.")]


class ViolationJson(AnswerJson):
    """A rule that is broken."""

    invariant: Annotated[str, says("The rule: `I1` …, or `node`.")]
    sentence: Annotated[str, says("The sentence.")]


class ComparedJson(AnswerJson):
    """The comparison with the node's own lists."""

    payments: Annotated[int, says("How many payments were compared.")]
    invoices: Annotated[int, says("How many invoices were compared.")]
    stopped_by: Annotated[list[str], says("The causes for which spending was stopped.")]


class AuditJson(AnswerJson):
    """The proof that the books are right; the exit code is 1 when they are not."""

    violations: Annotated[list[ViolationJson], says("Broken rules; empty: the books are right.")]
    alarms: Annotated[list[str], says("Alarms that are kept.")]
    node: Annotated[ComparedJson | None, says("The comparison with the node; null without `--node`.")]
    allowed: Annotated[list[str], says("Causes that stop spending no more, because the books agree.")]


# ------------------------------------------------------------ demo


class DemoSceneJson(AnswerJson):
    """A scene that begins."""

    scene: Annotated[int, says("Its number.")]
    title: Annotated[str, says("Its title.")]


class DemoTextJson(AnswerJson):
    """A happening."""

    scene: Annotated[int, says("The number of the scene.")]
    text: Annotated[str, says("The sentence.")]


class DemoWireJson(AnswerJson):
    """An event on the wire."""

    scene: Annotated[int, says("The number of the scene.")]
    wire: Annotated[str, says("What it is, in words.")]
    event: Annotated[dict[str, Any], says("The Nostr event.")]
    plaintext: Annotated[str, says("What is encrypted in it.")]


class DemoEndJson(AnswerJson):
    """The end of the story; the exit code is 1 when it is not good."""

    good: Annotated[bool, says("Whether everything held.")]
    events: Annotated[int, says("Events on the wire.")]
    forged: Annotated[int, says("Events among them with a wrong signature.")]
    violations: Annotated[list[str], says("Broken rules.")]
    killed_pid: Annotated[int, says("The process that was killed.")]


# ------------------------------------------------------------ the sandbox


class SandboxPaidJson(AnswerJson):
    """A payment by somebody out there."""

    payment_hash: Annotated[str, says("The payment hash.")]
    preimage: Annotated[str | None, says("The preimage; null as long as it is held.")]
    amount_msat: Annotated[int, says("What was paid.")]
    fee_msat: Annotated[int, says("The fee: 0 out there.")]
    held: Annotated[bool, says("Whether your node holds it until you decide.")]
    request_id: Annotated[str | None, says("The event by which an offer was asked; null for an invoice.")]
    receipt: Annotated[
        Literal["proven", "claimed", "false"] | None,
        says("The receipt of an offer: with the preimage, without one, with a wrong one; null: none came yet."),
    ]


class SandboxInvoiceJson(AnswerJson):
    """An invoice of somebody out there."""

    bolt11: Annotated[str, says("The invoice.")]
    payment_hash: Annotated[str, says("The payment hash.")]
    state: Annotated[str, says("How its payment stands.")]
    amount_msat: Annotated[int | None, says("The amount; null: the payer names it.")]
    fee_msat: Annotated[int, says("The fee that its payment costs.")]
    preimage: Annotated[str | None, says("The preimage; null unless it is paid.")]


class SandboxInvoiceListJson(AnswerJson):
    """The invoices of those out there."""

    invoices: Annotated[list[SandboxInvoiceJson], says("The newest first.")]


class NodeKeyJson(AnswerJson):
    """A node out there."""

    pubkey: Annotated[str, says("Its public key.")]


# ------------------------------------------------------------ the owner's commands with more


class WebhookAnswerJson(AnswerJson):
    """The answer of a webhook to a test."""

    taken: Annotated[bool, says("Whether the receiver has taken it.")]
    status: Annotated[str | None, says("Its answer, or why there is none.")]


class WebhookJson(WebhookShownJson):
    """The webhook of an offer, with its secret."""

    test: Annotated[WebhookAnswerJson | None, says("The answer to `--test`; null without it.")]


class InvoiceEndJson(TransactionJson):
    """The end of an invoice that was waited for, with `--wait` (a second line)."""

    event: Annotated[Literal["payment_received", "invoice_expired"], says("Whether it was paid.")]


class QuestionNewsJson(QuestionJson):
    """A question that was asked or decided, as it happens."""

    event: Annotated[Literal["asked", "decided"], says("Whether it was asked or decided.")]


# ------------------------------------------------------------ the services of others


class DebitPaidJson(AnswerJson):
    """A debit that was paid to you."""

    payment_hash: Annotated[str, says("The payment hash.")]
    amount_msat: Annotated[int | None, says("The amount; null where the invoice names none.")]
    preimage: Annotated[str | None, says("The preimage, where it was told.")]
    proof: Annotated[
        Literal["proven", "received", "claimed"],
        says("`proven` by the preimage, `received` by your wallet, or only `claimed` by the service."),
    ]


class DebitBudgetJson(AnswerJson):
    """A budget that was granted to you."""

    amount_msat: Annotated[int | None, says("So much in each period, fees included; null: any amount.")]
    every: Annotated[str | None, says("The unit of the period; null: once and for all, or without limits.")]
    number: Annotated[int | None, says("So many of these units are one period; null without limits.")]


class ChargeJson(AnswerJson):
    """A period of a subscription that was paid."""

    subscription_id: Annotated[str, says("The subscription.")]
    period: Annotated[int, says("The number of the period.")]
    begins_at: Annotated[int, says("When it begins.")]
    ends_at: Annotated[int, says("When it ends.")]
    amount_msat: Annotated[int, says("What was paid.")]
    payment_hash: Annotated[str, says("The payment hash.")]
    settled_at: Annotated[int, says("When it was paid.")]


class SubscriptionJson(AnswerJson):
    """A subscription that is charged from here."""

    subscription_id: Annotated[str, says("Its id.")]
    name: Annotated[str | None, says("Its name.")]
    amount_msat: Annotated[int, says("So much in each period.")]
    every: Annotated[str, says("The period.")]
    ndebit: Annotated[str, says("The code that is charged.")]
    created_at: Annotated[int, says("When it was made.")]
    begun_at: Annotated[int | None, says("When its first period began; null: not yet.")]
    has_budget: Annotated[bool, says("Whether the service has granted it.")]
    charges: Annotated[int, says("Periods that were paid.")]
    paid_until: Annotated[int | None, says("Until when it is paid.")]
    open: Annotated[int, says("Charges that are not decided.")]
    cancelled_at: Annotated[int | None, says("When it was ended; null: it goes on.")]


class SubscriptionListJson(AnswerJson):
    """Subscriptions that are charged from here."""

    subscriptions: Annotated[list[SubscriptionJson], says("The subscriptions.")]


class ManagedOfferJson(AnswerJson):
    """An offer of yours at somebody else's service."""

    id: Annotated[str, says("Its id there.")]
    label: Annotated[str, says("Its label.")]
    price_sats: Annotated[int, says("Its price in sats; 0: the payer names the amount.")]
    callback_url: Annotated[str | None, says("The address that is asked when somebody has paid.")]
    payer_data: Annotated[list[str], says("What a payer is asked for.")]
    noffer: Annotated[str | None, says("Its code.")]


class ManagedOfferListJson(AnswerJson):
    """A page of your offers at somebody else's service."""

    offers: Annotated[list[ManagedOfferJson], says("The offers, the newest first.")]
    next: Annotated[str | None, says("The `--before` of the next page; null: this is the last one.")]
    left_out: Annotated[int, says("Offers that could not be read.")]


class ManagedOfferDeletedJson(AnswerJson):
    """An offer of yours that was ended there."""

    id: Annotated[str, says("Its id there.")]
    deleted: Annotated[bool, says("True.")]


class EnrolledJson(AnswerJson):
    """Your account at somebody else's service."""

    service: Annotated[str, says("The public key of the service.")]
    key: Annotated[str, says("Your public key there.")]
    noffer: Annotated[str | None, says("The code by which you are paid.")]
    ndebit: Annotated[str | None, says("The code by which you take your money.")]
    nmanage: Annotated[str | None, says("The link by which you manage offers.")]
    work_bits: Annotated[int, says("The proof of work that it has cost, in bits.")]


class BeaconFeesJson(AnswerJson):
    """The fees that a service takes."""

    floor_msat: Annotated[int, says("At least so much.")]
    bps: Annotated[int, says("So many hundredths of a percent.")]


class BeaconJson(AnswerJson):
    """A service by its beacon; the exit code is 4 unless its state is `fresh`."""

    service_pubkey: ServicePubkey
    npub: Npub
    state: Annotated[Literal["fresh", "stale", "ahead", "none"], says("`fresh` alone means that it works.")]
    age_s: Annotated[int | None, says("The age of the beacon; less than 0: it is from the future.")]
    created_at: Annotated[int | None, says("The time in the beacon.")]
    legacy: Annotated[bool, says("Whether it is in the form from before the text of CLINK.")]
    name: Annotated[str | None, says("What it calls itself.")]
    description: Annotated[str | None, says("What it says about itself.")]
    website: Annotated[str | None, says("Its website.")]
    avatar_url: Annotated[str | None, says("Its picture.")]
    relays: Annotated[list[str], says("Its relays.")]
    fees: Annotated[BeaconFeesJson | None, says("Its fees; null: it says nothing.")]
    enroll_difficulty: Annotated[int | None, says("The work that an account costs, in bits; null: it opens none.")]
    supported_kinds: Annotated[list[int] | None, says("Kinds of requests that it answers; null: it says nothing.")]
    operator: Annotated[str | None, says("The key that it names as its operator.")]
    operated: Annotated[Literal["verified", "claimed", "revoked", "none"], says("What that is worth.")]
    told_by: Annotated[list[str], says("The relays that have it.")]


class RelayHasJson(AnswerJson):
    """A relay's word about the operator's word."""

    relay: Annotated[str, says("The relay.")]
    has_it: Annotated[bool, says("Whether it has it.")]
    words: Annotated[str | None, says("Its own words.")]


class OperatorJson(AnswerJson):
    """The word of an operator about services."""

    operator: Annotated[str, says("The operator, as an npub.")]
    service_pubkey: ServicePubkey
    attested: Annotated[list[str], says("Services that it operates.")]
    revoked: Annotated[list[str], says("Services that it operates no more.")]
    relays: Annotated[list[RelayHasJson], says("What each relay said.")]


class RatioJson(AnswerJson):
    """A rate as two whole numbers."""

    msat: Annotated[int, says("So many msat …")]
    minor: Annotated[int, says("… are worth so many minor units.")]


class SourceJson(AnswerJson):
    """A source of rates."""

    source: Annotated[str, says("Its name.")]
    price: Annotated[str | None, says("The price of a bitcoin that it tells; null: none.")]
    trouble: Annotated[str | None, says("Why it tells none.")]


class CurrencyRateJson(AnswerJson):
    """The worth of a currency."""

    currency: Annotated[str, says("The currency.")]
    price: Annotated[str, says("The price of a bitcoin in it, as a decimal number.")]
    rate: Annotated[RatioJson, says("The exact rate.")]
    told_at: Annotated[int, says("When the sources told it.")]
    age_s: Annotated[int, says("So long ago.")]
    amount_minor: Annotated[int | None, says("The AMOUNT in minor units; null without one.")]
    amount_msat: Annotated[int | None, says("What a payer pays for it.")]
    sources: Annotated[list[SourceJson], says("What each source said.")]


# ------------------------------------------------------------ which command answers what

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
