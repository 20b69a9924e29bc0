"""Several payments in one event: as many answers, each by its name, and said again when the event comes again."""

from __future__ import annotations

from typing import Any

from kitestring.app.home.config import RequestLimits
from kitestring.nostr.event import Event, first_tag
from tests.kit.app.door import Door, code, door
from tests.kit.engine.node import Script
from tests.kit.engine.rig import Life


def asking(door: Door, *invoices: str, **how: Any) -> Event:
    elements = [{"id": f"n{number}", "invoice": text} for number, text in enumerate(invoices)]
    return door.request("multi_pay_invoice", {"invoices": elements}, **how)


def said(door: Door, event: Event, since: int = 0) -> dict[str, str]:
    """By name, what was said last."""
    found = {}
    for reply in door.pool.sent[since:]:
        if first_tag(reply, "e") == event.id:
            read = door.read(reply)
            assert read["result_type"] == "multi_pay_invoice"
            found[first_tag(reply, "d") or ""] = code(read) if read.get("error") else "ok"
    return found


@door()
async def test_each_is_answered_under_its_name_also_when_the_event_comes_again_or_late(life: Life, door: Door) -> None:
    event = asking(door, door.invoice(), door.invoice(Script(fails="no_route")), "lnbc1")
    await door.tell(event)
    told = {"n0": "ok", "n1": "PAYMENT_FAILED", "n2": "OTHER"}
    assert said(door, event) == told
    for forgets, later_s in ((False, 1), (True, 1), (True, 600)):
        if forgets:
            await door.forget()
        await door.clock.sleep(later_s)
        before = len(door.pool.sent)
        await door.tell(event)
        assert said(door, event, before) == told, (forgets, later_s)
    assert len(life.node.sends) == 2


@door()
async def test_one_name_twice_is_one_refusal_of_all(life: Life, door: Door) -> None:
    text = door.invoice()
    event = door.request("multi_pay_invoice", {"invoices": [{"invoice": text}, {"invoice": text}]})
    await door.tell(event)
    assert said(door, event) == {"": "OTHER"}
    assert life.node.sends == []


@door(RequestLimits(600, 3))
async def test_each_payment_counts_in_the_rate_of_payments(life: Life, door: Door) -> None:
    first, second = asking(door, door.invoice(), door.invoice()), asking(door, door.invoice(), door.invoice())
    for event in (first, second):
        await door.tell(event)
    assert said(door, first) == {"n0": "ok", "n1": "ok"}
    assert said(door, second) == {"": "RATE_LIMITED"}
    await door.clock.sleep(60)
    await door.tell(second)
    assert len(life.node.sends) == 2


@door(methods="pay_keysend")
async def test_keys_are_paid_with_the_permission_for_keys(life: Life, door: Door) -> None:
    keys = [life.node.outside_key(), life.node.outside_key()]
    elements = [{"pubkey": key, "amount": 1_000} for key in keys]
    event = door.request("multi_pay_keysend", {"keysends": elements})
    await door.tell(event)
    assert [first_tag(reply, "d") for reply in door.pool.sent] == keys
    assert len(life.node.paid_out()) == 2
    other = asking(door, door.invoice())
    await door.tell(other)
    assert said(door, other) == {"n0": "RESTRICTED"}


@door()
async def test_an_invoice_without_an_amount_is_paid_with_that_of_its_own_element(life: Life, door: Door) -> None:
    texts = [door.invoice(amount_msat=None) for _ in range(2)]
    elements = [{"id": "a", "invoice": texts[0], "amount": 3_000}, {"id": "b", "invoice": texts[1]}]
    event = door.request("multi_pay_invoice", {"invoices": elements})
    await door.tell(event)
    assert said(door, event) == {"a": "ok", "b": "OTHER"}
    assert list(life.node.paid_out().values()) == [4_000]
