"""The owner's yes to a debit: what it needs to be there still, and where its question stood."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.base.approvals import ApprovalState, Ruling
from kitestring.base.commands import DEBITS_WIRE
from kitestring.base.errors import KitestringError, Reason
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import Life

ALICE = "a1" * 32


@virtual
async def test_a_question_stands_at_its_pointer_and_ends_with_the_invoice_that_it_is_about(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        soon = rig.clock.now() + 90
        await rig.debit("r1", ALICE, life.node.outside_invoice(Script()), expires_at=soon)
        (asked,) = await rig.store.approvals(limit=9)
        assert (asked.wire, asked.target, asked.expires_at) == (DEBITS_WIRE, "till", soon)
    life.audit()


@pytest.mark.parametrize(
    ("gone", "reason"),
    [({"revoked_at": 1}, Reason.UNKNOWN_TARGET), ({"expires_at": 1}, Reason.UNKNOWN_TARGET)],
    ids=["revoked", "expired"],
)
def test_a_yes_by_a_pointer_that_has_ended_since_decides_nothing(
    life: Life, gone: dict[str, Any], reason: Reason
) -> None:
    @virtual
    async def story(life: Life) -> None:
        async with life.service() as rig:
            await rig.pointer()
            await rig.debit("r1", ALICE, life.node.outside_invoice(Script()))
            await rig.change("till", **gone)
            with pytest.raises(KitestringError) as caught:
                await rig.decide(Ruling.ALWAYS)
            assert caught.value.reason is reason
            (asked,) = await rig.store.approvals(limit=9)
            assert asked.state is ApprovalState.OPEN
            assert rig.told("r1") == []

    story(life)
