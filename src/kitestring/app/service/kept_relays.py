"""Relays that a service left and that its links and codes still name: they are served until nothing does any more.

A link or a code cannot be changed once it is out there. So it remembers the relays that it was made with, and these are
served beside the present ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from kitestring.base.commands import DEBITS_WIRE, MANAGE_WIRE
from kitestring.base.grants import Grant, Offer, OfferState
from kitestring.base.store import Reads
from kitestring.transport.guard import normalise

#: Connections, offers, pointers and links that one sentence names.
NAMES_SHOWN: Final = 5
#: What names relays, and the command that makes it anew over those of today.
_CONNECTION: Final = ("connection", "`kitestring connection rotate NAME`")
_OFFER: Final = ("offer", "`kitestring offer relink OFFER`")
_POINTER: Final = ("debit pointer", "`kitestring debit pointer relink POINTER`")
_LINK: Final = ("link for apps", "`kitestring manage relink LINK`")
#: The place of a grant's name by its wire, all others being connections.
_PLACES: Final = {DEBITS_WIRE: 2, MANAGE_WIRE: 3}


@dataclass(frozen=True, slots=True)
class KeptRelay:
    """A relay, as it is written in the first of them, and the names of all connections, offers, debit pointers and
    links for apps that name it."""

    url: str
    connections: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    pointers: tuple[str, ...] = ()
    links: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """Say why it is served, and what to do."""
        return f"{self.url} is none of your relays any more, and is served for the {self.users}: {self.way_out}"

    @property
    def way_out(self) -> str:
        """Say how what names it is made anew."""
        ways = _listed([way for (_, way), _ in self.groups], " ")
        return f"{ways} {'moves' if len(self.groups) == 1 else 'move'} them to your relays"

    @property
    def users(self) -> str:
        """The names of whatever names it, in words."""
        return _listed([_named(what, names) for (what, _), names in self.groups], " the ")

    @property
    def groups(self) -> list[tuple[tuple[str, str], tuple[str, ...]]]:
        """The names of whatever names it, by the kind with its way out."""
        groups = (
            (_CONNECTION, self.connections), (_OFFER, self.offers), (_POINTER, self.pointers), (_LINK, self.links)
        )  # fmt: skip
        return [(kind, names) for kind, names in groups if names]


def old_relays(named: Iterable[str], present: Collection[str]) -> tuple[str, ...]:
    """The relays among ``named`` that are not ``present`` in any spelling. Without present ones, which are not known
    then, none is old."""
    known = {normalise(url) for url in present}
    return tuple(url for url in named if normalise(url) not in known) if known else ()


def kept_relays(
    present: Collection[str], grants: Iterable[Grant], offers: Iterable[Offer], now: int
) -> tuple[KeptRelay, ...]:
    """The relays that living links and pointers (not revoked, not expired) and offers name beside the
    ``present`` ones, those first that most of them name, each with its users from the oldest on."""
    spelled: dict[str, str] = {}
    users: defaultdict[str, tuple[list[str], ...]] = defaultdict(lambda: ([], [], [], []))
    living = sorted((grant for grant in grants if is_living(grant, now)), key=lambda one: (one.created_at, one.name))
    answering = sorted((offer for offer in offers if _answers(offer)), key=lambda one: (one.created_at, one.label))
    links = [(grant.name, grant.relays, _PLACES.get(grant.wire, 0)) for grant in living]
    codes = [(offer.label, offer.relays, 1) for offer in answering]
    for name, relays, kind in (*links, *codes):
        for url in old_relays(relays, present):
            named = users[normalise(spelled.setdefault(normalise(url), url))][kind]
            if name not in named:  # the codes that an offer had before have its name too
                named.append(name)
    found = [KeptRelay(spelled[key], *map(tuple, names)) for key, names in users.items()]
    return tuple(sorted(found, key=lambda kept: -sum(len(names) for _, names in kept.groups)))


async def stored_kept_relays(store: Reads, present: Collection[str], now: int) -> tuple[KeptRelay, ...]:
    """:func:`kept_relays` of a ledger."""
    return kept_relays(present, await store.grants(), await store.offers(), now)


def served(
    present: Sequence[str], kept: Sequence[KeptRelay], most: int
) -> tuple[tuple[KeptRelay, ...], tuple[KeptRelay, ...]]:
    """The relays of ``kept`` that there is room for beside the present ones among ``most``, and those left out."""
    room = max(0, most - len(present))
    return tuple(kept[:room]), tuple(kept[room:])


def is_living(grant: Grant, now: int) -> bool:
    """Whether the link of a connection can still be used."""
    return grant.revoked_at is None and (grant.expires_at is None or grant.expires_at > now)


def _answers(offer: Offer) -> bool:
    """Whether something is told to those who have its code: an invoice, that it is switched off or has ended for now,
    or where it is."""
    return offer.is_standing or (offer.state is OfferState.MOVED and offer.latest != "")


def _listed(parts: Sequence[str], before: str) -> str:
    """``a``, ``a and b``, ``a, b and c``; ``before`` stands before each but the first."""
    *first, last = parts
    return f",{before}".join(first) + (f" and{before}" if first else "") + last


def _named(what: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"{what}{'s' if len(names) > 1 else ''} {', '.join(names[:NAMES_SHOWN])}{more}"
