"""The relay conversation (NIP-01, NIP-42) without any IO: frames in, typed messages out, and the frames to send.

:class:`ClientConversation` is one socket seen from the client, :class:`ServerConversation` the same from the relay.
A frame is parsed once, straight into its type; what cannot be parsed becomes ``Ignored`` or ``RefusedFrame``, no error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from kitestring.base.errors import CodecError
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event, first_tag, sign_event, verify_event
from kitestring.nostr.filter import Filter, decode_filter, encode_filter
from kitestring.nostr.kinds import AUTH

#: Largest frame read or written, in bytes: the common limit of relays, and a bound on the work of one frame.
MAX_FRAME_BYTES: Final = 131_072
#: NIP-01: a subscription id is a non-empty string of at most 64 characters.
MAX_SUBSCRIPTION_ID_CHARS: Final = 64
#: Filters in one REQ. Ours need one to three; relays in the field allow ten to twenty.
MAX_FILTERS: Final = 20
#: NIP-42 says "around ten minutes" for the age of an AUTH event.
MAX_AUTH_AGE_S: Final = 600
#: Keys that one socket may wait to authenticate with, or be authenticated as. A full service has this many connections.
MAX_AUTH_KEYS: Final = 100_000

_PARSE_ERRORS: Final = (msgspec.MsgspecError, RecursionError, ValueError)
_json: Final = msgspec.json.Encoder().encode
_loose: Final = msgspec.json.Decoder(list[object]).decode


class EventMessage(msgspec.Struct, frozen=True, array_like=True, tag="EVENT", gc=False):
    """An event for one of our subscriptions. Its signature has not been checked."""

    subscription_id: str
    event: Event


class OkMessage(msgspec.Struct, frozen=True, array_like=True, tag="OK", gc=False):
    event_id: str
    accepted: bool
    message: str = ""


class EoseMessage(msgspec.Struct, frozen=True, array_like=True, tag="EOSE", gc=False):
    subscription_id: str


class ClosedMessage(msgspec.Struct, frozen=True, array_like=True, tag="CLOSED", gc=False):
    subscription_id: str
    message: str = ""


class NoticeMessage(msgspec.Struct, frozen=True, array_like=True, tag="NOTICE", gc=False):
    message: str


class AuthChallenge(msgspec.Struct, frozen=True, array_like=True, tag="AUTH", gc=False):
    challenge: str


class Authenticated(msgspec.Struct, frozen=True, gc=False):
    """The relay's answer to our AUTH with this key."""

    pubkey: str
    accepted: bool
    message: str


class Ignored(msgspec.Struct, frozen=True, gc=False):
    """A frame without effect; ``why`` is for people."""

    why: str


_FromRelay = EventMessage | OkMessage | EoseMessage | ClosedMessage | NoticeMessage | AuthChallenge
ReceivedFrame = _FromRelay | Authenticated | Ignored
_from_relay: Final = msgspec.json.Decoder(_FromRelay).decode


def reason_prefix(message: str) -> str:
    """The machine-readable word before the colon of an OK or CLOSED message, empty when there is none."""
    word, colon, _ = message.partition(":")
    return word if colon and " " not in word else ""


def event_frame(event_json: bytes) -> bytes:
    """The client's ``["EVENT", …]``. Raises CodecError when it exceeds the frame limit."""
    if len(event_json) > MAX_FRAME_BYTES - 10:
        raise CodecError(f"the event does not fit into a frame of {MAX_FRAME_BYTES} bytes")
    return b'["EVENT",' + event_json + b"]"


def auth_event(key: SecretKey, relay_url: str, challenge: str, now: int) -> Event:
    """The NIP-42 answer to a challenge; ``relay_url`` as configured, ``now`` in Unix seconds."""
    tags = [["relay", relay_url], ["challenge", challenge]]
    return sign_event(key, kind=AUTH, tags=tags, content="", created_at=now)


class _Blocked(msgspec.Struct, gc=False):
    """A frame that waits for the answers to the AUTHs of some keys."""

    frame: bytes
    keys: frozenset[str] = frozenset()


class ClientConversation:
    """One socket from the client's side: open subscriptions, NIP-42 (newest challenge, each key once per challenge).

    Requests that were answered ``auth-required:`` are kept: ask :meth:`resend` after each answer to our AUTHs. From
    then on ``wants_auth`` is true: what the relay gives may depend on the keys that it knows us by. Frames of the relay
    above ``max_frame_bytes`` are ignored.
    """

    def __init__(self, relay_url: str, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self.relay_url: Final = relay_url
        self._max_frame_bytes: Final = max_frame_bytes
        self.challenge: str | None = None
        self.wants_auth = False
        self._open: dict[str, bytes] = {}
        self._blocked: dict[str, _Blocked] = {}
        self._wanted: dict[str, None] = {}
        self._asked: set[str] = set()
        self._restricted: set[str] = set()
        self._pending: dict[str, str] = {}

    def subscribe(self, subscription_id: str, filters: Sequence[Filter]) -> bytes:
        """The REQ frame; the same id again replaces the filters. Raises CodecError when it exceeds the frame limit."""
        parts = [b'["REQ"', _json(subscription_id), *(encode_filter(each) for each in filters)]
        frame = b",".join(parts) + b"]"
        if len(frame) > MAX_FRAME_BYTES:
            raise CodecError(f"the subscription does not fit into a frame of {MAX_FRAME_BYTES} bytes")
        self._open[subscription_id] = frame
        return frame

    def close(self, subscription_id: str) -> bytes:
        self._open.pop(subscription_id, None)
        self._blocked.pop(subscription_id, None)
        return b'["CLOSE",' + _json(subscription_id) + b"]"

    def receive(self, frame: bytes | str) -> ReceivedFrame:
        """Read one frame from the relay. Never raises."""
        if len(frame) > self._max_frame_bytes:
            return Ignored(f"a frame of more than {self._max_frame_bytes} bytes")
        try:
            message = _from_relay(frame)
        except _PARSE_ERRORS:
            return Ignored("a frame that is no message of a relay")
        if type(message) is EventMessage:
            return message if message.subscription_id in self._open else Ignored("an event that was not asked for")
        return self._note(message)

    def _note(self, message: _FromRelay) -> ReceivedFrame:
        match message:
            case AuthChallenge():
                self._new_challenge(message.challenge)
            case OkMessage() if (pubkey := self._pending.pop(message.event_id, None)) is not None:
                if reason_prefix(message.message) == "restricted":
                    self._restricted.add(pubkey)
                return Authenticated(pubkey, message.accepted, message.message)
            case ClosedMessage() | EoseMessage() if message.subscription_id not in self._open:
                return Ignored("news of a subscription that is not open")
            case ClosedMessage():
                closed = self._open.pop(message.subscription_id)
                if reason_prefix(message.message) == "auth-required":
                    self.wants_auth = True
                    self._blocked[message.subscription_id] = _Blocked(closed)
        return message

    def _new_challenge(self, challenge: str) -> None:
        if challenge != self.challenge:
            self.challenge = challenge
            self._wanted = dict.fromkeys((*self._pending.values(), *self._wanted))
            self._pending.clear()
            self._asked.clear()

    def block_event(self, event_id: str, frame: bytes, pubkeys: Iterable[str]) -> None:
        """Keep an EVENT frame that was answered ``auth-required:``, to be sent once more by :meth:`resend` when these
        keys have been answered."""
        self.wants_auth = True
        self._blocked[event_id] = _Blocked(frame, frozenset(pubkeys))

    def block_subscription(self, subscription_id: str, pubkeys: Iterable[str]) -> None:
        """Keep a REQ that is not sent yet, or was closed for want of an AUTH, until these keys have been answered:
        :meth:`resend` gives it."""
        frame = self._open.pop(subscription_id, None) or self._blocked[subscription_id].frame
        self._blocked[subscription_id] = _Blocked(frame, frozenset(pubkeys))

    def is_blocked(self, subscription_id: str) -> bool:
        return subscription_id in self._blocked

    def let_go(self, event_id: str) -> None:
        """Keep this EVENT frame no longer: nobody waits for it any more."""
        self._blocked.pop(event_id, None)

    def is_wanted(self, pubkeys: Iterable[str]) -> bool:
        """Whether the turn of one of these keys to authenticate is still to come."""
        return self.challenge is not None and not self._wanted.keys().isdisjoint(pubkeys)

    def release(self, subscription_id: str, pubkeys: Collection[str]) -> bytes:
        """Give a REQ that waits for an authentication, although no answer has come: those about these keys are not
        waited for any longer. All others still are."""
        for pubkey in pubkeys:
            self._wanted.pop(pubkey, None)
            self._asked.add(pubkey)
        self._pending = {event_id: key for event_id, key in self._pending.items() if key not in pubkeys}
        frame = self._open[subscription_id] = self._blocked.pop(subscription_id).frame
        return frame

    def want_auth(self, pubkeys: Collection[str]) -> bool:
        """Ask to authenticate with these keys; False when all of them have had their chance at this challenge."""
        new = [key for key in pubkeys if key not in self._asked and key not in self._restricted]
        self._wanted.update(dict.fromkeys(new[: MAX_AUTH_KEYS - len(self._wanted)]))
        return bool(new) or not frozenset(self._pending.values()).isdisjoint(pubkeys)

    @property
    def auths_left(self) -> int:
        """The number of keys whose turn to authenticate is still to come."""
        return 0 if self.challenge is None else len(self._wanted)

    def next_auth(self) -> str | None:
        """The public key to authenticate with next; None when there is none or the relay gave no challenge yet."""
        if self.challenge is None or not self._wanted:
            return None
        return next(iter(self._wanted))

    def skip_auth(self, pubkey: str) -> None:
        """This key cannot sign here."""
        self._wanted.pop(pubkey, None)
        self._asked.add(pubkey)

    def authenticate(self, event: Event) -> bytes:
        """The AUTH frame for a signed :func:`auth_event`."""
        self.skip_auth(event.pubkey)
        self._pending[event.id] = event.pubkey
        return b'["AUTH",' + _json(event) + b"]"

    def resend(self) -> list[bytes]:
        """The requests that waited for authentications which are all answered by now; each is given once. Those of
        other keys go on waiting: with many of them that takes minutes."""
        pending = frozenset(self._pending.values())
        free = [
            name
            for name, blocked in self._blocked.items()
            if blocked.keys.isdisjoint(pending) and self._wanted.keys().isdisjoint(blocked.keys)
        ]
        frames = {name: self._blocked.pop(name).frame for name in free}
        self._open.update({name: frame for name, frame in frames.items() if frame.startswith(b'["REQ"')})
        return list(frames.values())


class Publish(msgspec.Struct, frozen=True, array_like=True, tag="EVENT", gc=False):
    """A client's event. Its signature has not been checked."""

    event: Event


class Subscribe(msgspec.Struct, frozen=True, gc=False):
    subscription_id: str
    filters: tuple[Filter, ...]


class Close(msgspec.Struct, frozen=True, array_like=True, tag="CLOSE", gc=False):
    subscription_id: str


class Auth(msgspec.Struct, frozen=True, array_like=True, tag="AUTH", gc=False):
    event: Event


class RefusedFrame(msgspec.Struct, frozen=True, gc=False):
    """A frame that is no command; ``reply`` is the frame to answer with."""

    reply: bytes


class _Req(msgspec.Struct, frozen=True, array_like=True, tag="REQ", gc=False):
    subscription_id: str


RelayCommand = Publish | Subscribe | Close | Auth | RefusedFrame
_from_client: Final = msgspec.json.Decoder(Publish | _Req | Close | Auth).decode


def ok(event_id: str, accepted: bool, message: str = "") -> bytes:
    return _json(("OK", event_id, accepted, message))


def eose(subscription_id: str) -> bytes:
    return _json(("EOSE", subscription_id))


def closed(subscription_id: str, message: str) -> bytes:
    return _json(("CLOSED", subscription_id, message))


def notice(message: str) -> bytes:
    return _json(("NOTICE", message))


def delivery_prefix(subscription_id: str) -> bytes:
    """``["EVENT","id",`` made once per subscription; event JSON and ``]`` complete the frame."""
    return b'["EVENT",' + _json(subscription_id) + b","


class ServerConversation:
    """One socket from the relay's side. ``challenge`` is this socket's own NIP-42 challenge, never used twice.

    ``hosts`` are the names (with port, where it is not the default) under which this relay is known: an AUTH made for
    another relay does not count, or that relay could use it against us.
    """

    def __init__(self, challenge: str, hosts: Iterable[str]) -> None:
        self.challenge: Final = challenge
        self.authenticated: Final[set[str]] = set()
        self._hosts: Final = frozenset(hosts)

    def greeting(self) -> bytes:
        return _json(("AUTH", self.challenge))

    def receive(self, frame: bytes | str) -> RelayCommand:
        """Read one frame from the client. Never raises."""
        if len(frame) > MAX_FRAME_BYTES:
            return RefusedFrame(notice(f"invalid: a frame must not exceed {MAX_FRAME_BYTES} bytes"))
        try:
            command = _from_client(frame)
        except _PARSE_ERRORS:
            return RefusedFrame(_complaint(frame))
        return _subscribe(frame, command.subscription_id) if type(command) is _Req else command

    def authenticate(self, event: Event, now: int) -> str:
        """Check a client's AUTH at Unix second ``now``; the empty string when it counts, else why not."""
        if event.kind != AUTH or abs(now - event.created_at) > MAX_AUTH_AGE_S:
            return "invalid: an AUTH event has kind 22242 and the present time"
        if first_tag(event, "challenge") != self.challenge:
            return "invalid: this is not the challenge of this connection"
        if _host(first_tag(event, "relay") or "") not in self._hosts:
            return "invalid: the relay tag names another relay"
        if len(self.authenticated) >= MAX_AUTH_KEYS or not verify_event(event):
            return "restricted: too many keys, or the signature is wrong"
        self.authenticated.add(event.pubkey)
        return ""


def _host(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0].lower()
    return host.removesuffix(":443" if scheme == "wss" else ":80")


def _subscribe(frame: bytes | str, subscription_id: str) -> RelayCommand:
    if not 0 < len(subscription_id) <= MAX_SUBSCRIPTION_ID_CHARS:
        return RefusedFrame(notice(f"invalid: a subscription id has 1 to {MAX_SUBSCRIPTION_ID_CHARS} characters"))
    try:
        filters = _loose(frame)[2:]
    except _PARSE_ERRORS:  # a number that nothing can hold
        return RefusedFrame(closed(subscription_id, "invalid: a filter that cannot be read"))
    if not 0 < len(filters) <= MAX_FILTERS:
        return RefusedFrame(closed(subscription_id, f"invalid: a REQ has 1 to {MAX_FILTERS} filters"))
    try:
        return Subscribe(subscription_id, tuple(decode_filter(each) for each in filters))
    except CodecError as error:
        return RefusedFrame(closed(subscription_id, f"invalid: {error}"))


def _complaint(frame: bytes | str) -> bytes:
    """An answer to a frame that could not be parsed: about its event where it names one, else a NOTICE."""
    try:
        match _loose(frame):
            case ["EVENT" | "AUTH", {"id": str(event_id)}, *_] if len(event_id) == 64:
                return ok(event_id, False, "invalid: the event does not have the form of NIP-01")
            case [str(label), *_] if label in {"EVENT", "REQ", "CLOSE", "AUTH"}:
                return notice(f"invalid: the {label} message is malformed")
            case [str(label), *_]:
                return notice(f"unsupported: there is no {label[:16]} message here")
    except _PARSE_ERRORS:
        return notice("invalid: the frame is not a JSON array")
    return notice("invalid: a frame is a JSON array that begins with a word")
