"""The cap on the routing fee where the payer names none: the larger of a share of the amount and a floor."""

from __future__ import annotations

from typing import Final

from kitestring.base.money import Msat, sat

#: Routing rarely costs more than 1 % …
DEFAULT_FEE_PPM: Final = 10_000
#: … but a small payment needs room for base fees.
DEFAULT_FEE_MIN_MSAT: Final[Msat] = sat(10)


def default_fee_cap(
    amount_msat: Msat, fee_ppm: int = DEFAULT_FEE_PPM, fee_min_msat: int = DEFAULT_FEE_MIN_MSAT
) -> Msat:
    """The larger of ``fee_ppm`` millionths of the amount, rounded up, and ``fee_min_msat``."""
    return Msat(max(-(-int(amount_msat) * fee_ppm // 1_000_000), fee_min_msat))
