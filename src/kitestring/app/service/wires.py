"""From a neutral outcome to the finished answer: the wire that speaks, its key and its cipher."""

from __future__ import annotations

from typing import Final

import msgspec

from kitestring.app.home.keyring import Keyring
from kitestring.app.service.owner_wire import CONTROL, encode_control
from kitestring.base.grants import Grant
from kitestring.base.outcomes import Outcome
from kitestring.base.ports import Encoded, Entropy
from kitestring.base.records import Message
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event, sign_event
from kitestring.wire.envelope import notification_event, reply_event, shared_secret
from kitestring.wire.grammar import Draft
from kitestring.wire.registry import BY_NAME
from kitestring.wire.reply_to import CONNECTION_KEY_PREFIX, Cipher, ReplyTo, thaw

#: Conversations kept (about 400 bytes each), of known callers and of strangers: new strangers cost no other anything.
MAX_CONVERSATIONS: Final = 20_000
MAX_STRANGERS: Final = 1_000


class Conversation(msgspec.Struct, frozen=True, gc=False):
    """One of our keys and the secret that it shares with a peer, for one cipher."""

    key: SecretKey
    secret: bytes


class Wires:
    """Keys and shared secrets of this service, and the ``encode`` the engine is given."""

    def __init__(self, keyring: Keyring, entropy: Entropy) -> None:
        self._keyring = keyring
        self._entropy = entropy
        self._known: dict[tuple[str, str, str], Conversation] = {}
        self._strangers: dict[tuple[str, str, str], Conversation] = {}

    def secret(self, to: ReplyTo, *, is_known: bool = False) -> bytes:
        """The secret shared with ``to.peer``, who ``is_known`` or a stranger. Raises CodecError when that is no public
        key."""
        return self._conversation(to, is_known=is_known).secret

    def _conversation(self, to: ReplyTo, *, is_known: bool = False) -> Conversation:
        name = (to.key_id, to.peer, to.cipher)
        return self._known.get(name) or self._strangers.get(name) or self._begin(to, is_known=is_known)

    def _begin(self, to: ReplyTo, *, is_known: bool) -> Conversation:
        is_connection = to.key_id.startswith(CONNECTION_KEY_PREFIX)
        own = to.key_id.removeprefix(CONNECTION_KEY_PREFIX)
        key = self._keyring.connection_key(own) if is_connection else self._keyring.service_key
        made = Conversation(key, shared_secret(key, to.peer, to.cipher))
        kept, most = (self._known, MAX_CONVERSATIONS) if is_connection or is_known else (self._strangers, MAX_STRANGERS)
        if len(kept) >= most:
            del kept[next(iter(kept))]
        kept[to.key_id, to.peer, to.cipher] = made
        return made

    def encode(self, reply_to: bytes, kind: str, outcome: Outcome, now: int) -> Encoded | None:
        """The ``Encode`` of the engine. A reply_to that is the control's needs no key and is not published."""
        if reply_to == CONTROL:
            return encode_control(kind, outcome, now)
        return self.encode_to(thaw(reply_to), outcome, now)

    def encode_to(self, to: ReplyTo, outcome: Outcome, now: int) -> Encoded | None:
        """The finished answer; None where its wire says nothing."""
        plaintext = BY_NAME[to.wire].answer(outcome, to)
        return None if plaintext is None else self._sign(to, plaintext, now)

    def resign(self, message: Message, now: int) -> Message:
        """The same answer with a fresh time."""
        fresh = self._sign(thaw(message.address), message.plaintext, now)
        return msgspec.structs.replace(message, event=fresh.event, signed_at=fresh.signed_at)

    @property
    def service_key(self) -> SecretKey:
        """The key of what everybody may read."""
        return self._keyring.service_key

    def publish(self, draft: Draft, at: int) -> Event:
        """The words of this service to everybody, signed and dated ``at`` (Unix seconds). Raises CodecError."""
        return sign_event(
            self.service_key, kind=draft.kind, tags=draft.tags, content=draft.content, created_at=at,
            aux=self._entropy(32),
        )  # fmt: skip

    def notify(self, grant: Grant, kind: int, cipher: Cipher, plaintext: bytes, now: int) -> Encoded:
        """A signed word to the caller of a connection that nobody has asked for. Raises CodecError."""
        own = self._conversation(
            ReplyTo(grant.wire, CONNECTION_KEY_PREFIX + grant.grant_id, grant.caller, cipher, "", now)
        )
        return notification_event(
            kind, grant.caller, cipher, plaintext, key=own.key, shared=own.secret, entropy=self._entropy, now=now
        )

    def _sign(self, to: ReplyTo, plaintext: bytes, now: int) -> Encoded:
        own = self._conversation(to)
        return reply_event(
            BY_NAME[to.wire], to, plaintext, key=own.key, shared=own.secret, entropy=self._entropy, now=now
        )
