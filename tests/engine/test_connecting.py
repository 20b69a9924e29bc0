"""A connection asks for one more: what reaches the owner, and what is answered at once."""

from __future__ import annotations

from typing import Any
from unittest.mock import AsyncMock

import pytest

from kitestring.base.approvals import Approval, ApprovalKind, Block, OwnersWord, Ruling, connection_id
from kitestring.base.budgets import Budget
from kitestring.base.commands import Connect
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from kitestring.base.money import sat
from kitestring.base.outcomes import Connected
from kitestring.base.transactions.owner import SaveBlock
from kitestring.engine.approvals import MAX_OF_CALLER
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.rig import Life, Rig

WANTED = Connect(client="ab" * 32, name="Zap", methods=("pay_invoice",))
MAKER = "ef" * 32
MAY = "create_connection pay_invoice get_balance"


async def question(rig: Rig) -> Approval:
    (asked,) = await rig.store.approvals(limit=5)
    assert isinstance(asked, Approval)
    return asked


def yes(asked: Approval, **more: Any) -> OwnersWord:
    grant = Grant(
        grant_id=connection_id(asked), name="Zap", wire="nwc", service_pubkey="cd" * 32,
        methods=frozenset({"pay_invoice"}),
    )  # fmt: skip
    return OwnersWord(approval_id=asked.approval_id, version=asked.version, verdict=Ruling.ALWAYS, grant=grant, **more)


@virtual
async def test_the_owner_is_asked_once_and_nothing_is_there_before_the_decision(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("maker", methods=MAY, caller=MAKER)
        await rig.handle("r1", "maker", WANTED)
        await rig.handle("r2", "maker", WANTED)  # the same again, for the answer is long in coming
        asked = await question(rig)
        assert (asked.kind, asked.target, asked.is_known) == (ApprovalKind.CONNECTION, "maker", True)
        assert await rig.store.grant(connection_id(asked)) is None
        await rig.engine.decide(yes(asked))
        for request_id in ("r1", "r2"):
            assert await rig.answer(request_id) == Connected("cd" * 32)
        assert await rig.store.grant(connection_id(asked)) is not None


@virtual
async def test_a_no_and_nobody_are_told_as_such(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("maker", methods=MAY, caller=MAKER)
        await rig.handle("r1", "maker", WANTED)
        asked = await question(rig)
        await rig.engine.decide(OwnersWord(approval_id=asked.approval_id, version=asked.version, verdict=Ruling.DENY))
        assert (await rig.answer("r1")).reason is Reason.NOT_PERMITTED
        await rig.handle("r2", "maker", WANTED)
        assert (await rig.answer("r2")).reason is Reason.UNDECIDED


@pytest.mark.parametrize(
    ("maker", "changes", "reason"),
    [
        ({"methods": "pay_invoice"}, {}, Reason.NOT_PERMITTED),
        ({"methods": MAY}, {"methods": ("make_invoice",)}, Reason.NOT_PERMITTED),
        ({"methods": MAY, "budgets": (Budget.daily(sat(5)),)}, {}, Reason.NOT_PERMITTED),
        ({"methods": MAY}, {"expires_at": 1}, Reason.STALE_REQUEST),
    ],
)
@virtual
async def test_what_is_more_than_it_has_itself_never_reaches_the_owner(
    maker: dict[str, Any], changes: dict[str, Any], reason: Reason, life: Life
) -> None:
    async with life.service() as rig:
        await rig.grant("maker", **maker)
        await rig.handle("r1", "maker", replace(WANTED, **changes))
        assert (await rig.answer("r1")).reason is reason
        assert await rig.store.approvals(limit=5) == []


@virtual
async def test_a_maker_that_is_blocked_asks_nobody(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("maker", methods=MAY, caller=MAKER)
        await rig.write(SaveBlock(MAKER, Block(MAKER, 1)))
        await rig.handle("r1", "maker", WANTED)
        assert (await rig.answer("r1")).reason is Reason.NOT_PERMITTED
        assert await rig.store.approvals(limit=5) == []


@virtual
async def test_only_so_many_questions_are_asked_for_one_connection(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("maker", methods=MAY, caller=MAKER)
        for number in range(MAX_OF_CALLER + 1):
            await rig.handle(f"r{number}", "maker", replace(WANTED, name=f"app {number}"))
        assert (await rig.answer(f"r{MAX_OF_CALLER}")).reason is Reason.RATE_LIMITED
        assert (await rig.answer("r0")).message.startswith("superseded")


@virtual
async def test_a_crash_between_the_decision_and_its_answer_tells_the_key_all_the_same(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("maker", methods=MAY, caller=MAKER)
        await rig.handle("r1", "maker", WANTED)
        asked = await question(rig)
        rig.store.waiting = AsyncMock(return_value=[])  # it comes while the decision is on its way to the disk
        rig.engine._approvals._finish = AsyncMock()  # type: ignore[method-assign]  # and then the machine stops
        await rig.engine.decide(yes(asked))
        assert rig.told("r1") == []
    async with life.service() as rig:
        assert await rig.answer("r1") == Connected("cd" * 32)
