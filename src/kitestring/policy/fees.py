"""Fees: the cap on that of routing where the payer names none, and the service's own. Each is the larger of a share of
the amount and a floor."""

from __future__ import annotations

from typing import Final

import msgspec

from kitestring.base.money import MSAT_PER_SAT, ZERO, Msat, sat

#: Routing rarely costs more than 1 % …
DEFAULT_FEE_PPM: Final = 10_000
#: … but a small payment needs room for base fees.
DEFAULT_FEE_MIN_MSAT: Final[Msat] = sat(10)


def default_fee_cap(
    amount_msat: Msat, fee_ppm: int = DEFAULT_FEE_PPM, fee_min_msat: int = DEFAULT_FEE_MIN_MSAT
) -> Msat:
    """The larger of ``fee_ppm`` millionths of the amount, rounded up, and ``fee_min_msat``."""
    return Msat(max(-(-int(amount_msat) * fee_ppm // 1_000_000), fee_min_msat))


#: Hundredths of a percent that are the whole.
BPS: Final = 10_000
#: The most that a service takes: a tenth of the amount …
MAX_SERVICE_BPS: Final = 1_000
#: … or so much, for the smallest payment too.
MAX_SERVICE_FLOOR_MSAT: Final[Msat] = sat(10_000)


class ServiceFee(msgspec.Struct, frozen=True, gc=False):
    """The fee that the service takes for a payment that leaves it: at least ``floor_msat``, or ``bps`` hundredths of a
    percent of the amount, rounded up to whole sats, as the beacon says it to everybody."""

    floor_msat: Msat = ZERO
    bps: int = 0

    def of(self, amount_msat: Msat) -> Msat:
        """The fee in msat for a payment of that amount."""
        share_sats = -(-int(amount_msat) * self.bps // (BPS * MSAT_PER_SAT))
        return max(self.floor_msat, sat(share_sats))

    def amount_within(self, room_msat: Msat) -> Msat:
        """The largest amount that fits into ``room_msat`` together with its fee; 0 where none does."""
        most = min(Msat(int(room_msat) * BPS // (BPS + self.bps)), room_msat - self.floor_msat)
        fee = self.of(most)
        if most + fee > room_msat:  # by less than a sat, because the fee is rounded up
            with_less = Msat((int(fee) - MSAT_PER_SAT) * BPS // self.bps)
            most = max(room_msat - fee, min(with_less, room_msat - self.floor_msat))
        return max(ZERO, most)


NO_SERVICE_FEE: Final = ServiceFee()
