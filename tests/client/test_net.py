"""How a client reaches others: which relays it dials, as whom it answers, and how long it waits."""

from __future__ import annotations

from dataclasses import fields

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.client.net import DEFAULT_WAITS, Net, Waits
from kitestring.crypto.keys import SecretKey
from kitestring.engine.payments import DECIDE_LIMIT_S
from kitestring.transport.proxies import Proxies
from tests.kit.chance import entropy
from tests.kit.clock import ManualClock
from tests.kit.transport.relays import Inbox, scripted_relay, to_keys

KEY = SecretKey(b"\x01" * 32)


def net(*, allow_private: bool = False) -> Net:
    return Net(ManualClock(), entropy, allow_private=allow_private)


async def test_its_own_relays_are_dialled_wherever_they_are_and_those_of_a_code_only_on_public_addresses() -> None:
    own, foreign = "ws://127.0.0.1:1", "wss://192.168.0.1"
    assert [one.url for one in net().pool((own,), KEY).status()] == [own]
    with pytest.raises(KitestringError):
        net().pool((), KEY, foreign=("ws://127.0.0.1:1",))
    pool = net(allow_private=True).pool((own,), KEY, foreign=(foreign,))
    assert [one.url for one in pool.status()] == [own, foreign]


async def test_an_unusable_address_is_refused_before_anything_is_dialled() -> None:
    with pytest.raises(KitestringError):
        net().pool(("http://relay.example",), KEY)


async def test_a_relay_that_asks_who_is_there_is_answered_as_the_key_of_the_pool() -> None:
    async with scripted_relay() as relay, net().pool((relay.url,), KEY) as pool:
        pool.subscribe("in", to_keys(), Inbox())
        caller = await relay.caller()
        await caller.expect("REQ")
        await caller.send("AUTH", "c1")
        await caller.send("CLOSED", "in:0", "auth-required: who are you")
        frame = await caller.expect("AUTH")
        assert frame[1]["pubkey"] == KEY.public_hex


def test_relays_are_compared_in_their_normal_form_and_dialled_as_they_are_written() -> None:
    named = ("wss://B.example/inbox/", "WSS://Own.example:443", "wss://b.example/inbox")
    mine = Net(ManualClock(), entropy, own_relays=("wss://own.example/",))
    assert mine.dialable(named, "offer") == (["wss://own.example/"], ["wss://B.example/inbox/"])


def test_a_code_without_relays_is_asked_for_at_ones_own_and_one_whose_relays_are_all_refused_nowhere() -> None:
    mine = Net(ManualClock(), entropy, own_relays=("ws://127.0.0.1:1",))
    assert mine.dialable((), "debit code") == (["ws://127.0.0.1:1"], [])
    assert mine.dialable(("ws://127.0.0.1:1", "ws://10.0.0.1"), "offer") == (["ws://127.0.0.1:1"], [])
    with pytest.raises(KitestringError, match="the debit code names no relay"):
        net().dialable((), "debit code")
    with pytest.raises(KitestringError) as caught:
        net().dialable(("ws://127.0.0.1:1",), "offer")
    assert caught.value.reason is Reason.NOT_PERMITTED
    assert net(allow_private=True).dialable(("ws://127.0.0.1:1",), "offer") == ([], ["ws://127.0.0.1:1"])


def test_at_most_four_relays_of_a_code_are_dialled_ones_own_first() -> None:
    mine = Net(ManualClock(), entropy, own_relays=("wss://own.example",))
    strangers = tuple(f"wss://{letter}.example" for letter in "abcde")
    assert mine.dialable((*strangers, "wss://own.example"), "offer") == (["wss://own.example"], [*strangers[:3]])
    many = Net(ManualClock(), entropy, own_relays=strangers)
    assert many.dialable((*strangers, "wss://f.example"), "offer") == ([*strangers[:4]], [])


def test_every_wait_has_an_end_and_a_debit_is_waited_for_longest_because_a_person_is_asked() -> None:
    waits = {one.name: getattr(DEFAULT_WAITS, one.name) for one in fields(Waits) if one.name != "lookup_pauses_s"}
    assert all(seconds > 0 for seconds in waits.values())
    assert sorted(waits, key=lambda name: waits[name])[-2:] == ["pay_s", "debit_s"]
    assert DEFAULT_WAITS.pay_s > DECIDE_LIMIT_S + 30  # the service's own answer comes first
    assert DEFAULT_WAITS.lookup_pauses_s == tuple(sorted(DEFAULT_WAITS.lookup_pauses_s))
    assert net().proxies == Proxies()
