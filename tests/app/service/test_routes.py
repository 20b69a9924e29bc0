"""One row per kind of message: answers and receipts go to the relays, announcements to the announcer."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.service.announcer import ANNOUNCEMENT
from kitestring.app.service.background import Background
from kitestring.app.service.receptions import OnReception, Reception, Rule, until_taken
from kitestring.app.service.relay_carrier import RelayCarrier
from kitestring.app.service.routes import ROWS, RouteRow, routes
from kitestring.app.service.seams import Seams
from kitestring.app.service.zap_carrier import ZAP
from kitestring.base.records import LOG, NOTIFICATION, RECEIPT, REPLY, Message
from tests.kit.app.door import at_once
from tests.kit.clock import VirtualClock

MESSAGE = Message("", ANNOUNCEMENT, b"", b"", 0, b"g1")


class Announced:
    """An announcer, or a notifier, that only takes down what it is to carry."""

    def __init__(self) -> None:
        self.carried: list[Message] = []

    def carry(self, message: Message, done: OnReception) -> None:
        self.carried.append(message)
        done(Reception.TAKEN)


def seams(announcer: object = None) -> Seams:
    nothing: Any = None
    given: Any = announcer
    return Seams(nothing, nothing, nothing, nothing, given, at_once, given, nothing, Background(VirtualClock()))


#: Kind → the age in seconds after which it is not sent again, by reception; None for never, 0 for done.
TABLE = {
    REPLY: {"TAKEN": 0, "UNHEARD": 0, "SILENT": 0, "REFUSED": 600, "UNSENT": 600},
    RECEIPT: {"TAKEN": 0, "UNHEARD": 600, "SILENT": 0, "REFUSED": None, "UNSENT": None},
    NOTIFICATION: {"TAKEN": 0, "UNHEARD": 0, "SILENT": 0, "REFUSED": 86_400, "UNSENT": 86_400},
    ANNOUNCEMENT: {"TAKEN": 0, "UNHEARD": None, "SILENT": None, "REFUSED": None, "UNSENT": None},
    LOG: {"TAKEN": 0, "UNHEARD": None, "SILENT": None, "REFUSED": None, "UNSENT": None},
    ZAP: {"TAKEN": 0, "UNHEARD": 86_400, "SILENT": 86_400, "REFUSED": 86_400, "UNSENT": 86_400},
}


def test_every_kind_has_a_rule_for_every_reception() -> None:
    table = routes(seams(Announced()))
    assert {kind: {end.name: rule.give_up_s for end, rule in table[kind].rules.items()} for kind in table} == TABLE


@pytest.mark.parametrize("kind", [REPLY, RECEIPT])
def test_what_a_peer_is_told_goes_to_the_relays(kind: str) -> None:
    assert isinstance(routes(seams(Announced()))[kind].send, RelayCarrier)


@pytest.mark.parametrize("kind", [ANNOUNCEMENT, NOTIFICATION])
def test_what_is_looked_up_when_it_is_sent_has_a_carrier_of_its_own(kind: str) -> None:
    announcer, said = Announced(), list[Reception]()
    routes(seams(announcer))[kind].send(MESSAGE, said.append)
    assert (announcer.carried, said) == ([MESSAGE], [Reception.TAKEN])


def test_every_kind_has_one_row() -> None:
    kinds = [row.kind for row in ROWS]
    assert len(set(kinds)) == len(kinds)


def test_a_new_kind_of_message_is_one_more_row() -> None:
    sent: list[Message] = []
    row = RouteRow("webhook", lambda _: lambda message, _done: sent.append(message), until_taken(Rule(60)))
    table = routes(seams(Announced()), (*ROWS, row))
    table["webhook"].send(MESSAGE, lambda _: None)
    assert (sent, table["webhook"].rules[Reception.REFUSED].give_up_s) == ([MESSAGE], 60)
