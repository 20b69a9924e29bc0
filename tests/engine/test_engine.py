"""What a start does."""

from __future__ import annotations

from kitestring.base.ledger import Message
from kitestring.engine.engine import BACKLOG_SLICE
from tests.engine.kit import Life
from tests.fakes.clock import virtual


@virtual
async def test_old_answers_go_out_in_slices_so_that_the_loop_has_its_turn_in_between(life: Life) -> None:
    many = 3 * BACKLOG_SLICE
    async with life.service() as rig:
        await rig.grant("app")
        for number in range(many):
            await rig.pay(f"r{number}", "nobody", life.node.outside_invoice(), 1)
    sizes: list[int] = []
    async with life.service(start=False) as rig:

        def deliver(messages: tuple[Message, ...]) -> None:
            sizes.append(len(messages))

        rig.context.deliver = deliver
        await rig.engine.start()
        assert sum(sizes) < many
        await rig.clock.sleep(1)
        assert (sum(sizes), max(sizes)) == (many, BACKLOG_SLICE)
