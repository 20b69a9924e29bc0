"""One command of the owner as a value: its name, its parameters, and a handler. Its class says the right it needs.

The class also fixes the role (``desk``) that the handler is given, so that a handler with more power than the right of
its row allows is a type error.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec

from kitestring.app.owner.budgets import ask_rates
from kitestring.app.owner.desk import (
    Asking,
    Deciding,
    Desk,
    Foreseeing,
    Managing,
    Operating,
    Reading,
    Receiving,
    Speaking,
    Spending,
)
from kitestring.app.owner.results.words import AnswerJson
from kitestring.app.owner.table import IDEMPOTENCY_KEY, TABLE
from kitestring.app.service.execute import Result, stored_result
from kitestring.base.commands import OWNER_ACCOUNT, AnyCommand
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.money import Msat
from kitestring.base.rights import Right
from kitestring.base.text import one_line
from kitestring.base.transactions.owner import Write
from kitestring.codec.json import dumps
from kitestring.policy.access import refuse_gift

D_contra = TypeVar("D_contra", contravariant=True)
M_contra = TypeVar("M_contra", bound=Managing, contravariant=True)
P = TypeVar("P", bound=msgspec.Struct)

#: The member under which a stored result remembers what it was asked for.
_ASKED: Final = "asked"
_KEY: Final = re.compile(IDEMPOTENCY_KEY)
_WORDS: Final = {row.name: row.words for row in TABLE}
_FIELD: Final = re.compile(r"\$\.(\w+)")
#: Parameters that name what a command is about, and nothing of it that is a secret.
_ABOUT: Final = ("name", "connection", "label", "offer", "pointer", "account", "id", "key")
#: Characters of one of them in a line.
MAX_ABOUT_CHARS: Final = 64
_BOUNDS: Final = {">=": "at least", "<=": "at most"}
_KINDS: Final = {
    "str": "a string", "int": "a whole number", "bool": "true or false", "array": "a list", "object": "an object",
}  # fmt: skip


def _length(name: str, kind: str, bound: str, number: str) -> str:
    if (bound, number) == (">=", "1"):
        return f"{name} must not be empty"
    return f"{name} has {_BOUNDS[bound]} {number} {'characters' if kind == 'str' else 'values'}"


#: The words of msgspec, and ours for a parameter of that name.
_PLAIN_WORDS: Final[tuple[tuple[re.Pattern[str], Callable[..., str]], ...]] = (
    (re.compile(r"Expected `(str|array)` of length (>=|<=) (\d+)"), _length),
    (
        re.compile(r"Expected `int` (>=|<=) (-?\d+)"),
        lambda name, bound, number: f"{name} must be {_BOUNDS[bound]} {number}",
    ),
    (
        re.compile(r"Expected `(\w+)(?: \| null)?`, got `\w+`"),
        lambda name, kind: f"{name} must be {_KINDS.get(kind, 'something else')}",
    ),
    (re.compile(r"Invalid enum value (.*)"), lambda name, value: f"{name} cannot be {value}"),
    (
        re.compile(r"Object missing required field `(\w+)`"),
        lambda _, field: f"{field.replace('_', ' ')} is missing",
    ),
    (re.compile(r"Object contains unknown field `(.*)`"), lambda _, field: f"there is no parameter {field!r}"),
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the caller's grant, and the id that the call claims, once, forever. No two callers share an id."""

    caller: Grant
    request_id: str


@dataclass(frozen=True, slots=True)
class Change:
    """The decision of a managing command: rows to write, and the result that is stored with them.

    ``grant_id`` names a grant that must be served anew before the command is answered.
    """

    writes: tuple[Write, ...]
    result: Result
    grant_id: str = ""


@dataclass(frozen=True)
class CommandSpec(ABC, Generic[D_contra, P]):
    """One command. ``params`` is the form of its parameters, ``result`` that of its answer, to which the tests hold it;
    the docstring of the handler is its help."""

    right: ClassVar[Right]
    name: str
    params: type[P]
    handler: Callable[..., Awaitable[object]]
    result: type[AnswerJson]

    @property
    def doc(self) -> str:
        """The first line of the help."""
        return (self.handler.__doc__ or "").partition("\n")[0]

    @property
    def mutating(self) -> bool:
        """Whether it changes something, so that it needs an idempotency key."""
        return self.right is not Right.READ

    @property
    def offline(self) -> bool:
        """Whether it needs nothing but the stored ledger."""
        return False

    @abstractmethod
    async def carry_out(self, desk: D_contra, params: P, call: Call) -> Result:
        """Carry it out. Raises KitestringError for everything that the caller is to be told."""


@dataclass(frozen=True)
class _Direct(CommandSpec[D_contra, P]):
    handler: Callable[[D_contra, P, Call], Awaitable[Result]]

    async def carry_out(self, desk: D_contra, params: P, call: Call) -> Result:
        return await self.handler(desk, params, call)


class Read(_Direct[Reading, P]):
    """A command that needs the ledger alone: carried out without a running service too."""

    right = Right.READ

    @property
    def offline(self) -> bool:
        return True


class Ask(_Direct[Asking, P]):
    """A command that reads and asks the node: it needs the running service."""

    right = Right.READ


class Sign(_Direct[Asking, P]):
    """A command that speaks in the name of the node, or of the owner. It changes nothing, so that it needs no
    idempotency key."""

    right = Right.MANAGE

    @property
    def mutating(self) -> bool:
        return False


class Speak(_Direct[Speaking, P]):
    """A command that says to everybody what the service is. Said twice it is one word, so that it needs no idempotency
    key."""

    right = Right.MANAGE

    @property
    def mutating(self) -> bool:
        return False


class Receive(_Direct[Receiving, P]):
    """A command that makes invoices. The engine claims ``Call.request_id``: the handler hands it on."""

    right = Right.RECEIVE


class Spend(_Direct[Spending, P]):
    """A command that pays. The engine claims ``Call.request_id``: the handler hands it on."""

    right = Right.SPEND


class Foresee(_Direct[Foreseeing, P]):
    """A command that tells what a payment would be. It pays nothing, so that it needs no idempotency key; it may ask
    the payee, so that it needs the right to spend."""

    right = Right.SPEND

    @property
    def mutating(self) -> bool:
        return False


async def _as_stored(_desk: Managing, result: Result, _call: Call) -> Result:
    return result


@dataclass(frozen=True)
class _Managed(CommandSpec[M_contra, P]):
    """Commands that change rows. The handler only decides; a plain result means that nothing changes.

    A call whose id has a stored result gets that, and the handler is not asked. ``tell`` makes the answer out of the
    result, the first and each repeated time: it adds what must be stored nowhere, such as a secret, and what relays
    say. By then the command has had its turn: a relay that hangs keeps no other command waiting.
    """

    right = Right.MANAGE
    handler: Callable[[M_contra, P, Call], Awaitable[Change | Result]]
    tell: Callable[[M_contra, Result, Call], Awaitable[Result]] = _as_stored

    async def carry_out(self, desk: M_contra, params: P, call: Call) -> Result:
        await ask_rates(desk.rates, params)
        async with self._turn(desk):
            done = await self._decide(desk, params, call)
        if isinstance(done, Change) and done.grant_id:
            await desk.grant_changed(done.grant_id)
        elif isinstance(done, Change):  # the feed tells of grants
            desk.did(in_words(self.name, params))
        return await self.tell(desk, done.result if isinstance(done, Change) else done, call)

    @abstractmethod
    def _turn(self, desk: M_contra) -> AbstractAsyncContextManager[object]:
        """The turn of this command among the others that change rows."""

    async def _decide(self, desk: M_contra, params: P, call: Call) -> Change | Result:
        """The change that was made now; otherwise the result of a call that changes nothing (any more)."""
        asked = sha256(dumps(msgspec.to_builtins(params)).encode()).hexdigest()[:16]
        stored = await stored_result(desk.store, call.request_id)
        if stored is not None:
            return self._repeated(stored, asked)
        change = await self.handler(desk, params, call)
        if not isinstance(change, Change):
            return change
        result = {**change.result, _ASKED: asked}
        stored = await desk.execute(call.request_id, call.caller.grant_id, change.writes, result)
        return change if stored is None else self._repeated(stored, asked)

    def _repeated(self, stored: Result, asked: str) -> Result:
        if stored.get(_ASKED) != asked:
            raise key_reused(self.name)
        return {member: value for member, value in stored.items() if member != _ASKED}


class Manage(_Managed[Managing, P]):
    """A command that changes rows and needs neither node nor relay. One at a time, from its first look on.
    Rates are asked for before that."""

    def _turn(self, desk: Managing) -> AbstractAsyncContextManager[object]:
        return desk.one_at_a_time


class Operate(_Managed[Operating, P]):
    """A command about the node's money. It waits for no turn, and nobody for it, because the node may hang: the ledger
    looks and writes in one transaction. A handler that looks at rows before it writes takes a turn for that itself."""

    def _turn(self, desk: Operating) -> AbstractAsyncContextManager[object]:
        return nullcontext()


class Judge(_Managed[Deciding, P]):
    """A command that answers a question to the owner. The ledger decides each question once, whoever comes first, so it
    waits for no turn; and it may wait for the end of a payment."""

    def _turn(self, desk: Deciding) -> AbstractAsyncContextManager[object]:
        return nullcontext()


#: The type of ``COMMANDS``, which a module of this room exports.
Commands = tuple[CommandSpec[Desk, Any], ...]


def request_id(caller: Grant, name: str, key: str) -> str:
    """The id under which a command of ``caller`` is claimed. Raises KitestringError for a malformed ``key``."""
    if not _KEY.fullmatch(key):
        raise KitestringError(
            Reason.MALFORMED, f"{name} needs an idempotency key: 1 to 128 visible ASCII characters without spaces"
        )
    digest = sha256(f"{caller.grant_id}\n{name}\n{key}".encode()).hexdigest()
    return f"ctl:{digest}"


def key_reused(name: str) -> KitestringError:
    return KitestringError(
        Reason.ALREADY_USED, f"this idempotency key was used for another `{name}`: take a new key for a new command"
    )


def permit_gift(caller: Grant, command: type[AnyCommand], now: int, wanted: str) -> None:
    """Raise KitestringError(NOT_PERMITTED) if ``caller`` may not let others give ``command``, which ``wanted`` does."""
    refused = refuse_gift(caller, command, now, wanted)
    if refused is not None:
        raise KitestringError(refused.reason, refused.message)


def read_params(spec: CommandSpec[D_contra, P], params: Mapping[str, object]) -> P:
    """Typed parameters out of JSON values, without any conversion. Raises KitestringError."""
    _refuse_floats(params)
    try:
        return msgspec.convert(dict(params), spec.params)
    except msgspec.ValidationError as error:
        raise KitestringError(Reason.MALFORMED, f"{_typed(spec.name)}: {_plain(str(error))}") from error


def in_words(name: str, params: msgspec.Struct) -> str:
    """A command with what it is about, as far as that is neither secret nor long."""
    about = [
        one_line(str(value), MAX_ABOUT_CHARS)
        for member in _ABOUT
        if (value := getattr(params, member, None)) not in {None, "", OWNER_ACCOUNT}
    ]
    amount = getattr(params, "amount_msat", None)
    return " ".join([_typed(name), *about, *([] if amount is None else [str(Msat(amount))])])


def _typed(name: str) -> str:
    """A command as it is typed; one that is on no command line, by its name."""
    return _WORDS.get(name) or name.replace("_", " ")


def _plain(words: str) -> str:
    """Turn the validator's words, which nobody who types a command knows, into plain ones."""
    what, _, where = words.partition(" - at `")
    found = _FIELD.match(where)
    name = found[1].replace("_", " ") if found else "a parameter"
    for pattern, sentence in _PLAIN_WORDS:
        if said := pattern.fullmatch(what):
            return sentence(name, *said.groups())
    return f"{name} is not what it must be"


def _refuse_floats(params: Mapping[str, object]) -> None:
    """Raise KitestringError for a float: no parameter is a fraction, and 1.0 would pass for 1."""
    for name, value in params.items():
        if _has_float(value):
            raise KitestringError(Reason.MALFORMED, f"{name} must be a whole number")


def _has_float(value: object) -> bool:
    if isinstance(value, list):
        return any(map(_has_float, value))
    return any(map(_has_float, value.values())) if isinstance(value, dict) else isinstance(value, float)
