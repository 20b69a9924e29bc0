"""`pay` and `receive` on the whole service: another form of the same payments, which are made once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kitestring.codec import bolt11
from kitestring.codec.uri import decode_bip321
from tests.kit.app.house import House
from tests.kit.clock import virtual
from tests.kit.engine.crossings import Crossings
from tests.kit.engine.node import Script


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


def test_what_was_paid_by_a_link_is_not_paid_again_by_its_invoice_nor_after_a_crash(tmp_path: Path) -> None:
    @virtual
    async def story(house: House) -> None:
        text: str = house.node.outside_bolt11(amount_msat=10_000, script=Script())
        payment_hash = bolt11.decode(text).payment_hash
        async with house.service(crossings := Crossings(at="after pay")) as service:
            await service.account("purse", 1_000_000)
            app = await service.connect("app", account="purse", budget_msat=500_000)
            paying = app.send("pay", {"payment": f"bitcoin:?lightning={text}&pop=x%3A"})
            await crossings.killed.wait()
        async with house.service() as service:
            (told, *_) = [await app.first(paying)]
            result = told["result"]
            assert (result["state"], result["payment_hash"]) == ("settled", payment_hash)
            assert (result["amount"], result["fees_paid"]) == (10_000, 1_000)
            assert result["transaction_id"] == f"outgoing:{payment_hash}"
            again = app.pay(text)
            assert (await app.first(again))["result"] == {"preimage": result["preimage"], "fees_paid": 1_000}
            by_link = app.send("pay", {"payment": f"bitcoin:?lightning={text}"})
            assert (await app.first(by_link))["result"] == result
            assert await service.available("purse") == 1_000_000 - 11_000
        assert house.node.times_paid() == [payment_hash]
        assert house.violations() == []
        assert await house.differences() == []

    story(House(tmp_path))


@pytest.mark.parametrize("ends", ["settled", "failed"])
def test_a_payment_that_hangs_is_told_as_pending_once_and_its_end_is_found_by_a_look_up(
    tmp_path: Path, ends: str
) -> None:
    @virtual
    async def story(house: House) -> None:
        fails = "" if ends == "settled" else "no_route"
        text: str = house.node.outside_bolt11(amount_msat=10_000, script=Script(settles_after_s=600, fails=fails))
        payment_hash = bolt11.decode(text).payment_hash
        async with house.service() as service:
            await service.account("purse", 1_000_000)
            app = await service.connect("app", account="purse", budget_msat=500_000)
            paying, plain = app.send("pay", {"payment": text}), app.pay(text)
            await asyncio.sleep(45)
            assert app.replies(paying) == []
        async with house.service() as service:
            told = await app.first(paying, limit_s=60)
            assert (told["result"]["state"], told["result"]["payment_hash"]) == ("pending", payment_hash)
            assert app.replies(plain) == []
            found = await app.first(app.send("lookup_invoice", {"payment_hash": payment_hash}))
            assert found["result"]["state"] == "pending"
            await asyncio.sleep(700)
            assert app.replies(paying) == [told]
            assert ("error" in await app.first(plain)) is bool(fails)
            found = await app.first(app.send("lookup_invoice", {"payment_hash": payment_hash}))
            assert found["result"]["state"] == ends
            assert ("payment_sent" in [name for name, _ in app.notifications()]) is (ends == "settled")
            assert await service.available("purse") == 1_000_000 - (0 if fails else 11_000)
        assert house.violations() == []
        assert await house.differences() == []

    story(House(tmp_path))


def test_who_may_make_invoices_may_show_links_and_is_paid_by_them_and_nobody_else_may(tmp_path: Path) -> None:
    @virtual
    async def story(house: House) -> None:
        async with house.service() as service:
            await service.account("till", 0)
            await service.account("purse", 1_000_000)
            till = await service.connect("till", account="till", preset="receive-only")
            payer = await service.connect("payer", account="purse", preset="pay", budget_msat=500_000)
            assert await payer.answer(payer.send("receive", {"amount": 5_000})) == "RESTRICTED"
            asked = till.send("receive", {"amount": 5_000, "description": "tea"})
            link = (await till.first(asked))["result"]
            assert len(decode_bip321(link["bip321"]).values["lightning"]) == 1
            paying = payer.send("pay", {"payment": link["bip321"]})
            assert (await payer.first(paying))["result"]["transaction_id"] == link["transaction_id"].replace(
                "incoming", "outgoing"
            )
            assert await service.available("till") == 5_000
            assert await till.answer(till.send("pay", {"payment": link["bip321"]})) == "RESTRICTED"
        assert house.violations() == []

    story(House(tmp_path))
