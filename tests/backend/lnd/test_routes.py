"""Where a payment has found no route, lnd's map says whether it was for the fee limit; the failure stays one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kitestring.base.destinations import Keysend, invoice_text
from kitestring.base.money import Msat
from kitestring.base.node import Backend
from kitestring.base.payments import Failed, FailureReason
from kitestring.codec import bolt11
from tests.backend.lnd.test_node import FAILED, an_order
from tests.kit.backend.lnd import FakeLnd
from tests.kit.backend.sides import open_url
from tests.kit.changed import replace

NO_ROUTE = Failed("lnd: FAILURE_REASON_NO_ROUTE", FailureReason.NO_ROUTE, 1_800_000_000)


@pytest.fixture
async def fake(tmp_path: Path) -> AsyncIterator[FakeLnd]:
    async with FakeLnd(tmp_path) as server:
        yield server


@pytest.fixture
async def backend(fake: FakeLnd, tmp_path: Path) -> AsyncIterator[Backend]:
    lnd = open_url(fake.url, tmp_path)
    await lnd.open()
    yield lnd
    await lnd.close()


def priced(*fees_msat: int) -> tuple[int, bytes]:
    return 200, json.dumps({"routes": [{"total_fees_msat": str(fee)} for fee in fees_msat]}).encode()


async def test_a_route_beyond_the_limit_makes_it_one_of_the_limit_and_names_the_price(
    fake: FakeLnd, backend: Backend
) -> None:
    fake.send, fake.routes = (200, FAILED), priced(1_500, 1_001)
    answer = await backend.pay(replace(an_order(), fee_cap_msat=Msat(1_000)))
    assert answer == replace(NO_ROUTE, reason=FailureReason.FEE_LIMIT, route_fee_msat=Msat(1_001))
    (asked,) = fake.asked
    payee = bolt11.decode(invoice_text(an_order().destination)).payee
    assert asked.path == f"/v1/graph/routes/{payee}/{an_order().amount_msat.sats_up()}"
    assert len(fake.sent) == 1


@pytest.mark.parametrize(
    "routes",
    [
        priced(1_000),
        priced(),
        (404, b"404 page not found"),
        (200, b"garbage"),
        (500, b""),
        (200, b'{"routes": [{"total_fees_msat": "x"}]}'),
    ],
    ids=["within the limit", "none", "no such call", "garbage", "an error", "no number"],
)
async def test_whatever_else_the_map_says_it_is_as_lnd_has_said(
    fake: FakeLnd, backend: Backend, routes: tuple[int, bytes]
) -> None:
    fake.send, fake.routes = (200, FAILED), routes
    assert await backend.pay(replace(an_order(), fee_cap_msat=Msat(1_000))) == NO_ROUTE


async def test_a_key_that_is_paid_without_an_invoice_is_looked_for_as_well(fake: FakeLnd, backend: Backend) -> None:
    fake.send, fake.routes = (200, FAILED), priced(2_000)
    to_key = replace(an_order(), destination=Keysend("02" + "ef" * 32, "11" * 32), fee_cap_msat=Msat(0))
    assert (await backend.pay(to_key)).route_fee_msat == 2_000  # type: ignore[union-attr]  # it has failed
    assert f"/02{'ef' * 32}/" in fake.asked[0].path


async def test_the_map_is_asked_for_a_proven_failure_alone(fake: FakeLnd, backend: Backend) -> None:
    fake.send, fake.routes = (503, b"{}"), priced(2_000)
    await backend.pay(an_order())
    fake.track = 200, FAILED
    await backend.lookup_payment(an_order().payment_hash)
    assert fake.asked == []
