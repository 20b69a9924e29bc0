"""The owner pays a key without an invoice: once per idempotency key, for what was asked."""

from __future__ import annotations

from hashlib import sha256

import pytest

from kitestring.base.destinations import MESSAGE_RECORD, Keysend
from kitestring.base.errors import KitestringError, Reason
from tests.kit.app.desk import Office
from tests.kit.engine.node import Script


async def test_a_key_is_paid_with_what_goes_along(office: Office) -> None:
    key = office.node.outside_key(Script(fee=1_005))
    result = await office.run(
        "keysend", pubkey=key.upper(), amount_msat=9_000, records={"65536": "00FF"}, message="hi", max_fee_msat=2_000
    )
    assert (result["amount_msat"], result["fee_msat"], result["internal"]) == (9_000, 1_005, False)
    assert sha256(bytes.fromhex(result["preimage"])).hexdigest() == result["payment_hash"]
    records = ((65_536, "00ff"), (MESSAGE_RECORD, b"hi".hex()))
    assert office.node.keysends == {result["payment_hash"]: Keysend(key, result["preimage"], records)}
    payment = await office.store.payment_by_hash(office.rig.context.node.node_id, result["payment_hash"])
    assert (int(payment.fee_cap_msat), payment.description) == (2_000, "hi")
    shown = await office.run("lookup", payment_hash=result["payment_hash"])
    assert [one["type"] for one in shown["metadata"]["tlv_records"]] == [65_536, MESSAGE_RECORD]


async def test_the_same_idempotency_key_pays_once_and_for_nothing_else(office: Office) -> None:
    key = office.node.outside_key()
    first = await office.run("keysend", "order-17", pubkey=key, amount_msat=9_000)
    assert await office.run("keysend", "order-17", pubkey=key, amount_msat=9_000) == first
    for changed in ({"amount_msat": 9_001}, {"records": {"65536": ""}}, {"max_fee_msat": 1}, {"message": "x"}):
        with pytest.raises(KitestringError) as caught:
            await office.run("keysend", "order-17", **{"pubkey": key, "amount_msat": 9_000} | changed)
        assert "idempotency key" in caught.value.message
    assert len(office.node.keysends) == 1


async def test_a_payment_without_an_end_is_named_by_its_hash_and_carried_on(office: Office) -> None:
    key = office.node.outside_key(Script(settles_after_s=1))
    with pytest.raises(KitestringError, match="still under way") as caught:
        await office.run("keysend", "order-17", pubkey=key, amount_msat=9_000, wait_s=0)
    assert caught.value.reason is Reason.PAYMENT_IN_FLIGHT
    await office.has_state(str(caught.value.details["payment_hash"]), "settled")
    again = await office.run("keysend", "order-17", pubkey=key, amount_msat=9_000)
    assert again["payment_hash"] == caught.value.details["payment_hash"]


async def test_what_the_node_refuses_is_refused_again_by_the_same_idempotency_key(office: Office) -> None:
    key = office.node.outside_key(Script(fails="no_route"))
    for _ in range(2):
        with pytest.raises(KitestringError) as caught:
            await office.run("keysend", "order-17", pubkey=key, amount_msat=9_000)
        assert caught.value.reason is Reason.PAYMENT_FAILED
    assert len(office.node.sends) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"pubkey": "02"}, {"records": {"5": ""}}, {"records": {"x": ""}}, {"records": {"65536": "0"}},
        {"records": {"-65536": ""}}, {"message": "x" * 1_000, "records": {"65536": "00"}},
    ],
)  # fmt: skip
async def test_what_cannot_be_sent_is_refused_and_nothing_is(office: Office, wrong: dict[str, object]) -> None:
    params = {"pubkey": office.node.outside_key(), "amount_msat": 9_000} | wrong
    with pytest.raises(KitestringError) as caught:
        await office.run("keysend", **params)
    assert caught.value.reason is Reason.MALFORMED
    assert office.node.sends == []
