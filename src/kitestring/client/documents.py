"""Addressable documents of somebody: the newest of each, on all relays that are asked.

A relay can hold one back or show an old one, never make one. What it shows is checked before it counts, and what one
relay shows too much of takes no room from the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from kitestring.client.net import Waits
from kitestring.nostr.event import Event, first_tag, verify_event
from kitestring.nostr.filter import Filter
from kitestring.transport.relays import RelayPool
from kitestring.wire.beacon import is_newer

#: Events looked at of one relay for one question: it has one of each document, and is asked for two.
MAX_LOOKED_AT: Final = 16


@dataclass(frozen=True, slots=True)
class Documents:
    """The newest of each document by the name under which it is kept. ``told_by`` are the relays that have shown all
    they have, ``refusals`` the words of those that did not answer."""

    newest: dict[str, Event] = field(default_factory=dict)
    told_by: tuple[str, ...] = ()
    refusals: dict[str, str] = field(default_factory=dict)

    @property
    def trouble(self) -> str:
        """The relays that did not answer, each with its words; "" where all did."""
        return "; ".join(f"{url}: {words}" for url, words in self.refusals.items())


def _by_name(event: Event) -> str | None:
    return first_tag(event, "d")


async def find_documents(
    pool: RelayPool, kind: int, author: str, names: Collection[str], waits: Waits,
    kept_as: Callable[[Event], str | None] = _by_name,
) -> Documents:  # fmt: skip
    """Ask every relay of ``pool`` for the documents of ``author`` (64 hex digits) with these ``d`` tags.

    ``kept_as`` says under which name an event competes with others, None for one that is no such document; it must not
    raise. Returns when every relay has answered, or ``others_s`` seconds after the first, or ``info_s`` seconds without
    any.
    """
    newest: dict[str, Event] = {}
    looked_at: Counter[str] = Counter()

    def hear(event: Event, url: str) -> None:
        if event.kind != kind or event.pubkey != author or first_tag(event, "d") not in names:
            return
        if looked_at[url] >= MAX_LOOKED_AT:
            return
        looked_at[url] += 1
        name = kept_as(event)
        if name is not None and is_newer(event, newest.get(name)) and verify_event(event):
            newest[name] = event

    def filters(_: Sequence[str]) -> Sequence[Filter]:
        return (Filter(kinds={kind}, authors={author}, tags={"d": frozenset(names)}),)

    subscription = pool.subscribe(f"documents-{author[:16]}", filters, hear)
    try:
        urls = [row.url for row in pool.status()]

        def have_all_said() -> bool:
            away = {row.url for row in pool.status() if not row.connected and row.last_error}
            return all(url in subscription.live_on() or url in subscription.refusals or url in away for url in urls)

        await pool.until(lambda: bool(subscription.live_on()) or have_all_said(), waits.info_s)
        await pool.until(have_all_said, waits.others_s)
        told_by = tuple(subscription.live_on())
        silent = {
            row.url: subscription.refusals.get(row.url) or ("" if row.connected else row.last_error) or "no answer"
            for row in pool.status()
            if row.url not in told_by
        }
        return Documents(newest, told_by, silent)
    finally:
        subscription.close()
