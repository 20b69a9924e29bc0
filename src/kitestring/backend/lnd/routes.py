"""The price of a route that the fee limit of a failed payment has ruled out: lnd is asked for it, and sends nothing."""

from __future__ import annotations

from typing import Final

import msgspec

from kitestring.backend.http import NodeAnswerError, NodeHttp, NodeRefusedError
from kitestring.backend.lnd.wire import msat
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.errors import CodecError
from kitestring.base.money import Msat
from kitestring.base.node import NodeUnreachableError, OtherNodeError, PayOrder
from kitestring.codec import bolt11

#: Seconds for the question: the payer waits for the word about a payment that has failed already.
ROUTE_LIMIT_S: Final = 5.0


class PricedRoute(msgspec.Struct):
    total_fees_msat: str = "0"


class PricedRoutes(msgspec.Struct):
    routes: list[PricedRoute] = []


async def route_fee(http: NodeHttp, order: PayOrder) -> Msat | None:
    """The fee of the best route for this amount (in whole sats, rounded up) to this payee; None where lnd tells none,
    as of a payee behind private channels. Raises nothing: it explains a failure, and is none."""
    payee = _payee(order)
    if not payee:
        return None
    path = f"/v1/graph/routes/{payee}/{order.amount_msat.sats_up()}?use_mission_control=true"
    try:
        found = await http.call("GET", path, PricedRoutes, limit_s=ROUTE_LIMIT_S)
        return min((msat(route.total_fees_msat) for route in found.routes), default=None)
    except (NodeUnreachableError, NodeRefusedError, NodeAnswerError, OtherNodeError):
        return None


def _payee(order: PayOrder) -> str:
    match order.destination:
        case Keysend(node_key=node_key):
            return node_key
        case Bolt11(text):
            try:
                invoice = bolt11.decode(text)
            except CodecError:
                return ""
            return "" if invoice.route_hints else invoice.payee or ""
