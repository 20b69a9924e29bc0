"""What a foreign relay does, measured over a socket: one function for each question, and its answer in words.

`python -m tests.kit.interop.relay_facts` measures every relay of the rig and writes what came to
`docs/explanation/relays.json`, from which `make docs` makes the table; a test measures again and compares.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event, sign_event
from kitestring.transport.clock import SystemClock
from tests.kit.changed import replace
from tests.kit.interop.line import QUIET_S, Filter, Frame, Line, line_to, new_key, quiet, words
from tests.rig import relays

FACTS = Path(__file__).parents[3] / "docs/explanation/relays.json"

REPLY, REQUEST, INFO, NOTE = 23195, 23194, 13194, 1111
HOUR_S = 3_600
#: One of them thinks for two seconds before it refuses an event.
SLOW_S = 3.0
#: Steps of what is tried, each until one is refused.
KEYS = (200, 500, 1_000)
FILTERS = (2, 3, 10, 20, 50)
KILOBYTES = (4, 8, 60, 120, 250, 500)
SUBSCRIPTIONS = 100
DATES_S = {"an hour old": -HOUR_S, "two days old": -48 * HOUR_S, "two hours ahead": 2 * HOUR_S}

Facts = dict[str, str]


@dataclass(frozen=True, slots=True)
class Relay:
    """The relay that is asked. ``auth``: it serves only who has authenticated."""

    url: str
    auth: bool

    def line(self) -> AbstractAsyncContextManager[Line]:
        return line_to(self.url, new_key() if self.auth else None)

    @asynccontextmanager
    async def lines(self) -> AsyncIterator[tuple[Line, Line]]:
        """One that listens and one that speaks."""
        async with self.line() as ear, self.line() as mouth:
            yield ear, mouth


def event(
    kind: int, to: str = "", about: str = "", *, key: SecretKey | None = None, at_s: int = 0, content: str = ""
) -> Event:
    """One that is dated so many seconds from now."""
    tags = [["p", to]] * bool(to) + [["e", about]] * bool(about)
    now = SystemClock().now()
    return sign_event(key or new_key(), kind=kind, tags=tags, content=content, created_at=now + at_s)


# ---- the questions -------------------------------------------------------------------------------------------------


async def confirming(relay: Relay) -> Facts:
    """What it says to an event, by what that is."""
    async with relay.lines() as (ear, mouth):
        to = new_key().public_hex
        await ear.ask("s", {"kinds": [REPLY], "#p": [to]})
        heard, unheard, stored = event(REPLY, to), event(REPLY, new_key().public_hex), event(INFO)
        forged = replace(event(REPLY, to), content="another")
        found = {name: await _told(mouth, one) for name, one in _named(heard, unheard, stored, forged)}
        await quiet(ear, enough=lambda: heard.id in ear.heard("s"))
        found["again"] = await _told(mouth, heard)
        await quiet(ear)
        found["again"] += ", given again" if ear.heard("s").count(heard.id) > 1 else ", not given again"
        return found


def _named(heard: Event, unheard: Event, stored: Event, forged: Event) -> Sequence[tuple[str, Event]]:
    return [("heard", heard), ("unheard", unheard), ("stored", stored), ("forged", forged)]


async def _told(mouth: Line, one: Event) -> str:
    """Its words about an event, wherever it says them."""
    begin = len(mouth.frames)

    def said(about: tuple[str, ...]) -> list[Frame]:
        return [one for one in mouth.frames[begin:] if one[0] in {"OK", "NOTICE"} and one[1] in about]

    await mouth.publish(one)
    if await mouth.until(lambda: bool(said((one.id,))), SLOW_S):
        return words(said((one.id,)))
    unnamed = mouth.frames[begin:]
    return f"{words(unnamed)}, without the id of the event" if unnamed else "nothing"


async def dates(relay: Relay) -> Facts:
    """What it does with an answer that is dated otherwise."""
    found = {}
    async with relay.lines() as (ear, mouth):
        to = new_key().public_hex
        await ear.ask("s", {"kinds": [REPLY], "#p": [to]})
        for name, at_s in DATES_S.items():
            one = event(REPLY, to, at_s=at_s)
            said = await _told(mouth, one)
            await quiet(ear, enough=lambda: one.id in ear.heard("s"))  # noqa: B023 - is awaited here
            found[name] = "given" if one.id in ear.heard("s") else said
    return {"dates": _listed(found)}


async def live(relay: Relay) -> Facts:
    """Which filters find an event while it passes, and which find others too."""
    me, other, about = new_key(), new_key(), event(NOTE).id
    wanted, unwanted = event(REPLY, me.public_hex, about, key=other), event(REPLY, new_key().public_hex, event(NOTE).id)
    asked: Mapping[str, Filter] = {
        "p": {"kinds": [REPLY], "#p": [me.public_hex]}, "e": {"kinds": [REPLY], "#e": [about]},
        "author": {"kinds": [REPLY], "authors": [other.public_hex]},
    }  # fmt: skip
    async with relay.lines() as (ear, mouth):
        for name, filters in asked.items():
            await ear.ask(name, filters)
        await mouth.publish(wanted, unwanted)
        await quiet(ear)
        return {"live": _listed({name: _found(ear, name, wanted, unwanted) for name in asked})}


async def kept(relay: Relay) -> Facts:
    """Which filters find a stored event, whether it obeys `limit` and `since`, and whether it keeps answers."""
    me, other, about, more = new_key(), new_key(), event(NOTE).id, new_key()
    wanted = event(NOTE, me.public_hex, about, key=other)
    old, new = event(NOTE, key=more, at_s=-HOUR_S), event(NOTE, key=more)
    answer = event(REPLY, me.public_hex)
    stored = (wanted, event(NOTE, new_key().public_hex), old, new)
    async with relay.lines() as (ear, mouth):
        await mouth.publish(*stored, answer)
        await mouth.until(lambda: all(mouth.of("OK", one.id) for one in stored))
        by_more: Filter = {"kinds": [NOTE], "authors": [more.public_hex]}
        asked: Mapping[str, Filter] = {
            "p": {"kinds": [NOTE], "#p": [me.public_hex]}, "e": {"kinds": [NOTE], "#e": [about]},
            "author": {"kinds": [NOTE], "authors": [other.public_hex]}, "limit": {**by_more, "limit": 1},
            "since": {**by_more, "since": old.created_at + 1}, "answer": {"kinds": [REPLY], "#p": [me.public_hex]},
        }  # fmt: skip
        for name, filters in asked.items():
            await ear.ask(name, filters)
        found = {name: _found(ear, name, wanted, stored[1]) for name in ("p", "e", "author")}
        found |= {name: "yes" if ear.heard(name) == [new.id] else "no" for name in ("limit", "since")}
        return {"kept": _listed(found), "answers": "kept" if ear.heard("answer") else "not kept"}


def _found(ear: Line, name: str, wanted: Event, unwanted: Event) -> str:
    heard = ear.heard(name)
    if wanted.id not in heard:
        return "no"
    return "others too" if unwanted.id in heard else "yes"


async def keys(relay: Relay) -> Facts:
    """Keys in one filter, filters in one REQ: the most of what was tried that still hears the last one."""

    async def hears(filters: list[Filter], to: str) -> str:
        async with relay.lines() as (ear, mouth):
            await ear.ask("s", *filters)
            one = event(REPLY, to)
            await mouth.publish(one)
            await ear.until(lambda: one.id in ear.heard("s"), QUIET_S)
            return "" if one.id in ear.heard("s") else _refusal(ear)

    def of(names: list[str]) -> Filter:
        return {"kinds": [REPLY], "#p": names}

    many = [new_key().public_hex for _ in range(max(*KEYS, *FILTERS))]
    return {
        "keys": await _most(KEYS, lambda count: hears([of(many[:count])], many[count - 1])),
        "filters": await _most(FILTERS, lambda n: hears([of([key]) for key in many[:n]], many[n - 1])),
    }


async def sizes(relay: Relay) -> Facts:
    """The largest event of what was tried that it passes on."""

    async def passes(kilobytes: int) -> str:
        async with relay.lines() as (ear, mouth):
            to = new_key().public_hex
            await ear.ask("s", {"kinds": [REPLY], "#p": [to]})
            one = event(REPLY, to, content="x" * 1_000 * kilobytes)
            said = await _told(mouth, one)
            await quiet(ear, enough=lambda: one.id in ear.heard("s") or bool(mouth.ended))
            return "" if one.id in ear.heard("s") else mouth.ended or said

    return {"size": await _most(KILOBYTES, passes, "{} kB")}


async def subscriptions(relay: Relay) -> Facts:
    """Subscriptions of one connection, and what it says to one more."""
    async with relay.line() as ear:
        begin, key = len(ear.frames), new_key().public_hex
        for number in range(SUBSCRIPTIONS):
            await ear.say("REQ", f"n{number}", {"kinds": [REPLY], "#p": [key]})
        await quiet(ear, enough=lambda: _answered(ear) >= SUBSCRIPTIONS)
        count, refusal = _answered(ear), _refusal(ear, begin)
        return {"subscriptions": f"{count} and more" if count >= SUBSCRIPTIONS else f"{count}, then {refusal}"}


def _answered(ear: Line) -> int:
    return sum(1 for frame in ear.of("EOSE") if frame[1].startswith("n"))


async def strangers(relay: Relay) -> Facts:
    """Whether it asks who somebody is, when, and in which words."""
    async with line_to(relay.url) as line:
        await quiet(line)
        greeted = bool(line.of("AUTH"))
        await line.say("REQ", "s", {"kinds": [REPLY], "#p": [new_key().public_hex]})
        await quiet(line)
        one = event(REPLY, new_key().public_hex)
        said = await _told(line, one)
        if not line.of("AUTH"):
            return {"auth": "never"}
        when = "at once" if greeted else "when somebody reads or writes"
        return {"auth": f"{when}; {words(line.of('CLOSED'))}; {said}"}


async def punishing(relay: Relay) -> Facts:
    """Whether it slows down a connection that it had to refuse an event of."""
    async with relay.line() as mouth:
        wrong, right = event(REPLY, content="one"), event(INFO)
        await _told(mouth, replace(wrong, content="another"))
        await mouth.publish(right)
        slow = await mouth.answer(right.id, QUIET_S) is None
        return {"afterwards": "every event waits, longer each time" if slow else "as before"}


async def calls(relay: Relay) -> Facts:
    """Whether it tells the time over HTTP, and answers a ping."""
    async with line_to(relay.url) as line:
        await line.ping()
        answers = await line.until(lambda: line.pongs > 0, QUIET_S)
    url = relay.url.replace("ws://", "http://", 1)
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            dated = "Date" in response.headers
    except aiohttp.ClientError:
        dated = False
    return {"clock": "told" if dated else "not told", "pings": "answered" if answers else "not answered"}


QUESTIONS: Sequence[Callable[[Relay], Awaitable[Facts]]] = (
    confirming, punishing, dates, live, kept, keys, sizes, subscriptions, strangers, calls,
)  # fmt: skip


async def measure(running: relays.Running) -> Facts:
    """Every fact about a relay, one question after the other; takes half a minute."""
    relay, row = Relay(running.url, running.auth), relays.RELAYS[running.name]
    found = {"relay": row.what, "settings": row.settings}
    for question in QUESTIONS:
        found |= await question(relay)
    return {name: _settled(said) for name, said in found.items()}


async def measure_all(running: Iterable[relays.Running]) -> dict[str, Facts]:
    """The facts of several relays, which are asked at the same time."""
    asked = list(running)
    found = await asyncio.gather(*(measure(one) for one in asked))
    return {one.name: facts for one, facts in zip(asked, found, strict=True)}


def recorded() -> dict[str, Facts]:
    """What was measured when the page was written."""
    found: dict[str, Facts] = json.loads(FACTS.read_text(encoding="utf-8"))
    return found


def _settled(said: str) -> str:
    """Without what differs each time: ids, keys, times."""
    return re.sub(r"\b[0-9a-f]{64}\b", "…", re.sub(r"\b1[0-9]{9}\b", "…", said))


def _listed(found: Mapping[str, str]) -> str:
    """The same answer said once."""
    answers = set(found.values())
    if len(answers) == 1:
        return answers.pop()
    return "; ".join(f"{name}: {said}" for name, said in found.items())


def _refusal(line: Line, begin: int = 0) -> str:
    said = [frame for frame in line.frames[begin:] if frame[0] in {"CLOSED", "NOTICE"}]
    return line.ended or words(said)


async def _most(steps: Sequence[int], refuses: Callable[[int], Awaitable[str]], unit: str = "{}") -> str:
    """The last step that is not refused, and the words about the next."""
    good = 0
    for step in steps:
        why = await refuses(step)
        if why:
            return f"{unit.format(good)}; {unit.format(step)}: {why}"
        good = step
    return f"{unit.format(good)} and more"


# ---- command -------------------------------------------------------------------------------------------------------


def main() -> None:
    with tempfile.TemporaryDirectory() as room, ExitStack() as running:
        asked = [relays.start(name, Path(room) / name) for name in relays.RELAYS]
        for one in asked:
            running.callback(one.process.stop)
        found = asyncio.run(measure_all(asked))
    FACTS.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(f"wrote {FACTS.name}; now `make docs`\n")


if __name__ == "__main__":
    main()
