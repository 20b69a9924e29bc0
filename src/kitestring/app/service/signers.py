"""The keys that the service may sign with, by their public halves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from kitestring.app.home.keyring import Keyring
from kitestring.crypto.keys import SecretKey


class Signers(Mapping[str, SecretKey]):
    """The service's own key, and that of each connection, which is derived when it is needed: hardly any of ten
    thousand is, and all of them would cost a start half a second and 5 MB."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring: Final = keyring
        self._grants: Final[dict[str, str]] = {keyring.service_id: ""}

    def add(self, pubkey: str, grant_id: str) -> None:
        """Sign as ``pubkey`` with the key of this connection."""
        self._grants[pubkey] = grant_id

    def __getitem__(self, pubkey: str) -> SecretKey:
        grant_id = self._grants[pubkey]
        return self._keyring.connection_key(grant_id) if grant_id else self._keyring.service_key

    def __contains__(self, pubkey: object) -> bool:
        return pubkey in self._grants

    def __iter__(self) -> Iterator[str]:
        return iter(self._grants)

    def __len__(self) -> int:
        return len(self._grants)
