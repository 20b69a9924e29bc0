"""The proof of a payment."""

from __future__ import annotations

from hashlib import sha256

import pytest

from kitestring.base.payments import preimage_fits

PREIMAGE = "5a" * 32
HASH = sha256(bytes.fromhex(PREIMAGE)).hexdigest()


def test_a_preimage_that_hashes_to_the_payment_is_its_proof_in_either_case() -> None:
    assert preimage_fits(PREIMAGE, HASH)
    assert preimage_fits(PREIMAGE.upper(), HASH.upper())


@pytest.mark.parametrize(
    "preimage",
    ["", "5b" * 32, PREIMAGE[:-1], PREIMAGE[:-2], "zz" * 32, "é" * 64, f"{PREIMAGE[:-2]}  ", HASH],
)
def test_anything_else_proves_nothing(preimage: str) -> None:
    assert not preimage_fits(preimage, HASH)


def test_a_secret_of_another_length_proves_nothing_even_if_it_hashes_to_the_payment() -> None:
    for length in (0, 31, 33):
        secret = bytes(length)
        assert not preimage_fits(secret.hex(), sha256(secret).hexdigest())
    blank = f"{bytes(31).hex()}  "  # 64 characters, which Python's own reader takes for 31 bytes
    assert not preimage_fits(blank, sha256(bytes(31)).hexdigest())


@pytest.mark.parametrize("payment_hash", ["", HASH[:-1], "zz" * 32])
def test_a_hash_that_is_none_is_proven_by_nothing(payment_hash: str) -> None:
    assert not preimage_fits(PREIMAGE, payment_hash)
