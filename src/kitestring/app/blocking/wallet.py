"""The wallet of a program without asyncio."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Generic, ParamSpec, Self, TypeVar

from kitestring.app.blocking.twin import Blocks, Given, Gives, Stream, Twin
from kitestring.app.blocking.worker import Worker
from kitestring.base.errors import KitestringError, Reason
from kitestring.sdk.debits import DebitClient
from kitestring.sdk.notifications import Notifications
from kitestring.sdk.subscriptions import DebitCharge
from kitestring.sdk.wallet import Wallet
from kitestring.wire.ask.nwc.notifications import Notification

P = ParamSpec("P")
T = TypeVar("T")


class BlockingNotifications(Stream[Notification]):
    """The notifications of a wallet, for a plain ``for``."""

    @property
    def position(self) -> str:
        """The place after the notification that came last: keep it, and give it back as ``since``."""
        inner: Notifications = self._inner
        return inner.position


class BlockingDebitClient(Given):
    """The service behind a debit code, which may be asked to pay into the wallet."""

    pay = Blocks(DebitClient.pay)
    collect = Blocks(DebitClient.collect)
    budget = Blocks(DebitClient.budget)
    full_access = Blocks(DebitClient.full_access)
    grant = Blocks(DebitClient.grant)
    subscribe = Gives(DebitClient.subscribe, Stream[DebitCharge])


class _Opens(Generic[P]):
    """The way to a wallet, with the arguments of the one that is awaited."""

    def __init__(self, make: Callable[P, Wallet]) -> None:
        self._make: Final = make
        self.__doc__ = make.__doc__

    def __get__(self, wallet: BlockingWallet | None, owner: type[BlockingWallet]) -> Callable[P, BlockingWallet]:
        def opened(*args: P.args, **kwargs: P.kwargs) -> BlockingWallet:
            return owner(self._make(*args, **kwargs), Worker())

        return opened


class BlockingWallet(Twin):
    """As :class:`kitestring.Wallet`, for ``with`` and without ``await``. Several threads may use it at once."""

    open = _Opens(Wallet.open)

    invoice = Blocks(Wallet.invoice)
    wait_paid = Blocks(Wallet.wait_paid)
    receive = Blocks(Wallet.receive)
    call = Blocks(Wallet.call)
    hold_invoice = Blocks(Wallet.hold_invoice)
    settle = Blocks(Wallet.settle)
    cancel = Blocks(Wallet.cancel)
    pay = Blocks(Wallet.pay)
    preview = Blocks(Wallet.preview)
    pay_many = Blocks(Wallet.pay_many)
    keysend = Blocks(Wallet.keysend)
    debit = Gives(Wallet.debit, BlockingDebitClient)
    balance = Blocks(Wallet.balance)
    budget = Blocks(Wallet.budget)
    sign_message = Blocks(Wallet.sign_message)
    lookup = Blocks(Wallet.lookup)
    transactions = Blocks(Wallet.transactions)
    notifications = Gives(Wallet.notifications, BlockingNotifications)
    info = Blocks(Wallet.info)

    _is_open = False

    def __enter__(self) -> Self:
        try:
            self._worker.wait(self._inner.__aenter__)
        except BaseException:
            self._worker.stop()
            raise
        self._is_open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        try:
            self._worker.wait(lambda: self._inner.__aexit__(None, None, None))
        finally:
            self._worker.stop()

    def _wait(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine of the wallet. Raises KitestringError outside of ``with``."""
        if not self._is_open:
            sentence = "the wallet is not open: write `with Wallet.open(…) as wallet:` and use it inside"
            raise KitestringError(Reason.MALFORMED, sentence)
        return super()._wait(make)
