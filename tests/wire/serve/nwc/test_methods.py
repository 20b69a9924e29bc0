"""What follows from several rows of the table."""

from __future__ import annotations

from kitestring.wire.grammar import NotificationType
from kitestring.wire.serve.nwc.methods import Method, extensions_of
from kitestring.wire.serve.nwc.notifications import NOTIFICATIONS
from kitestring.wire.serve.nwc.table import METHODS


def test_an_extension_of_several_rows_is_told_once_and_in_order() -> None:
    rows: list[Method | NotificationType] = [
        METHODS["pay"],
        NOTIFICATIONS["payment_sent"],
        METHODS["make_invoice"],
        NOTIFICATIONS["payment_received"],
    ]
    assert extensions_of(rows) == ["02", "06", "321"]
    assert extensions_of([METHODS["get_balance"]]) == []
