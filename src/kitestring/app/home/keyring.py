"""The keys of one service: all of them follow from the seed in its data directory."""

from __future__ import annotations

from typing import Final

from kitestring.crypto.keys import SecretKey, derive

#: Part of every derivation; changing one changes every key that was ever handed out.
SERVICE: Final = "service"
CONNECTION: Final = "connection"
CLIENT: Final = "client"
KEYSEND: Final = "keysend"
ENROLL: Final = "enroll"
WEBHOOK: Final = "webhook"


class Keyring:
    """Derives the service's own key and one key per connection. Raises CodecError for a seed that is not 32 bytes."""

    __slots__ = ("_connections", "_seed", "service_key")

    def __init__(self, seed: bytes) -> None:
        self._seed: Final = seed
        self._connections: Final[dict[str, SecretKey]] = {}
        self.service_key: Final = derive(seed, SERVICE, "")

    @property
    def service_id(self) -> str:
        """The public key of the service, 64 hex digits: inside every offer, and the owner of every ledger row."""
        return self.service_key.public_hex

    def connection_key(self, grant_id: str) -> SecretKey:
        """The key that one connection talks to; no two connections share one, so relays cannot link them."""
        if grant_id not in self._connections:
            self._connections[grant_id] = derive(self._seed, CONNECTION, grant_id)
        return self._connections[grant_id]

    def client_key(self, salt: bytes) -> SecretKey:
        """The secret inside the link of a connection. It is gone with its salt: neither the seed alone nor the ledger
        alone can make it."""
        return derive(self._seed, CLIENT, salt.hex())

    @property
    def keysend_secret(self) -> bytes:
        """The 32 bytes that preimages of keysends follow from, each with the id of its request: nobody else can tell
        them before the payee, and the same request has the same one even where the ledger was lost."""
        return bytes.fromhex(derive(self._seed, KEYSEND, "").hex())

    @property
    def enroll_secret(self) -> bytes:
        """The 32 bytes that the ids in the codes of enrolled keys follow from: nobody else can tell them, and the same
        key has the same ones even where the ledger was lost."""
        return bytes.fromhex(derive(self._seed, ENROLL, "").hex())

    def webhook_secret(self, offer_id: str) -> str:
        """The secret that signs what the webhook of an offer is told: 64 hex digits, of which the text is the key of
        the HMAC. It is stored nowhere but with the receiver."""
        return derive(self._seed, WEBHOOK, offer_id).hex()

    def __repr__(self) -> str:
        return f"Keyring(service_id={self.service_id[:8]}…)"
