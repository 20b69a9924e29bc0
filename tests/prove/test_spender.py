"""Our own client in the worlds: what it is told, and that a client which tells something else is caught."""

from __future__ import annotations

import pytest

from kitestring.base.errors import Reason
from kitestring.base.outcomes import Refused
from kitestring.client.nwc.paying import Paying
from tests.kit.clock import virtual
from tests.kit.ledger.place import ledger_path
from tests.prove.spender import PAID, Call
from tests.prove.worlds import NOT_MENDED, World

#: Worlds in which it is told everything, together, and one in which a reply to a payment that is made is lost.
TOLD_ALL, LOST = (2, 6, 7), 5


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


def _run(seed: int) -> list[Call]:
    with ledger_path() as path:
        world = World(path.parent, seed, NOT_MENDED)
        virtual(World.run)(world)
        return world.spender.calls


def test_it_is_told_paid_and_failed_and_in_flight_and_dies_and_asks_again() -> None:
    calls = [call for seed in TOLD_ALL for call in _run(seed)]
    said = {call.said for call in calls}
    assert said >= {PAID, Reason.PAYMENT_FAILED.value, Reason.PAYMENT_IN_FLIGHT.value, ""}
    assert max(sum(one.payment_hash == call.payment_hash for one in calls) for call in calls) > 3


def test_a_client_that_calls_a_lost_reply_a_failure_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def failed(*_: object) -> Refused:
        return Refused(Reason.PAYMENT_FAILED, "its reply did not come")

    monkeypatch.setattr(Paying, "_find_out", failed)
    monkeypatch.setattr(Paying, "_settle_refusal", _as_it_is)
    with pytest.raises(AssertionError, match="told that it has failed"):
        _run(LOST)


async def _as_it_is(_: Paying, refused: Refused, *__: object, **___: object) -> Refused:
    return refused
