"""The cost of a payment: its amount, what is reserved for routing, and the service's own fee; and the largest amount
that fits into a sum together with them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from kitestring.base.commands import OWNER_ACCOUNT, OWNER_WIRE, PayInvoice
from kitestring.base.grants import Grant
from kitestring.base.money import MAX_SATS, ZERO, Msat, sat
from kitestring.policy.fees import (
    DEFAULT_FEE_MIN_MSAT,
    DEFAULT_FEE_PPM,
    NO_SERVICE_FEE,
    ServiceFee,
    default_fee_cap,
)


class Cost(msgspec.Struct, frozen=True, gc=False):
    """The most that a payment may take: ``fee_cap_msat`` is for routing, ``service_fee_msat`` for the service."""

    amount_msat: Msat
    fee_cap_msat: Msat = ZERO
    service_fee_msat: Msat = ZERO

    @property
    def total_msat(self) -> Msat:
        return self.amount_msat + self.fee_cap_msat + self.service_fee_msat

    @property
    def members(self) -> dict[str, int | str]:
        """The members of an error's details that say it."""
        return {name: int(getattr(self, name)) for name in self.__struct_fields__}


def cost_of(
    command: PayInvoice,
    grant: Grant | None,
    *,
    internal: bool = False,
    fee_ppm: int = DEFAULT_FEE_PPM,
    fee_min_msat: int = DEFAULT_FEE_MIN_MSAT,
    service_fee: ServiceFee = NO_SERVICE_FEE,
) -> Cost:
    """The cost of this payment for this grant; ``internal`` = inside the service, where there are no fees."""
    if internal:
        return Cost(command.amount_msat)
    ours = service_fee_of(command, grant, service_fee)
    fee_cap = fee_cap_of(command, grant, fee_ppm, fee_min_msat, ours)
    return Cost(command.amount_msat, max(ZERO, fee_cap), ours)


def fee_cap_of(
    command: PayInvoice,
    grant: Grant | None,
    fee_ppm: int = DEFAULT_FEE_PPM,
    fee_min_msat: int = DEFAULT_FEE_MIN_MSAT,
    service_fee_msat: Msat = ZERO,
) -> Msat:
    """The routing fee to allow and reserve: the cap of the grant, else of the service. A caller may ask for less, and
    only the owner for more. What a caller allows is for all fees together, that of the service among them."""
    cap = None if grant is None else grant.fee_cap_msat
    asked = None if command.max_fee_msat is None else command.max_fee_msat - service_fee_msat
    if cap is None:
        cap = default_fee_cap(command.amount_msat, fee_ppm, fee_min_msat)
    if asked is None:
        return cap
    return asked if grant is not None and grant.wire == OWNER_WIRE else min(asked, cap)


def service_fee_of(command: PayInvoice, grant: Grant | None, fee: ServiceFee) -> Msat:
    """The fee of the service for a payment of this grant that leaves it: none from the owner's own account."""
    return ZERO if grant is None or grant.account_id == OWNER_ACCOUNT else fee.of(command.amount_msat)


def fits_within(room_msat: Msat, command: PayInvoice, cost: Callable[[PayInvoice], Cost]) -> Msat:
    """The largest amount of whole sats that ``command`` could have for its ``cost`` to fit into ``room_msat``; 0 where
    none does."""
    least, most = 0, min(MAX_SATS, max(ZERO, room_msat).sats_down())
    while least < most:  # a larger amount never costs less
        middle = (least + most + 1) // 2
        if cost(replace(command, amount_msat=sat(middle))).total_msat <= room_msat:
            least = middle
        else:
            most = middle - 1
    return sat(least)
