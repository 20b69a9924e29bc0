"""Sources of rates on loopback: asked together, seldom, and believed only where they agree."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import sat
from kitestring.client.exchange import AT_ONCE_S, FILE_NAME, FRESH_S, RETRY_S, ExchangeRates
from kitestring.codec.tickers import own_ticker
from kitestring.policy.exchange import MAX_AGE_S
from kitestring.transport.fetch import Fetcher
from tests.kit.client.exchange import Exchange, exchanges, price
from tests.kit.clock import NOW, ManualClock


def rates(
    sources: Sequence[Exchange],
    clock: ManualClock | None = None,
    folder: Path | None = None,
    *,
    listed: bool = True,
) -> ExchangeRates:
    hosts = [source.address for source in sources] if listed else []
    tickers = [own_ticker(source.pattern) for source in sources]
    return ExchangeRates(tickers, Fetcher(private_hosts=hosts), clock or ManualClock(), folder)


async def refusal(asked: ExchangeRates, currency: str = "EUR") -> str:
    """Why nothing is priced, by the newest answers."""
    await asked.look(currency)
    with pytest.raises(KitestringError) as caught:
        await asked.rate(currency)
    assert caught.value.reason is Reason.UNAVAILABLE
    return caught.value.message


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_rate_is_the_median_of_all_sources_and_knows_them_and_its_time() -> None:
    async with exchanges("97000", "97100", "97200") as three:
        found = await rates(three).rate("EUR")
    assert found.price == 97_100
    assert (found.at, found.currency) == (NOW, "EUR")
    assert found.sources == tuple(one.address for one in three)
    assert found.to_pay(200) == sat(2_060)  # 2,059.7… sat


async def test_sources_are_asked_once_for_all_who_want_to_know_and_not_again_while_it_is_fresh() -> None:
    clock = ManualClock()
    async with exchanges("97000", "97100") as two:
        asked = rates(two, clock)
        first = await asyncio.gather(*(asked.rate("EUR") for _ in range(20)))
        clock.advance(FRESH_S - 1)
        assert {await asked.rate("EUR"), *first} == {first[0]}
        assert [one.asked for one in two] == [["EUR"], ["EUR"]]
        await asked.rate("JPY")
        clock.advance(AT_ONCE_S)
        two[0].says = two[1].says = price("98000")
        assert (await asked.rate("EUR")).price == 98_000
        assert first[0].price == 97_050  # what was priced with it stays as it was
    assert two[0].asked == ["EUR", "JPY", "EUR"]


async def test_a_rate_of_the_last_minutes_is_told_at_once_and_a_newer_one_is_asked_for_behind_it() -> None:
    clock = ManualClock()
    async with exchanges("97000", "97100") as two:
        asked = rates(two, clock)
        first = await asked.rate("EUR")
        clock.advance(FRESH_S)
        two[0].says = two[1].says = price("98000")
        assert {await asked.rate("EUR") for _ in range(3)} == {first}
        await asked.look("EUR")  # waits for what is asked for already
        assert (await asked.rate("EUR")).price == 98_000
        assert two[0].asked == ["EUR", "EUR"]
        clock.advance(FRESH_S)
        await asked.rate("EUR")
        await asked.close()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


@pytest.mark.parametrize(
    "says",
    [price("9700"), price("970000"), price("-97000"), price("NaN"), price("0"), price(""), "", "sorry", "<html>",
     "97000", '{"price":NaN}', '{"price":1e400}', '{"price":97000,"price":9700}', "{" * 60_000, '{"price":null}'],
)  # fmt: skip
async def test_no_source_that_lies_or_babbles_moves_the_rate_of_two_that_agree(says: str) -> None:
    async with exchanges("97000", "97100", "97100") as three:
        three[2].says = says
        asked = rates(three)
        if says in {price("9700"), price("970000")}:
            assert "differ by more than 3 %" in await refusal(asked)
        else:
            assert (await asked.rate("EUR")).price == 97_050
            told = (await asked.look("EUR")).answers[2]
            assert told.price is None
            assert told.trouble


@pytest.mark.parametrize("status", [404, 429, 500])
async def test_a_source_that_does_not_trade_the_currency_is_left_out(status: int) -> None:
    async with exchanges("97000", "97100", "1") as three:
        three[2].status = status
        asked = rates(three)
        assert (await asked.rate("EUR")).sources == (three[0].address, three[1].address)
        assert (await asked.look("EUR")).answers[2].trouble == f"HTTP status {status}"


async def test_when_sources_go_down_the_last_rate_serves_until_it_is_too_old_and_not_longer() -> None:
    clock = ManualClock()
    async with exchanges("97000", "97100") as two:
        asked = rates(two, clock)
        good = await asked.rate("EUR")
        two[0].status = two[1].status = 503
        for age_s in (FRESH_S, MAX_AGE_S - 1, MAX_AGE_S):
            clock.advance(age_s - (clock.now() - NOW))
            assert await asked.rate("EUR") == good
        clock.advance(1)
        assert await refusal(asked) == "the rate of EUR is stale: it was told 601 s ago, and 600 s are the limit"
        clock.advance(RETRY_S)
        assert await refusal(asked) == "the rate of EUR is not known: 0 of 2 sources told it, and 2 are needed"
        two[0].status = two[1].status = 200
        clock.advance(RETRY_S)
        assert (await asked.rate("EUR")).at == clock.now()


async def test_while_there_is_no_rate_a_crowd_of_buyers_asks_the_sources_seldom() -> None:
    clock = ManualClock()
    async with exchanges("97000", "9700") as two:
        asked = rates(two, clock)
        sentences = {await refusal(asked) for _ in range(20)}
        clock.advance(RETRY_S - 1)
        assert {await refusal(asked)} == sentences
        assert two[0].asked == ["EUR"]
        clock.advance(1)
        await refusal(asked)
    assert two[0].asked == ["EUR", "EUR"]


async def test_a_rate_is_stale_as_soon_as_its_sources_contradict_each_other_however_young_it_is() -> None:
    clock = ManualClock()
    async with exchanges("97000", "97100") as two:
        asked = rates(two, clock)
        await asked.rate("EUR")
        clock.advance(FRESH_S)
        two[1].says = price("9710")
        assert "tells 9,710 and" in await refusal(asked)
        two[1].says = price("97200")
        clock.advance(RETRY_S)
        assert (await asked.rate("EUR")).price == 97_100


async def test_one_source_of_the_owner_that_slips_by_a_factor_of_ten_is_not_believed_at_once() -> None:
    clock = ManualClock()
    async with exchanges("97000") as one:
        asked = rates(one, clock)
        await asked.rate("EUR")
        one[0].says = price("9700")
        clock.advance(FRESH_S)
        assert "it has leapt from 97,000 to 9,700 within 60 s" in await refusal(asked)
        one[0].says = price("97050")
        clock.advance(RETRY_S)
        assert (await asked.rate("EUR")).price == 97_050


@pytest.mark.parametrize("step_s", [-86_400, -61, 86_400])
async def test_a_step_of_the_clock_makes_the_sources_be_asked_anew(step_s: int) -> None:
    clock = ManualClock()
    async with exchanges("97000", "97100") as two:
        asked = rates(two, clock)
        await asked.rate("EUR")
        clock.advance(step_s)
        assert (await asked.rate("EUR")).at == NOW + step_s
    assert len(two[0].asked) == 2


async def test_a_source_in_a_private_network_that_is_not_listed_is_not_asked() -> None:
    async with exchanges("97000") as one:
        told = await refusal(rates(one, listed=False))
        assert f"https is needed; if it is your own, name {one[0].address} in network.private_hosts" in told
    assert one[0].asked == []


@pytest.mark.parametrize("code", ["eur", "XXX", "../etc", ""])
async def test_nobody_is_asked_about_what_is_no_currency(code: str) -> None:
    async with exchanges("97000") as one:
        with pytest.raises(KitestringError, match="there is no currency") as caught:
            await rates(one).rate(code)
    assert caught.value.reason is Reason.MALFORMED
    assert one[0].asked == []


async def test_without_any_source_there_is_no_rate() -> None:
    assert await refusal(rates([])) == "the rate of EUR is not known: no source of rates is set"


# ------------------------------------------------------------ programs on one directory


async def test_what_one_program_was_told_the_next_one_knows(tmp_path: Path) -> None:
    clock = ManualClock()
    async with exchanges("97000", "97100") as two:
        good = await rates(two, clock, tmp_path).rate("EUR")
        await rates(two, clock, tmp_path).rate("JPY")
        clock.advance(FRESH_S - 1)
        again = rates(two, clock, tmp_path)
        assert await again.rate("EUR") == good
        assert [one.asked for one in two] == [["EUR", "JPY"]] * 2
        assert again.used(NOW) == ["EUR", "JPY"]
        assert again.used(NOW + 1) == []
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0
    assert names(tmp_path) == [FILE_NAME]


async def test_a_restart_while_the_sources_are_down_loses_no_rate(tmp_path: Path) -> None:
    clock = ManualClock()
    async with exchanges("97000", "97100") as two:
        good = await rates(two, clock, tmp_path).rate("EUR")
        two[0].status = two[1].status = 503
        clock.advance(FRESH_S)
        assert await rates(two, clock, tmp_path).rate("EUR") == good


async def test_what_other_sources_told_says_nothing_about_these(tmp_path: Path) -> None:
    clock = ManualClock()
    async with exchanges("9700", "97000", "97100") as three:
        await rates(three[:1], clock, tmp_path).rate("EUR")
        assert (await rates(three[1:], clock, tmp_path).rate("EUR")).price == 97_050


@pytest.mark.parametrize(
    "damage", [b"", b"{", b'[{"currency":"EUR"}]', b"\xff", b'[{"currency":"XXX","asked_at":1,"answers":[]}]']
)
async def test_a_damaged_file_is_like_none(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(damage)
    async with exchanges("97000", "97100") as two:
        asked = rates(two, folder=tmp_path)
        assert asked.used(0) == []
        assert (await asked.rate("EUR")).price == 97_050
        assert asked.used(0) == ["EUR"]


async def test_where_nothing_can_be_written_the_rate_is_told_all_the_same(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    async with exchanges("97000", "97100") as two:
        for folder in (tmp_path / "nowhere", tmp_path):
            assert (await rates(two, folder=folder).rate("EUR")).price == 97_050
    assert names(tmp_path) == [FILE_NAME]


async def test_what_is_known_is_told_without_waiting_and_the_sources_are_asked_behind_it(tmp_path: Path) -> None:
    clock = ManualClock()
    async with exchanges("97000", "97100") as two:
        asked = rates(two, clock, tmp_path)
        with pytest.raises(KitestringError, match="not known yet"):
            asked.known("EUR")
        await asked.look("EUR")  # waits for what is asked for already
        assert asked.known("EUR").price == rates(two, clock, tmp_path).known("EUR").price == 97_050
        assert [one.asked for one in two] == [["EUR"], ["EUR"]]
        clock.advance(MAX_AGE_S + 1)
        with pytest.raises(KitestringError, match="is stale"):
            asked.known("EUR")
        await asked.look("EUR")
        assert asked.known("EUR").price == 97_050
        with pytest.raises(KitestringError, match="there is no currency"):
            asked.known("XYZ")


async def test_after_the_end_nobody_is_asked_behind_anybody() -> None:
    async with exchanges("97000") as (one,):
        asked = rates([one])
        await asked.close()
        with pytest.raises(KitestringError):
            asked.known("EUR")
        assert (asked._behind, one.asked) == ({}, [])
