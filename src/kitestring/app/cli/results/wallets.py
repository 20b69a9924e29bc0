"""The answers of ``--json`` where a wallet was asked (``--wallet``): it knows less than the service of one's own."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from kitestring.app.owner.results.words import AnswerJson, CreatedAt, FeeMsat, InvoiceText, PaymentHash, says

_Amount = Annotated[int | None, says("The amount; null: the payer names it.")]
_InvoiceEnd = Annotated[int | None, says("Until when it can be paid; null: the wallet does not tell.")]


class WalletPaidJson(AnswerJson):
    """A payment that a wallet has made."""

    payment_hash: PaymentHash
    preimage: Annotated[str, says("The preimage, which proves the payment.")]
    amount_msat: Annotated[int, says("What the payee got.")]
    fee_msat: FeeMsat
    internal: Annotated[bool, says("False: a wallet does not tell.")]
    already_paid: Annotated[bool, says("Whether it was paid before, so that nothing was paid now.")]
    created_at: Annotated[int | None, says("When the payment began; null: not known.")]


class WalletInvoiceJson(AnswerJson):
    """An invoice that a wallet has made."""

    payment_hash: PaymentHash
    bolt11: InvoiceText
    amount_msat: _Amount
    expires_at: _InvoiceEnd


class WalletHoldJson(WalletInvoiceJson):
    """A hold invoice that a wallet has made."""

    preimage_is_kept: Annotated[bool, says("False: the preimage is yours.")]


class WalletLinkJson(AnswerJson):
    """A link by which anybody can pay a wallet."""

    bip321: Annotated[str, says("The link.")]
    bolt11: InvoiceText
    payment_hash: PaymentHash
    amount_msat: _Amount
    expires_at: _InvoiceEnd


class WalletBudgetJson(AnswerJson):
    """The budget of a connection, as its wallet tells it."""

    limit_msat: Annotated[int, says("The most that may be spent in one period, fees included.")]
    used_msat: Annotated[int, says("What is spent or reserved in this period.")]
    left_msat: Annotated[int, says("What can still be spent in it.")]
    period: Annotated[str, says("When it renews; `never`: it is a total.")]
    renews_at: Annotated[int | None, says("When the next period begins.")]


class WalletBalanceJson(AnswerJson):
    """The balance of a wallet, and the budget of this connection."""

    balance_msat: Annotated[int | None, says("What it can spend; null: it does not tell.")]
    unknown_because: Annotated[str | None, says("Why the balance is not known.")]
    budget: Annotated[WalletBudgetJson | None, says("The budget; null: there is none, or it is not told.")]
    budget_unknown_because: Annotated[str | None, says("Why the budget is not known.")]


class WalletTransactionJson(AnswerJson):
    """A payment or an invoice, as far as a wallet tells it."""

    type: Annotated[Literal["incoming", "outgoing"], says("The way of the money.")]
    state: Annotated[Literal["pending", "accepted", "settled", "failed", "expired"], says("How it stands.")]
    payment_hash: PaymentHash
    amount_msat: Annotated[int, says("The amount without fees.")]
    fee_msat: Annotated[int, says("The fees; 0 before it settles.")]
    created_at: Annotated[int | None, says("When it was made; null: the wallet does not tell.")]
    settled_at: Annotated[int | None, says("When it was paid.")]
    expires_at: Annotated[int | None, says("Until when the invoice can be paid.")]
    settle_deadline: Annotated[int | None, says("The height of the block before which a held payment is decided.")]
    bolt11: Annotated[str | None, says("The invoice.")]
    description: Annotated[str | None, says("What it is for.")]
    description_hash: Annotated[str | None, says("The hash of a description that is told elsewhere.")]
    preimage: Annotated[str | None, says("The preimage; null unless it is settled.")]
    metadata: Annotated[dict[str, Any] | None, says("What is kept with it.")]


class WalletInvoiceEndJson(WalletTransactionJson):
    """The end of an invoice that was waited for."""

    event: Annotated[Literal["payment_received", "invoice_expired"], says("Whether it was paid.")]


class WalletTransactionListJson(AnswerJson):
    """Payments and invoices of a wallet."""

    transactions: Annotated[list[WalletTransactionJson], says("The newest first.")]


class WalletInfoJson(AnswerJson):
    """The node behind a wallet, and what the connection may do."""

    alias: Annotated[str | None, says("The name of the node.")]
    node_pubkey: Annotated[str | None, says("Its public key.")]
    network: Annotated[str | None, says("Its network.")]
    block_height: Annotated[int | None, says("The height of its chain.")]
    block_hash: Annotated[str | None, says("The hash of that block.")]
    methods: Annotated[list[str], says("What the connection may do.")]
    extensions: Annotated[list[str], says("Extensions of NIP-47 that the wallet has.")]
    lud16: Annotated[str | None, says("Its Lightning Address.")]


class WalletNewsJson(AnswerJson):
    """A happening in a wallet, one line for each."""

    event: Annotated[str, says("`payment_received`, `payment_sent` or `hold_invoice_accepted`.")]
    type: Annotated[Literal["incoming", "outgoing"], says("The way of the money.")]
    state: Annotated[Literal["pending", "accepted", "settled", "failed", "expired"], says("How it stands.")]
    payment_hash: PaymentHash
    amount_msat: Annotated[int, says("The amount without fees.")]
    fee_msat: FeeMsat
    created_at: CreatedAt
    settled_at: Annotated[int | None, says("When it was paid.")]
    description: Annotated[str | None, says("What it is for.")]
    preimage: Annotated[str | None, says("The preimage.")]
    metadata: Annotated[dict[str, Any] | None, says("What is kept with it.")]
    position: Annotated[str | int | None, says("The `--since` that goes on behind this line.")]
