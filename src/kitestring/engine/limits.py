"""The bounds of the engine: how much it takes on, and what a payment may cost and how long it may last."""

from __future__ import annotations

from dataclasses import dataclass

from kitestring.base.money import ZERO, Msat
from kitestring.base.setting import SATS, sats, setting, whole
from kitestring.policy.fees import (
    DEFAULT_FEE_MIN_MSAT,
    DEFAULT_FEE_PPM,
    MAX_SERVICE_BPS,
    MAX_SERVICE_FLOOR_MSAT,
    ServiceFee,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """The engine's share of the settings, and two numbers that nobody needs to set.

    ``pay_timeout_s`` is how long the node may search for a route. ``view_age_s`` is how old the node's balance may be
    when the owner's payment is checked against it (what was spent since is always subtracted).
    """

    open_payments: int = setting(
        "limits.open_payments",
        whole("payments", least=1),
        1_000,
        "Payments under way at the same time in the whole service; bounds memory and channel slots. The last twentieth"
        " is kept for the owner's own commands, and no connection has more of the others than it leaves free. No more"
        " than the node can carry at once: lnd 1000.",
    )
    open_payments_per_connection: int = setting(
        "limits.open_payments_per_connection",
        whole("payments"),
        100,
        "Payments of one connection under way at the same time; more are answered with RATE_LIMITED. 0: as many as it"
        " leaves free.",
    )
    open_invoices: int = setting(
        "limits.open_invoices",
        whole("invoices"),
        200,
        "Unpaid invoices that one connection may have open. 0: as many as it leaves free.",
    )
    all_open_invoices: int = setting(
        "limits.all_open_invoices",
        whole("invoices"),
        10_000,
        "Unpaid invoices of all connections and offers together; each is looked at after every connect to the node. The"
        " last twentieth is kept for the owner's own, and nobody has more of the others than it leaves free; strangers"
        " together count as one. 0: no limit.",
    )
    fee_ppm: int = setting(
        "fees.cap_ppm",
        whole("millionths of the amount"),
        DEFAULT_FEE_PPM,
        "The most that routing may cost.",
    )
    fee_min_msat: Msat = setting(
        "fees.cap_min_sat",
        SATS,
        DEFAULT_FEE_MIN_MSAT,
        "The routing fee that is allowed even where fees.cap_ppm gives less.",
    )
    service_floor_msat: Msat = setting(
        "fees.service_floor_sat",
        sats(MAX_SERVICE_FLOOR_MSAT.sats_down()),
        ZERO,
        "What the service takes at least for a payment that leaves it from an account other than the owner's. It is"
        " taken only if the payment settles, and is the owner's. 0: no floor.",
    )
    service_bps: int = setting(
        "fees.service_bps",
        whole("hundredths of a percent", most=MAX_SERVICE_BPS),
        0,
        "The same as a share of the amount, rounded up to whole sats; the larger of both is taken. 0: none.",
    )
    send_within_s: int = setting(
        "payments.send_within_s",
        whole("seconds", least=1, most=86_400),
        120,
        "An order that has not reached the node so long after its payment was decided is not sent any more: whoever"
        " asked has stopped waiting, and may have paid in another way.",
    )
    pay_timeout_s: int = 60
    view_age_s: float = 30.0

    @property
    def service_fee(self) -> ServiceFee:
        """The fee of the service for a payment that leaves it."""
        return ServiceFee(self.service_floor_msat, self.service_bps)
