"""What each relay says of a connection: shown, refused in its own words, or nothing within a moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from kitestring.app.home.keyring import Keyring
from kitestring.app.service.reach import ANSWER_S, Reach, why_deaf
from kitestring.app.service.relay_word import RelayWord, auth_words
from kitestring.base.grants import Grant
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from kitestring.transport.link import RelayStatus
from kitestring.transport.publications import Verdict, read_ok
from tests.kit.changed import replace
from tests.kit.clock import EPOCH as NOW
from tests.kit.clock import WalkingClock

KEYRING = Keyring(bytes(range(32)))
KEY = KEYRING.connection_key("g1")
URL, OTHER = "wss://good.example", "wss://other.example"
GRANT = Grant(grant_id="g1", name="an app", wire="nwc", service_pubkey=KEY.public_hex, relays=(URL, OTHER))


def info(key: SecretKey = KEY, kind: int = kinds.NWC_INFO) -> Event:
    return sign_event(key, kind=kind, tags=[], content="pay_invoice", created_at=NOW, aux=bytes(32))


@dataclass
class Relays:
    """In the place of pool, announcer and subscription at once."""

    rows: list[RelayStatus]
    shows: list[tuple[Event, str]] = field(default_factory=list)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)
    open: int = 0

    def status(self) -> list[RelayStatus]:
        return self.rows

    def subscribe(self, _name: str, source: Any, handler: Any, *, keys: tuple[str, ...]) -> Relays:
        (asked,) = source(keys)
        assert (asked.kinds, asked.authors) == ({kinds.NWC_INFO}, {KEY.public_hex})
        self.open += 1
        for event, url in self.shows:
            handler(event, url)
        return self

    def close(self) -> None:
        self.open -= 1

    @property
    def refusals(self) -> dict[str, str]:
        return self.closed

    def said(self, grant: Grant) -> dict[str, Verdict]:
        assert grant.grant_id == GRANT.grant_id
        return self.verdicts

    async def ask(self, grant: Grant = GRANT) -> tuple[tuple[RelayWord, ...], float]:
        """What they say, and the seconds that were waited for it."""
        relays: Any = self
        clock = WalkingClock()
        began = clock.monotonic()
        words = await Reach(relays, relays, clock).words(grant)
        assert self.open == 0
        return words, clock.monotonic() - began


def status(
    url: str = URL, *, connected: bool = True, error: str = "", auth: str = "", refused: str = ""
) -> RelayStatus:
    return RelayStatus(url, connected, int(connected), error, 0, "", auth, "", refused=refused)


async def test_a_relay_that_shows_what_was_announced_carries_it_and_is_not_waited_for() -> None:
    words, waited_s = await Relays([status()], [(info(), URL)]).ask()
    assert words == (RelayWord(URL, True),)
    assert waited_s < ANSWER_S / 2


async def test_who_refuses_or_is_away_is_quoted_at_once() -> None:
    refusal = {URL: read_ok(False, "blocked: kind 13194 is for members")}
    rows = [status(), status(OTHER, connected=False, error="connection refused")]
    words, waited_s = await Relays(rows, verdicts=refusal).ask()
    assert words == (
        RelayWord(URL, False, "blocked: kind 13194 is for members"),
        RelayWord(OTHER, False, "connection refused"),
    )
    assert waited_s < ANSWER_S / 2


async def test_a_relay_that_is_slow_down_is_quoted_too() -> None:
    words, _ = await Relays([status()], verdicts={URL: read_ok(False, "rate-limited: slow down")}).ask()
    assert words == (RelayWord(URL, False, "rate-limited: slow down"),)


async def test_a_silent_relay_is_waited_for_a_moment_and_a_good_one_beside_it_stands() -> None:
    words, waited_s = await Relays([status(), status(OTHER)], [(info(), URL)]).ask()
    assert words == (RelayWord(URL, True), RelayWord(OTHER, False, "has not answered yet"))
    assert ANSWER_S <= waited_s < ANSWER_S + 1


async def test_who_says_that_it_has_it_and_does_not_show_it_does_not_carry_it() -> None:
    words, _ = await Relays([status()], verdicts={URL: read_ok(True, "thanks")}).ask()
    assert words == (RelayWord(URL, False, "says that it has it, and does not show it"),)


async def test_words_about_our_question_or_our_key_are_better_than_none() -> None:
    closed = await Relays([status()], closed={URL: "restricted: pay first"}).ask()
    assert closed[0][0].words == "restricted: pay first"
    locked = await Relays([status(auth="restricted: not on the list")]).ask()
    assert locked[0][0].words == "restricted: not on the list"
    coming = await Relays([status(connected=False)]).ask()
    assert coming[0][0].words == "is not connected yet"


async def test_only_a_genuine_announcement_of_this_connection_counts() -> None:
    forged = msgspec.structs.replace(info(), sig="00" * 64)
    foreign, other_kind = info(KEYRING.connection_key("g2")), info(kind=1)
    words, _ = await Relays([status()], [(event, URL) for event in (forged, foreign, other_kind)]).ask()
    assert not words[0].carries


async def test_nothing_is_asked_about_what_nobody_announces() -> None:
    relays = Relays([status()])
    for grant in (replace(GRANT, wire="owner"), replace(GRANT, revoked_at=NOW)):
        assert await relays.ask(grant) == ((), 0)


def test_a_deaf_service_quotes_every_relay() -> None:
    rows = [status(refused="restricted: pay first"), status(OTHER, connected=False, error="connection refused")]
    assert why_deaf(rows) == (f"{URL}: restricted: pay first; {OTHER}: connection refused")
    assert why_deaf([replace(status(), auth_s=200.0)]) == f"{URL}: {auth_words(200)}"


async def test_a_relay_that_is_not_in_the_link_is_neither_quoted_nor_waited_for() -> None:
    grant = replace(GRANT, relays=("wss://GOOD.example/",))
    words, waited_s = await Relays([status(), status(OTHER)], [(info(), URL)]).ask(grant)
    assert words == (RelayWord(URL, True),)
    assert waited_s < ANSWER_S / 2
