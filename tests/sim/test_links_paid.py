"""`pay` and `receive` on the whole service: another form of the same payments, which are made once."""

from __future__ import annotations

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
            assert (result["amount"], result["fees_paid"], result["transaction_id"]) == (10_000, 1_000, payment_hash)
            again = app.pay(text)
            assert (await app.first(again))["result"] == {"preimage": result["preimage"], "fees_paid": 1_000}
            by_link = app.send("pay", {"payment": f"bitcoin:?lightning={text}"})
            assert (await app.first(by_link))["result"] == result
            assert await service.available("purse") == 1_000_000 - 11_000
        assert house.node.times_paid() == [payment_hash]
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
            assert (await payer.first(paying))["result"]["payment_hash"] == link["transaction_id"]
            assert await service.available("till") == 5_000
            assert await till.answer(till.send("pay", {"payment": link["bip321"]})) == "RESTRICTED"
        assert house.violations() == []

    story(House(tmp_path))
