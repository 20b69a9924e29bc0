"""The wallet of a program: one class over a NWC connection, a Lightning node, or the sandbox."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from kitestring.base.commands import ListTransactions
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Info, Paid, Transaction
from kitestring.base.payments import preimage_fits
from kitestring.base.ports import Clock, Entropy
from kitestring.client.nwc import pay_command
from kitestring.client.offers import ask_offer
from kitestring.client.session import DEFAULT_WAITS, Waits
from kitestring.codec import bolt11
from kitestring.codec.pointers import Noffer
from kitestring.sdk.payable import agree, offer_sats, resolve
from kitestring.sdk.purse import open_purse
from kitestring.sdk.setting import Purse, Setting
from kitestring.transport.clock import SystemClock
from kitestring.transport.proxies import Proxies


@dataclass(frozen=True, slots=True)
class Invoice:
    """To be paid to us. ``amount`` None = the payer chooses; ``expires_at`` in Unix seconds."""

    bolt11: str
    payment_hash: str
    amount: Msat | None
    expires_at: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of a payment: SHA-256 of ``preimage`` is ``payment_hash``. ``fee`` was paid on top of ``amount``."""

    preimage: str
    fee: Msat
    amount: Msat
    payment_hash: str
    bolt11: str


class Wallet:
    """Made by :meth:`open` and used as an async context manager. Amounts are :class:`Msat`: write ``sat(210)``."""

    def __init__(self, purse: Purse, setting: Setting, *, relays: Iterable[str] = (), allow_private: bool) -> None:
        self._purse: Final = purse
        self._setting: Final = setting
        self._relays: Final = (*relays, *purse.relays)
        self._allow_private: Final = allow_private

    @classmethod
    def open(
        cls,
        uri: str,
        *,
        clock: Clock | None = None,
        entropy: Entropy = secrets.token_bytes,
        waits: Waits = DEFAULT_WAITS,
        proxies: Proxies | None = None,
        relays: Iterable[str] = (),
        allow_private: bool = False,
        data_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Wallet:
        """The wallet that ``uri`` names: ``nostr+walletconnect://…``, ``lnd+https://host?cert=PATH&macaroon=PATH``,
        ``sandbox:///path.db`` or ``sandbox://`` (in ``data_dir``, default the user's own for kitestring).

        ``relays`` are the caller's own, where offers may be asked for even at a private address (those of a NWC URI
        are among them); ``allow_private`` lifts that check for all. ``environment`` is where ``env:NAME`` in a node's
        URL is looked up. Raises KitestringError for a bad URI here, UNAVAILABLE on entering.
        """
        setting = Setting(clock or SystemClock(), entropy, waits, proxies or Proxies(), data_dir, environment or {})
        return cls(open_purse(uri, setting), setting, relays=relays, allow_private=allow_private)

    async def __aenter__(self) -> Self:
        await self._purse.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._purse.close()

    # ------------------------------------------------------------ money

    async def invoice(self, amount: Msat | None, memo: str = "", expiry_s: int = 3600) -> Invoice:
        """An invoice to be paid by anybody; ``amount`` None leaves it to the payer. Raises KitestringError."""
        made = await self._purse.make_invoice(_positive(amount), memo, expiry_s)
        decoded = bolt11.decode(made.bolt11, recover=False)
        return Invoice(decoded.text, decoded.payment_hash, decoded.amount_msat, decoded.expires_at)

    async def pay(
        self,
        target: str,
        amount: Msat | None = None,
        *,
        max_fee: Msat | None = None,
        description: str = "",
        timeout_s: float | None = None,
    ) -> Receipt:
        """Pay an invoice or an offer (``noffer1…``), bare or inside a ``lightning:`` or ``bitcoin:`` link.

        ``max_fee`` is the most the route may cost (a node's default: 1 %, at least 10 sat). ``description`` goes to the
        service of an offer. ``timeout_s`` bounds the payment itself (default 60 at a node, 90 over NWC).

        The same invoice is never paid twice; paying it again returns the same receipt. Raises KitestringError:
        PAYMENT_IN_FLIGHT (detail ``payment_hash``) when nobody can say yet, which is no failure: ask :meth:`lookup`
        later and pay nothing else for the same thing until then. Every other reason means that nothing was paid.
        """
        amount, max_fee = _positive(amount), _money(max_fee)
        payable = resolve(target)
        if not isinstance(payable, Noffer):
            return await self._pay_invoice(payable, amount, max_fee, timeout_s)
        sats = offer_sats(payable, amount)
        setting = self._setting
        asked = await ask_offer(
            payable, amount_sats=sats, description=description, network=await self._purse.network() or None,
            own_relays=self._relays, allow_private=self._allow_private, clock=setting.clock, entropy=setting.entropy,
            proxies=setting.proxies, waits=setting.waits,
        )  # fmt: skip
        async with asked:
            agree(asked.invoice, sats)
            named = amount if asked.invoice.amount_msat is None else None
            return await self._pay_invoice(asked.invoice, named, max_fee, timeout_s)

    async def _pay_invoice(
        self, invoice: bolt11.Invoice, amount: Msat | None, max_fee: Msat | None, timeout_s: float | None
    ) -> Receipt:
        command = pay_command(invoice, amount, max_fee)
        network = await self._purse.network() or invoice.network
        reason = bolt11.check_payable(invoice, now=self._setting.clock.now(), network=network)
        if reason is Reason.WRONG_NETWORK:
            raise KitestringError(reason, f"this invoice is for {invoice.network}, the wallet is on {network}")
        if reason is not None:  # an expired invoice may be one that was paid in time
            paid = await self._paid_before(invoice.payment_hash)
        else:
            paid = await self._purse.pay(command, timeout_s)
        return Receipt(paid.preimage, paid.fee_msat, paid.amount_msat, paid.payment_hash, invoice.text)

    async def _paid_before(self, payment_hash: str) -> Paid:
        expired = KitestringError(Reason.MALFORMED, "this invoice has expired: ask for a new one")
        try:
            found = await self._purse.lookup(payment_hash)
        except KitestringError as error:
            if error.reason is not Reason.UNKNOWN_TARGET:
                raise
            raise expired from error
        if found.type == "outgoing" and found.state == "pending":
            raise KitestringError(
                Reason.PAYMENT_IN_FLIGHT, f"the payment {payment_hash} is still under way", payment_hash=payment_hash
            )
        if found.type != "outgoing" or found.state != "settled" or not preimage_fits(found.preimage, payment_hash):
            raise expired
        return Paid(payment_hash, found.preimage, found.amount_msat, found.fee_msat)

    # ------------------------------------------------------------ looking

    async def balance(self) -> Msat:
        """What can be spent. Raises KitestringError."""
        return await self._purse.balance()

    async def lookup(self, payment_hash: str) -> Transaction:
        """The payment or invoice with this hash (64 hex digits). Raises KitestringError, UNKNOWN_TARGET if none."""
        try:
            wanted = bytes.fromhex(payment_hash).hex()
        except ValueError:
            wanted = ""
        if len(wanted) != 64:
            raise KitestringError(Reason.MALFORMED, "a payment hash is 64 hexadecimal digits")
        return await self._purse.lookup(wanted)

    async def transactions(
        self,
        *,
        since: int = 0,
        until: int = 0,
        limit: int = 20,
        offset: int = 0,
        direction: str = "",
        unpaid: bool = False,
    ) -> tuple[Transaction, ...]:
        """The newest first; times are Unix seconds, ``direction`` is ``incoming`` or ``outgoing``. Raises
        KitestringError. A node asked directly knows no times of outgoing payments and lists those first."""
        if direction not in {"", "incoming", "outgoing"}:
            raise KitestringError(Reason.MALFORMED, "direction is incoming or outgoing")
        query = ListTransactions(
            from_=since, until=until, limit=limit, offset=offset, direction=direction, unpaid_incoming=unpaid,
            unpaid_outgoing=unpaid,
        )  # fmt: skip
        return await self._purse.transactions(query)

    async def info(self) -> Info:
        """The node behind the wallet, and over NWC what it allows. Raises KitestringError."""
        return await self._purse.info()


def _money(amount: Msat | None) -> Msat | None:
    """Raises TypeError for a bare number: nobody could tell sats from millisats."""
    if amount is not None and not isinstance(amount, Msat):
        raise TypeError("an amount is written sat(210) or Msat(210_000), not as a bare number")
    if amount is not None and amount < 0:
        raise KitestringError(Reason.MALFORMED, "an amount is not negative")
    return amount


def _positive(amount: Msat | None) -> Msat | None:
    if _money(amount) == 0:
        raise KitestringError(Reason.AMOUNT_OUT_OF_RANGE, "an amount is at least one millisatoshi")
    return amount
