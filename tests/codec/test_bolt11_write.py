from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.errors import CodecError
from kitestring.base.money import MAX_MSAT, Msat
from kitestring.codec import bolt11, bolt11_write
from kitestring.codec.bolt11 import RouteHop
from tests.kit.vectors import load

VECTORS = load("bolt11.json")
SECRET = bytes.fromhex(VECTORS["common"]["priv_key"])
SAME_ORDER = ("donation-any-amount", "coffee-one-minute", "utf8-description", "hashed-description")
HOP = RouteHop(VECTORS["common"]["payee"], "66051x263430x1800", Msat(1), 20, 3)
HEX32 = st.binary(min_size=32, max_size=32).map(bytes.hex)


@pytest.mark.parametrize("case", [case for case in VECTORS["valid"] if case["id"] in SAME_ORDER], ids=SAME_ORDER)
def test_the_invoice_of_the_specification_is_written_letter_by_letter(case: dict[str, Any]) -> None:
    invoice = bolt11.decode(case["invoice"])
    written = bolt11_write.encode(
        network=invoice.network,
        amount_msat=invoice.amount_msat,
        timestamp=invoice.timestamp,
        payment_hash=invoice.payment_hash,
        payment_secret=invoice.payment_secret,
        description=invoice.description,
        description_hash=invoice.description_hash,
        expiry_s=invoice.expiry_s,
        secret32=SECRET,
    )
    assert written == case["invoice"]


@settings(max_examples=80, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "network": st.sampled_from(sorted(bolt11.PREFIXES)),
            "amount_msat": st.none() | st.integers(1, MAX_MSAT).map(Msat),
            "timestamp": st.integers(0, 2**35 - 1),
            "payment_hash": HEX32,
            "payment_secret": HEX32,
            "expiry_s": st.integers(0, 2**53 - 1),
            "min_final_cltv": st.integers(0, 2**16),
            "route_hints": st.lists(st.lists(st.just(HOP), min_size=1, max_size=3).map(tuple), max_size=2).map(tuple),
            "name_payee": st.booleans(),
        }
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=100) | st.none(),
    st.binary(min_size=1, max_size=100) | st.none(),
)
def test_an_invoice_survives_the_round_trip(
    fields: dict[str, Any], description: str | None, metadata: bytes | None
) -> None:
    description_hash = "ab" * 32 if description is None else None
    described: dict[str, Any] = {"description": description, "description_hash": description_hash}
    invoice = bolt11.decode(bolt11_write.encode(**fields, **described, metadata=metadata, secret32=SECRET))
    fields.pop("name_payee")
    assert {name: getattr(invoice, name) for name in (*fields, *described)} == {**fields, **described}
    assert invoice.payee == VECTORS["common"]["payee"]
    assert invoice.features == (8, 14)
    assert invoice.metadata == (None if metadata is None else metadata.hex())


@pytest.mark.parametrize("amount", [MAX_MSAT, MAX_MSAT - 1, 10**18 + 1])
def test_the_largest_amounts_are_read_back(amount: int) -> None:
    text = bolt11_write.encode(
        network="bitcoin",
        amount_msat=Msat(amount),
        timestamp=0,
        payment_hash="01" * 32,
        payment_secret="02" * 32,
        description="",
        secret32=SECRET,
    )
    assert bolt11.decode(text).amount_msat == amount


@pytest.mark.parametrize(
    "change",
    [
        {"network": "mainnet"},
        {"amount_msat": Msat(0)},
        {"amount_msat": Msat(MAX_MSAT + 1)},
        {"timestamp": -1},
        {"timestamp": 1 << 35},
        {"payment_hash": "01"},
        {"payment_secret": "zz" * 32},
        {"description": None},
        {"description_hash": "01" * 32},
        {"description": "x" * 640},
        {"description": "\ud800"},
        {"expiry_s": -1},
        {"metadata": bytes(640)},
        {"route_hints": ((),)},
        {"route_hints": ((HOP._replace(short_channel_id="1x2"),),)},
        {"route_hints": ((HOP._replace(cltv_expiry_delta=1 << 16),),)},
    ],
)
def test_what_no_invoice_can_say_is_not_written(change: dict[str, Any]) -> None:
    fields: dict[str, Any] = {
        "network": "regtest",
        "timestamp": 1_700_000_000,
        "payment_hash": "01" * 32,
        "payment_secret": "02" * 32,
        "description": "tea",
        "secret32": SECRET,
    }
    assert bolt11_write.encode(**fields).startswith("lnbcrt1")
    with pytest.raises(CodecError):
        bolt11_write.encode(**{**fields, **change})
