"""The cap on the routing fee where the payer names none: the larger of a share of the amount and a floor."""

from __future__ import annotations

from typing import Final

from kitestring.base.money import Msat, sat

#: Routing rarely costs more than 1 % …
DEFAULT_FEE_PPM: Final = 10_000
#: … but a small payment needs room for base fees.
DEFAULT_FEE_MIN_MSAT: Final[Msat] = sat(10)
