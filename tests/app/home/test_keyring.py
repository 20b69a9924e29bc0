"""The keys of a service are forever: these values may never change."""

from __future__ import annotations

import pytest

from kitestring.app.home.keyring import Keyring
from kitestring.base.errors import CodecError
from kitestring.crypto.keys import derive

SEED = bytes(range(32))


def test_keys_follow_from_the_seed_and_the_name() -> None:
    ring = Keyring(SEED)
    assert ring.service_id == derive(SEED, "service", "").public_hex == ring.service_key.public_hex
    assert ring.connection_key("a1") == derive(SEED, "connection", "a1")
    assert ring.connection_key("a1") is ring.connection_key("a1")
    assert ring.client_key(b"salt") == derive(SEED, "client", b"salt".hex())
    assert len({ring.service_id, ring.connection_key("a1").public_hex, ring.connection_key("a2").public_hex}) == 3


def test_the_derivation_has_not_changed() -> None:
    ring = Keyring(SEED)
    assert ring.service_id == "2621ab9ec7b528da53e0dfa4c1924ce4036a75de437d6fc57f0136426911aac3"
    assert ring.client_key(b"salt").public_hex == "5494f733690ad23d4d8513caf50a74325df53431ffdff5690cea5a7e7e8b0fee"
    assert ring.keysend_secret.hex() == "ed163fd8ca6171061f90b13386b22b7485d908d3312dffed089c788cf682bb36"
    assert ring.enroll_secret.hex() == "be0f50ed8ec80b80bdcace0937a08865919a7c144806788c5073fde4b3555ed5"
    assert ring.connection_key("a1").public_hex == "72739a2839861851d3197cdb246180c0660a7d6691528e0a2f51ee45ad9a466c"


def test_nothing_secret_is_in_the_repr() -> None:
    assert SEED.hex() not in repr(Keyring(SEED))


def test_a_short_seed_is_refused() -> None:
    with pytest.raises(CodecError):
        Keyring(b"short")
