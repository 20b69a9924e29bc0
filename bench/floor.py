"""The floor: what libsecp256k1 alone needs for one answered request, and the clock all ratios are taken with.

One x-only parse, one Schnorr verification, one signature, called on memory that is made beforehand. The three calls
through cffi add less than a microsecond, which makes the floor a little high, never low.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from kitestring.crypto.bindings import first_available

#: Floor requests per sample: about 30 ms, so that a sample sees the machine as its neighbours see it.
BATCH: Final = 500


def cpu_per_call_us(work: Callable[[int], object], count: int) -> float:
    """CPU microseconds of this process per call of ``work(i)`` for i in 0 … count − 1."""
    began = time.process_time_ns()
    for i in range(count):
        work(i)
    return (time.process_time_ns() - began) / count / 1000


class Floor:
    """Sampled between whatever is measured; :meth:`median_us` is what ratios are taken to."""

    def __init__(self) -> None:
        binding = first_available()
        lib, context, new = binding.lib, binding.context, binding.new
        pair, public, raw = new("secp256k1_keypair"), new("secp256k1_xonly_pubkey"), new("char[32]")
        lib.secp256k1_keypair_create(context, pair, sha256(b"floor").digest())
        lib.secp256k1_keypair_xonly_pub(context, public, binding.null, pair)
        lib.secp256k1_xonly_pubkey_serialize(context, raw, public)
        key, out, signed = binding.read(raw, 32), new("char[64]"), []
        for i in range(BATCH):
            message = sha256(i.to_bytes(4)).digest()
            lib.secp256k1_schnorrsig_sign32(context, out, message, pair, message)
            signed.append((message, binding.read(out, 64)))
        parse, verify, sign = (
            lib.secp256k1_xonly_pubkey_parse,
            lib.secp256k1_schnorrsig_verify,
            lib.secp256k1_schnorrsig_sign32,
        )

        public_key, point, shared = b"\x02" + key, new("secp256k1_pubkey"), new("char[64]")
        secret, ecdh, parse_key = sha256(b"floor").digest(), lib.secp256k1_ecdh, lib.secp256k1_ec_pubkey_parse

        def meet(_: int) -> None:
            if not parse_key(context, point, public_key, 33):
                raise AssertionError("the floor's own key cannot be read")
            ecdh(context, shared, point, secret, binding.copy_x, binding.null)

        def request(i: int) -> None:
            message, signature = signed[i]
            if not (parse(context, public, key) and verify(context, signature, message, 32, public)):
                raise AssertionError("the floor's own signature does not verify")
            sign(context, out, message, pair, message)

        self._request = request
        self._meet = meet
        self.samples_us: list[float] = []
        self.library = binding.name

    def sample(self) -> float:
        """CPU microseconds of one floor request, now."""
        self.samples_us.append(cpu_per_call_us(self._request, BATCH))
        return self.samples_us[-1]

    def fresh_key_us(self) -> float:
        """CPU microseconds that a key costs which was never met before: the key as a point, and the secret shared with
        it. No sample of the floor: whoever talks with somebody known needs none of it."""
        return cpu_per_call_us(self._meet, BATCH)

    @property
    def median_us(self) -> float:
        return statistics.median(self.samples_us)


@dataclass(slots=True)
class Series:
    """Rounds of one measurement, each beside its own sample of the floor; the median of the ratios counts."""

    floor: Floor
    us: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)

    def add(self, cost_us: float, before_us: float) -> None:
        """One round; ``before_us`` is the floor right before it, another is taken right after it."""
        self.us.append(cost_us)
        self.ratios.append(cost_us / ((before_us + self.floor.sample()) / 2))

    @property
    def median_us(self) -> float:
        return statistics.median(self.us)

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)
