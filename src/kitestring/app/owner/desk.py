"""What the owner's commands stand on: the running service, seen from its desk."""

from __future__ import annotations

from hashlib import sha256
from typing import Protocol, TypeVar

from kitestring.app.home.config import Config
from kitestring.app.home.keyring import Keyring
from kitestring.app.service.execute import Result
from kitestring.app.service.node_words import in_its_words
from kitestring.base.commands import AnyCommand, Journaled
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.node import Backend
from kitestring.base.outcomes import Outcome, Refused
from kitestring.base.ports import Clock, Entropy
from kitestring.base.records import NodeView
from kitestring.base.store import Store
from kitestring.base.transactions import Write
from kitestring.codec.bolt11 import Invoice
from kitestring.codec.json import dumps
from kitestring.codec.pointers import Noffer

Kind = TypeVar("Kind")
#: The member under which a stored result remembers what it was asked for.
_ASKED = "asked"


class Desk(Protocol):
    """Implemented by the running service, by the read-only desk of a stopped one, and by tests."""

    @property
    def store(self) -> Store: ...
    @property
    def backend(self) -> Backend: ...
    @property
    def config(self) -> Config: ...
    @property
    def keyring(self) -> Keyring: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def entropy(self) -> Entropy: ...

    def relay_urls(self) -> tuple[str, ...]:
        """The relays inside our codes, the preferred one first."""
        ...

    async def ask(self, grant_id: str, command: AnyCommand) -> Outcome:
        """Carry out a reading command."""
        ...

    async def perform(self, request_id: str, grant_id: str, command: Journaled, wait_s: float) -> Outcome | None:
        """Carry out a journaled command once per ``request_id``; None = no end after ``wait_s`` seconds."""
        ...

    async def execute(self, request_id: str, name: str, writes: tuple[Write, ...], result: Result) -> Result:
        """Do all writes or none, once per ``request_id``; the second time the stored result is returned.

        Raises KitestringError when the store denies a write or it was decided on an old version.
        """
        ...

    async def resolve_payment(self, payment_id: str, note: str) -> None:
        """The operator's word about a payment of unknown outcome. Raises KitestringError if it has another state."""
        ...

    async def grants_changed(self) -> None:
        """Info events are published and read back, subscriptions follow. Awaited before a connection is shown."""
        ...

    async def resolve_offer(self, noffer: Noffer, amount_sats: int | None, description: str) -> Invoice:
        """Ask an offer for an invoice over its relays; the invoice is checked. Raises KitestringError."""
        ...

    async def node_view(self) -> NodeView: ...


def request_id(name: str, key: str) -> str:
    """The id under which one owner's command is claimed, once, for ever."""
    digest = sha256(f"{name}\n{key}".encode()).hexdigest()
    return f"ctl:{digest}"


async def execute_once(
    desk: Desk, name: str, key: str, asked: object, writes: tuple[Write, ...], result: Result
) -> Result:
    """:meth:`Desk.execute`, and a refusal when ``key`` was used for the same command with other parameters."""
    digest = sha256(dumps(asked).encode()).hexdigest()[:16]
    stored = await desk.execute(request_id(name, key), name, writes, {**result, _ASKED: digest})
    if stored.get(_ASKED) != digest:
        raise key_reused(name)
    return {member: value for member, value in stored.items() if member != _ASKED}


def key_reused(name: str) -> KitestringError:
    return KitestringError(
        Reason.ALREADY_USED, f"this idempotency key was used for another `{name}`: take a new key for a new command"
    )


def expect(outcome: Outcome, kind: type[Kind]) -> Kind:
    """``outcome`` if it is of ``kind``; a refusal is raised as KitestringError."""
    if isinstance(outcome, kind):
        return outcome
    if isinstance(outcome, Refused):
        raise KitestringError(outcome.reason, in_its_words(outcome.message, outcome.details), **outcome.details)
    raise KitestringError(Reason.INTERNAL, f"the service answered with {type(outcome).__name__}")
