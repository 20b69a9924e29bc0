"""The sources of rates by the settings, and what the doctor makes of their answers."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from kitestring.app.home.config import Config, RateSettings
from kitestring.app.service.exchange import IN_USE_S, MAX_ASKED, exchange_rates, findings, judged, who_told
from kitestring.base.node import Finding, FindingState
from kitestring.client.exchange import Round
from kitestring.policy.exchange import Quote
from tests.kit.client.exchange import Exchange, exchanges
from tests.kit.clock import NOW, ManualClock


def config(folder: Path, *sources: Exchange, urls: tuple[str, ...] = ()) -> Config:
    settings = RateSettings((), (*(source.pattern for source in sources), *urls))
    return Config(folder, exchange=settings, private_hosts=tuple(source.address for source in sources))


async def test_who_uses_no_currency_hears_nothing_of_rates_and_nobody_is_asked(tmp_path: Path) -> None:
    assert await findings(Config(tmp_path), tmp_path, ManualClock()) == []


async def test_who_has_set_sources_is_told_which_although_none_was_asked(tmp_path: Path) -> None:
    async with exchanges("97000") as one:
        (found,) = await findings(config(tmp_path, *one), tmp_path, ManualClock())
    assert found == Finding("rates", FindingState.INFO, f"sources: {one[0].address}; `kitestring rate EUR` asks them")
    assert one[0].asked == []
    (found,) = await findings(Config(tmp_path, exchange=RateSettings(())), tmp_path, ManualClock())
    assert found.sentence == "sources: none; `kitestring rate EUR` asks them"


async def test_a_currency_in_use_is_told_with_its_age_its_sources_and_their_spread(tmp_path: Path) -> None:
    clock = ManualClock()
    async with exchanges("97000", "97097", "1") as three:
        three[2].status = 404
        settings = config(tmp_path, *three)
        await exchange_rates(settings, tmp_path, clock).rate("EUR")
        clock.advance(30)
        assert await findings(settings, tmp_path, clock) == [
            Finding(
                "rates", FindingState.OK,
                "1 BTC = 97,048.5 EUR, told 30 s ago; 2 of 3 sources answer and differ by 0.10 %; "
                f"{three[2].address} does not (HTTP status 404)",
            )
        ]  # fmt: skip


async def test_a_stale_rate_is_a_warning_that_says_what_does_not_go_on(tmp_path: Path) -> None:
    async with exchanges("97000", "9700") as two:
        settings = config(tmp_path, *two)
        await exchange_rates(settings, tmp_path, ManualClock()).look("EUR")
        (found,) = await findings(settings, tmp_path, ManualClock())
    assert found.state is FindingState.WARN
    assert found.sentence == (
        f"nothing can be priced in EUR now: the rate of EUR is stale: {two[1].address} tells 9,700 and "
        f"{two[0].address} 97,000, which differ by more than 3 %; 2 of 2 sources answer and differ by 900.00 %"
    )


async def test_a_currency_that_nobody_has_asked_for_in_days_is_not_asked_for_again(tmp_path: Path) -> None:
    clock = ManualClock()
    async with exchanges("97000") as one:
        settings = config(tmp_path, *one)
        await exchange_rates(settings, tmp_path, clock).rate("EUR")
        clock.advance(IN_USE_S)
        assert [found.state for found in await findings(settings, tmp_path, clock)] == [FindingState.OK]
        clock.advance(IN_USE_S + 1)
        assert [found.state for found in await findings(settings, tmp_path, clock)] == [FindingState.INFO]
    assert one[0].asked == ["EUR", "EUR"]


async def test_of_many_currencies_the_last_ones_are_asked_for(tmp_path: Path) -> None:
    clock = ManualClock()
    async with exchanges("97000") as one:
        rates = exchange_rates(config(tmp_path, *one), tmp_path, clock)
        for code in ("EUR", "USD", "JPY", "CHF", "GBP", "SEK"):
            await rates.rate(code)
            clock.advance(1)
        found = await findings(config(tmp_path, *one), tmp_path, clock)
    assert [line.sentence.split()[4].strip(",") for line in found] == ["SEK", "GBP", "CHF", "JPY", "USD"]
    assert len(found) == MAX_ASKED


@pytest.mark.parametrize(
    ("prices", "words"),
    [
        ([None, None], "0 of 2 sources answer; a does not (down); b does not (down)"),
        (["97000"], "1 of 1 sources answer"),
        (["100000", "100004"], "2 of 2 sources answer and differ by 0.00 %"),
        (["100000", "112345"], "2 of 2 sources answer and differ by 12.34 %"),
    ],
)
def test_who_answers_and_by_how_much_they_differ(prices: list[str | None], words: str) -> None:
    answers = [
        Quote("ab"[number], Decimal(text) if text else None, "" if text else "down")
        for number, text in enumerate(prices)
    ]
    assert who_told(answers) == words


def test_without_any_source_nothing_can_be_priced() -> None:
    found = judged(Round("EUR", NOW, (), None, "the rate of EUR is not known: no source of rates is set"), NOW)
    assert found.sentence.startswith("nothing can be priced in EUR now: the rate of EUR is not known")
