"""The info event of a connection."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.base.grants import Grant
from kitestring.nostr import kinds
from kitestring.wire.grammar import Draft
from kitestring.wire.serve.nwc import WIRE
from kitestring.wire.serve.nwc.announcement import info_event
from tests.kit.wire.nwc import LEGACY


def test_the_info_event_lists_what_is_granted_in_the_order_of_the_table() -> None:
    info = info_event({"list_transactions", "pay_invoice", "get_budget"}, ("nip44", "nip04"), LEGACY)
    assert (info.kind, info.content) == (kinds.NWC_INFO, "pay_invoice get_budget get_info list_transactions pay")
    assert info.tags == [["encryption", "nip44_v2 nip04"], ["extensions", "05 06 13 321"]]
    assert info_event(("get_balance",), ("nip44",)) == Draft(
        kinds.NWC_INFO, [["encryption", "nip44_v2"]], "get_balance get_info"
    )
    assert info_event((), ("nip04",)) == Draft(kinds.NWC_INFO, [], "get_info")


def test_the_info_event_lists_the_notifications_in_a_tag_and_as_one_word() -> None:
    info = info_event({"payment_sent", "get_balance", "payment_received"}, ("nip44",))
    assert info.content == "get_balance get_info notifications"
    assert info.tags[1:] == [["notifications", "payment_received payment_sent"], ["extensions", "02"]]


@pytest.mark.parametrize(
    ("setting", "nip44_seen", "tags"),
    [
        ("auto", False, [["encryption", "nip44_v2 nip04"]]),
        ("auto", True, [["encryption", "nip44_v2"]]),
        ("nip44", False, [["encryption", "nip44_v2"]]),
        ("legacy", False, []),
        ("both", True, [["encryption", "nip44_v2 nip04"]]),
    ],
)
def test_a_connection_is_announced_with_the_ciphers_that_it_may_use(
    setting: Any, nip44_seen: bool, tags: list[list[str]]
) -> None:
    grant = Grant(
        grant_id="g", name="app", wire="nwc", methods=frozenset({"get_balance"}), cipher=setting, nip44_seen=nip44_seen
    )
    assert WIRE.announces is not None
    assert WIRE.announces.write(grant, ()) == Draft(kinds.NWC_INFO, tags, "get_balance get_info")
