"""A wire is one value, in the same form for every protocol. Each file of ``wire/serve`` exports one as ``WIRE``.

A wire reads a decrypted text into a neutral command, and writes outcomes and refusals back into texts. It knows no key,
no clock and no relay; whoever carries requests (the gateway) asks the value what it needs and names no protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum

import msgspec

from kitestring.base.commands import AnyCommand
from kitestring.base.errors import Reason
from kitestring.base.events import EventKind
from kitestring.base.grants import Grant
from kitestring.base.outcomes import Direction, Outcome, Refused, Transaction
from kitestring.base.plugins import MethodPlugin
from kitestring.nostr import kinds
from kitestring.nostr.event import Event
from kitestring.nostr.inbox import Window
from kitestring.wire.encryption import Choice
from kitestring.wire.reply_to import Cipher, ReplyTo

#: What a wire says for a reason; None = nothing is published.
Code = str | int | None


class Speakers(Enum):
    """The callers of a wire, and the key of the service that they speak to. Everybody else is met with silence."""

    STRANGERS = "strangers"  # anybody, to the service's own key
    CONNECTIONS = "connections"  # the caller of a connection, to the key of that connection


@dataclass(frozen=True, slots=True)
class Facts:
    """Told to every wire about the service behind it: its network (``bitcoin``, ``regtest``, …) and its settings.
    ``without`` are the methods that it does not serve, because its node cannot or its owner has not switched them on;
    ``plugins`` are those of installed packages, by name.
    """

    network: str
    accept_legacy_offers: bool = True
    without: frozenset[str] = frozenset()
    plugins: Mapping[str, MethodPlugin] = field(default_factory=dict)


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A request that was read; its answer is made as ``to`` says. Of strangers, all who ask for the same ``target``
    share a rate."""

    command: AnyCommand
    to: ReplyTo
    target: str = ""


class Draft(msgspec.Struct, frozen=True):
    """An event before it has a key and a time."""

    kind: int
    tags: list[list[str]]
    content: str = ""


def _unchanged(draft: Draft, _: tuple[str, ...]) -> Draft:
    return draft


@dataclass(frozen=True, slots=True)
class Announcement:
    """The words of a wire to everybody about a connection: a replaceable event of ``kind``, by the connection's key.

    ``write`` makes it of the grant, as long as that is not revoked, and of the methods that the service is without;
    ``add`` names further methods in it, those of plugins. :meth:`deletion` takes back what was published, by whatever
    process that was.
    """

    kind: int
    write: Callable[[Grant, Collection[str]], Draft]
    add: Callable[[Draft, tuple[str, ...]], Draft] = _unchanged

    def deletion(self, pubkey: str, event_id: str = "") -> Draft:
        """The end of all that ``pubkey`` has announced (NIP-09), and of ``event_id`` if that is known: clients that
        look for the connection find out that it is gone."""
        tags = [["e", event_id]] if event_id else []
        return Draft(kinds.DELETE, [*tags, ["a", f"{self.kind}:{pubkey}:"], ["k", str(self.kind)]])


@dataclass(frozen=True, slots=True)
class NotificationType:
    """One type of what a wire says unasked. It follows from events of the kind ``event``, and tells the payment or
    invoice of that ``direction``. ``permission`` is the name a grant lists, ``extensions`` are those that it serves."""

    name: str
    event: EventKind
    direction: Direction
    permission: str
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Notifying:
    """The words of a wire to the caller of a connection about the payments that it sees, unasked.

    ``write`` makes the plaintext of one ``types`` has, by its name. ``ciphers`` are those that the caller reads, an
    event for each, of the kind that ``kinds`` names. They have a ``p`` tag alone.
    """

    types: Mapping[str, NotificationType]
    write: Callable[[str, Transaction], bytes]
    ciphers: Callable[[Grant], tuple[Cipher, ...]]
    kinds: Mapping[Cipher, int]

    def name(self, grant: Grant, event: EventKind) -> str:
        """The type that ``grant`` is told of such an event, "" where it is told nothing."""
        found = (row.name for row in self.types.values() if row.event is event and row.permission in grant.methods)
        return next(found, "")


def nameless(_: str) -> str:
    """For wires whose answers do not name what was asked."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """One protocol.

    ``windows`` are the kinds of its requests with their age windows; ``reply_tags`` stand behind ``p`` and ``e``.
    ``codes`` has a row for every Reason; ``older_codes`` those that callers of an older form get instead.
    ``cipher`` chooses the encryption of a request, for the connection it came over if there is one; ``unreadable`` is
    told where nobody can decrypt it.

    ``read(text, event, to, facts)`` makes a command of a decrypted text; raises WireRefusalError. ``method`` finds the
    name under which a text that is not read any further gets its refusal. ``encode`` writes the answer or the receipt,
    ``refuse`` a refusal, both as plaintext; None = nothing is published.

    ``questions`` are the methods that change nothing: any other request, and one that nobody could read, may move
    money.

    ``spends``: whether a request over it may take from an account.

    ``announces`` is what everybody may know about its connections, ``notifies`` what these are told unasked; None =
    nothing.
    """

    name: str
    title: str
    speakers: Speakers
    windows: Mapping[int, Window]
    reply_kind: int
    reply_tags: tuple[list[str], ...] = ()
    codes: Mapping[Reason, Code]
    older_codes: Mapping[Reason, Code] = field(default_factory=dict)
    cipher: Callable[[Event, Grant | None], Choice]
    unreadable: Reason
    method: Callable[[str], str] = nameless
    questions: Collection[str] = ()
    spends: bool = True
    read: Callable[[str, Event, ReplyTo, Facts], Asked]
    encode: Callable[[Outcome, ReplyTo], bytes | None]
    refuse: Callable[[Refused, ReplyTo], bytes | None]
    announces: Announcement | None = None
    notifies: Notifying | None = None

    def answer(self, outcome: Outcome, to: ReplyTo) -> bytes | None:
        """The plaintext of an answer, whatever it is."""
        return self.refuse(outcome, to) if isinstance(outcome, Refused) else self.encode(outcome, to)
