"""One row per kind of message: answers and receipts go to the relays, announcements to the announcer."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.service.announcer import ANNOUNCEMENT
from kitestring.app.service.delivery import OnTaken
from kitestring.app.service.log_carrier import LOG
from kitestring.app.service.relay_carrier import RelayCarrier
from kitestring.app.service.routes import REPLY_GIVE_UP_S, ROWS, STRANGER_GIVE_UP_S, RouteRow, routes
from kitestring.app.service.seams import Seams
from kitestring.base.records import RECEIPT, REPLY, Message
from kitestring.wire.reply_to import ReplyTo

MESSAGE = Message("", ANNOUNCEMENT, b"", b"", 0, b"g1")


class Announced:
    """An announcer that only takes down what it is to carry."""

    def __init__(self) -> None:
        self.carried: list[Message] = []

    def carry(self, message: Message, done: OnTaken) -> None:
        self.carried.append(message)
        done(True)


def seams(announcer: object = None) -> Seams:
    nothing: Any = None
    given: Any = announcer
    return Seams(nothing, nothing, nothing, nothing, given)


def test_a_reply_is_given_up_after_a_day_and_a_proof_of_payment_or_an_announcement_never() -> None:
    table = routes(seams(Announced()))
    assert {kind: route.give_up_s(MESSAGE) for kind, route in table.items()} == {
        REPLY: REPLY_GIVE_UP_S, RECEIPT: None, ANNOUNCEMENT: None, LOG: None,
    }  # fmt: skip


@pytest.mark.parametrize("kind", [REPLY, RECEIPT])
def test_what_a_peer_is_told_goes_to_the_relays(kind: str) -> None:
    assert isinstance(routes(seams(Announced()))[kind].send, RelayCarrier)


def test_an_announcement_is_made_by_the_announcer() -> None:
    announcer, taken = Announced(), list[bool]()
    routes(seams(announcer))[ANNOUNCEMENT].send(MESSAGE, taken.append)
    assert (announcer.carried, taken) == ([MESSAGE], [True])


def test_every_kind_has_one_row() -> None:
    kinds = [row.kind for row in ROWS]
    assert len(set(kinds)) == len(kinds)


def test_a_new_kind_of_message_is_one_more_row() -> None:
    sent: list[Message] = []
    row = RouteRow("webhook", lambda _: lambda message, _done: sent.append(message), give_up_s=60)
    table = routes(seams(Announced()), (*ROWS, row))
    table["webhook"].send(MESSAGE, lambda _: None)
    assert (sent, table["webhook"].give_up_s(MESSAGE)) == ([MESSAGE], 60)


@pytest.mark.parametrize(("key_id", "limit_s"), [("service", STRANGER_GIVE_UP_S), ("nwc:app", REPLY_GIVE_UP_S)])
def test_a_stranger_waits_for_a_reply_for_ten_minutes_and_for_a_receipt_for_ever(key_id: str, limit_s: int) -> None:
    address = ReplyTo("offers", key_id, "ab" * 32, "nip44", "cd" * 32, 0).freeze()
    table = routes(seams(Announced()))
    assert table[REPLY].give_up_s(Message("r", REPLY, b"", b"event", 0, address)) == limit_s
    assert table[RECEIPT].give_up_s(Message("r", RECEIPT, b"", b"event", 0, address)) is None


def test_an_answer_that_goes_to_nobody_has_no_address_that_is_read() -> None:
    assert routes(seams(Announced()))[REPLY].give_up_s(Message("r", REPLY, b"", b"", 0, b"control")) == REPLY_GIVE_UP_S
