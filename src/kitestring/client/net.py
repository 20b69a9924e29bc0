"""The way of a client to the services of others, as one value that is made where a program starts and handed down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.ports import Clock, Entropy
from kitestring.crypto.keys import SecretKey
from kitestring.transport.fetch import Fetcher
from kitestring.transport.guard import MAX_FOREIGN_RELAYS, foreign_relays, normalise
from kitestring.transport.proxies import Proxies
from kitestring.transport.relays import PoolOptions, RelayPool


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds that a client waits.

    ``reach_s``: for a first relay while every attempt fails; ``connect_s``: while one is still being tried (Tor needs
    most of it). ``eose_s``: for a first relay to listen, and for each other one before it is sent the request all the
    same. ``info_s``: for a first relay's info event, or its word that it has none; ``others_s``: then for the others.
    ``publish_s``: for a relay to take the request. ``read_s``, ``pay_s``, ``offer_s``, ``debit_s`` and ``enroll_s``:
    for the reply; a payment's covers the search for a route, a debit's the time in which its owner is asked, that of an
    enrolment begins when its work is done. ``unread_s``: for a better
    one after one that cannot be read. ``lookup_pauses_s``: before each look at a payment whose reply is lost.
    ``recheck_s``: before the second look at a payment that the wallet has refused, in words that prove nothing, and of
    which it has no record yet.
    """

    reach_s: float = 5.0
    connect_s: float = 20.0
    eose_s: float = 5.0
    publish_s: float = 30.0
    info_s: float = 10.0
    others_s: float = 2.0
    read_s: float = 15.0
    pay_s: float = 90.0
    offer_s: float = 30.0
    debit_s: float = 120.0
    enroll_s: float = 30.0
    unread_s: float = 1.0
    lookup_pauses_s: tuple[float, ...] = (0.0, 2.0, 5.0, 10.0, 20.0)
    recheck_s: float = 3.0


DEFAULT_WAITS: Final = Waits()
#: Frames that a client reads, in bytes: the largest messages of relays in the field (512,000), with their frame.
MAX_FRAME_BYTES: Final = 524_288


@dataclass(frozen=True, slots=True)
class Net:
    """Time, chance, proxies, patience, and which relays may be dialled.

    ``own_relays`` are the caller's own, dialled wherever they are. Those in somebody else's code must be ``wss`` on
    public addresses, unless they are among them or ``allow_private`` lifts that check. ``web`` asks web servers, None =
    through these proxies.
    """

    clock: Clock
    entropy: Entropy
    proxies: Proxies = field(default_factory=Proxies)
    waits: Waits = DEFAULT_WAITS
    own_relays: tuple[str, ...] = ()
    allow_private: bool = False
    web: Fetcher | None = None

    def fetcher(self) -> Fetcher:
        """The guarded way to the web."""
        return self.web or Fetcher(self.proxies)

    def pool(self, relays: Iterable[str], key: SecretKey, *, foreign: Iterable[str] = ()) -> RelayPool:
        """A pool, not started yet, that may answer NIP-42 as ``key``. Raises KitestringError for an unusable URL."""
        return RelayPool(
            relays, foreign=foreign, clock=self.clock, entropy=self.entropy, signers={key.public_hex: key},
            options=PoolOptions(self.proxies, self.allow_private, MAX_FRAME_BYTES),
        )  # fmt: skip

    def dialable(self, named: Sequence[str], what: str) -> tuple[list[str], list[str]]:
        """The relays to dial for a code: the caller's own among those that it names, and the strangers that may be
        dialled, at most 4 together. One that names none is asked for at the caller's own. Raises KitestringError when
        none may be; ``what`` is the name of the code in its sentence."""
        configured = {normalise(url): url for url in self.own_relays}
        if not named:
            if not configured:
                raise KitestringError(Reason.MALFORMED, f"the {what} names no relay: ask for a code that does")
            return list(configured.values()), []
        wanted: dict[str, str] = {}
        for url in named:
            wanted.setdefault(normalise(url), url)  # compared in the normal form, dialled as it is written
        own = [configured[known] for known in wanted if known in configured][:MAX_FOREIGN_RELAYS]
        strangers = [url for known, url in wanted.items() if known not in configured]
        try:
            found = foreign_relays(strangers, allow_private=self.allow_private)
            return own, found[: MAX_FOREIGN_RELAYS - len(own)]
        except KitestringError:
            if not own:
                raise
            return own, []
