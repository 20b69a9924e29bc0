"""Values that the methods of a wallet return."""

from __future__ import annotations

from dataclasses import dataclass, field

from kitestring.base.budgets import Period
from kitestring.base.commands import PayInvoice
from kitestring.base.destinations import invoice_text
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import ZERO, Msat
from kitestring.base.outcomes import Paid
from kitestring.codec import bolt11
from kitestring.codec.pasted import tidy
from kitestring.codec.uri import bip321_values


@dataclass(frozen=True, slots=True)
class Invoice:
    """To be paid to us. ``amount`` None = the payer chooses; ``expires_at`` in Unix seconds."""

    bolt11: str
    payment_hash: str
    amount: Msat | None
    expires_at: int


@dataclass(frozen=True, slots=True)
class PaymentLink:
    """A way to pay us, to be shown as a link or a QR code: ``bip321``, and the ``invoice`` in it."""

    bip321: str
    invoice: Invoice


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of a payment: SHA-256 of ``preimage`` is ``payment_hash``. ``fee`` was paid on top of ``amount``. A keysend
    has no ``bolt11``. ``description`` is that of the invoice, ``target`` what was given to be paid. ``already_paid``:
    it is known that this was paid before, and nothing now; a wallet connection does not tell."""

    preimage: str
    fee: Msat
    amount: Msat
    payment_hash: str
    bolt11: str
    description: str = ""
    target: str = field(default="", compare=False)
    already_paid: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class WalletBudget:
    """The most that a wallet lets this connection spend in a ``period``, fees included.

    ``used`` has in it what is held for payments under way, and may exceed ``limit``. It will have left at ``renews_at``
    (Unix seconds), None = never.
    """

    limit: Msat
    used: Msat
    period: Period
    renews_at: int | None

    @property
    def left(self) -> Msat:
        """The rest, never below zero."""
        return max(ZERO, self.limit - self.used)


def receipt(command: PayInvoice, paid: Paid, target: str) -> Receipt:
    """The receipt of an order that was carried out."""
    return Receipt(
        paid.preimage, paid.fee_msat, paid.amount_msat, paid.payment_hash, invoice_text(command.destination),
        command.description, target, paid.is_old,
    )  # fmt: skip


def invoice_of(decoded: bolt11.DecodedInvoice) -> Invoice:
    """An invoice of ours."""
    return Invoice(decoded.text, decoded.payment_hash, decoded.amount_msat, decoded.expires_at)


def link_of(uri: object, amount: Msat | None) -> PaymentLink:
    """The link that a wallet has made. Raises KitestringError(INTERNAL) for one that asks for something else."""
    try:
        invoices = bip321_values(uri, "lightning") if isinstance(uri, str) else []
        found = bolt11.decode(invoices[0], recover=False) if len(invoices) == 1 else None
    except CodecError as error:
        raise KitestringError(Reason.INTERNAL, f"the wallet's link cannot be read: {error}") from error
    if found is None or found.amount_msat != amount or not isinstance(uri, str):
        raise KitestringError(Reason.INTERNAL, "the wallet's link is not what was asked for: do not show it to a payer")
    return PaymentLink(uri, invoice_of(found))


def own_invoice(text: str) -> Invoice:
    """Read an invoice of ours. Raises KitestringError(MALFORMED)."""
    try:
        return invoice_of(bolt11.decode(tidy(text), recover=False))
    except CodecError as error:
        raise KitestringError(Reason.MALFORMED, f"the invoice cannot be read: {error}") from error
