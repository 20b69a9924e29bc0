"""lnd's JSON as types: what a word of it means for money, and that nothing odd passes for a number."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec
import pytest

from kitestring.backend.http import NodeAnswerError
from kitestring.backend.lnd.wire import (
    FAILURES,
    Chain,
    Htlc,
    LndInfo,
    LndInvoice,
    LndPayment,
    destination,
    from_base64,
    hash_of,
    int64,
    invoice_status,
    listed_payment,
    network,
    payment_answer,
    to_base64,
    to_base64url,
)
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.money import MAX_MSAT, Msat
from kitestring.base.node import PayOrder
from kitestring.base.payments import Failed, FailureReason, InFlight, Settled, Unknown
from tests.kit.changed import replace

PREIMAGE = "5a" * 32
HASH = sha256(bytes.fromhex(PREIMAGE)).hexdigest()
PAID = LndPayment(HASH, "SUCCEEDED", PREIMAGE, "50000", "1005", "FAILURE_REASON_NONE", "1800000000999999999")
OPEN = LndInvoice(to_base64(HASH), "OPEN", to_base64(PREIMAGE), "lnbcrt1", "0", "0", "0", "1800000000", "3600")


# ------------------------------------------------------------ orders


def test_an_invoice_is_ordered_by_its_text_and_its_amount_only_where_it_has_none() -> None:
    wanted = PayOrder(Bolt11("lnbcrt1"), HASH, Msat(77), Msat(10), 5)
    assert destination(wanted) == {"payment_request": "lnbcrt1"}
    assert destination(replace(wanted, destination=Bolt11("lnbcrt1", amountless=True))) == {
        "payment_request": "lnbcrt1", "amt_msat": "77",
    }  # fmt: skip


def test_a_key_is_ordered_with_its_hash_and_the_preimage_as_a_record() -> None:
    wanted = PayOrder(Keysend("02" * 33, PREIMAGE, ((65_536, "00ff"),)), HASH, Msat(77), Msat(10), 5)
    assert destination(wanted) == {
        "dest": to_base64("02" * 33),
        "payment_hash": to_base64(HASH),
        "amt_msat": "77",
        "dest_custom_records": {"65536": to_base64("00ff"), "5482373484": to_base64(PREIMAGE)},
        "dest_features": ["TLV_ONION_REQ"],
    }


# ------------------------------------------------------------ payments


def test_a_payment_that_succeeded_is_settled_with_its_proof_and_its_fee() -> None:
    assert payment_answer(PAID, HASH) == Settled(PREIMAGE, Msat(1_005))


@pytest.mark.parametrize("status", ["IN_FLIGHT", "INITIATED"])
def test_a_payment_that_is_being_tried_is_in_flight(status: str) -> None:
    assert payment_answer(replace(PAID, status=status), HASH) == InFlight()


@pytest.mark.parametrize(("word", "reason"), FAILURES.items())
def test_lnds_own_failed_is_final_by_its_reason_and_dated_in_whole_seconds(word: str, reason: FailureReason) -> None:
    failed = replace(PAID, status="FAILED", failure_reason=word)
    assert payment_answer(failed, HASH) == Failed(f"lnd: {word}", reason, 1_800_000_000)


def test_a_reason_of_tomorrow_and_a_missing_date_are_still_lnds_failed() -> None:
    failed = replace(PAID, status="FAILED", failure_reason="FAILURE_REASON_NEW", creation_time_ns="0")
    assert payment_answer(failed, HASH) == Failed("lnd: FAILURE_REASON_NEW", FailureReason.OTHER, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"payment_hash": "ab" * 32},
        {"payment_hash": "ab" * 32, "status": "FAILED"},
        {"status": "UNKNOWN"},
        {"status": "succeeded"},
        {"status": ""},
        {"payment_preimage": "ab" * 32},
        {"payment_preimage": ""},
        {"payment_preimage": PREIMAGE[:-2]},
    ],
)
def test_anything_else_is_unknown_and_never_an_end(changes: dict[str, Any]) -> None:
    assert isinstance(payment_answer(replace(PAID, **changes), HASH), Unknown)


@pytest.mark.parametrize(
    ("status", "state", "preimage"),
    [("SUCCEEDED", "settled", PREIMAGE), ("FAILED", "failed", ""), ("IN_FLIGHT", "open", ""), ("NEW", "open", "")],
)
def test_a_payment_in_the_nodes_list_shows_its_proof_only_when_it_is_settled(
    status: str, state: str, preimage: str
) -> None:
    listed = listed_payment(replace(PAID, status=status))
    assert (listed.state, listed.preimage) == (state, preimage)
    assert (listed.amount_msat, listed.fee_msat) == (Msat(50_000), Msat(1_005))


# ------------------------------------------------------------ invoices


HTLCS = [
    Htlc("ACCEPTED", "30000", 190), Htlc("ACCEPTED", "20000", 180), Htlc("CANCELED", "50000", 100),
]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "state"), [("OPEN", "open"), ("ACCEPTED", "accepted"), ("SETTLED", "settled"), ("CANCELED", "canceled")]
)
def test_an_invoice_has_the_state_that_lnd_says_and_expires_when_it_says(word: str, state: str) -> None:
    status = invoice_status(replace(OPEN, state=word, htlcs=HTLCS))
    assert (status.state, status.bolt11, status.preimage) == (state, "lnbcrt1", PREIMAGE)
    assert status.expires_at == 1_800_003_600


def test_what_is_held_is_told_with_the_height_at_which_the_first_part_goes_back() -> None:
    held = invoice_status(replace(OPEN, state="ACCEPTED", htlcs=HTLCS))
    assert (held.received_msat, held.settle_deadline) == (Msat(50_000), 180)
    settled = invoice_status(replace(OPEN, state="SETTLED", htlcs=HTLCS, amt_paid_msat="50000"))
    assert (settled.received_msat, settled.settle_deadline) == (Msat(50_000), 0)


def test_a_payment_that_is_held_and_not_shown_is_no_answer() -> None:
    with pytest.raises(NodeAnswerError, match="does not show it"):
        invoice_status(replace(OPEN, state="ACCEPTED", htlcs=HTLCS[2:]))


def test_a_state_of_invoices_that_nobody_knows_is_no_answer() -> None:
    with pytest.raises(NodeAnswerError, match="not known here"):
        invoice_status(replace(OPEN, state="PARTLY"))


# ------------------------------------------------------------ numbers, bytes, names


@pytest.mark.parametrize("text", ["1.0", "1e3", "+1", " 1", "01", "", "0x1", "\u0661", "1_000", "9" * 20, "--1"])
def test_a_number_that_is_none_is_no_answer(text: str) -> None:
    with pytest.raises(NodeAnswerError, match="a number in lnd's answer is none"):
        int64(text)


def test_numbers_are_read_to_the_last_digit() -> None:
    assert [int64(text) for text in ("0", "-5", "9007199254740993")] == [0, -5, 9_007_199_254_740_993]


@pytest.mark.parametrize("said", [-5, MAX_MSAT + 1])
def test_what_was_paid_is_settled_whatever_it_is_said_to_have_cost(said: int) -> None:
    answer = payment_answer(replace(PAID, fee_msat=str(said)), HASH)
    assert answer == Settled(PREIMAGE, Msat(said))
    assert listed_payment(replace(PAID, fee_msat=str(said))).fee_msat == said


def test_bytes_go_out_as_base64_in_the_body_and_as_its_safe_form_in_a_path() -> None:
    assert (to_base64("fbff"), to_base64url("fbff")) == ("+/8=", "-_8=")
    assert from_base64("+/8=") == "fbff"


@pytest.mark.parametrize("text", ["-_8=", "+/8", "€", "a b="])
def test_bytes_that_are_no_base64_are_no_answer(text: str) -> None:
    with pytest.raises(NodeAnswerError, match="no base64"):
        from_base64(text)


@pytest.mark.parametrize(
    ("chains", "name"),
    [(["mainnet"], "bitcoin"), (["regtest"], "regtest"), (["signet", "mainnet"], "signet"), ([], "")],
)
def test_the_network_has_our_name(chains: list[str], name: str) -> None:
    assert network(LndInfo("02" + "ab" * 32, [Chain(chain) for chain in chains])) == name


def test_a_hash_belongs_to_its_preimage() -> None:
    assert hash_of(PREIMAGE) == HASH


def test_what_lnd_leaves_out_because_it_is_zero_is_zero_and_what_we_do_not_know_is_passed_over() -> None:
    text = f'{{"payment_hash": "{HASH}", "status": "IN_FLIGHT", "htlcs": [], "fee_sat": "7"}}'
    assert msgspec.json.decode(text, type=LndPayment) == LndPayment(HASH, "IN_FLIGHT")
