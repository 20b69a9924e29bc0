"""An app of one's own: the key that services know it by is kept in its directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.client.debits import requestor_key
from kitestring.client.requestor import requestor_seed
from kitestring.codec import pointers
from kitestring.codec.pointers import Nmanage
from kitestring.sdk.manage import manage_offers
from tests.kit.chance import entropy
from tests.kit.client.hostile import SERVICE, ndebit

LINK = Nmanage(SERVICE.public_hex, ("wss://relay.example",), "shop")


def test_the_key_follows_from_the_directory_and_the_service_as_for_debits(tmp_path: Path) -> None:
    for _ in range(2):
        manager = manage_offers(pointers.encode(LINK), data_dir=tmp_path)
        assert manager.link == LINK
        expected = requestor_key(requestor_seed(tmp_path, entropy), LINK.pubkey)
        assert manager._key.public_hex == expected.public_hex
    assert expected.hex() not in repr(manager)


def test_another_code_is_refused_before_any_key_is_made(tmp_path: Path) -> None:
    with pytest.raises(KitestringError) as caught:
        manage_offers(pointers.encode(ndebit("wss://relay.example")), data_dir=tmp_path / "new")
    assert caught.value.reason is Reason.MALFORMED
    assert not (tmp_path / "new").exists()
