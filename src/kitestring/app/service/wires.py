"""Between the neutral outcome and the finished answer: which wire speaks, with which key, in which cipher."""

from __future__ import annotations

from typing import Final

from kitestring.app.home.keyring import Keyring
from kitestring.app.service.owner_wire import CONTROL, encode_control
from kitestring.base.outcomes import Outcome
from kitestring.base.ports import Encoded, Entropy
from kitestring.base.records import Message
from kitestring.crypto.keys import SecretKey
from kitestring.wire.envelope import reply_event, shared_secret
from kitestring.wire.registry import BY_NAME
from kitestring.wire.reply_to import CONNECTION_KEY_PREFIX, ReplyTo, thaw

#: Shared secrets kept (about 200 bytes each): one per connection, and the strangers of the last minutes.
MAX_SECRETS: Final = 20_000


class Wires:
    """Keys and shared secrets of this service, and the ``encode`` the engine is given."""

    def __init__(self, keyring: Keyring, entropy: Entropy) -> None:
        self._keyring = keyring
        self._entropy = entropy
        self._secrets: dict[tuple[str, str, str], bytes] = {}

    def key(self, key_id: str) -> SecretKey:
        """The key that a ``ReplyTo.key_id`` names."""
        if key_id.startswith(CONNECTION_KEY_PREFIX):
            return self._keyring.connection_key(key_id.removeprefix(CONNECTION_KEY_PREFIX))
        return self._keyring.service_key

    def secret(self, to: ReplyTo) -> bytes:
        """The secret shared with ``to.peer``. Raises CodecError when that is no public key."""
        key = self.key(to.key_id)
        name = (key.public_hex, to.peer, to.cipher)
        secret = self._secrets.get(name)
        if secret is None:
            secret = shared_secret(key, to.peer, to.cipher)
            if len(self._secrets) >= MAX_SECRETS:
                del self._secrets[next(iter(self._secrets))]
            self._secrets[name] = secret
        return secret

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
        return Message(
            message.request_id, message.kind, message.plaintext, fresh.event, fresh.signed_at, message.address
        )

    def _sign(self, to: ReplyTo, plaintext: bytes, now: int) -> Encoded:
        return reply_event(
            BY_NAME[to.wire], to, plaintext, key=self.key(to.key_id), shared=self.secret(to), entropy=self._entropy,
            now=now,
        )  # fmt: skip
