"""``--wallet``: where its secret comes from, paying with it, being paid by it, and what it can spend and do."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Any, TypeVar

from kitestring.app.cli.given import is_place, read_place
from kitestring.app.cli.shell import Shell
from kitestring.base.errors import CodecError, KitestringError, Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kitestring.app.cli.wish import Wish
    from kitestring.base.money import Msat
    from kitestring.sdk.results import Receipt, WalletBudget
    from kitestring.sdk.source import Encryption
    from kitestring.sdk.wallet import Wallet

A = TypeVar("A")

#: Seconds between two looks at whether somebody still reads what is watched.
LOOK_S = 0.5
#: Seconds for the question whether a wallet has paid an invoice before; it need not answer.
LOOK_LIMIT_S = 5.0
#: Said of what cannot be a link, without a warning: the name of a variable or of a file is no secret.
_NO_WALLET = (
    "this is no wallet: one begins with nostr+walletconnect://, lnd+https:// or sandbox://; for a link in a variable"
    " write env:NAME, in a file file:PATH, on standard input -"
)


def read_secret(shell: Shell, source: str) -> str:
    """The secret that ``source`` names: ``env:NAME``, ``file:PATH``, ``-``, or a literal (with a warning)."""
    from kitestring.codec.pasted import tidy

    if is_place(source):
        return read_place(shell, source, "a wallet link")
    if source and (":" not in source or source in {"env:", "file:"}):
        raise KitestringError(Reason.MALFORMED, _NO_WALLET)
    if source and not is_sandbox(source):
        shell.note("warning: the link on the command line can be seen by other programs; use env:NAME, file:PATH or -")
    found = tidy(source)
    if not found:
        raise KitestringError(Reason.MALFORMED, "the wallet is empty")
    return found


def is_sandbox(uri: str) -> bool:
    """Whether a wallet is a sandbox, where no money is real."""
    return uri.lower().startswith("sandbox:")


def pay_from(shell: Shell, source: str, uri: str, wish: Wish, encryption: Encryption = "auto") -> dict[str, Any]:
    """Pay from any wallet that the SDK can open: ``uri`` is its link, and ``source`` what was typed for it. Raises
    KitestringError; KeyboardInterrupt says nothing about the payment."""
    from kitestring.client.payable import read

    shell.note_left_out(getattr(read(wish.target), "left_out", ()))  # before the wallet is looked for
    return _paid_by(
        shell, source, uri, encryption,
        lambda wallet: wallet.pay(
            wish.target, _money(wish.amount_sat), max_amount=_money(wish.max_sat), max_fee=_money(wish.max_fee_sat),
            description=wish.description, payer_data=wish.payer_data, nip69=wish.nip69,
        ),
        bolt11=wish.target,
    )  # fmt: skip


def preview_from(shell: Shell, source: str, uri: str, wish: Wish, encryption: Encryption = "auto") -> dict[str, Any]:
    """Show the payment that :func:`pay_from` would make. Raises KitestringError."""
    import asyncio

    from kitestring.client.payable import read

    shell.note_left_out(getattr(read(wish.target), "left_out", ()))
    shell.note_left_out(_left_out(uri))
    shell.note_waiting("asking the wallet over its relays …")

    async def look() -> dict[str, Any]:
        async with _opened(shell, uri, encryption) as wallet:
            found = await wallet.preview(
                wish.target, _money(wish.amount_sat), max_amount=_money(wish.max_sat), description=wish.description,
                payer_data=wish.payer_data, nip69=wish.nip69,
            )  # fmt: skip
            paid = await _paid_before(wallet, found.payment_hash)
        return {
            "sandbox": is_sandbox(uri),
            "network": found.network,
            "is_repeated": False,
            "kind": found.kind,
            "payee": found.payee,
            "payee_key": found.payee_key,
            "bolt11": found.bolt11,
            "payment_hash": found.payment_hash,
            "amount_msat": int(found.amount_msat),
            "fee_cap_msat": None if wish.max_fee_sat is None else int(_money(wish.max_fee_sat) or 0),
            "service_fee_msat": None,
            "description": found.description or None,
            "expires_at": found.expires_at,
            "spendable_msat": None,
            "currency": found.currency or None,
            "paid_from": f"the wallet {named(source)}",
            "already_paid": paid is not None,
        }

    return asyncio.run(look())


def _money(sats: int | None) -> Msat | None:
    from kitestring.base.money import sat

    return None if sats is None else sat(sats)


async def _paid_before(wallet: Wallet, payment_hash: str) -> dict[str, Any] | None:
    """The result of a payment of this hash that the wallet has made before, if it proves it; it may not tell."""
    import asyncio

    from kitestring.base.outcomes import Direction
    from kitestring.base.payments import preimage_fits

    try:
        async with asyncio.timeout(LOOK_LIMIT_S):
            found = await wallet.lookup(payment_hash)
    except (KitestringError, TimeoutError):
        return None
    if found.type is not Direction.OUTGOING or not preimage_fits(found.preimage, payment_hash):
        return None
    return {
        "payment_hash": payment_hash,
        "preimage": found.preimage,
        "amount_msat": int(found.amount_msat),
        "fee_msat": int(found.fee_msat),
        "internal": False,
        "already_paid": True,
        "created_at": found.created_at or None,
    }


def keysend_from(
    shell: Shell, source: str, uri: str, pubkey: str, amount_sat: int, max_fee_sat: int | None, message: str,
    records: dict[int, bytes], encryption: Encryption = "auto",
) -> dict[str, Any]:  # fmt: skip
    """Pay a key without an invoice, as :func:`pay_from`."""
    from kitestring.base.money import sat

    max_fee = None if max_fee_sat is None else sat(max_fee_sat)
    return _paid_by(
        shell,
        source,
        uri,
        encryption,
        lambda wallet: wallet.keysend(pubkey, sat(amount_sat), message=message, records=records, max_fee=max_fee),
    )


def _paid_by(
    shell: Shell,
    source: str,
    uri: str,
    encryption: Encryption,
    pay: Callable[[Wallet], Awaitable[Receipt]],
    bolt11: str = "",
) -> dict[str, Any]:
    """The result of a payment from the wallet of this link. ``bolt11`` is its invoice, where the payer knows it: one
    that the wallet has paid before is not sent to it again."""
    import asyncio

    shell.note_left_out(_left_out(uri))
    shell.note_waiting("asking the wallet over its relays …")
    try:
        return asyncio.run(_pay(_opened(shell, uri, encryption), pay, bolt11))
    except KeyboardInterrupt:
        shell.note(
            "\nthe wallet may have been asked, and may still pay: look at its payments first; an invoice is paid once, "
            "however often it is tried, and an offer or a key each time"
        )
        raise
    except KitestringError as error:
        if error.reason is Reason.PAYMENT_IN_FLIGHT and "payment_hash" in error.details:
            found_out = f"kitestring lookup {error.details['payment_hash']} --wallet {named(source)}"
            shell.note(f"to look it up: {found_out}")
        raise


def named(source: str) -> str:
    """``source`` as it is typed in the next command; a link that was typed is not repeated: it is a secret."""
    return quote(source) if source.startswith(("env:", "file:")) else "URI"


def _is_connection(uri: str) -> bool:
    from kitestring.codec.uri import NWC_SCHEMES

    return uri.partition(":")[0].lower() in NWC_SCHEMES


def _left_out(uri: str) -> tuple[str, ...]:
    """The texts in place of a relay in a connection link; what else is wrong with it is said when it is opened."""
    from kitestring.codec.uri import decode_nwc

    try:
        return decode_nwc(uri).left_out if _is_connection(uri) else ()
    except CodecError:
        return ()


async def _pay(opened: Wallet, pay: Callable[[Wallet], Awaitable[Receipt]], bolt11: str) -> dict[str, Any]:
    payment_hash = _hash_of(bolt11)
    async with opened as wallet:
        before = await _paid_before(wallet, payment_hash) if payment_hash else None
        if before is not None:
            return before
        receipt = await pay(wallet)
    return {
        "payment_hash": receipt.payment_hash,
        "preimage": receipt.preimage,
        "amount_msat": int(receipt.amount),
        "fee_msat": int(receipt.fee),
        "internal": False,
        "already_paid": False,
        "created_at": None,
    }


def _hash_of(text: str) -> str:
    """The payment hash of an invoice, "" of any other target."""
    from kitestring.client.payable import read
    from kitestring.codec.bolt11 import DecodedInvoice

    source = read(text) if text else None
    return source.payment_hash if isinstance(source, DecodedInvoice) else ""


def _opened(shell: Shell, uri: str, encryption: Encryption) -> Wallet:
    from kitestring.sdk.wallet import Wallet

    config = shell.config
    return Wallet.open(
        uri,
        proxies=config.proxies,
        relays=shell.own_relays(),
        allow_private=config.allow_private_relays,
        environment=config.environment,
        encryption=encryption,
    )


# ------------------------------------------------------------ what a wallet can spend


def balance_of(shell: Shell, source: str, encryption: Encryption = "auto") -> dict[str, Any]:
    """The balance and the budget of any wallet that the SDK can open, as far as it tells them. Raises KitestringError,
    also where it tells neither."""
    return asked(shell, source, encryption, _look)


async def _look(wallet: Wallet) -> dict[str, Any]:
    balance, no_balance = await _told(wallet.balance)
    budget, no_budget = await _told(wallet.budget)
    if no_balance is not None and no_budget is not None:
        raise no_balance
    return {
        "balance_msat": None if balance is None else int(balance),
        "unknown_because": None if no_balance is None else no_balance.message,
        "budget": None if budget is None else _show(budget),
        "budget_unknown_because": None if no_budget is None else no_budget.message,
    }


async def _told(ask: Callable[[], Awaitable[A]]) -> tuple[A | None, KitestringError | None]:
    """The answer, or the wallet's word that it does not tell this connection. Raises every other KitestringError."""
    try:
        return await ask(), None
    except KitestringError as error:
        if error.reason not in {Reason.NOT_PERMITTED, Reason.UNSUPPORTED}:
            raise
        return None, error


def _show(budget: WalletBudget) -> dict[str, Any]:
    return {
        "limit_msat": int(budget.limit),
        "used_msat": int(budget.used),
        "left_msat": int(budget.left),
        "period": budget.period,
        "renews_at": budget.renews_at,
    }


# ------------------------------------------------------------ to be paid, and whatever else it does


def receive_by(
    shell: Shell, source: str, amount_sat: int | None, description: str, encryption: Encryption = "auto"
) -> dict[str, Any]:
    """A link by which anybody can pay any wallet that the SDK can open. Raises KitestringError."""
    from kitestring.base.money import sat

    amount = None if amount_sat is None else sat(amount_sat)
    link = asked(shell, source, encryption, lambda wallet: wallet.receive(amount, description))
    return {
        "bip321": link.bip321,
        "bolt11": link.invoice.bolt11,
        "payment_hash": link.invoice.payment_hash,
        "amount_msat": None if link.invoice.amount is None else int(link.invoice.amount),
        "expires_at": link.invoice.expires_at,
    }


def call_of(
    shell: Shell, source: str, method: str, params: dict[str, object], timeout_s: float | None,
    encryption: Encryption = "auto",
) -> dict[str, Any]:  # fmt: skip
    """The result of a method of a wallet connection. Raises KitestringError."""
    return asked(shell, source, encryption, lambda wallet: wallet.call(method, params, timeout_s=timeout_s))


def signed_by(shell: Shell, source: str, message: str, encryption: Encryption = "auto") -> dict[str, Any]:
    """A text, signed by the node of any wallet that the SDK can open. Raises KitestringError."""
    signature = asked(shell, source, encryption, lambda wallet: wallet.sign_message(message))
    return {"message": message, "signature": signature}


def asked(shell: Shell, source: str, encryption: Encryption, ask: Callable[[Wallet], Awaitable[A]]) -> A:
    """The answer of any wallet that the SDK can open to a question that pays nothing. Raises KitestringError."""
    import asyncio

    uri = read_secret(shell, source)
    shell.note_left_out(_left_out(uri))
    shell.note_waiting("asking the wallet over its relays …")

    async def asking() -> A:
        async with _opened(shell, uri, encryption) as wallet:
            return await ask(wallet)

    return asyncio.run(asking())


# ------------------------------------------------------------ what happens in a wallet


def watch(
    shell: Shell, source: str, since: int | str | None, encryption: Encryption,
    tell: Callable[[dict[str, Any]], None], gone: Callable[[], bool],
) -> None:  # fmt: skip
    """Tell what happens in any wallet that the SDK can open, until whoever reads it is ``gone``. Raises
    KitestringError."""
    import asyncio

    uri = read_secret(shell, source)
    shell.note_left_out(_left_out(uri))
    shell.note_waiting("watching the wallet, until Ctrl-C …")
    asyncio.run(_watch(_opened(shell, uri, encryption), since, tell, gone))


async def _watch(
    opened: Wallet, since: int | str | None, tell: Callable[[dict[str, Any]], None], gone: Callable[[], bool]
) -> None:
    import asyncio

    from kitestring.app.owner.money import as_object

    async with opened as wallet:
        news = wallet.notifications(since=since)
        while True:
            coming = asyncio.ensure_future(anext(news))
            while not (await asyncio.wait((coming,), timeout=LOOK_S))[0]:
                if gone():
                    coming.cancel()
                    return
            one = coming.result()
            found = one.transaction
            told = {
                "event": one.type, "type": found.type.value, "state": found.state.value,
                "payment_hash": found.payment_hash, "amount_msat": int(found.amount_msat),
                "fee_msat": int(found.fee_msat), "created_at": found.created_at, "settled_at": found.settled_at,
                "description": found.description or None, "preimage": found.preimage or None,
                "metadata": as_object(found.metadata),
                "position": news.position,
            }  # fmt: skip
            await asyncio.to_thread(tell, told)  # a program that it runs keeps no relay waiting
