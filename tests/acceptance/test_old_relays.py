"""From the trial on the embedded relay to relays that last: what was handed out before goes on working."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.kit.app.console import Service
from tests.kit.app.process import relay, wallet


def findings(running: Service, name: str) -> list[str]:
    done = running.run("--json", "doctor")
    return [one["message"] for one in json.loads(done.stdout)["checks"] if one["name"] == name]


async def ask(link: str) -> dict[str, Any]:
    async with wallet(link) as app:
        return await app.ask("get_balance")


async def test_links_and_codes_outlive_a_change_of_relays_until_they_are_relinked(tmp_path: Path) -> None:
    trial = await asyncio.to_thread(Service.start, tmp_path)
    embedded, code = (trial.card[name] for name in ("relay", "noffer"))
    link = await asyncio.to_thread(lambda: trial.first_link)
    assert await asyncio.to_thread(trial.stop) == 0

    async with relay() as other:
        moved = await asyncio.to_thread(Service.start, tmp_path, "--relay", other.url)
        try:
            assert (moved.card["relays"], moved.card["old_relays"]) == ([other.url], [embedded])
            assert moved.card["noffer"] == code
            assert "result" in await ask(link)
            paid = await asyncio.to_thread(moved.ok, "sandbox", "pay", code, "21")
            assert (paid["amount_msat"], paid["receipt"]) == (21_000, "proven")

            (said,) = await asyncio.to_thread(findings, moved, "old relay")
            assert f"{embedded} is none of your relays any more" in said
            assert "the connection first wallet, the offer first offer and the debit pointer main" in said
            assert "kitestring connection rotate NAME" in said
            assert "kitestring offer relink OFFER" in said
            (row,) = (await asyncio.to_thread(moved.ok, "connections"))["connections"]
            assert row["old_relays"] == [embedded]

            new = (await asyncio.to_thread(moved.ok, "connection", "rotate", "first wallet"))["nwc_uri"]
            anew = await asyncio.to_thread(moved.ok, "offer", "relink", "first offer")
            assert (anew["changed"], anew["left_relays"]) == (True, [embedded])
            pointer = await asyncio.to_thread(moved.ok, "debit", "pointer", "relink", "main")
            assert (pointer["changed"], pointer["left_relays"]) == (True, [embedded])
            assert "result" in await ask(new)
            async with wallet(link) as before, asyncio.timeout(60):
                unheard = await before.send("get_balance")
                assert "result" in await ask(new)
                assert unheard not in before.replies
            (idle,) = await asyncio.to_thread(findings, moved, "old relay")
            assert "is named by no link and no code any more" in idle
        finally:
            assert await asyncio.to_thread(moved.stop) == 0

        settled = await asyncio.to_thread(Service.start, tmp_path, "--relay", other.url)
        try:
            assert settled.card["old_relays"] == []
            assert "result" in await ask(new)
            paid = await asyncio.to_thread(settled.ok, "sandbox", "pay", anew["noffer"], "21")
            assert paid["receipt"] == "proven"
            with pytest.raises(aiohttp.ClientConnectorError):
                await ask(link)
            assert await asyncio.to_thread(findings, settled, "old relay") == []
        finally:
            assert await asyncio.to_thread(settled.stop) == 0


async def test_relays_of_others_that_were_left_are_served_as_well(tmp_path: Path) -> None:
    async with relay() as first, relay() as second:
        before = await asyncio.to_thread(Service.start, tmp_path, "--relay", first.url)
        link, code = await asyncio.to_thread(lambda: before.first_link), before.card["noffer"]
        assert await asyncio.to_thread(before.stop) == 0
        after = await asyncio.to_thread(Service.start, tmp_path, "--relay", second.url)
        try:
            assert after.card["old_relays"] == [first.url]
            assert "result" in await ask(link)
            assert (await asyncio.to_thread(after.ok, "sandbox", "pay", code, "21"))["receipt"] == "proven"
        finally:
            assert await asyncio.to_thread(after.stop) == 0
