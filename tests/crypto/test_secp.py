"""One adapter over three ways to reach libsecp256k1: BIP-340's cases, and that all that are installed agree."""

from __future__ import annotations

import csv
from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.errors import CodecError
from kitestring.crypto import bindings, secp
from kitestring.crypto.secp import HALF_ORDER, ORDER, Secp
from tests.kit.vectors import DIRECTORY


def installed() -> list[Secp]:
    """Every binding there is; coincurve and the system's library are optional and left out where they are absent."""
    found = [Secp(bindings.btclib())]
    for load in (bindings.coincurve, bindings.system):
        try:
            found.append(Secp(load()))
        except ImportError:  # not installed here; the dependency above must be
            continue
    return found


LIBRARIES = installed()
CASES = list(csv.DictReader((DIRECTORY / "bip340.csv").read_text().splitlines()))
KEYS = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32))
HASHES = st.binary(min_size=32, max_size=32)

each_library = pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)


def test_the_bip340_file_is_the_published_one() -> None:
    digest = sha256((DIRECTORY / "bip340.csv").read_bytes()).hexdigest()
    assert digest == "34c9d1d9c3a88d524bc80778540dc43f8306ec249a7485293063c376db851c2d"
    assert len(CASES) == 19


@each_library
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["index"])
def test_bip340_signatures_are_judged_as_published(library: Secp, case: dict[str, str]) -> None:
    public, message, signature = (bytes.fromhex(case[name]) for name in ("public key", "message", "signature"))
    assert library.schnorr_verify(public, message, signature) is (case["verification result"] == "TRUE")


@each_library
@pytest.mark.parametrize("case", [case for case in CASES if case["secret key"]], ids=lambda case: case["index"])
def test_bip340_signatures_are_made_as_published(library: Secp, case: dict[str, str]) -> None:
    secret, aux, message = (bytes.fromhex(case[name]) for name in ("secret key", "aux_rand", "message"))
    assert library.xonly_public(secret).hex().upper() == case["public key"]
    assert library.schnorr_sign(secret, message, aux).hex().upper() == case["signature"]


@settings(max_examples=40, deadline=None)
@given(KEYS, KEYS, HASHES, HASHES, st.binary(max_size=80))
def test_all_installed_libraries_give_the_same_bytes(
    a: bytes, b: bytes, digest: bytes, aux: bytes, text: bytes
) -> None:
    def answers(library: Secp) -> tuple[object, ...]:
        public = library.xonly_public(b)
        signature, recid = library.ecdsa_sign_recoverable(a, digest)
        return (
            public,
            library.compressed_public(a),
            library.schnorr_sign(a, digest, aux),
            library.schnorr_sign(a, text, aux),
            library.shared_x(a, public),
            signature,
            recid,
            library.ecdsa_recover(digest, signature, recid),
            library.ecdsa_recover(digest, signature, recid ^ 1),
        )

    assert len({answers(library) for library in LIBRARIES}) == 1


@settings(max_examples=40, deadline=None)
@given(HASHES, HASHES, st.binary(min_size=64, max_size=64), st.integers(-1, 4))
def test_all_installed_libraries_give_the_same_verdict_on_noise(
    public: bytes, digest: bytes, signature: bytes, recid: int
) -> None:
    def attempt(call: Callable[..., bytes], *arguments: object) -> object:
        try:
            return call(*arguments)
        except ValueError as error:
            return str(error)

    def verdicts(library: Secp) -> tuple[object, ...]:
        return (
            library.is_valid_public(public),
            library.is_valid_secret(public),
            library.schnorr_verify(public, digest, signature),
            library.ecdsa_verify(b"\x02" + public, digest, signature),
            attempt(library.ecdsa_recover, digest, signature, recid),
            attempt(library.shared_x, digest, public),
        )

    assert len({verdicts(library) for library in LIBRARIES}) == 1


@each_library
def test_both_sides_share_the_same_x(library: Secp) -> None:
    a, b = b"\x01" * 32, b"\x02" * 32
    assert library.shared_x(a, library.xonly_public(b)) == library.shared_x(b, library.xonly_public(a))


@each_library
def test_a_high_s_signature_is_valid_and_told_apart(library: Secp) -> None:
    secret, digest = b"\x07" * 32, b"\x08" * 32
    low, recid = library.ecdsa_sign_recoverable(secret, digest)
    high = low[:32] + (ORDER - int.from_bytes(low[32:])).to_bytes(32)
    public = library.compressed_public(secret)
    assert (secp.is_low_s(low), secp.is_low_s(high)) == (True, False)
    assert library.ecdsa_verify(public, digest, low)
    assert library.ecdsa_verify(public, digest, high)
    assert not library.ecdsa_verify(public, b"\x09" * 32, low)
    assert library.ecdsa_recover(digest, low, recid) == library.ecdsa_recover(digest, high, recid ^ 1) == public


def test_the_middle_of_the_order_is_the_last_low_s() -> None:
    assert secp.is_low_s(bytes(32) + HALF_ORDER.to_bytes(32))
    assert not secp.is_low_s(bytes(32) + (HALF_ORDER + 1).to_bytes(32))


@each_library
@pytest.mark.parametrize("secret", [bytes(32), ORDER.to_bytes(32), b"\xff" * 32, b"\x01" * 31, b"\x01" * 33, b""])
def test_a_secret_out_of_range_or_of_wrong_length_is_refused_everywhere(library: Secp, secret: bytes) -> None:
    public = library.xonly_public(b"\x01" * 32)
    assert not library.is_valid_secret(secret)
    for refused in (
        lambda: library.keypair(secret),
        lambda: library.compressed_public(secret),
        lambda: library.shared_x(secret, public),
        lambda: library.ecdsa_sign_recoverable(secret, bytes(32)),
    ):
        with pytest.raises(ValueError, match="secret key"):
            refused()


@each_library
def test_nothing_shorter_than_the_c_side_reads_reaches_it(library: Secp) -> None:
    secret = b"\x01" * 32
    public, signature = library.xonly_public(secret), library.schnorr_sign(secret, bytes(32), bytes(32))
    assert not library.schnorr_verify(public[:31], bytes(32), signature)
    assert not library.schnorr_verify(public, bytes(32), signature[:63])
    assert not library.is_valid_public(public + b"\0")
    assert not library.ecdsa_verify(b"\x02" + public, bytes(31), signature)
    assert not library.ecdsa_verify(public, bytes(32), signature)
    for refused in (
        lambda: library.schnorr_sign(secret, bytes(32), bytes(31)),
        lambda: library.shared_x(secret, public[:31]),
        lambda: library.ecdsa_sign_recoverable(secret, bytes(31)),
        lambda: library.ecdsa_recover(bytes(32), signature[:63], 0),
    ):
        with pytest.raises(ValueError, match="must be"):
            refused()


@each_library
@pytest.mark.parametrize("recid", [-1, 4])
def test_a_recovery_id_is_0_to_3(library: Secp, recid: int) -> None:
    with pytest.raises(CodecError):
        library.ecdsa_recover(bytes(32), b"\x01" * 64, recid)
