"""The rates of currencies by the settings of the owner, and what ``kitestring doctor`` says about their sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kitestring.app.home.config import Config, RateSettings
from kitestring.base.currency import show_rate
from kitestring.base.node import Finding, FindingState
from kitestring.base.outcomes import Refused
from kitestring.base.ports import Clock
from kitestring.client.exchange import ExchangeRates, Round
from kitestring.policy.exchange import Quote, spread_percent
from kitestring.transport.fetch import Fetcher

#: Seconds after which a currency that nobody has asked for is not in use any more.
IN_USE_S: Final = 7 * 86_400
#: Currencies that the doctor asks for: each is a question to every source.
MAX_ASKED: Final = 5
#: The name of the findings.
_NAME: Final = "rates"


def exchange_rates(config: Config, folder: Path, clock: Clock) -> ExchangeRates:
    """The rates by the sources in the settings, shared with all programs on the data directory ``folder``."""
    return ExchangeRates(config.exchange.tickers, Fetcher(config.proxies, config.private_hosts), clock, folder)


async def findings(config: Config, folder: Path, clock: Clock) -> list[Finding]:
    """One for each currency that was asked for in the last days. Where there is none, and the owner has set no sources
    of their own, prices in currencies are not used, and nobody is asked."""
    rates = exchange_rates(config, folder, clock)
    used = rates.used(clock.now() - IN_USE_S)[:MAX_ASKED]
    if not used and config.exchange != RateSettings():
        names = ", ".join(source.name for source in rates.sources) or "none"
        return [Finding(_NAME, FindingState.INFO, f"sources: {names}; `kitestring rate EUR` asks them")]
    return [judged(await rates.look(currency), clock.now()) for currency in used]


def judged(told: Round, now: int) -> Finding:
    """One currency in one line."""
    rate = told.verdict(now)
    if isinstance(rate, Refused):
        sentence = f"nothing can be priced in {told.currency} now: {rate.message}; {who_told(told.answers)}"
        return Finding(_NAME, FindingState.WARN, sentence)
    sentence = f"{show_rate(rate)}, told {now - rate.at} s ago; {who_told(told.answers)}"
    return Finding(_NAME, FindingState.OK, sentence)


def who_told(answers: Sequence[Quote]) -> str:
    """``4 of 5 sources answer and differ by 0.12 %; x does not (HTTP status 404)``."""
    silent = [f"{told.source} does not ({told.trouble})" for told in answers if told.price is None]
    apart = spread_percent(answers)
    differ = "" if apart is None else " and differ by {}.{:02d} %".format(*divmod(round(apart * 100), 100))
    return "; ".join([f"{len(answers) - len(silent)} of {len(answers)} sources answer{differ}", *silent])
