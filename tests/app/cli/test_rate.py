"""What a currency is worth, on the command line, with exchanges on loopback and no service."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import Result

from kitestring.client.exchange import FILE_NAME
from tests.kit.app.console import kitestring
from tests.kit.client.exchange import Exchange, exchanges


async def asked(folder: Path, sources: list[Exchange], *args: str) -> Result:
    """The command on a directory whose settings name these sources."""
    urls = ", ".join(f'"{source.pattern}"' for source in sources)
    hosts = ", ".join(f'"{source.address}"' for source in sources)
    toml = f"[rates]\nsources = []\nurls = [{urls}]\n[network]\nprivate_hosts = [{hosts}]\n"
    (folder / "kitestring.toml").write_text(toml, encoding="utf-8")
    return await asyncio.to_thread(kitestring, "rate", "--data-dir", str(folder), *args)


async def test_a_rate_is_told_with_its_age_and_its_sources_and_an_amount_as_a_payer_pays_it(tmp_path: Path) -> None:
    async with exchanges("97000", "97024") as two:
        told = await asked(tmp_path, two, "eur", "3.50")
    assert told.exit_code == 0
    first, second, blank, head, *rows = told.stdout.splitlines()
    assert first.startswith("1 BTC = 97,012 EUR, told ")
    assert first.endswith(" s ago; 2 of 2 sources answer and differ by 0.02 %")
    assert (second, blank, head.split()) == ("3.50 EUR = 3,608 sat", "", ["source", "price", "why", "not"])
    assert [row.split() for row in rows] == [[two[0].address, "97,000"], [two[1].address, "97,024"]]


async def test_json_has_the_rate_as_a_fraction_and_the_amount_in_msat(tmp_path: Path) -> None:
    async with exchanges("97000", "97024", "x") as three:
        told = json.loads((await asked(tmp_path, three, "EUR", "3.50", "--json")).stdout)
    assert told.pop("age_s") in range(20)
    assert told.pop("told_at") > 0
    assert told == {
        "currency": "EUR",
        "price": "97012",
        "rate": {"msat": 250_000_000, "minor": 24_253},
        "amount_minor": 350,
        "amount_msat": 3_608_000,
        "sources": [
            {"source": three[0].address, "price": "97000", "trouble": None},
            {"source": three[1].address, "price": "97024", "trouble": None},
            {"source": three[2].address, "price": None, "trouble": "there is no number where the price should be"},
        ],
    }


@pytest.mark.parametrize(
    ("currency", "text", "sats"), [("JPY", "350", 350_000), ("EUR", "3.50", 3_500), ("KWD", "0.350", 350)]
)
async def test_an_amount_has_the_decimals_of_its_currency(tmp_path: Path, currency: str, text: str, sats: int) -> None:
    async with exchanges("100000") as one:
        told = json.loads((await asked(tmp_path, one, currency, text, "--json")).stdout)
    assert (told["amount_minor"], told["amount_msat"]) == (350, sats * 1_000)


async def test_without_an_amount_the_rate_alone_is_told(tmp_path: Path) -> None:
    async with exchanges("97000") as one:
        told = await asked(tmp_path, one, "EUR")
        assert " sat" not in told.stdout
        again = json.loads((await asked(tmp_path, one, "EUR", "--json")).stdout)
    assert (again["amount_minor"], again["amount_msat"]) == (None, None)
    assert one[0].asked == ["EUR"]  # the second one has read what the first one was told
    assert (tmp_path / FILE_NAME).exists()


async def test_sources_that_contradict_each_other_end_with_code_4_and_are_shown(tmp_path: Path) -> None:
    async with exchanges("97000", "9700") as two:
        told = await asked(tmp_path, two, "EUR", "3.50")
        answer = json.loads((await asked(tmp_path, two, "EUR", "--json")).stdout)
    assert (told.exit_code, told.stdout) == (4, "")
    assert "9,700" in told.stderr.splitlines()[2]
    assert told.stderr.splitlines()[-1].startswith("error: the rate of EUR is stale: ")
    assert answer["error"]["reason"] == "unavailable"
    assert [source["price"] for source in answer["error"]["details"]["sources"]] == ["97000", "9700"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("EURO",), "there is no currency 'EURO'"),
        (("BTC",), "there is no currency 'BTC'"),
        (("EUR", "3,50"), "an amount in EUR is written as 3.50 EUR"),
        (("EUR", "0.001"), "EUR has 2 decimals"),
        (("JPY", "3.5"), "JPY has no decimals"),
        (("EUR", "0"), "an amount in EUR is more than 0"),
    ],
)
async def test_what_cannot_be_asked_ends_with_code_2_and_asks_nobody(
    tmp_path: Path, args: tuple[str, ...], words: str
) -> None:
    async with exchanges("97000") as one:
        told = await asked(tmp_path, one, *args)
    assert told.exit_code == 2
    assert words in told.stderr
    assert one[0].asked == []


async def test_more_than_all_bitcoin_is_no_amount(tmp_path: Path) -> None:
    async with exchanges("100") as one:
        told = await asked(tmp_path, one, "EUR", "90000000000000")
    assert told.exit_code == 2
    assert "is no amount to pay" in told.stderr
