"""The worth of a currency now: sources are asked together, and their answers kept for as long as they are fresh.

Programs on one data directory share what was told, by a file that anybody may delete: it holds nothing that cannot be
asked anew.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from kitestring.base.currency import EXPONENTS, ExchangeRate, decimals_of
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.outcomes import Refused
from kitestring.base.ports import Clock
from kitestring.codec.tickers import MAX_ANSWER_BYTES, Ticker
from kitestring.policy.exchange import Quote, in_use, judge
from kitestring.transport.border import FetchError
from kitestring.transport.fetch import FetchCaps, Fetcher

#: Seconds for which nobody is asked again: exchanges allow one question each second at least, and a price is not read
#: more often than it is paid.
FRESH_S: Final = 60
#: The same after answers that gave no new rate: long enough that a crowd of buyers is no crowd of questions.
RETRY_S: Final = 10
#: Seconds for which a rate is told at once while the sources are asked behind it: the age at which CLINK Offers still
#: sell at it.
AT_ONCE_S: Final = 300
#: Of one question: a payer waits for the price meanwhile. No ticker redirects.
CAPS: Final = FetchCaps(total_s=8.0, body_bytes=MAX_ANSWER_BYTES, redirects=0)
FILE_NAME: Final = "rates.json"


class Round(msgspec.Struct, frozen=True):
    """The answers about one currency at one time (Unix seconds), and the last good rate, new or old; ``why`` says why
    nothing may be priced, "" where something may."""

    currency: str
    asked_at: int
    answers: tuple[Quote, ...]
    good: ExchangeRate | None = None
    why: str = ""

    def verdict(self, now: int) -> ExchangeRate | Refused:
        """The rate in use, or the refusal."""
        if self.why or self.good is None:
            return Refused(Reason.UNAVAILABLE, self.why)
        return in_use(self.good, now)

    def is_told_at_once(self, now: int) -> bool:
        """Whether nobody needs to wait for newer answers."""
        return not self.why and self.good is not None and 0 <= now - self.good.at <= AT_ONCE_S

    def is_fresh(self, now: int) -> bool:
        """Whether nobody needs to be asked; after a step of the clock into the past somebody does."""
        is_new = not self.why and self.good is not None and self.good.at == self.asked_at
        return 0 <= now - self.asked_at < (FRESH_S if is_new else RETRY_S)


class ExchangeRates:
    """The rates by ``sources``, which the owner has chosen: each is asked as the owner's own URL. With ``folder`` (None
    = no other program is told) they are shared with those who use the same data directory."""

    def __init__(self, sources: Sequence[Ticker], fetcher: Fetcher, clock: Clock, folder: Path | None = None) -> None:
        self.sources: Final = tuple(sources)
        self._fetcher: Final = fetcher
        self._clock: Final = clock
        self._file: Final = folder / FILE_NAME if folder is not None else None
        self._rounds: Final[dict[str, Round]] = {}
        self._asking: Final = defaultdict[str, asyncio.Lock](asyncio.Lock)
        self._behind: Final[dict[str, asyncio.Task[Round]]] = {}
        self._is_closed = False

    async def rate(self, currency: str) -> ExchangeRate:
        """The rate at which prices in a currency are made now. One that is not older than :data:`AT_ONCE_S` is told at
        once, and the sources are asked behind it.

        Raises KitestringError: malformed for no currency of ISO 4217, unavailable where the rate is stale or unknown.
        """
        known, now = self._rounds.get(currency), self._clock.now()
        if known is None or not known.is_told_at_once(now):
            known = await self.look(currency)
        elif not known.is_fresh(now):
            self._look_behind(currency)
        return self._in_use(known)

    def known(self, currency: str) -> ExchangeRate:
        """The rate by what any program here was told already. Where that is not new, the sources are asked behind it.
        Raises as :meth:`rate`."""
        decimals_of(currency)
        known = self._rounds.get(currency) or self._known(currency)
        if known is None or not known.is_fresh(self._clock.now()):
            self._look_behind(currency)
        if known is None:
            raise KitestringError(Reason.UNAVAILABLE, f"the rate of {currency} is not known yet: try again")
        return self._in_use(known)

    def _in_use(self, known: Round) -> ExchangeRate:
        found = known.verdict(self._clock.now())
        if isinstance(found, Refused):
            raise KitestringError(found.reason, found.message)
        return found

    async def close(self) -> None:
        """Give up the questions that nobody waits for, and begin no more."""
        self._is_closed = True
        behind = tuple(self._behind.values())
        for task in behind:
            task.cancel()
        await asyncio.gather(*behind, return_exceptions=True)

    async def look(self, currency: str) -> Round:
        """The latest answers; the sources are asked where these are no longer fresh, once for all who wait. Raises
        KitestringError (malformed) for no currency."""
        decimals_of(currency)
        async with self._asking[currency]:
            known = self._known(currency)
            if not (known is not None and known.is_fresh(self._clock.now())):
                known = await self._ask(currency, known)
            self._rounds[currency] = known
            return known

    def used(self, since: int) -> list[str]:
        """The currencies that somebody here has asked for since then (Unix seconds), the last one first."""
        rounds = sorted(self._read().values(), key=lambda round_: -round_.asked_at)
        return [round_.currency for round_ in rounds if round_.asked_at >= since]

    def _look_behind(self, currency: str) -> None:
        """Ask the sources while nobody waits, once at a time for each currency."""
        if currency not in self._behind and not self._is_closed:
            task = self._behind[currency] = asyncio.get_running_loop().create_task(self.look(currency))
            task.add_done_callback(lambda _: self._behind.pop(currency, None))

    def _known(self, currency: str) -> Round | None:
        """The latest answers of these very sources: others say nothing about these."""
        names, now = [source.name for source in self.sources], self._clock.now()
        own = self._rounds.get(currency)
        found = own if own is not None and own.is_fresh(now) else self._read().get(currency, own)
        return found if found is not None and [told.source for told in found.answers] == names else None

    async def _ask(self, currency: str, before: Round | None) -> Round:
        at, last = self._clock.now(), before.good if before is not None else None
        answers = tuple(await asyncio.gather(*(self._told(source, currency) for source in self.sources)))
        found = judge(currency, answers, at, last)
        if isinstance(found, Refused):
            asked = Round(currency, at, answers, last, found.message)
        else:
            asked = Round(currency, at, answers, found)
        self._write(asked)
        return asked

    async def _told(self, source: Ticker, currency: str) -> Quote:
        try:
            found = await self._fetcher.fetch(source.url(currency), own=True, caps=CAPS)
            if found.status != 200:
                return Quote(source.name, trouble=f"HTTP status {found.status}")
            return Quote(source.name, source.read(found.body, currency))
        except (FetchError, CodecError) as error:
            return Quote(source.name, trouble=str(error))

    def _read(self) -> dict[str, Round]:
        """The latest answers that any program was given. A file that is not there, or not whole, says nothing."""
        if self._file is None:
            return {}
        with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
            rounds = msgspec.json.decode(self._file.read_bytes(), type=list[Round])
            return {round_.currency: round_ for round_ in rounds if round_.currency in EXPONENTS}
        return {}

    def _write(self, asked: Round) -> None:
        """Share it. Where that fails the others ask for themselves."""
        if self._file is None or not self._file.parent.is_dir():
            return
        data = msgspec.json.encode(list({**self._read(), asked.currency: asked}.values()))
        draft = self._file.with_name(f"{FILE_NAME}.{os.getpid()}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(data)
            draft.replace(self._file)
        except OSError:
            with suppress(OSError):
                draft.unlink()
