"""One outgoing payment of the sandbox: why it is refused, what it costs, and how the outside world lets it end."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from kitestring.backend.sandbox.file import open_file
from kitestring.backend.sandbox.payments import (
    EFFECTS,
    LATE_MS,
    REASONS,
    Behaviour,
    Sent,
    attempt,
    read_answer,
    resolve_at_ms,
    routing_fee_msat,
)
from kitestring.backend.sandbox.world import World
from kitestring.base.destinations import Bolt11, Keysend, invoice_text
from kitestring.base.money import Msat, sat
from kitestring.base.node import NodeUnreachableError, PayOrder
from kitestring.base.payments import Failed, FailureReason, InFlight, NeverSeen, Settled
from kitestring.codec import bolt11
from tests.kit.backend.sandbox import new_file
from tests.kit.backend.sides import order
from tests.kit.changed import replace
from tests.kit.codec.invoices import invoice

NOW_MS = 1_800_000_000_000


class Place:
    """A world, and a connection of its node on which payments are tried."""

    def __init__(self, path: Path) -> None:
        self.now_ms = NOW_MS
        self.world = World(path, now_ms=lambda: self.now_ms)
        self.connection = open_file(path)

    def order(self, amount_msat: int | None = 100_000, **how: Any) -> PayOrder:
        return order(self.world.invoice(None if amount_msat is None else Msat(amount_msat), **how), 100_000)

    def try_(self, wanted: PayOrder, latency_ms: int = 5) -> Sent | Failed:
        read = bolt11.decode(invoice_text(wanted.destination), recover=False)
        return attempt(self.connection, wanted, read, lambda: self.now_ms, latency_ms)

    def row(self, wanted: PayOrder) -> sqlite3.Row:
        found: sqlite3.Row = self.connection.execute(
            "SELECT * FROM payments WHERE payment_hash = ?", (wanted.payment_hash,)
        ).fetchone()
        return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(new_file(tmp_path))
    yield found
    found.world.close()
    found.connection.close()


@pytest.mark.parametrize(
    ("amount", "fee"), [(1, 501), (10_000, 501), (10_001, 502), (1_000_000, 600), (100_000_000, 10_500)]
)
def test_a_route_costs_half_a_sat_and_a_share_rounded_up(amount: int, fee: int) -> None:
    assert routing_fee_msat(Msat(amount)) == fee


def test_what_is_sent_leaves_the_balance_at_once_with_its_fee(place: Place) -> None:
    before = place.world.books().balance_msat
    assert place.try_(place.order(100_000)) == Sent(fresh=True, answer="given")
    assert place.world.books().balance_msat == before - 100_000 - 510


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"amount_msat": Msat(99_999)}, FailureReason.REFUSED),
        ({"amount_msat": Msat(0)}, FailureReason.REFUSED),
        ({"payment_hash": "ab" * 32}, FailureReason.REFUSED),
        ({"fee_cap_msat": Msat(509)}, FailureReason.FEE_LIMIT),
    ],
)
def test_an_order_that_does_not_fit_is_refused_for_good_and_leaves_nothing(
    place: Place, changes: dict[str, Any], reason: FailureReason
) -> None:
    before, wanted = place.world.books(), replace(place.order(100_000), **changes)
    refused = place.try_(wanted)
    assert isinstance(refused, Failed)
    assert (refused.reason, refused.attempt_at) == (reason, None)
    assert place.world.books() == before
    assert place.row(wanted) is None


def test_an_amount_beside_that_of_the_invoice_is_refused(place: Place) -> None:
    wanted = place.order(100_000)
    twice = replace(wanted, destination=Bolt11(invoice_text(wanted.destination), amountless=True))
    assert place.try_(twice) == Failed("sandbox: the amount is given twice or not at all", FailureReason.REFUSED)


PREIMAGE = "5e" * 32


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"amount_msat": Msat(0)}, FailureReason.REFUSED),
        ({"payment_hash": "ab" * 32}, FailureReason.REFUSED),
        ({"fee_cap_msat": Msat(509)}, FailureReason.FEE_LIMIT),
        ({"amount_msat": Msat(10**15), "fee_cap_msat": Msat(10**15)}, FailureReason.INSUFFICIENT_FUNDS),
        ({"destination": Keysend("02" * 33, PREIMAGE)}, FailureReason.NO_ROUTE),
    ],
)
def test_a_key_of_the_outside_is_paid_without_an_invoice_and_no_other(
    place: Place, changes: dict[str, Any], reason: FailureReason | None
) -> None:
    key = Keysend(place.world.node(), PREIMAGE, ((65_536, "00ff"),))
    wanted = PayOrder(key, sha256(bytes.fromhex(PREIMAGE)).hexdigest(), Msat(100_000), Msat(1_000), 5)
    answer = attempt(place.connection, replace(wanted, **changes), None, lambda: NOW_MS, 5)
    if reason is None:
        assert answer == Sent(fresh=True, answer="given")
        assert attempt(place.connection, wanted, None, lambda: NOW_MS, 5) == Sent(fresh=False, answer="given")
        assert read_answer(place.row(wanted), NOW_MS + 5) == Settled(PREIMAGE, Msat(510))
    else:
        assert isinstance(answer, Failed)
        assert answer.reason is reason
        assert place.row(wanted) is None


def test_a_node_of_the_outside_behaves_as_it_was_told(place: Place) -> None:
    key = Keysend(place.world.node(Behaviour.FAIL), PREIMAGE)
    wanted = PayOrder(key, sha256(bytes.fromhex(PREIMAGE)).hexdigest(), Msat(100_000), Msat(1_000), 5)
    attempt(place.connection, wanted, None, lambda: NOW_MS, 5)
    assert isinstance(read_answer(place.row(wanted), NOW_MS + 5), Failed)


def test_an_invoice_of_another_network_of_nobody_or_past_its_time_is_refused(place: Place) -> None:
    at = NOW_MS // 1_000
    cases = {
        invoice(1_000, network="bitcoin", at=at): FailureReason.REFUSED,
        invoice(1_000, at=at): FailureReason.NO_ROUTE,
        invoice(1_000, at=at - 3_601): FailureReason.EXPIRED,
    }
    for text, reason in cases.items():
        refused = place.try_(order(text))
        assert isinstance(refused, Failed)
        assert refused.reason is reason
    wanted = place.order(100_000)
    unread = attempt(place.connection, wanted, None, lambda: NOW_MS, 5)
    assert isinstance(unread, Failed)
    assert "could not read the invoice" in unread.evidence


def test_more_than_there_is_is_not_sent(place: Place) -> None:
    refused = place.try_(replace(place.order(int(sat(1_000_000))), fee_cap_msat=sat(1_000_000)))
    assert isinstance(refused, Failed)
    assert refused.reason is FailureReason.INSUFFICIENT_FUNDS


def test_an_offline_node_was_never_asked(place: Place) -> None:
    place.world.set_offline(True)
    wanted = place.order()
    with pytest.raises(NodeUnreachableError):
        place.try_(wanted)
    assert place.row(wanted) is None


def test_a_hash_is_sent_again_only_after_it_has_failed(place: Place) -> None:
    wanted = place.order(behaviour=Behaviour.FAIL)
    assert place.try_(wanted) == Sent(fresh=True, answer="given")
    assert place.try_(wanted) == Sent(fresh=False, answer="given")
    place.now_ms += 5
    assert place.try_(wanted) == Sent(fresh=True, answer="given")
    place.world.behave(wanted.payment_hash, Behaviour.SETTLE)
    place.now_ms += 5
    assert place.try_(wanted) == Sent(fresh=True, answer="given")
    place.now_ms += 5
    assert place.try_(wanted) == Sent(fresh=False, answer="given")
    assert place.world.books().balanced


@pytest.mark.parametrize("behaviour", Behaviour)
def test_every_behaviour_ends_as_its_row_says_and_answers_as_it_says(place: Place, behaviour: Behaviour) -> None:
    wanted, effect = place.order(behaviour=behaviour), EFFECTS[behaviour]
    assert place.try_(wanted) == Sent(fresh=True, answer=effect.answer)
    assert read_answer(place.row(wanted), NOW_MS) == InFlight()
    end = read_answer(place.row(wanted), NOW_MS + LATE_MS)
    if behaviour in {Behaviour.HANG, Behaviour.HANG_LOST}:
        assert end == InFlight()
    elif effect.outcome == "settled":
        assert isinstance(end, Settled)
        assert end.fee_msat == 510
    else:
        assert end == Failed("sandbox: no route to the payee", FailureReason.NO_ROUTE, NOW_MS // 1_000)


@pytest.mark.parametrize(
    ("behaviour", "delay_ms", "end"),
    [
        (Behaviour.SETTLE, None, 1_005),
        (Behaviour.SETTLE, 70, 1_070),
        (Behaviour.SETTLE, 0, 1_000),
        (Behaviour.LATE, None, 1_000 + LATE_MS),
        (Behaviour.LATE, 70, 1_070),
        (Behaviour.HANG, None, None),
        (Behaviour.HANG, 70, None),
        (Behaviour.HANG_LOST, 70, None),
    ],
)
def test_a_payment_ends_after_the_nodes_latency_or_when_it_is_told_to(
    behaviour: Behaviour, delay_ms: int | None, end: int | None
) -> None:
    assert resolve_at_ms(behaviour, delay_ms, 1_000, 5) == end


@pytest.mark.parametrize("reason", REASONS)
def test_a_payment_fails_for_the_reason_that_its_payee_was_told(place: Place, reason: FailureReason) -> None:
    wanted = place.order(behaviour=Behaviour.FAIL, reason=reason)
    place.try_(wanted)
    end = read_answer(place.row(wanted), NOW_MS + LATE_MS)
    assert end == Failed(f"sandbox: {REASONS[reason]}", reason, NOW_MS // 1_000)


def test_what_was_never_sent_was_never_seen() -> None:
    assert read_answer(None, 5_999) == NeverSeen(5)


def test_the_file_is_one_place_for_all_connections(tmp_path: Path) -> None:
    path = new_file(tmp_path)
    with closing(open_file(path)) as one, closing(open_file(path)) as two:
        one.execute("UPDATE node SET offline = 1")
        assert two.execute("SELECT offline FROM node").fetchone()[0] == 1
