"""``kitestring invoice --wait``: until the invoice is paid, or whoever made it says that nobody has paid it, and can.

No clock says so: one that leaps ahead would call unpaid what is paid a minute later.
"""

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

#: Seconds after its end before the service is asked what became of it: a payment may have come in the last moment.
LATE_S: Final = 10.0
#: Seconds after its end before a wallet is believed that nobody has paid it: some say so by their own clocks.
GRACE_S: Final = 300.0
#: Seconds after that in which the last word is waited for.
LAST_S: Final = 300.0
#: Seconds between two looks.
POLL_S: Final = 2.0
#: What may be better at the next look.
_PASSING: Final = frozenset({Reason.UNAVAILABLE, Reason.RATE_LIMITED, Reason.BUSY, Reason.INTERNAL})
_SETTLED: Final = "settled"
#: What may become of an invoice of the service before its time is over.
_ENDS: Final = frozenset({"payment_received", "invoice_canceled"})
#: States of an invoice that may still be paid.
_OPEN: Final = frozenset({"pending", "accepted"})


def at_service(shell: Shell, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The row of the invoice that ``make`` makes and shows, when it is paid or the node has called it unpaid. Raises
    KitestringError: UNAVAILABLE if the service stops meanwhile, PAYMENT_IN_FLIGHT while the node says neither."""
    until_s = float("inf")
    happening = shell.activity(None, lambda: time.monotonic() > until_s)
    next(happening)  # from here on nothing is missed
    made = make()
    payment_hash, until_s = made["payment_hash"], _monotonic(made["expires_at"]) + LATE_S
    try:
        row = _row(shell, payment_hash)
        if row["state"] == _SETTLED:  # repeated with the same key
            return row
        for told in happening:
            if told.get("payment_hash") == payment_hash and told["event"] in _ENDS:
                break
        return _ended(shell, payment_hash, until_s + LAST_S)
    except (KitestringError, KeyboardInterrupt) as stopped:
        _say_how_to_look(shell, payment_hash, stopped)
        raise


def _monotonic(at: int) -> float:
    """A time of the wall clock (Unix seconds), if it has not passed, by the clock that nobody can set."""
    return time.monotonic() + max(0.0, at - time.time())


def _ended(shell: Shell, payment_hash: str, until_s: float) -> dict[str, Any]:
    while (row := _row(shell, payment_hash))["state"] in _OPEN:
        if time.monotonic() > until_s:
            raise _undecided("the node has not")
        time.sleep(POLL_S)
    return row


def _undecided(who_has_not: str) -> KitestringError:
    """The error where an invoice is past its end, and may have been paid."""
    sentence = f"its time is over, and {who_has_not} said yet that nobody has paid it: it may still be paid"
    return KitestringError(Reason.PAYMENT_IN_FLIGHT, sentence)


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
    """The row of an invoice of any wallet that the SDK can open, when it is paid or the wallet has called it unpaid for
    good; ``show`` shows it first. Raises KitestringError, PAYMENT_IN_FLIGHT while the wallet says neither."""
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
    """The record of the invoice, settled or unpaid for good, as the wallet says: a look that fails proves nothing."""
    import asyncio

    over_s = _monotonic(invoice.expires_at or int(time.time()) + expiry_s) + GRACE_S
    while True:
        now_s = time.monotonic()
        is_last = now_s > over_s + LAST_S
        try:
            found = await wallet.lookup(invoice.payment_hash)
            state = found.state.value
            if state == _SETTLED or (state not in _OPEN and now_s >= over_s):
                return found
        except KitestringError as failure:
            if is_last or failure.reason not in _PASSING:
                raise
        if is_last:
            raise _undecided("the wallet has not")
        await asyncio.sleep(POLL_S)


def tell_end(shell: Shell, row: dict[str, Any], on_paid: OnPaid) -> int:
    """Tell what became of the invoice, and run the program if it was paid; the exit code."""
    from kitestring.app.cli.values import amount

    is_paid = row["state"] == _SETTLED
    told = {"event": "payment_received" if is_paid else "invoice_expired", **row}
    if shell.as_json:
        shell.print_json(told)
    if not is_paid:
        shell.note("expired or cancelled: nobody has paid it")
        return Exit.PAYMENT_FAILED
    shell.note(f"paid: {amount(row['amount_msat'])}")
    on_paid.run(told)
    return on_paid.exit_code
