"""The answers of the commands about money: payments, invoices, balances, transactions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from kitestring.app.owner.results.accounts import AccountJson
from kitestring.app.owner.results.words import (
    AccountName,
    AnswerJson,
    CreatedAt,
    FeeMsat,
    InvoiceText,
    PaymentHash,
    ServiceFeeMsat,
    ServicePubkey,
    says,
)

ConnectionId = Annotated[str | None, says("The connection, or the debit grant; null: the owner's own, or an offer's.")]


class PaidJson(AnswerJson):
    """A payment that has settled."""

    payment_hash: PaymentHash
    preimage: Annotated[str, says("The preimage, which proves the payment.")]
    amount_msat: Annotated[int, says("What the payee got.")]
    fee_msat: FeeMsat
    service_fee_msat: ServiceFeeMsat
    internal: Annotated[bool, says("Whether the money moved inside this service.")]
    already_paid: Annotated[bool, says("Whether it was paid before, so that nothing was paid now.")]
    created_at: Annotated[int | None, says("When the payment began; null: not known.")]


class PreviewJson(AnswerJson):
    """A payment that could be made. What is about the payment itself is null where no target was named, and where it
    would only be carried on."""

    sandbox: Annotated[bool, says("Whether the node is a sandbox, where no money is real.")]
    network: Annotated[str, says("`bitcoin`, `testnet`, `signet` or `regtest`.")]
    is_repeated: Annotated[bool, says("Whether the idempotency key was used: its payment would be carried on.")]
    kind: Annotated[Literal["invoice", "offer", "address", "profile"] | None, says("The kind of target.")]
    payee: Annotated[str | None, says("Who would be paid, as a text.")]
    payee_key: Annotated[str | None, says("The key of the node that would be paid.")]
    bolt11: Annotated[str | None, says("The invoice.")]
    payment_hash: Annotated[str | None, says("The payment hash.")]
    amount_msat: Annotated[int | None, says("What the payee would get.")]
    fee_cap_msat: Annotated[int | None, says("The most that routing may cost.")]
    service_fee_msat: Annotated[int | None, says("The fee that the service itself would take.")]
    currency: Annotated[str | None, says("The currency in which the payee thinks of its price.")]
    description: Annotated[str | None, says("What it is for.")]
    expires_at: Annotated[int | None, says("Until when the invoice can be paid.")]
    spendable_msat: Annotated[int | None, says("What can be spent; null: it is not known.")]
    paid_from: Annotated[str | None, says("The account that would pay.")]
    already_paid: Annotated[bool | None, says("Whether it was paid before, so that nothing would be paid now.")]


class RateJson(AnswerJson):
    """The rate that something was priced with: so many minor units are worth exactly so many msat."""

    currency: Annotated[str, says("The currency.")]
    msat: Annotated[int, says("So many msat …")]
    minor: Annotated[int, says("… are worth so many minor units.")]
    told_at: Annotated[int, says("When the sources told it.")]
    sources: Annotated[list[str], says("Who told it.")]


class TransactionJson(AnswerJson):
    """A payment (outgoing) or an invoice (incoming)."""

    type: Annotated[Literal["incoming", "outgoing"], says("The way of the money.")]
    state: Annotated[
        Literal["pending", "accepted", "settled", "failed", "expired", "unknown", "resolved", "canceled"],
        says(
            "How it stands; `accepted` is paid and held. The last three are told by `transactions` and `transaction "
            "show`; elsewhere they are `pending`, `pending` and `expired`."
        ),
    ]
    payment_hash: PaymentHash
    amount_msat: Annotated[int, says("The amount without fees.")]
    fee_msat: Annotated[int, says("The fee for routing; 0 before it settles.")]
    service_fee_msat: Annotated[int, says("The fee that the service itself has taken; 0 before it settles.")]
    created_at: CreatedAt
    settled_at: Annotated[int | None, says("When it was paid.")]
    expires_at: Annotated[int | None, says("Until when the invoice can be paid.")]
    settle_deadline: Annotated[int | None, says("The height of the block before which a held payment is decided.")]
    bolt11: Annotated[str | None, says("The invoice.")]
    description: Annotated[str | None, says("What it is for.")]
    description_hash: Annotated[str | None, says("The hash of a description that is told elsewhere.")]
    preimage: Annotated[str | None, says("The preimage; null unless it is settled.")]
    internal: Annotated[bool, says("Whether the money moved inside this service.")]
    metadata: Annotated[dict[str, Any] | None, says("What whoever asked for it has kept with it.")]
    offer_id: Annotated[str | None, says("The offer that was paid.")]
    payer_data: Annotated[dict[str, str] | None, says("What the payer of an offer has told.")]
    price: Annotated[str | None, says("The price in a currency and its rate, as a text.")]
    rate: Annotated[RateJson | None, says("The rate that an offer was priced with.")]
    account: AccountName
    connection_id: ConnectionId
    connection: Annotated[str | None, says("The name of the connection.")]
    charged_to: Annotated[str | None, says("The name of the connection, debit grant or pointer whose budget paid.")]
    requestor: Annotated[str | None, says("The public key that has taken it as a debit.")]
    npub: Annotated[str | None, says("The same key as an npub.")]


class BalanceJson(AnswerJson):
    """The balances."""

    balance_msat: Annotated[int | None, says("What the owner account can spend; null: the node cannot be asked.")]
    unknown_because: Annotated[str | None, says("Why the balance is not known.")]
    accounts: Annotated[list[AccountJson], says("The sub-accounts.")]


class NodeInfoJson(AnswerJson):
    """The node, and the counters of the service."""

    service_pubkey: ServicePubkey
    relays: Annotated[list[str], says("The relays by which it is reached.")]
    alias: Annotated[str | None, says("The name of the node.")]
    node_pubkey: Annotated[str | None, says("The public key of the node; null: it has none.")]
    network: Annotated[str | None, says("`mainnet`, `testnet`, `signet` or `regtest`.")]
    block_height: Annotated[int | None, says("The height of the chain at the node; null: it does not tell.")]
    spent_msat: Annotated[int, says("What was spent since the beginning, fees included.")]
    sub_accounts_msat: Annotated[int, says("What the sub-accounts are owed together.")]
    pending_msat: Annotated[int, says("What is held for payments that are under way.")]
    service_fees_msat: Annotated[int, says("What the service has taken as its fees.")]
    spending_stopped: Annotated[str | None, says("Why spending is stopped; null: it is not.")]


class ResolvedJson(AnswerJson):
    """A payment that the operator has decided about."""

    payment_id: Annotated[str, says("The id of the payment.")]
    payment_hash: PaymentHash
    amount_msat: Annotated[int, says("Its amount.")]
    state: Annotated[Literal["resolved"], says("Its state.")]


class InvoiceCanceledJson(AnswerJson):
    """An invoice that nobody can pay any more."""

    payment_hash: PaymentHash
    state: Annotated[Literal["canceled", "expired"], says("`expired`: it had expired before, and nobody had paid it.")]
    amount_msat: Annotated[int | None, says("What it asked for; null: it left that to the payer.")]


class HoldMadeJson(TransactionJson):
    """A hold invoice that was made."""

    preimage_is_kept: Annotated[bool, says("Whether the service has the preimage, so that a word settles it.")]


class HoldEndedJson(AnswerJson):
    """A hold invoice that was decided."""

    payment_hash: PaymentHash
    state: Annotated[Literal["settled", "canceled"], says("How it ended.")]
    amount_msat: Annotated[int | None, says("What was taken; null: the wallet does not tell.")]


class HoldJson(AnswerJson):
    """A hold invoice that waits for a payer or for a decision."""

    payment_hash: PaymentHash
    state: Annotated[Literal["open", "accepted"], says("`accepted`: paid, and held.")]
    amount_msat: Annotated[int, says("Its amount.")]
    held_msat: Annotated[int, says("What is held now.")]
    settle_deadline: Annotated[int | None, says("The height of the block before which it has to be decided.")]
    decision: Annotated[Literal["settle", "cancel"] | None, says("What was decided and is not carried out yet.")]
    expires_at: Annotated[int, says("Until when it can be paid.")]
    description: Annotated[str | None, says("What it is for.")]
    preimage_is_kept: Annotated[bool, says("Whether the service has the preimage.")]
    internal: Annotated[bool, says("Whether the payer is inside this service.")]
    account: AccountName
    connection_id: ConnectionId
    connection: Annotated[str | None, says("The name of the connection; null: the owner's own.")]
    bolt11: InvoiceText


class HoldListJson(AnswerJson):
    """Hold invoices."""

    holds: Annotated[list[HoldJson], says("Those that wait.")]


class SignedJson(AnswerJson):
    """A text that the node has signed."""

    message: Annotated[str, says("The text.")]
    signature: Annotated[str, says("The signature, from which the key of the node follows.")]
