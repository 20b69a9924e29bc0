"""What the owner learns when the node refuses, whatever the backend raises then."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.owner import node as control_node
from kitestring.app.owner.node_audit import Findings
from kitestring.app.service.node_words import told
from kitestring.app.service.relay_word import Carried
from kitestring.backend.registry import open_backend
from kitestring.backend.sandbox.node import SandboxNode
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.node import Finding, FindingState
from kitestring.policy.enrolling import EnrollTerms
from kitestring.transport.clock import SystemClock
from tests.kit.app.desk import RELAY, Office
from tests.kit.changed import replace
from tests.kit.engine.rig import AMOUNT


class OddError(Exception):
    """Of a kind that only a backend knows."""


class RefusingNode:
    async def info(self) -> Any:
        raise OddError("permission denied")

    async def findings(self) -> tuple[Finding, ...]:
        return (Finding("macaroon", FindingState.FAIL, "lacks everything"),)


class BrokenNode(RefusingNode):
    """Of a package that has misunderstood the port."""

    async def findings(self) -> tuple[Finding, ...]:
        raise OddError("no idea")


@pytest.fixture
def desk(office: Office) -> Office:
    """Before a node that refuses."""
    return before(office, RefusingNode())


def before(office: Office, node: Any) -> Office:
    office.desk = replace(office.desk, backend=node)
    return office


async def test_doctor_reports_a_node_that_refuses(desk: Office) -> None:
    facts = await desk.run("doctor")
    told = {name: value for name, value in facts["node"].items() if value is not None}
    mend = "is it running, and is its address right?"
    assert told == {"reachable": False, "why": "permission denied", "mend": mend}


async def test_doctor_hands_on_what_the_backend_finds_also_while_the_node_is_away(desk: Office) -> None:
    facts = await desk.run("doctor")
    assert facts["findings"] == [{"name": "macaroon", "state": "fail", "message": "lacks everything"}]


class ForgetfulNode(RefusingNode):
    count = 41

    async def payment_index(self) -> int:
        if not self.count:
            raise OddError("cannot count")
        return self.count


async def test_doctor_warns_of_a_node_whose_list_of_payments_became_shorter(desk: Office) -> None:
    node = ForgetfulNode()
    before(desk, node)
    told_before = len((await desk.run("doctor"))["findings"])
    await desk.rig.grant("app")
    desk.rig.life.node.earlier = 42
    invoice = desk.rig.life.node.outside_invoice()
    await desk.rig.pay("r1", "app", invoice, AMOUNT)
    assert await desk.rig.state(invoice[1]) in {"dispatched", "settled"}
    (found,) = (await desk.run("doctor"))["findings"][told_before:]
    assert (found["name"], found["state"]) == ("records", "warn")
    assert "(42 before, 41 now): never delete payments there" in found["message"]
    for count in (42, 43, 0):
        node.count = count
        assert len((await desk.run("doctor"))["findings"]) == told_before


async def test_doctor_names_another_node_that_answers(office: Office) -> None:
    here, there = office.rig.context.node.node_id, "03" + "cd" * 32
    office.rig.life.node.exchange(there)
    facts = await office.run("doctor")
    assert not facts["node"]["reachable"]
    assert facts["node"]["why"].startswith(f"another node ({there[:16]}…) answers at the address of {here[:16]}…")


async def test_a_backend_that_cannot_say_how_it_is_does_not_take_the_doctor_with_it(desk: Office) -> None:
    before(desk, BrokenNode())
    (found,) = (await desk.run("doctor"))["findings"]
    assert (found["state"], found["message"]) == ("warn", "its backend could not be asked how it is: no idea")


async def test_audit_says_why_the_node_cannot_be_asked(desk: Office) -> None:
    with pytest.raises(KitestringError, match="permission denied") as caught:
        await desk.run("audit_node")
    assert caught.value.reason is Reason.UNAVAILABLE


async def test_a_sentence_of_our_own_is_told_as_it_is() -> None:
    async def refuse() -> None:
        raise KitestringError(Reason.INTERNAL, "the disk is full")

    with pytest.raises(KitestringError, match=r"^the disk is full$"):
        await told(refuse())


class BadBookkeeper:
    """Whose own books are wrong in two places."""

    async def own_books(self) -> tuple[str, ...]:
        return ("3 sat are missing", "2 sat are too much")


async def test_what_is_wrong_in_the_nodes_own_books_is_a_violation_beside_those_of_the_comparison(
    desk: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def examine(*_: object) -> Findings:
        return Findings(("a payment is unknown",), payments=7, invoices=3)

    monkeypatch.setattr(control_node, "examine", examine)
    before(desk, BadBookkeeper())
    assert await desk.run("audit_node") == {
        "violations": ["a payment is unknown", "3 sat are missing", "2 sat are too much"],
        "payments": 7,
        "invoices": 3,
        "stopped_by": [],
    }


@pytest.mark.parametrize("url", ["sandbox://", "sandbox://?latency_ms=1", "sandbox:///{}/elsewhere.db"])
async def test_audit_looks_into_every_sandboxs_books(
    desk: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    async def examine(*_: object) -> Findings:
        return Findings((), payments=0, invoices=0)

    monkeypatch.setattr(control_node, "examine", examine)
    node = open_backend(url.format(tmp_path), clock=SystemClock(), entropy=os.urandom, data_dir=tmp_path)
    assert isinstance(node, SandboxNode)
    await node.open()
    before(desk, node)
    assert (await desk.run("audit_node"))["violations"] == []
    with contextlib.closing(sqlite3.connect(node.path)) as file, file:
        file.execute("UPDATE node SET balance_msat = balance_msat + 1")
    assert len((await desk.run("audit_node"))["violations"]) == 1
    await node.close()


async def test_doctor_shows_a_node_that_answers_with_what_it_holds(office: Office) -> None:
    facts = await office.run("doctor")
    node = facts["node"]
    assert (node["reachable"], node["alias"], node["network"]) == (True, "faulty", "regtest")
    assert node["spendable_msat"] == int((await office.node.balance()).spendable_msat)
    assert facts["findings"] == []


async def test_doctor_names_the_connections_that_a_relay_does_not_reach(office: Office) -> None:
    await office.rig.grant("my app", service_pubkey="ab" * 32)
    deaf = Carried("wss://deaf.example", True, 3, {"ab" * 32, office.desk.service_id, "cd" * 32}, "blocked: no")
    connections: Any = office.desk.connections
    connections.relays = [deaf, Carried("wss://away.example", False, words="no route")]
    assert (await office.run("doctor"))["relays"] == [
        {
            "url": "wss://deaf.example",
            "connected": True,
            "asked": 3,
            "unheard": ["all offers and debit codes", "cd" * 32, "my app"],
            "words": "blocked: no",
            "old": True,
        },
        {"url": "wss://away.example", "connected": False, "asked": 0, "unheard": [], "words": "no route", "old": True},
    ]


async def test_the_card_and_the_doctor_name_each_old_relay_with_those_who_need_it(office: Office) -> None:
    await office.run("connect", name="shop")
    await office.run("offer_create", "k2", label="tea")
    assert (await office.run("card"))["old_relays"] == []
    office.relays_are("wss://here.example")
    assert (await office.run("card"))["old_relays"] == [
        {"url": RELAY, "connections": ("shop",), "offers": ("tea",), "pointers": (), "links": ()}
    ]
    connections: Any = office.desk.connections
    connections.relays = [Carried(url, True) for url in (RELAY, "wss://here.example", "wss://idle.example")]
    facts = await office.run("doctor")
    assert [row["old"] for row in facts["relays"]] == [True, False, True]
    assert [(one["name"], one["state"]) for one in facts["findings"]] == [("old relay", "info")] * 2
    assert "served for the connection shop and the offer tea" in facts["findings"][0]["message"]
    assert "kitestring connection rotate NAME" in facts["findings"][0]["message"]
    assert facts["findings"][1]["message"].startswith("wss://idle.example is named by no link and no code any more")


async def test_the_doctor_tells_who_may_enroll_and_how_many_have(office: Office) -> None:
    async def told() -> list[tuple[str, str]]:
        rows = (await office.run("doctor"))["findings"]
        return [(row["state"], row["message"]) for row in rows if row["name"] == "enroll"]

    assert await told() == []
    await office.rig.enroll("r1", "a1" * 32)
    assert await told() == [("info", "closed to new keys; 1 have an account")]
    opened: Any = office.desk
    for most, state in ((2, "info"), (1, "warn")):
        terms = EnrollTerms("open", 18, most)
        object.__setattr__(opened, "config", replace(opened.config, enroll=terms))
        ((found, words),) = await told()
        assert (found, "18 bits" in words) == (state, state == "info")
