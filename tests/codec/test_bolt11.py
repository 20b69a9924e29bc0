from __future__ import annotations

from typing import Any

import pytest

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import MAX_MSAT, Msat
from kitestring.codec import bech32, bolt11, bolt11_write
from kitestring.codec.bolt11 import amount_to_pay, check_payable
from tests.kit.vectors import load

VECTORS = load("bolt11.json")
VALID = {case["id"]: case for case in VECTORS["valid"]}
COFFEE = VALID["coffee-one-minute"]["invoice"]
SECRET = bytes.fromhex(VECTORS["common"]["priv_key"])
SCALARS = {
    "amount_msat": "amount_msat",
    "timestamp": "timestamp",
    "payment_hash": "payment_hash",
    "payment_secret": "payment_secret",
    "description": "description",
    "description_hash": "description_hash",
    "metadata": "metadata",
    "expiry_s": "expiry_s",
    "min_final_cltv": "min_final_cltv_expiry_delta",
    "payee": "payee",
}


@pytest.mark.parametrize("case", VALID.values(), ids=VALID.keys())
def test_an_invoice_of_the_specification_is_read_in_every_field(case: dict[str, Any]) -> None:
    invoice, decoded = bolt11.decode(case["invoice"]), case["decoded"]
    assert {ours: getattr(invoice, ours) for ours in SCALARS} == {ours: decoded[n] for ours, n in SCALARS.items()}
    assert invoice.text == case["invoice"].lower()
    assert invoice.network == {"mainnet": "bitcoin"}.get(decoded["network"], decoded["network"])
    assert list(invoice.features) == decoded["features"]
    assert [{"version": f.version, "hex": f.program} for f in invoice.fallbacks] == decoded["fallbacks"]
    assert [[hop._asdict() for hop in route] for route in invoice.route_hints] == decoded["routes"]
    assert isinstance(invoice.amount_msat, Msat | None)


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: case["id"])
def test_an_invalid_invoice_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(CodecError):
        bolt11.decode(case["invoice"])


@pytest.mark.parametrize("form", ["lightning:{}", "LIGHTNING:{}", "lightning://{}", "  {}\n"])
def test_a_scheme_and_white_space_around_an_invoice_are_taken_off(form: str) -> None:
    assert bolt11.decode(form.format(COFFEE)) == bolt11.decode(COFFEE)
    assert bolt11.decode(form.format(COFFEE.upper())) == bolt11.decode(COFFEE)


def test_recovery_can_be_left_out() -> None:
    assert bolt11.decode(COFFEE, recover=False).payee is None


def test_a_recovery_id_that_there_is_not_is_refused_even_without_recovery() -> None:
    """lnd adds 31 to it in one byte, and so takes 252 for 0."""
    hrp, symbols = bech32.decode_symbols(COFFEE)
    for recovery_id in (4, 27, 252, 255):
        # The last 8 bits of the 104 symbols of a signature.
        last = ((symbols[-2] & ~7 | recovery_id >> 5), recovery_id & 31)
        text = bech32.encode_symbols(hrp, symbols[:-2] + bytes(last))
        with pytest.raises(CodecError, match="not a recoverable one"):
            bolt11.decode(text, recover=False)


def test_a_named_payee_is_verified_even_without_recovery() -> None:
    text = write(name_payee=True)
    assert bolt11.decode(text, recover=False).payee == VECTORS["common"]["payee"]
    hrp, symbols = bech32.decode_symbols(text)
    forged = bech32.encode_symbols(hrp, symbols[:-104] + bytes(103) + symbols[-1:])
    with pytest.raises(CodecError, match="signature"):
        bolt11.decode(forged, recover=False)
    later = bech32.encode_symbols(hrp, symbols[:6] + bytes((symbols[6] ^ 1,)) + symbols[7:])
    with pytest.raises(CodecError, match="signature"):
        bolt11.decode(later, recover=False)


def write(**changes: Any) -> str:
    fields: dict[str, Any] = {
        "network": "regtest",
        "timestamp": 1_700_000_000,
        "payment_hash": "01" * 32,
        "payment_secret": "02" * 32,
        "description": "tea",
        "secret32": SECRET,
    }
    return bolt11_write.encode(**{**fields, **changes})


def resigned(prefix: str, change: Any = lambda symbols: symbols) -> bolt11.DecodedInvoice:
    """Read an invoice with another prefix or other fields, without asking who signed it."""
    _, symbols = bech32.decode_symbols(write())
    return bolt11.decode(bech32.encode_symbols(prefix, change(symbols[:-104]) + symbols[-104:]), recover=False)


@pytest.mark.parametrize(
    ("prefix", "network", "amount"),
    [
        ("lnbc", "bitcoin", None),
        ("lntb1", "testnet", 10**11),
        ("lntbs1m", "signet", 10**8),
        ("lnbcrt1u", "regtest", 10**5),
        ("lnbc1n", "bitcoin", 100),
        ("lnbc10p", "bitcoin", 1),
        ("lnbc21000000", "bitcoin", MAX_MSAT),
    ],
)
def test_prefix_and_multiplier_are_read(prefix: str, network: str, amount: int | None) -> None:
    invoice = resigned(prefix)
    assert (invoice.network, invoice.amount_msat) == (network, amount)


@pytest.mark.parametrize(
    "prefix",
    ["lnxx", "lnbc0", "lnbc01u", "lnbc1x", "lnbcm", "lnbc1p", "lnbc21000001", "lnbc-1", "lnbc" + "9" * 20, "bc"],
)
def test_an_unknown_prefix_or_impossible_amount_is_refused(prefix: str) -> None:
    with pytest.raises(CodecError):
        resigned(prefix)


def field(letter: str, symbols: bytes) -> bytes:
    return bytes((bech32.CHARSET.index(letter), len(symbols) >> 5, len(symbols) & 31)) + symbols


@pytest.mark.parametrize(
    "extra",
    [
        field("h", bytes(52)),
        field("p", bytes(52)),
        field("n", bytes(52)),
        field("9", b"\x01"),
        field("x", bytes((31,) * 12)),
        field("r", bytes(20)),
        field("f", b""),
        b"\x01",
        b"\x01\x00\x02\x00",
    ],
)
def test_a_bad_further_field_is_refused(extra: bytes) -> None:
    with pytest.raises(CodecError):
        resigned("lnbcrt", lambda symbols: symbols + extra)


def test_a_description_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(CodecError, match="text"):
        resigned("lnbcrt", lambda s: s[:7] + field("p", bytes(52)) + field("s", bytes(52)) + field("d", b"\x1f\x1f"))


def test_the_first_of_a_repeated_field_counts_and_unknown_fields_are_skipped() -> None:
    invoice = resigned(
        "lnbcrt", lambda s: s + field("x", b"\x07") + field("x", b"\x09") + field("z", b"\x01") + field("x", b"")
    )
    assert invoice.expiry_s == 7


def test_an_invoice_without_description_is_refused() -> None:
    with pytest.raises(CodecError, match="description"):
        resigned("lnbcrt", lambda symbols: symbols[:7] + field("p", bytes(52)) + field("s", bytes(52)))


def test_an_overlong_invoice_is_refused_before_it_is_read() -> None:
    with pytest.raises(CodecError, match="longer"):
        bolt11.decode("lnbc1" + "q" * bolt11.MAX_INVOICE_LENGTH)


@pytest.mark.parametrize(
    ("now", "network", "min_left_s", "reason"),
    [
        (1_496_314_658, "bitcoin", 0, None),
        (1_496_314_717, "bitcoin", 0, None),
        (1_496_314_718, "bitcoin", 0, Reason.EXPIRED_INVOICE),
        (1_496_314_700, "bitcoin", 17, None),
        (1_496_314_700, "bitcoin", 18, Reason.EXPIRED_INVOICE),
        (1_496_314_718, "bitcoin", -100, Reason.EXPIRED_INVOICE),
        (1_496_314_658, "regtest", 0, Reason.WRONG_NETWORK),
    ],
)
def test_expiry_and_network_are_a_separate_question(
    now: int, network: str, min_left_s: int, reason: Reason | None
) -> None:
    invoice = bolt11.decode(COFFEE, recover=False)
    assert invoice.expires_at == 1_496_314_718
    assert check_payable(invoice, now=now, network=network, min_left_s=min_left_s) is reason


# ---------------------------------------------------------------- how much is paid

WITH_AMOUNT = bolt11.decode(COFFEE, recover=False)
WITHOUT = bolt11.decode(VALID["donation-any-amount"]["invoice"], recover=False)


def test_the_amount_of_an_invoice_is_paid_whether_or_not_it_is_said_again() -> None:
    written = WITH_AMOUNT.amount_msat
    assert written is not None
    assert amount_to_pay(WITH_AMOUNT, None) == amount_to_pay(WITH_AMOUNT, written) == written


def test_an_invoice_without_amount_is_paid_with_the_one_given() -> None:
    assert WITHOUT.amount_msat is None
    assert amount_to_pay(WITHOUT, Msat(1)) == Msat(1)


@pytest.mark.parametrize(
    ("invoice", "given", "reason"),
    [
        (WITHOUT, None, Reason.MALFORMED),
        (WITHOUT, Msat(0), Reason.MALFORMED),
        (WITHOUT, Msat(-1), Reason.MALFORMED),
        (WITH_AMOUNT, Msat(1), Reason.AMOUNT_OUT_OF_RANGE),
        (WITH_AMOUNT, Msat(0), Reason.AMOUNT_OUT_OF_RANGE),
    ],
)
def test_an_amount_that_is_missing_or_another_one_is_refused(
    invoice: bolt11.DecodedInvoice, given: Msat | None, reason: Reason
) -> None:
    with pytest.raises(KitestringError) as caught:
        amount_to_pay(invoice, given)
    assert caught.value.reason is reason


def test_an_invoice_is_read_as_pasting_leaves_it() -> None:
    plain = bolt11.decode(COFFEE, recover=False)
    for pasted in (
        f"\ufeff{COFFEE}",
        f"{COFFEE[:90]}\r\n   {COFFEE[90:]}\n",
        f"lightning:{COFFEE[:50]}\u200b{COFFEE[50:]}",
    ):
        assert bolt11.decode(pasted, recover=False) == plain
