"""What a wallet announces decides what it is asked, and in which cipher."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.base.commands import (
    GetBudget,
    SignMessage,
)
from kitestring.base.errors import Reason
from kitestring.base.outcomes import (
    Refused,
)
from kitestring.nostr import kinds
from kitestring.nostr.event import sign_event
from kitestring.wire.ask.nwc.announcement import ServiceInfo, client_cipher, read_info_event, refuse_unannounced
from tests.kit.clock import NOW
from tests.kit.wire.asked import COMMANDS, EXTENSIONS
from tests.kit.wire.samples import SERVICE


def info_event(content: str, *tags: list[str]) -> Any:
    return sign_event(SERVICE, kind=kinds.NWC_INFO, tags=list(tags), content=content, created_at=NOW)


def announcing(methods: str, *extensions: str) -> ServiceInfo:
    return ServiceInfo(tuple(methods.split()), ("nip44",), (), extensions)


def test_info_events_are_read_in_one_value_or_several() -> None:
    expected = ServiceInfo(("pay_invoice", "get_info"), ("nip44", "nip04"), ("payment_sent",), ("02", "05"))
    one = ["encryption", "nip44_v2 nip04"], ["notifications", "payment_sent"], ["extensions", "02 05"]
    many = ["encryption", "nip44_v2", "nip04"], ["notifications", "payment_sent"], ["extensions", "02", "05"]
    assert read_info_event(info_event("pay_invoice get_info", *one)) == expected
    assert read_info_event(info_event("pay_invoice, get_info", *many)) == expected
    assert read_info_event(info_event("")).ciphers == ("nip04",)


def test_the_client_prefers_nip_44_and_never_goes_back_from_it() -> None:
    old, both = ServiceInfo((), ("nip04",)), ServiceInfo((), ("nip44", "nip04"))
    assert client_cipher(both, legacy=False, nip44_seen=False) == "nip44"
    assert client_cipher(old, legacy=False, nip44_seen=False) == "nip04"
    assert client_cipher(old, legacy=True, nip44_seen=True) == "nip44"
    assert client_cipher(None, legacy=False, nip44_seen=False) == "nip44"
    assert client_cipher(None, legacy=True, nip44_seen=False) == "nip04"


@pytest.mark.parametrize(
    "info",
    [None, announcing(""), announcing("", "13"), announcing("pay_invoice", "05", "13"), announcing("get_budget")],
)
def test_what_is_announced_by_tag_or_by_name_is_asked_for_and_what_is_unknown_too(
    info: ServiceInfo | None,
) -> None:
    assert refuse_unannounced(GetBudget(), info) is None


@pytest.mark.parametrize("info", [announcing("pay_invoice get_info"), announcing("", "05")])
def test_what_is_announced_in_neither_way_is_refused_with_its_name(info: ServiceInfo) -> None:
    refused = refuse_unannounced(GetBudget(), info)
    assert refused == Refused(Reason.UNSUPPORTED, "this wallet does not announce get_budget, and was not asked")
    others = [command for name, command in COMMANDS.items() if name not in EXTENSIONS]
    assert len(others) == 6
    assert [refuse_unannounced(command, info) for command in others] == [None] * len(others)


def test_a_method_that_the_text_has_dropped_is_asked_for_where_the_wallet_lists_it_by_name() -> None:
    assert refuse_unannounced(SignMessage(message="tea"), announcing("get_info sign_message")) is None
    refused = refuse_unannounced(SignMessage(message="tea"), announcing("get_info", "05"))
    assert refused == Refused(Reason.UNSUPPORTED, "this wallet does not announce sign_message, and was not asked")
