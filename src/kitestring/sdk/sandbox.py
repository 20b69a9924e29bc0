"""The outside world of a sandbox, for programs that test payments: who is paid there, who pays, what goes wrong.

Nothing here can reach a real node: it is the file of one sandbox that is written, and nobody else reads it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Protocol, Self, TypeVar

from kitestring.backend.registry import BackendUrl
from kitestring.backend.sandbox.file import OPENING_BALANCE_MSAT, open_file
from kitestring.backend.sandbox.node import WorldPlace, place_of
from kitestring.backend.sandbox.payments import Behaviour
from kitestring.backend.sandbox.world import World, WorldInvoice
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.payments import FailureReason
from kitestring.client.net import Net
from kitestring.client.offers.asking import AskedOffer
from kitestring.client.payable import Terms, ask, read
from kitestring.codec import bolt11
from kitestring.transport.clock import SystemClock

T = TypeVar("T")

#: Seconds that a payer waits for the receipt of an offer; the payment is done by then.
RECEIPT_TIMEOUT_S: Final = 10.0
#: Seconds that :meth:`Sandbox.wait_for` waits unless it is told otherwise; a payment begins within one.
WAIT_S: Final = 20.0
#: Seconds between two of its looks.
LOOK_S: Final = 0.02
#: The longest that a payment can be slow: a day, far beyond what any program waits.
MAX_SLOW_S: Final = 86_400
#: Rows that :meth:`Sandbox.invoices` gives at most.
MAX_ROWS: Final = 1_000

#: Why the payee, or the way to it, lets a payment fail.
FailWord = Literal["no_route", "refused", "expired", "fee_limit", "insufficient_funds", "other"]
#: What became of an invoice of somebody out there; ``held`` waits for a decision, ``in_flight`` ends by itself.
OutsideState = Literal["unpaid", "expired", "in_flight", "held", "settled", "failed"]


@dataclass(frozen=True, slots=True)
class SandboxInvoice:
    """An invoice of somebody out there, and what became of it.

    ``amount`` is what was paid, before that what it asks for (None = the payer chooses). The payment has cost ``fee``
    on top. ``preimage`` is "" unless it is settled.
    """

    bolt11: str
    payment_hash: str
    state: OutsideState
    amount: Msat | None
    fee: Msat
    preimage: str


@dataclass(frozen=True, slots=True)
class SandboxReceipt:
    """A payment by somebody out there. ``preimage`` is "" where the node holds it until its owner decides.

    Of an offer ``request_id`` is the request's, and ``receipt`` says what its service told afterwards: ``proven`` with
    the preimage, ``claimed`` without one, ``false`` with a wrong one, None where nothing came.
    """

    payment_hash: str
    amount: Msat
    preimage: str
    request_id: str | None = None
    receipt: str | None = None

    @property
    def is_held(self) -> bool:
        """Whether the node has the money in hand and has not decided yet."""
        return not self.preimage


@dataclass(frozen=True, slots=True)
class SandboxBooks:
    """The money of the node: ``opening + received − sent − fees − held = balance``."""

    opening: Msat
    received: Msat
    sent: Msat
    fees: Msat
    held: Msat
    balance: Msat


class StandsOnSandbox(Protocol):
    """A service that can name its world."""

    @property
    def sandbox_url(self) -> str:
        """The URL of its world. Raises KitestringError where it has none."""
        ...


class Sandbox:
    """The outside world of a sandbox: somebody who pays you, and whom you pay, and what goes wrong on the way.

    ``place`` is the file of a world or a ``sandbox://`` URL with a path; it is made with a node of 1,000,000 sat
    (``?balance_sat=`` of the URL) where it is not there yet. None makes one that is gone after :meth:`close`. Whoever
    names the same file meets in the same world: ``Service(backend=sandbox.url)``, ``Wallet.open(sandbox.url)``,
    ``kitestring sandbox … --world PATH``. It can be used by several processes at once, and while nothing else runs.

    Raises KitestringError for a place that is none, and for the URL of a real node.
    """

    def __init__(self, place: str | Path | None = None) -> None:
        self._closing: weakref.finalize[[Path, bool], Sandbox] | None = None
        if place is None:
            directory = Path(tempfile.mkdtemp(prefix="kitestring-sandbox-"))
            self._closing = weakref.finalize(self, shutil.rmtree, directory, ignore_errors=True)
            place = directory / "sandbox.db"
        found = _place(place)
        self.path: Final = found.path
        self.url: Final = place if isinstance(place, str) and place.startswith("sandbox:") else f"sandbox://{self.path}"
        open_file(self.path, opening_msat=found.opening_msat).close()

    @classmethod
    def of(cls, service: StandsOnSandbox) -> Self:
        """The world of a :class:`~kitestring.Service`. Raises KitestringError(UNSUPPORTED) where it stands on a real
        node."""
        return cls(service.sandbox_url)

    def __repr__(self) -> str:
        return f"Sandbox({str(self.path)!r})"

    def close(self) -> None:
        """Remove the world if it is a temporary one. Close first what stands on it."""
        if self._closing is not None:
            self._closing()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------ being paid out there

    async def invoice(
        self, amount: Msat | None, description: str = "", *, hold: bool = False, fail: FailWord | None = None,
        slow_s: float | None = None, lose_answer: bool = False, expiry_s: int = 3600,
    ) -> SandboxInvoice:  # fmt: skip
        """An invoice of somebody out there; ``amount`` None leaves it to the payer. Without more it is paid at once.

        ``hold``: its payment is held until :meth:`settle` or :meth:`cancel`. ``fail``: it fails, for that reason.
        ``slow_s``: it ends after so many seconds. ``lose_answer``: the node does as it was asked, and the connection to
        it breaks before it says so: a service finds out by look-up, and a payment that is also held stays *unknown*
        until it is settled or cancelled. Raises KitestringError for what cannot be meant together.
        """
        behaviour, delay_ms = _fate(hold, fail, slow_s, lose_answer)
        reason = FailureReason(fail or FailureReason.NO_ROUTE)

        def make(world: World) -> WorldInvoice:
            text = world.invoice(
                amount, description, behaviour=behaviour, delay_ms=delay_ms, reason=reason, expiry_s=expiry_s
            )
            return world.invoices(1, bolt11.decode(text, recover=False).payment_hash)[0]

        try:
            return _invoice(await self._do(make))
        except CodecError as error:
            raise KitestringError(Reason.MALFORMED, str(error)) from error

    async def settle(self, payment_hash: str) -> None:
        """Take a payment that is held or slow: it is settled now. Raises KitestringError: UNKNOWN_TARGET where nobody
        has paid that invoice yet, CONFLICT where its payment has ended."""
        await self._do(lambda world: world.release(payment_hash))

    async def cancel(self, payment_hash: str) -> None:
        """Refuse a payment that is held or slow: it has failed now. Raises as :meth:`settle`."""
        await self._do(lambda world: world.release(payment_hash, settle=False))

    async def node(self) -> str:
        """The key of a node out there, for keysend: it takes what it has not asked for."""
        return await self._do(World.node)

    async def look(self, payment_hash: str) -> SandboxInvoice:
        """Tell what became of one invoice out there. Raises KitestringError(UNKNOWN_TARGET)."""
        found = await self._do(lambda world: world.invoices(1, payment_hash))
        if not found:
            raise KitestringError(Reason.UNKNOWN_TARGET, "nobody in this sandbox world made an invoice of this hash")
        return _invoice(found[0])

    async def invoices(self, limit: int = 20) -> tuple[SandboxInvoice, ...]:
        """The newest invoices of those out there, the newest first; 1,000 at most."""
        found = await self._do(lambda world: world.invoices(max(0, min(limit, MAX_ROWS))))
        return tuple(_invoice(one) for one in found)

    async def wait_for(
        self, payment_hash: str, state: OutsideState = "held", *, timeout_s: float = WAIT_S
    ) -> SandboxInvoice:
        """Wait until an invoice out there is in ``state``, such as a payment that has arrived to be ``held``. Raises
        KitestringError(UNAVAILABLE), which says how it stands, after ``timeout_s`` seconds."""
        end_s = asyncio.get_running_loop().time() + timeout_s
        while (found := await self.look(payment_hash)).state != state:
            if asyncio.get_running_loop().time() >= end_s:
                sentence = f"the invoice is {found.state}, and was not {state} within {timeout_s:g} s"
                raise KitestringError(Reason.UNAVAILABLE, sentence)
            await asyncio.sleep(LOOK_S)
        return found

    # ------------------------------------------------------------ paying from out there

    async def pay(
        self, target: str, amount: Msat | None = None, *, max_amount: Msat | None = None,
        payer_data: Mapping[str, str] | None = None, relays: Iterable[str] = (),
        receipt_timeout_s: float = RECEIPT_TIMEOUT_S,
    ) -> SandboxReceipt:  # fmt: skip
        """Somebody out there pays an invoice or an offer of the node of this world, which may stand still meanwhile.

        An offer is asked for over its relays, also those on this machine, as any wallet does it, and its receipt is
        waited for up to ``receipt_timeout_s`` seconds. ``amount`` is for a target that names none, ``max_amount`` the
        most that an offer may ask for, ``payer_data`` what it asks for. Raises KitestringError saying why not:
        UNKNOWN_TARGET for an invoice of another world.
        """
        net = Net(SystemClock(), os.urandom, own_relays=tuple(relays), allow_private=True)
        terms = Terms(amount, max_msat=max_amount, payer_data=payer_data or {})
        return await pay_from_outside(self.path, target, terms, net, receipt_timeout_s)

    # ------------------------------------------------------------ the node and its time

    async def set_offline(self, offline: bool) -> None:
        """Let the node refuse every connection from now on, or take them again."""
        await self._do(lambda world: world.set_offline(offline))

    async def advance(self, seconds: int) -> None:
        """Put the clock of this world ahead, at most ten years in all: its invoices expire, and what is slow ends.

        It is the node's clock and that of all out there. The clocks of a service, of a wallet and of this machine stay
        as they are: budgets do not renew, and connections do not end. ``kitestring.testing`` moves those too.
        """
        await self._do(lambda world: world.put_ahead(seconds))

    async def balance(self) -> Msat:
        """The amount that the node can spend now."""
        return (await self.books()).balance

    async def books(self) -> SandboxBooks:
        """All that the node has received, sent, paid in fees and has under way."""
        found = await self._do(World.books)
        return SandboxBooks(
            found.opening_msat, found.received_msat, found.sent_msat, found.fees_msat, found.held_msat,
            found.balance_msat,
        )  # fmt: skip

    async def _do(self, work: Callable[[World], T]) -> T:
        """Do it on a thread: it waits for the disk. Nothing stays open between two calls."""

        def done() -> T:
            with World(self.path) as world:
                return work(world)

        return await asyncio.to_thread(done)


async def pay_from_outside(
    path: Path, target: str, terms: Terms, net: Net, receipt_timeout_s: float = RECEIPT_TIMEOUT_S
) -> SandboxReceipt:
    """Pay a target out of the world at ``path``, by the payer's ``terms``, over ``net``. Raises KitestringError,
    UNAVAILABLE without a relay or an answer."""
    read(target)  # a wrong code is wrong whether or not its service answers
    with World(path) as world:
        async with await ask(target, terms, net) as payable:
            invoice = payable.invoice
            preimage = world.pay(invoice.text, payable.amount_msat if invoice.amount_msat is None else None)
            asked = payable.asked
            request_id = None if asked is None else asked.request_id
            receipt = await _receipt(asked, receipt_timeout_s) if asked is not None and preimage else None
            return SandboxReceipt(invoice.payment_hash, payable.amount_msat, preimage, request_id, receipt)


async def _receipt(asked: AskedOffer, timeout_s: float) -> str | None:
    receipt = await asked.wait_receipt(timeout_s)
    return None if receipt is None else receipt.proof


def _place(place: str | Path) -> WorldPlace:
    text = str(place)
    if "://" not in text:
        return WorldPlace(Path(text).absolute(), OPENING_BALANCE_MSAT, 0)
    url = BackendUrl.parse(text)
    if url.scheme != "sandbox":
        raise KitestringError(Reason.UNSUPPORTED, f"this is a real node ({url.scheme}://), not a sandbox")
    if not url.path.strip("/"):
        raise KitestringError(Reason.MALFORMED, "write sandbox:///absolute/path.db, or the path alone")
    return place_of(url, Path())


def _fate(hold: bool, fail: str | None, slow_s: float | None, lose_answer: bool) -> tuple[Behaviour, int | None]:
    """Choose what the payee does, and after how many milliseconds (None = as fast as the node is)."""
    if fail is not None and fail not in _WORDS:
        raise KitestringError(Reason.MALFORMED, f"a payment fails for one of {', '.join(_WORDS)}")
    if hold and (fail is not None or slow_s is not None):
        sentence = "what is held does not end by itself: settle() or cancel() it, without fail and slow_s"
        raise KitestringError(Reason.MALFORMED, sentence)
    if slow_s is not None and not 0 <= slow_s <= MAX_SLOW_S:
        raise KitestringError(Reason.MALFORMED, f"a payment is slow for 0 to {MAX_SLOW_S} seconds")
    delay_ms = None if slow_s is None else round(slow_s * 1_000)
    if hold:
        return (Behaviour.HANG_LOST if lose_answer else Behaviour.HANG), None
    if fail is not None:
        return (Behaviour.LOST_FAIL if lose_answer else Behaviour.FAIL), delay_ms
    return (Behaviour.LOST if lose_answer else Behaviour.SETTLE), delay_ms


_WORDS: Final = ("no_route", "refused", "expired", "fee_limit", "insufficient_funds", "other")


def _invoice(found: WorldInvoice) -> SandboxInvoice:
    return SandboxInvoice(
        found.bolt11, found.payment_hash, found.state.value, found.amount_msat, found.fee_msat, found.preimage
    )
