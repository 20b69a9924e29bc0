"""Paying a key on the command line: what goes along, from the service or from a wallet."""

from __future__ import annotations

import pytest

from kitestring.app.cli.keysend import command
from kitestring.app.owner.params import DEFAULT_WAIT_S
from kitestring.base.errors import KitestringError
from tests.kit.app.console import Service, run

KEY = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
PAID = {"amount_msat": 21_000, "fee_msat": 1_005, "preimage": "11" * 32, "internal": False}


def test_what_is_not_said_is_left_to_the_service() -> None:
    said = run(command, KEY, "21", "--yes", "--idempotency-key", "k", answer=PAID)
    assert said.asked == [("keysend", {"pubkey": KEY, "amount_msat": 21_000, "wait_s": DEFAULT_WAIT_S}, "k")]
    assert said.lines == ["paid 21 sat, fee 1.005 sat", f"preimage {'11' * 32}"]


def test_records_words_and_a_fee_go_along() -> None:
    options = ("--tlv", "65536=00FF", "--tlv", "70000=", "--message", "hi", "--max-fee", "0")
    ((_, params, _),) = run(command, KEY, "21", "--yes", *options, answer=PAID).asked
    assert (params["records"], params["message"], params["max_fee_msat"]) == ({"65536": "00ff", "70000": ""}, "hi", 0)


@pytest.mark.parametrize("tlv", [("65536",), ("x=00",), ("65536=0",), ("65536=zz",), ("65536=00", "65536=01")])
def test_a_record_of_another_form_is_refused_before_anybody_is_asked(tlv: tuple[str, ...]) -> None:
    with pytest.raises(KitestringError, match="write --tlv TYPE=HEX, each type once"):
        run(command, KEY, "21", *(word for text in tlv for word in ("--tlv", text)))


def test_a_key_is_not_promised_for_a_wallet_that_keeps_none_nor_an_encryption_for_the_service() -> None:
    with pytest.raises(KitestringError, match="leave it out with --wallet"):
        run(command, KEY, "21", "--wallet", "env:NO_SUCH", "--idempotency-key", "order-17")
    with pytest.raises(KitestringError, match="name it with --wallet"):
        run(command, KEY, "21", "--encryption", "legacy")


def test_a_key_is_paid_by_the_service_and_from_a_wallet_connection(service: Service) -> None:
    key = service.ok("sandbox", "node")["pubkey"]
    first = service.ok("keysend", key, "50", "--tlv", "65536=00ff", "--idempotency-key", "send-1")
    assert service.ok("keysend", key, "50", "--tlv", "65536=00ff", "--idempotency-key", "send-1") == first
    link = service.ok("connect", "sender", "--methods", "pay_keysend,lookup_invoice")["nwc_uri"]
    done = service.ok("keysend", key, "7", "--message", "hi", "--yes", "--wallet", link)
    assert (done["amount_msat"], done["payment_hash"] != first["payment_hash"]) == (7_000, True)
    shown = service.ok("lookup", done["payment_hash"])
    assert (shown["state"], shown["description"], shown["bolt11"]) == ("settled", "hi", None)


def test_what_no_node_has_exits_as_a_failed_payment_and_what_is_no_key_as_a_wrong_word(service: Service) -> None:
    assert service.run("keysend", KEY, "50").exit_code == 3
    assert service.run("keysend", KEY[2:], "50").exit_code == 2
