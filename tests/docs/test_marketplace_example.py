"""The example of a marketplace runs as it stands: it keeps a seller's offers as its file says."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.app.console import Service
from tests.kit.waiting import until

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "marketplace.py"


@pytest.fixture
def seller(tmp_path: Path) -> Iterator[Service]:
    running = Service.start(tmp_path / "seller")
    yield running
    if running.child.poll() is None:
        running.stop()


async def run(seller: Service, link: str, home: Path, goods: str) -> list[str]:
    """The marketplace, once; the seller says yes for good when he is asked."""
    (home / "goods.txt").write_text(goods)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE), link, seller.card["relays"][0], cwd=home, stdout=PIPE, stderr=PIPE
    )
    saying = asyncio.create_task(process.communicate())

    async def said_yes() -> bool:
        for asked in seller.ok("approvals")["approvals"]:
            seller.ok("approve", asked["id"], "--always")
        return saying.done()

    await until(said_yes, limit_s=60, pause_s=0.2)
    said, errors = await saying
    assert (process.returncode, errors.decode()) == (0, "")
    return said.decode().splitlines()


def test_the_page_about_it_shows_the_whole_example() -> None:
    page = (ROOT / "docs" / "how-to" / "let-an-app-manage-offers.md").read_text(encoding="utf-8")
    assert f"```python\n{EXAMPLE.read_text(encoding='utf-8')}```\n" in page


async def test_the_offers_follow_the_file_and_the_seller_is_paid(seller: Service, tmp_path: Path) -> None:
    link = seller.ok("manage", "link", "market")["nmanage"]
    made = await run(seller, link, tmp_path, "50 Mug\n70 Cup\n")
    assert [line.partition(":")[0] for line in made] == ["new", "new"]
    noffer = made[0].split(" ")[-1]
    assert await run(seller, link, tmp_path, "50 Mug\n70 Cup\n") == []
    changed = await run(seller, link, tmp_path, "60 Mug\n")
    assert changed == ["changed: Mug costs 60 sat now; its code is as before", "gone: Cup"]
    (grant,) = seller.ok("manage", "grants")["grants"]
    assert grant["offers"] == 1
    (offer,) = [one for one in seller.ok("offer", "list")["offers"] if one["creator"]]
    assert (offer["label"], offer["noffer"], offer["price_msat"]) == ("Mug", noffer, 60_000)
    assert seller.ok("audit", "--node")["violations"] == []
