"""Every wire keeps the promises of its value: what is tested here is tested of a new one too."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest

from kitestring.base.approvals import REFUSED_S
from kitestring.base.clocks import AHEAD_S
from kitestring.base.errors import Reason
from kitestring.base.outcomes import Refused
from kitestring.nostr import kinds
from kitestring.nostr.inbox import DAY_S, HOUR_S, MAX_AGE_S, Window
from kitestring.relay.limits import PRIVATE_KINDS, PRODUCT_KINDS
from kitestring.wire.grammar import Facts, Speakers, Wire
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.registry import ANNOUNCED, BY_KIND, BY_NAME, OF_CONNECTIONS, WINDOWS, WIRES, over_at
from kitestring.wire.reply_to import ReplyTo
from tests.kit.wire.samples import event, reply_to

SECRET = "rpc at 10.0.0.7: permission denied"


def every_form(wire: Wire) -> list[ReplyTo]:
    """Callers of every form of the protocol."""
    to = reply_to(wire.name).named("pay_invoice")
    forms: list[dict[str, Any]] = [
        {"cipher": cipher, "version": version}
        for cipher, version in itertools.product(("nip44", "nip04"), ("tagged", "legacy"))
    ]
    return [msgspec.structs.replace(to, **form) for form in forms]


def test_names_and_kinds_belong_to_one_wire_each() -> None:
    assert list(BY_NAME.values()) == list(WIRES)
    assert len(BY_KIND) == sum(len(wire.windows) for wire in WIRES)
    assert {wire.name for wire in WIRES if wire.speakers is Speakers.CONNECTIONS} == OF_CONNECTIONS


def test_the_age_windows_are_those_of_the_protocols() -> None:
    assert {
        kinds.OFFER: Window(300, 60, HOUR_S),
        kinds.DEBIT: Window(30, 30, HOUR_S),
        kinds.ENROLL: Window(120, 30, HOUR_S),
        kinds.MANAGE: Window(30, 30, HOUR_S),
        kinds.NWC_REQUEST: Window(300, 60, DAY_S),
    } == WINDOWS
    assert all(window.answer_s < MAX_AGE_S for window in WINDOWS.values())


def test_a_refusal_is_kept_until_no_wire_takes_a_request_of_its_age_by_either_clock() -> None:
    assert [over_at(sent_at, 1_000) for sent_at in (900, 1_000, 1_060)] == [1_360, 1_360, 1_420]
    assert over_at(1_000 + AHEAD_S, 1_000) <= 1_000 + REFUSED_S, "whatever had waited for the owner"


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
def test_the_own_relay_carries_requests_and_replies_and_shows_them_to_nobody_else(wire: Wire) -> None:
    assert {*wire.windows, wire.reply_kind} <= PRODUCT_KINDS & PRIVATE_KINDS


def test_what_is_announced_is_of_a_kind_that_the_own_relay_keeps_the_newest_of_and_shows_to_everybody() -> None:
    announced = {announcement.kind for announcement in ANNOUNCED.values()}
    assert announced == {kinds.NWC_INFO}
    assert announced <= kinds.PUBLIC & PRODUCT_KINDS
    assert all(kinds.is_replaceable(kind) for kind in announced)


def test_only_connections_are_announced() -> None:
    assert set(ANNOUNCED) <= OF_CONNECTIONS


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
def test_a_wire_has_a_word_for_every_reason_or_says_by_none_that_it_is_silent(wire: Wire) -> None:
    assert set(wire.codes) == set(Reason)
    assert set(wire.older_codes) <= {reason for reason, code in wire.codes.items() if code is not None}


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
def test_a_refusal_is_written_with_its_code_and_never_with_private_words(wire: Wire, reason: Reason) -> None:
    refused = Refused(reason, details={"max_fee_msat": 1}, private=SECRET)
    for to in every_form(wire):
        plaintext = wire.answer(refused, to)
        if wire.codes[reason] is None:
            assert plaintext is None
            continue
        assert plaintext is not None
        codes = {wire.codes[reason], wire.older_codes.get(reason)} - {None}
        assert any(b'"code":' + json.dumps(code).encode() in plaintext for code in codes)
        assert SECRET.encode() not in plaintext
        assert b"private" not in plaintext


@pytest.mark.parametrize("text", ["", "hello", "[]", "null", "7", '{"a":1,"a":2}', '{"a":NaN}', "{" * 40, "\ud800"])
@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
def test_a_text_that_is_no_request_is_malformed_and_its_refusal_can_be_written(wire: Wire, text: str) -> None:
    to = reply_to(wire.name)
    for kind in wire.windows:
        with pytest.raises(WireRefusalError) as caught:
            wire.read(text, event(kind, ["clink_version", "1"]), to, Facts("regtest"))
        assert caught.value.read
        assert caught.value.refused.reason is Reason.MALFORMED
        assert wire.answer(caught.value.refused, caught.value.to) is not None
    assert wire.method(text) == ""


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
def test_a_text_that_cannot_be_decrypted_has_an_answer_or_silence(wire: Wire) -> None:
    assert wire.unreadable in wire.codes
    assert (wire.codes[wire.unreadable] is None) == (wire.speakers is Speakers.STRANGERS)
