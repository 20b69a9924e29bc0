"""A connection asks for one more, and what it may itself changes before the owner decides: only what it has then is
given, and never without the owner's word."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.home.config import NwcSettings
from kitestring.base.errors import KitestringError
from kitestring.codec.uri import NwcUri, encode_nwc
from kitestring.crypto.keys import SecretKey
from tests.kit.app.client import App
from tests.kit.app.house import House, Service
from tests.kit.app.relay import URL
from tests.kit.clock import virtual
from tests.kit.engine.node import Script

KEY = SecretKey(b"\x06" * 32)
MAY = ["create_connection", "pay_invoice", "get_balance"]
WANTED = {"pubkey": KEY.public_hex, "name": "made", "request_methods": ["pay_invoice"], "max_amount": 50_000}


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


def house_in(path: Path) -> House:
    return House(path, nwc=NwcSettings(legacy_methods=True), connection_requests=True)


def made_app(house: House, pubkey: str) -> App:
    uri = encode_nwc(NwcUri(pubkey, (URL,), bytes.fromhex(KEY.hex())))
    return App(uri, house.relay, house.clocks.app, house.entropy)


async def question(service: Service) -> Any:
    await asyncio.sleep(5)
    (asked,) = (await service.command("approvals"))["approvals"]
    return asked


def test_the_owner_sees_who_asks_and_the_new_app_pays_within_its_own_bound_from_the_same_account(
    tmp_path: Path,
) -> None:
    @virtual
    async def story(house: House) -> None:
        async with house.service() as service:
            await service.account("shop", 100_000)
            maker = await service.connect("maker", methods=MAY, account="shop")
            asking = maker.send("create_connection", WANTED)
            asked = await question(service)
            assert (asked["kind"], asked["pointer"], asked["connection"]["methods"]) == (
                "connection", "maker", ["pay_invoice"],
            )  # fmt: skip
            assert maker.replies(asking) == []
            await service.command("approve", id=asked["id"])
            pubkey = (await maker.first(asking))["result"]["wallet_pubkey"]
            app = made_app(house, pubkey)
            paying = app.pay(house.node.outside_bolt11(amount_msat=20_000, script=Script()))
            assert await app.answer(paying) == "ok"
            over = app.pay(house.node.outside_bolt11(amount_msat=60_000, script=Script()))
            assert await app.answer(over) == "QUOTA_EXCEEDED"
            assert await service.available("shop") < 80_000
        assert house.violations() == []

    story(house_in(tmp_path))


def test_a_maker_that_is_revoked_before_the_owners_word_gives_nothing(tmp_path: Path) -> None:
    @virtual
    async def story(house: House) -> None:
        async with house.service() as service:
            maker = await service.connect("maker", methods=MAY)
            maker.send("create_connection", WANTED)
            asked = await question(service)
            await service.command("revoke", name="maker")
            with pytest.raises(KitestringError, match="may not any more: this connection was revoked"):
                await service.command("approve", id=asked["id"])
            assert await service.store.grant(asked["id"][-16:]) is None
        assert house.violations() == []

    story(house_in(tmp_path))


def test_who_has_a_budget_lets_nobody_else_pay(tmp_path: Path) -> None:
    @virtual
    async def story(house: House) -> None:
        async with house.service() as service:
            poor = await service.connect("poor", methods=MAY, budget_msat=1_000)
            assert await poor.answer(poor.send("create_connection", WANTED)) == "RESTRICTED"
            assert (await service.command("approvals"))["approvals"] == []

    story(house_in(tmp_path))


def test_without_the_settings_nobody_is_asked(tmp_path: Path) -> None:
    @virtual
    async def story(house: House) -> None:
        async with house.service() as service:
            maker = await service.connect("maker", methods=MAY)
            assert await maker.answer(maker.send("create_connection", WANTED)) == "NOT_IMPLEMENTED"
            assert (await service.command("approvals"))["approvals"] == []

    story(House(tmp_path, nwc=NwcSettings(legacy_methods=True)))
