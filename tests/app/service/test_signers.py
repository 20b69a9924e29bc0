"""Keys are derived when they are needed, and are those that apps talk to."""

from __future__ import annotations

import pytest

from kitestring.app.home.keyring import Keyring
from kitestring.app.service.signers import Signers
from kitestring.crypto.keys import SecretKey


class CountingKeyring(Keyring):
    def __init__(self, seed: bytes) -> None:
        super().__init__(seed)
        self.derived: list[str] = []

    def connection_key(self, grant_id: str) -> SecretKey:
        self.derived.append(grant_id)
        return super().connection_key(grant_id)


def test_a_key_is_derived_when_something_is_to_be_signed_and_not_before() -> None:
    pubkeys = {name: Keyring(bytes(32)).connection_key(name).public_hex for name in ("a", "b")}
    keyring = CountingKeyring(bytes(32))
    signers = Signers(keyring)
    for name, pubkey in pubkeys.items():
        signers.add(pubkey, name)
    assert list(signers) == [keyring.service_id, *pubkeys.values()]
    assert (len(signers), pubkeys["a"] in signers, "ab" * 32 in signers) == (3, True, False)
    assert keyring.derived == []
    assert signers[pubkeys["b"]].public_hex == pubkeys["b"]
    assert signers[keyring.service_id] is keyring.service_key
    assert keyring.derived == ["b"]
    with pytest.raises(KeyError):
        signers["ab" * 32]
