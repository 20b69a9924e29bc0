"""The services of others are asked by a program without asyncio."""

from __future__ import annotations

from pathlib import Path

import pytest

from kitestring import KitestringError, OfferTerms, Reason
from kitestring import OfferManager as Awaited
from kitestring.blocking import OfferManager, find_beacon, manage_offers
from kitestring.codec import pointers
from kitestring.codec.pointers import Nmanage
from tests.kit.client.hostile import SERVICE

#: At a private address, which nobody dials for a stranger's code.
LINK = pointers.encode(Nmanage(SERVICE.public_hex, ("ws://127.0.0.1:1",), "shop"))


def test_nothing_of_an_offer_manager_that_is_awaited_is_missing() -> None:
    assert [name for name in dir(Awaited) if not name.startswith("_") and name not in dir(OfferManager)] == []


def test_offers_are_managed_without_await(tmp_path: Path) -> None:
    manager = manage_offers(LINK, data_dir=tmp_path)
    with pytest.raises(KitestringError) as refused:
        manager.create(OfferTerms(label="tea", price_sats=5))
    with pytest.raises(KitestringError) as unread:
        next(manager.offers())
    assert refused.value.reason is unread.value.reason is Reason.NOT_PERMITTED


def test_a_beacon_is_looked_for_without_await() -> None:
    with pytest.raises(KitestringError) as refused:
        find_beacon("nonsense")
    assert refused.value.reason is Reason.MALFORMED
    assert find_beacon.__doc__ is not None
