"""``kitestring invoice --wait``: until the invoice is paid, or has expired and nobody has paid it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from kitestring.base.errors import Exit, KitestringError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitestring.app.cli.on_paid import OnPaid
    from kitestring.app.cli.shell import Shell
    from kitestring.sdk.results import Invoice
    from kitestring.sdk.source import Encryption
    from kitestring.sdk.wallet import Wallet

#: Seconds after its end in which a payment that is under way may still come.
LATE_S: Final = 10.0
#: Seconds between two looks at a wallet.
POLL_S: Final = 2.0
#: What may be better at the next look.
_PASSING: Final = frozenset({Reason.UNAVAILABLE, Reason.RATE_LIMITED, Reason.BUSY, Reason.INTERNAL})
_SETTLED: Final = "settled"


def at_service(shell: Shell, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The row of the invoice that ``make`` makes and shows, when it is paid or has expired. Raises KitestringError,
    UNAVAILABLE if the service stops meanwhile."""
    until = float("inf")
    happening = shell.activity(None, lambda: time.time() > until)
    next(happening)  # from here on nothing is missed
    made = make()
    payment_hash, until = made["payment_hash"], made["expires_at"] + LATE_S
    try:
        row = _row(shell, payment_hash)
        if row["state"] == _SETTLED:  # repeated with the same key
            return row
        for told in happening:
            if told.get("payment_hash") == payment_hash and told["event"] == "payment_received":
                break
        return _row(shell, payment_hash)
    except (KitestringError, KeyboardInterrupt) as stopped:
        _say_how_to_look(shell, payment_hash, stopped)
        raise


def _row(shell: Shell, payment_hash: str) -> dict[str, Any]:
    return dict(shell.call("lookup", {"payment_hash": payment_hash}))


def _say_how_to_look(shell: Shell, payment_hash: str, stopped: BaseException, where: str = "") -> None:
    """The invoice can be paid although nobody waits."""
    words = f"`kitestring lookup {payment_hash}{where}` shows whether it was paid"
    if isinstance(stopped, KitestringError):
        stopped.message += f"; {words}"
        stopped.details["payment_hash"] = payment_hash
    else:
        shell.note(f"\n{words}")


def at_wallet(
    shell: Shell, source: str, amount_sat: int | None, description: str, expiry_s: int, encryption: Encryption,
    show: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:  # fmt: skip
    """The row of an invoice of any wallet that the SDK can open, when it is paid or has expired; ``show`` shows it
    first. Raises KitestringError."""
    from kitestring.app.cli.wallet import asked, named
    from kitestring.app.cli.wallet_books import show_invoice, show_record
    from kitestring.base.money import sat

    amount = None if amount_sat is None else sat(amount_sat)
    made: list[str] = []

    async def waiting(wallet: Wallet) -> dict[str, Any]:
        invoice = await wallet.invoice(amount, description, expiry_s)
        made.append(invoice.payment_hash)
        show(show_invoice(invoice))
        return show_record(await _settled(wallet, invoice, expiry_s))

    try:
        return asked(shell, source, encryption, waiting)
    except (KitestringError, KeyboardInterrupt) as stopped:
        if made:
            _say_how_to_look(shell, made[0], stopped, f" --wallet {named(source)}")
        raise


async def _settled(wallet: Wallet, invoice: Invoice, expiry_s: int) -> Any:
    """The record of the invoice, settled or after its end, as the wallet says: a look that fails proves nothing."""
    import asyncio

    until = (invoice.expires_at or time.time() + expiry_s) + LATE_S
    while True:
        is_last = time.time() > until
        try:
            found = await wallet.lookup(invoice.payment_hash)
            if is_last or found.state.value == _SETTLED:
                return found
        except KitestringError as failure:
            if is_last or failure.reason not in _PASSING:
                raise
        await asyncio.sleep(POLL_S)


def tell_end(shell: Shell, row: dict[str, Any], on_paid: OnPaid) -> int:
    """Tell what became of the invoice, and run the program if it was paid; the exit code."""
    from kitestring.app.cli.values import amount

    is_paid = row["state"] == _SETTLED
    told = {"event": "payment_received" if is_paid else "invoice_expired", **row}
    if shell.as_json:
        shell.print_json(told)
    if not is_paid:
        shell.note("expired: nobody has paid it")
        return Exit.PAYMENT_FAILED
    shell.note(f"paid: {amount(row['amount_msat'])}")
    on_paid.run(told)
    return on_paid.exit_code
