"""The answers of those out there in a sandbox."""

from __future__ import annotations

from typing import Annotated, Literal

from kitestring.app.owner.results.words import AnswerJson, says


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
