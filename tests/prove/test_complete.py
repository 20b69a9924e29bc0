"""Nothing that moves money, or changes who may move it, is left out of the random transactions, of the flows, or of the
points at which these are killed. What is left out stands here with the reason."""

from __future__ import annotations

import pytest

from kitestring.base import commands
from kitestring.base.commands import Journaled
from kitestring.base.node import Backend, HoldBackend, SigningBackend
from kitestring.ledger.apply.owner import WRITES
from kitestring.ledger.apply.table import APPLY
from tests.kit.clock import virtual
from tests.kit.ledger.place import ledger_path
from tests.prove.flows import BY_NAME, FLOWS
from tests.prove.reached import PLAYED
from tests.prove.stage import points

#: Transactions that the random machine does not play.
NOT_PLAYED = {
    "EnrollKey": "opens an account of its own beside all others; the flows 'enroll', and the audit of enrolments",
    "ForgetNews": "forgets what everybody was told",
    "ForgetRefusals": "forgets refusals, which have moved nothing",
    "MarkSent": "what was sent of the outbox: the flows count what everybody hears",
    "NoteUses": "when a connection was used last, for the owner to see",
    "ParkSettlement": "books nothing; the flow 'receive, credited late'",
    "Refuse": "keeps the words of a refusal, which has moved nothing",
    "SaveQuestion": "asks for a connection, which nobody has before the owner's yes; the flow 'connection of another'",
    "Tell": "the place up to which a consumer of the feed was told: the flows count what it hears",
}
#: Transactions and calls of a node that no flow crosses while nobody is killed.
NOT_CROSSED = {
    "lookup_payment": "asks for what an earlier life has left: those that were killed cross it",
    "open": "moves nothing",
    "close": "moves nothing",
    "findings": "for the doctor, who writes nothing",
    "list_payments": "for the audit, which writes nothing",
    "list_invoices": "for the audit, which writes nothing",
    "own_books": "for the audit, which writes nothing",
    "info": "a look; what follows from it is a transaction, with points of its own",
    "balance": "a look; what follows from it is a transaction, with points of its own",
    "payment_index": "a look; what follows from it is a transaction, with points of its own",
    "sign_message": "no money",
}
#: The points of a call whose label is another word.
LABELS = {"settlements": "settlement"}
#: By what is asked for (on whichever wire): a flow of it.
FLOW_OF = {
    "AskOffer": "receive by offer",
    "Bundle": "several",
    "CancelHold": "hold, cancelled",
    "CancelInvoice": "taken back",
    "Connect": "connection of another",
    "Debit": "debit",
    "Enroll": "enroll",
    "MakeHoldInvoice": "hold, settled",
    "MakeInvoice": "receive",
    "ManageOffer": "offers of an app",
    "PayInvoice": "pay out",
    "SettleHold": "hold, settled",
}

#: What asks for no money by itself.
NO_FLOW = {"CallMethod": "a method of a plugin: what it pays, it pays as everybody does"}


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


def test_every_transaction_is_played_by_the_random_machine_or_says_why_not() -> None:
    every = {one.__name__ for one in (*APPLY, *WRITES)}
    assert not set(PLAYED) & NOT_PLAYED.keys()
    assert set(PLAYED) | NOT_PLAYED.keys() == every


def test_every_transaction_and_every_call_of_a_node_is_a_point_of_death_in_some_flow_or_says_why_not() -> None:
    crossed = {label.split()[-1] for flow in FLOWS for label in _points(flow.name)}
    calls = {name for port in (Backend, HoldBackend, SigningBackend) for name in _methods(port)}
    every = {one.__name__ for one in APPLY} | {LABELS.get(name, name) for name in calls}
    assert every - crossed == NOT_CROSSED.keys()


def test_whatever_changes_state_on_a_wire_has_a_flow() -> None:
    asked = {name for name, one in vars(commands).items() if isinstance(one, type) and issubclass(one, Journaled)}
    assert asked - {"Journaled"} == FLOW_OF.keys() | NO_FLOW.keys()
    assert set(FLOW_OF.values()) <= BY_NAME.keys()


def _points(name: str) -> list[str]:
    with ledger_path() as path:
        return virtual(points)(BY_NAME[name], path.parent)


def _methods(port: type) -> list[str]:
    return [name for name, one in vars(port).items() if callable(one) and not name.startswith("_")]
