"""Messages that are to be delivered."""

from kitestring.base.records import Message
from kitestring.base.transactions.feed import Tell
from tests.kit.ledger.plans import Plans
from tests.kit.ledger.values import NOW, answered, claim, setting, settle


async def test_what_was_never_tried_comes_in_its_order_with_the_request_that_it_answers(plans: Plans) -> None:
    store, _ = plans
    await store.apply(setting())
    begin = (await store.outbox(0, 9))[-1].number
    await store.apply(claim("a"))
    await store.apply(settle("a", 1, answered("a")))
    await store.apply(Tell("books", 1, NOW, (Message("", "notice", b"", b"", NOW),)))
    waiting = await store.outbox(begin, 9)
    assert [(one.message.kind, one.message.request_id) for one in waiting] == [("reply", "ask-a"), ("notice", "")]
    assert await store.outbox(waiting[0].number, 9) == waiting[1:]
    assert await store.outbox(begin, 1) == waiting[:1]
    assert (await store.due(NOW, 9), await store.has_due()) == ([], False)
