"""The services of others, for a program without asyncio: offers that are managed there, and their beacons."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from kitestring.app.blocking.twin import Blocks, Gives, Stream, Twin
from kitestring.app.blocking.worker import Worker
from kitestring.client.manage import OfferManager
from kitestring.sdk import beacon, manage
from kitestring.wire.ask.manage import ManagedOffer

P = ParamSpec("P")
T = TypeVar("T")


class BlockingOfferManager(Twin):
    """One service at which an app manages offers. Several threads may use it at once."""

    create = Blocks(OfferManager.create)
    create_if_missing = Blocks(OfferManager.create_if_missing)
    find = Blocks(OfferManager.find)
    update = Blocks(OfferManager.update)
    get = Blocks(OfferManager.get)
    page = Blocks(OfferManager.page)
    offers = Gives(OfferManager.offers, Stream[ManagedOffer])
    delete = Blocks(OfferManager.delete)


def _managing(make: Callable[P, OfferManager]) -> Callable[P, BlockingOfferManager]:
    @functools.wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> BlockingOfferManager:
        return BlockingOfferManager(make(*args, **kwargs), Worker())

    return made


def _waiting(ask: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    @functools.wraps(ask)
    def asked(*args: P.args, **kwargs: P.kwargs) -> T:
        worker = Worker()
        try:
            return worker.wait(lambda: ask(*args, **kwargs))
        finally:
            worker.stop()

    return asked


manage_offers = _managing(manage.manage_offers)
find_beacon = _waiting(beacon.find_beacon)
