"""What a connection is told of the node and of its rights."""

from __future__ import annotations

from kitestring.base.outcomes import Info
from kitestring.wire.serve.nwc.table import not_served
from tests.kit.wire.nwc import LEGACY, response


def test_networks_have_their_nip_47_names() -> None:
    info = Info("kite", "#3399ff", "02" * 33, "bitcoin", 800_000, "00" * 32, ("get_info",))
    assert response("get_info", info)["result"] == {
        "alias": "kite",
        "color": "#3399ff",
        "pubkey": "02" * 33,
        "network": "mainnet",
        "block_height": 800_000,
        "block_hash": "00" * 32,
        "methods": ["get_info"],
    }
    assert response("get_info", Info("", "", "", "", None, "", ("get_info",)))["result"] == {"methods": ["get_info"]}


def test_get_info_tells_the_lightning_address_of_the_account() -> None:
    info = Info("", "", "", "", None, "", ("get_info",), lud16="alice@pay.example")
    assert response("get_info", info)["result"] == {"methods": ["get_info"], "lud16": "alice@pay.example"}


def test_get_info_tells_the_extensions_of_the_methods_that_it_lists() -> None:
    may = ("get_budget", "get_info", "make_invoice")
    told = response("get_info", Info("", "", "", "", None, "", may))["result"]
    assert told == {"methods": [*may, "receive"], "extensions": ["06", "13", "321"]}
    less = response("get_info", Info("", "", "", "", None, "", may, without=frozenset({"receive"})))["result"]
    assert less == {"methods": list(may), "extensions": ["06", "13"]}


def test_get_info_tells_the_notifications_that_a_connection_gets_apart_from_its_methods() -> None:
    may = ("get_info", "make_invoice", "payment_received")
    assert response("get_info", Info("", "", "", "", None, "", may))["result"] == {
        "methods": ["get_info", "make_invoice", "receive"],
        "notifications": ["payment_received"],
        "extensions": ["02", "06", "321"],
    }


def test_a_chain_without_blocks_has_height_zero_and_says_so() -> None:
    new = Info("", "", "", "regtest", 0, "", ("get_info",))
    assert response("get_info", new)["result"] == {"network": "regtest", "block_height": 0, "methods": ["get_info"]}


def test_get_info_tells_the_methods_by_their_names_and_none_that_the_service_is_without() -> None:
    may = ("get_info", "pay_invoice", "pay_keysend")
    told = {
        name: response("get_info", Info("", "", "", "regtest", None, "", may, without=without))["result"]
        for name, without in (("all", frozenset()), ("some", LEGACY), ("few", not_served(())))
    }
    assert told["all"]["methods"] == [
        "get_info", "multi_pay_invoice", "multi_pay_keysend", "pay", "pay_invoice", "pay_keysend",
    ]  # fmt: skip
    assert told["some"]["methods"] == ["get_info", "pay", "pay_invoice", "pay_keysend"]
    assert told["few"]["methods"] == ["get_info", "pay_invoice"]
    assert [told[name]["extensions"] for name in ("some", "few")] == [["04", "06", "321"], ["06"]]
