"""``--wallet``: invoices made at any wallet, held payments decided there, and what it knows of payments and itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kitestring.app.cli.wallet import asked
from kitestring.base.errors import KitestringError, Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kitestring.app.cli.shell import Shell
    from kitestring.base.outcomes import Info, Transaction
    from kitestring.sdk.results import Invoice
    from kitestring.sdk.source import Encryption
    from kitestring.sdk.wallet import Wallet

#: Of a row of the service those members that a wallet can tell: it has neither our accounts nor our grants.
_TOLD: Final = (
    "type", "state", "payment_hash", "amount_msat", "fee_msat", "created_at", "settled_at", "expires_at", "bolt11",
    "description", "description_hash", "preimage", "metadata", "settle_deadline",
)  # fmt: skip


def made_by(
    shell: Shell, source: str, amount_sat: int | None, description: str, expiry_s: int, encryption: Encryption
) -> dict[str, Any]:
    """An invoice of any wallet that the SDK can open; without an amount the payer names it. Raises KitestringError."""
    from kitestring.base.money import sat

    amount = None if amount_sat is None else sat(amount_sat)
    return show_invoice(asked(shell, source, encryption, lambda wallet: wallet.invoice(amount, description, expiry_s)))


def held_by(
    shell: Shell, source: str, amount_sat: int, payment_hash: str, description: str, expiry_s: int,
    encryption: Encryption,
) -> dict[str, Any]:  # fmt: skip
    """A hold invoice of ``payment_hash`` at any wallet that the SDK can open. Raises KitestringError."""
    from kitestring.base.money import sat

    amount = sat(amount_sat)
    made = asked(
        shell, source, encryption, lambda wallet: wallet.hold_invoice(amount, payment_hash, description, expiry_s)
    )
    return {**show_invoice(made), "preimage_is_kept": False}


def show_invoice(made: Invoice) -> dict[str, Any]:
    """An invoice that a wallet has made, as JSON."""
    return {
        "payment_hash": made.payment_hash,
        "bolt11": made.bolt11,
        "amount_msat": None if made.amount is None else int(made.amount),
        "expires_at": made.expires_at,
    }


def settled_by(shell: Shell, source: str, payment_hash: str, preimage: str, encryption: Encryption) -> dict[str, Any]:
    """The end of a hold invoice whose payment the wallet has taken. Raises KitestringError."""
    payment_hash, preimage = payment_hash.lower(), preimage.lower()
    _need_preimage(payment_hash, preimage)
    return _ended(shell, source, payment_hash, "settled", encryption, lambda wallet: wallet.settle(preimage))


def cancelled_by(shell: Shell, source: str, payment_hash: str, encryption: Encryption) -> dict[str, Any]:
    """The end of a hold invoice whose payment the wallet has given back. Raises KitestringError."""
    payment_hash = payment_hash.lower()
    return _ended(shell, source, payment_hash, "canceled", encryption, lambda wallet: wallet.cancel(payment_hash))


def _need_preimage(payment_hash: str, preimage: str) -> None:
    """Raise KitestringError unless the two belong together: a wallet settles whatever its preimage opens."""
    from kitestring.base.payments import preimage_fits

    if not preimage:
        raise KitestringError(
            Reason.MALFORMED, "name the PREIMAGE too: with --wallet it is yours, and kept by you alone"
        )
    if not preimage_fits(preimage, payment_hash):
        raise KitestringError(Reason.MALFORMED, "this is not the preimage of HASH: the wallet was not asked")


def _ended(
    shell: Shell, source: str, payment_hash: str, state: str, encryption: Encryption,
    end: Callable[[Wallet], Awaitable[None]],
) -> dict[str, Any]:  # fmt: skip
    try:
        asked(shell, source, encryption, end)
    except KitestringError as error:
        if error.reason is Reason.UNAVAILABLE:
            error.message += "; it may be done all the same: repeat the command, to decide the same twice is safe"
        raise
    return {"payment_hash": payment_hash, "state": state, "amount_msat": None}


# ------------------------------------------------------------ what a wallet knows


def listed_by(
    shell: Shell, source: str, encryption: Encryption, *, since: int, until: int, **page: Any
) -> dict[str, Any]:
    """The payments of any wallet that the SDK can open; ``page`` as :meth:`Wallet.transactions` has it. Raises
    KitestringError, also where the times that are asked for cannot be told."""
    found = asked(shell, source, encryption, lambda wallet: wallet.transactions(since=since, until=until, **page))
    rows = [show_record(one) for one in found]
    if (since or until) and any(row["created_at"] is None for row in rows):
        raise KitestringError(
            Reason.UNSUPPORTED,
            "this wallet tells no times of what it has paid: leave --since and --until out, or add --in",
        )
    return {"transactions": rows}


def found_by(shell: Shell, source: str, payment_hash: str, encryption: Encryption) -> dict[str, Any]:
    """The record of this payment hash at any wallet that the SDK can open. Raises KitestringError."""
    return show_record(asked(shell, source, encryption, lambda wallet: wallet.lookup(payment_hash)))


def show_record(found: Transaction) -> dict[str, Any]:
    """A payment or an invoice as a wallet knows it, as JSON."""
    from kitestring.app.owner.money import show_transaction

    row = show_transaction(found)
    return {name: row[name] for name in _TOLD} | {"created_at": found.created_at or None}


def info_of(shell: Shell, source: str, encryption: Encryption) -> dict[str, Any]:
    """The node behind any wallet that the SDK can open, and what a connection may do. Raises KitestringError."""
    told: Info = asked(shell, source, encryption, lambda wallet: wallet.info())
    return {
        "alias": told.alias or None,
        "node_pubkey": told.node_pubkey or None,
        "network": told.network or None,
        "block_height": told.block_height,
        "block_hash": told.block_hash or None,
        "methods": list(told.methods),
        "extensions": list(told.extensions),
        "lud16": told.lud16 or None,
    }
