"""A service sells at what exchanges tell, and nothing where they lie, contradict each other, or say nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.kit.app.console import Service
from tests.kit.client.exchange import Exchange, exchanges, price


@dataclass
class Shop:
    """A real service whose settings name two exchanges on this machine."""

    service: Service
    sources: list[Exchange]

    async def run(self, *args: str) -> Any:
        return await asyncio.to_thread(self.service.run, "--json", *args)

    async def ok(self, *args: str) -> dict[str, Any]:
        done = await self.run(*args)
        assert done.exit_code == 0, done.output
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    async def invoices(self) -> int:
        return len((await self.ok("transactions", "--in", "--unpaid"))["transactions"])


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with exchanges("97000", "97024") as two:
        urls, hosts = [source.pattern for source in two], [source.address for source in two]
        (tmp_path / "kitestring.toml").write_text(
            f"[rates]\nsources = []\nurls = {json.dumps(urls)}\n[network]\nprivate_hosts = {json.dumps(hosts)}\n"
        )
        service = await asyncio.to_thread(Service.start, tmp_path)
        yield Shop(service, two)
        await asyncio.to_thread(service.stop)


async def test_a_price_is_paid_at_the_rate_of_the_exchanges_and_nothing_is_sold_where_there_is_none(
    shop: Shop,
) -> None:
    cake = await shop.ok("offer", "create", "cake", "--price", "3.50EUR")
    assert (await shop.ok("offer", "show", "cake"))["now_msat"] == 3_608_000
    paid = await shop.ok("sandbox", "pay", cake["noffer"], "3608")
    assert paid["amount_msat"] == 3_608_000
    found = await shop.ok("lookup", paid["payment_hash"])
    assert found["price"] == "3.50 EUR at 1 BTC = 97,012 EUR"
    assert found["rate"]["sources"] == [source.address for source in shop.sources]

    one, other = shop.sources
    before = await shop.invoices()
    good = price("97000")
    for currency, lies in {
        "USD": (price("9700"), 200),  # a tenth
        "GBP": (price("970000"), 200),  # tenfold
        "CHF": ("sorry", 200),
        "SEK": (good, 500),
        "NOK": (price("-97000"), 200),
    }.items():
        one.says, (other.says, other.status) = good, lies
        made = await shop.ok("offer", "create", f"cake in {currency}", "--price", f"3.50{currency}")
        for typed in ((), ("3608",)):
            refused = await shop.run("sandbox", "pay", made["noffer"], *typed)
            told = json.loads(refused.stdout)
            assert refused.exit_code == 4, (currency, told)
            assert f"nothing can be priced in {currency}" in json.dumps(told)
        assert (await shop.ok("offer", "show", f"cake in {currency}"))["now_msat"] is None
    assert await shop.invoices() == before
    assert (await shop.ok("sandbox", "pay", cake["noffer"], "3608"))["amount_msat"] == 3_608_000
    assert (await shop.ok("audit"))["violations"] == []
