"""Hold invoices in the ledger: held, decided once, ended by the node, and credited by nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.invoices import Decision, InvoiceState
from kitestring.base.payments import Failed, FailureReason
from kitestring.base.records import OwnInvoice
from kitestring.base.shares import Share
from kitestring.base.transactions.answers import (
    Claimed,
    Credited,
    Denied,
    Done,
    Finished,
    InvoiceNotOpen,
    Recorded,
    Running,
    Stale,
)
from kitestring.base.transactions.invoices import ExpireInvoices, LeaveInvoices
from kitestring.base.transactions.owner import SaveGrant
from kitestring.base.transactions.payments import RecordPayment
from kitestring.base.transactions.requests import Prune
from kitestring.ledger.apply import holds as module
from tests.kit.changed import replace
from tests.kit.ledger.holding import DEADLINE, alarm, claim_inside, decide, end, hold, hold_invoice, record_hold, warn
from tests.kit.ledger.values import (
    NODE,
    NOW,
    claim,
    credit,
    execute,
    hash_of,
    invoice,
    payment,
    preimage_of,
    record_invoice,
    reply,
    settle,
)

Store = Any
SETTLE, CANCEL = Decision.SETTLE, Decision.CANCEL


async def stored(store: Store, name: str = "one") -> OwnInvoice:
    found = await store.invoice(f"inv-{name}")
    assert found is not None
    return found  # type: ignore[no-any-return]  # the store may be any


async def places(store: Store) -> dict[str, int]:
    return (await store.places(NODE)).invoices  # type: ignore[no-any-return]  # as above


async def news(store: Store) -> list[tuple[str, str, str]]:
    rows = await store.events(0, 100)
    return [(row.kind.value, row.subject, row.detail) for row in rows if row.kind.value not in {"granted", "changed"}]


async def available(store: Store, account: str) -> int:
    return int((await store.account(account)).available_msat)


# ------------------------------------------------------------ held


async def test_what_is_held_is_told_keeps_its_place_and_is_no_credit(store: Store) -> None:
    await store.apply(record_hold("one"))
    for _ in range(2):
        assert await store.apply(hold("one", 600)) == Done()
    held = await stored(store)
    assert (held.state, held.received_msat, held.settle_deadline) == (InvoiceState.ACCEPTED, 600, DEADLINE)
    assert await places(store) == {"app": 1, "@all": 1}
    assert await news(store) == [("accepted", "inv-one", str(DEADLINE))]
    assert await available(store, "alice") == 100_000
    assert [one.invoice_id for one in await store.holds()] == ["inv-one"]


async def test_only_an_open_hold_invoice_holds_a_payment(store: Store) -> None:
    await store.apply(record_invoice("ordinary"))
    await store.apply(record_hold("one"))
    await store.apply(end("one"))
    for name in ("ordinary", "one", "never heard of"):
        assert await store.apply(hold(name)) == Stale()


async def test_a_payment_of_the_service_is_not_held_once_it_was_decided_to_cancel_but_one_at_the_node_is(
    store: Store,
) -> None:
    """The node may have taken it before it was told."""
    await store.apply(record_hold("one"))
    await store.apply(decide("one", CANCEL, "no"))
    assert await store.apply(hold("one", payment_id="pay-one")) == Stale()
    assert await store.apply(hold("one")) == Done()


async def test_lists_go_on_right_behind_one_that_was_seen(store: Store) -> None:
    for name in ("one", "two", "three"):
        await store.apply(record_hold(name))
    await store.apply(hold("two"))
    await store.apply(end("three"))
    assert [one.invoice_id for one in await store.holds(limit=1)] == ["inv-one"]
    assert [one.invoice_id for one in await store.holds(after="inv-one")] == ["inv-two"]


async def test_a_second_hold_invoice_of_a_hash_is_refused_and_a_wrapped_one_of_another_kind_is_too(
    store: Store,
) -> None:
    await store.apply(record_invoice("one"))
    again = record_hold("one", invoice_id="inv-again", request_id="want-again")
    again = replace(again, request=replace(again.request, request_id="want-again"), messages=(reply("want-again"),))
    assert await store.apply(again) == Denied(Reason.INVOICE_TAKEN)


async def test_a_share_counts_what_is_held(store: Store) -> None:
    share = Share(10, 1)
    await store.apply(record_hold("one"))
    await store.apply(hold("one"))
    assert await store.apply(record_invoice("two", hold_invoice("two"), share)) == Denied(Reason.RATE_LIMITED)
    await store.apply(credit("one"))
    assert await store.apply(record_invoice("two", hold_invoice("two"), share)) == Claimed()


# ------------------------------------------------------------ decided


async def test_a_decision_is_stored_once_and_whoever_asks_waits_for_the_end(store: Store) -> None:
    await store.apply(record_hold("one"))
    await store.apply(hold("one"))
    assert await store.apply(decide("one", SETTLE, "yes")) == Claimed()
    assert await store.apply(decide("one", SETTLE, "yes")) == Running()
    assert await store.apply(decide("one", SETTLE, "yes again")) == Claimed()
    assert await store.apply(decide("one", CANCEL, "no")) == Stale()
    decided = await stored(store)
    assert (decided.decision, decided.preimage) == (SETTLE, preimage_of("one"))
    assert [one.request_id for one in await store.waiting("inv-one")] == ["yes", "yes again"]
    answer = await store.apply(credit("one", 500, b"", reply("yes"), reply("yes again")))
    assert isinstance(answer, Credited)
    assert isinstance(await store.apply(decide("one", SETTLE, "yes")), Finished)
    assert await store.waiting("inv-one") == []
    assert await available(store, "alice") == 100_500
    assert await places(store) == {}


async def test_what_was_decided_to_cancel_is_never_decided_to_settle(store: Store) -> None:
    await store.apply(record_hold("one"))
    await store.apply(hold("one"))
    assert await store.apply(decide("one", CANCEL)) == Claimed()
    assert await store.apply(decide("one", SETTLE, "yes")) == Stale()
    assert await store.apply(decide("one", CANCEL, "no")) == Claimed()
    assert ("alarm", "inv-one", "in time") in await news(store)
    assert await store.apply(end("one", reply("no"), why="it went back")) == Done()
    assert (await stored(store)).state is InvoiceState.CANCELED
    assert await news(store) == [
        ("accepted", "inv-one", str(DEADLINE)),
        ("alarm", "inv-one", "in time"),
        ("canceled", "inv-one", ""),
        ("alarm", "inv-one", "it went back"),
    ]
    assert await places(store) == {}
    assert await store.apply(end("one")) == Stale()


async def test_only_what_is_held_can_be_settled_and_only_what_waits_cancelled(store: Store) -> None:
    await store.apply(record_invoice("ordinary"))
    await store.apply(record_hold("one"))
    assert await store.apply(decide("one", SETTLE, "yes")) == Stale()
    assert await store.apply(decide("ordinary", SETTLE, "yes")) == Stale()
    await store.apply(end("one"))
    assert await store.apply(decide("one", CANCEL, "no")) == Stale()
    assert await store.request("no") is None


async def test_nothing_is_decided_on_an_old_grant_or_by_an_old_request(store: Store) -> None:
    await store.apply(record_hold("one"))
    await store.apply(hold("one"))
    grant = await store.grant("app")
    await store.apply(execute("edit", SaveGrant(replace(grant, version=2))))
    assert await store.apply(decide("one", SETTLE, "yes")) == Stale()
    await store.apply(execute("revoke", SaveGrant(replace(grant, version=3, revoked_at=NOW))))
    assert await store.apply(replace(decide("one", SETTLE, "yes"), grant_version=3)) == Stale()
    await store.apply(Prune(NOW, 10))
    old = decide("one", SETTLE, "old", sent_at=NOW - 100)
    assert await store.apply(old) == Denied(Reason.STALE_REQUEST)
    assert (await stored(store)).decision is Decision.NONE


async def test_so_many_wait_for_one_end_and_no_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DECIDING", 2)
    await store.apply(record_hold("one"))
    await store.apply(hold("one"))
    answers = [await store.apply(decide("one", SETTLE, f"yes {number}")) for number in range(3)]
    assert answers == [Claimed(), Claimed(), Denied(Reason.RATE_LIMITED)]


async def test_a_preimage_of_something_else_decides_nothing(store: Store) -> None:
    await store.apply(record_hold("one"))
    await store.apply(hold("one"))
    for preimage in ("", preimage_of("two")):
        with pytest.raises(KitestringError, match="nothing was decided"):
            await store.apply(decide("one", SETTLE, "yes", preimage))
    with pytest.raises(KitestringError, match="holds no invoice"):
        await store.apply(decide("never heard of", CANCEL))
    assert (await stored(store)).decision is Decision.NONE


async def test_the_owner_is_warned_once(store: Store) -> None:
    await store.apply(record_hold("one"))
    await store.apply(hold("one"))
    for _ in range(2):
        assert await store.apply(warn("one")) == Done()
    assert (await news(store))[1:] == [("alarm", "inv-one", "the deadline is near")]


# ------------------------------------------------------------ what the node says is booked, whatever was decided


@pytest.mark.parametrize("decided", [None, SETTLE, CANCEL])
async def test_what_the_node_has_settled_is_credited_once_whatever_was_decided(
    store: Store, decided: Decision | None
) -> None:
    await store.apply(record_hold("one"))
    await store.apply(hold("one"))
    if decided is not None:
        await store.apply(decide("one", decided, "asked"))
    for _ in range(2):
        await store.apply(credit("one", 500, b"", reply("asked")))
    assert (await stored(store)).state is InvoiceState.SETTLED
    assert await available(store, "alice") == 100_500


async def test_one_that_was_called_canceled_and_settles_after_all_is_credited(store: Store) -> None:
    await store.apply(record_hold("one"))
    await store.apply(end("one"))
    await store.apply(credit("one"))
    assert (await stored(store)).state is InvoiceState.SETTLED
    assert await available(store, "alice") == 100_500
    assert await places(store) == {}


async def test_one_that_was_decided_is_neither_expired_nor_left_aside(store: Store) -> None:
    for name in ("one", "two"):
        await store.apply(record_hold(name))
    await store.apply(decide("one", CANCEL, "no"))
    await store.apply(ExpireInvoices((hash_of("one"), hash_of("two")), 0, NODE, NOW))
    assert [(await stored(store, name)).state.value for name in ("one", "two")] == ["open", "expired"]
    await store.apply(LeaveInvoices("another node", NOW + 10**6))
    assert (await stored(store)).state is InvoiceState.OPEN
    await store.apply(end("one", reply("no")))


# ------------------------------------------------------------ inside the service


async def test_a_payment_of_this_service_is_held_by_its_reserve_and_moves_when_it_was_decided_so(store: Store) -> None:
    await store.apply(record_hold("one"))
    assert await store.apply(claim_inside("one")) == Claimed()
    assert await store.apply(settle("one", 0)) == InvoiceNotOpen()
    await store.apply(hold("one", payment_id="pay-one"))
    assert await store.apply(settle("one", 0)) == InvoiceNotOpen()
    assert (await available(store, "alice"), await available(store, "bob")) == (100_000, 99_500)
    await store.apply(decide("one", SETTLE, "yes"))
    assert isinstance(await store.apply(settle("one", 0, reply("ask-one"), reply("yes"))), Recorded)
    assert (await available(store, "alice"), await available(store, "bob")) == (100_500, 99_500)
    settled = await stored(store)
    assert (settled.state, settled.internal, settled.received_msat) == (InvoiceState.SETTLED, True, 500)
    assert await places(store) == {}


async def test_a_payment_of_this_service_goes_back_with_its_failure_which_ends_the_invoice(store: Store) -> None:
    await store.apply(record_hold("one"))
    await store.apply(claim_inside("one"))
    await store.apply(hold("one", payment_id="pay-one"))
    await store.apply(decide("one", CANCEL, "no"))
    assert await store.apply(end("one")) == Stale()  # it ends with its payment
    gone = Failed("cancelled", FailureReason.REFUSED)
    await store.apply(RecordPayment("pay-one", gone, NOW, (reply("ask-one"), reply("no"))))
    assert (await stored(store)).state is InvoiceState.CANCELED
    assert (await available(store, "alice"), await available(store, "bob")) == (100_000, 100_000)
    assert await places(store) == {}
    assert {kind for kind, *_ in await news(store)} == {"accepted", "canceled", "failed"}


async def test_a_failed_payment_ends_no_hold_invoice_that_it_was_not_held_for(store: Store) -> None:
    await store.apply(record_hold("one"))
    await store.apply(claim_inside("one"))
    await store.apply(hold("one"))  # somebody outside was quicker
    await store.apply(RecordPayment("pay-one", Failed("taken", FailureReason.TAKEN), NOW, (reply("ask-one"),)))
    assert (await stored(store)).state is InvoiceState.ACCEPTED


async def test_what_is_held_or_was_decided_is_payable_by_nobody_else(store: Store) -> None:
    for name in ("one", "two"):
        await store.apply(record_hold(name))
    await store.apply(hold("one"))
    await store.apply(decide("two", CANCEL, "no"))
    for name in ("one", "two"):
        assert await store.apply(claim_inside(name)) == Stale()
    await store.apply(end("two", reply("no")))


async def test_requests_of_what_is_held_are_not_forgotten(store: Store) -> None:
    await store.apply(record_hold("one"))
    await store.apply(hold("one"))
    await store.apply(record_invoice("new", invoice("new", created_at=NOW + 10**6)))
    await store.apply(Prune(NOW + 10**6, 0))
    assert await store.request("want-one") is not None


# ------------------------------------------------------------ by hand


async def test_what_is_to_be_done_by_hand_is_told_again_after_a_while_and_not_before(store: Store) -> None:
    await store.apply(record_hold("one"))
    await store.apply(record_hold("two"))
    for name, why, now in [
        ("one", "this", NOW), ("one", "this", NOW + 59), ("one", "that", NOW + 59), ("two", "this", NOW + 59),
        ("one", "this", NOW + 60), ("one", "this", NOW + 61),
    ]:  # fmt: skip
        assert await store.apply(alarm(name, why, now)) == Done()
    told = [(subject, detail) for kind, subject, detail in await news(store) if kind == "alarm"]
    assert told == [("inv-one", "this"), ("inv-one", "that"), ("inv-two", "this"), ("inv-one", "this")]
    assert not (await stored(store)).is_warned  # of the deadline it is told beside that


async def test_an_alarm_is_looked_for_among_the_newest_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NEWEST_ALARMS", 1)
    await store.apply(record_hold("one"))
    for why in ("this", "that", "this"):
        await store.apply(alarm("one", why))
    assert len([kind for kind, *_ in await news(store) if kind == "alarm"]) == 3


# ------------------------------------------------------------ ordinary invoices that are taken back


async def test_an_ordinary_invoice_is_cancelled_by_a_decision_and_then_by_the_nodes_word(store: Store) -> None:
    await store.apply(record_invoice("one"))
    assert await store.apply(end("one")) == Stale()  # nobody has decided so: it expires
    assert await store.apply(decide("one", CANCEL, "no")) == Claimed()
    assert [one.invoice_id for one in await store.to_cancel()] == ["inv-one"]
    assert await store.holds() == []
    assert (await stored(store)).state is InvoiceState.OPEN
    assert await places(store) == {"app": 1, "@all": 1}
    assert await store.apply(end("one", reply("no"))) == Done()
    assert (await stored(store)).state is InvoiceState.CANCELED
    assert await news(store) == [("canceled", "inv-one", "")]
    assert await places(store) == {}
    assert await store.to_cancel() == []
    assert await store.waiting("inv-one") == []


async def test_lists_of_what_is_to_be_cancelled_go_on_right_behind_one_that_was_seen(store: Store) -> None:
    for name in ("one", "two", "three", "four"):
        await store.apply(record_invoice(name))
    for name in ("three", "one", "four"):
        await store.apply(decide(name, CANCEL))
    await store.apply(end("four"))
    assert [one.invoice_id for one in await store.to_cancel(limit=1)] == ["inv-one"]
    assert [one.invoice_id for one in await store.to_cancel(after="inv-one")] == ["inv-three"]


async def test_after_the_decision_no_payment_of_the_service_begins_and_whoever_pays_outside_is_credited(
    store: Store,
) -> None:
    await store.apply(record_invoice("one"))
    await store.apply(decide("one", CANCEL, "no"))
    assert await store.apply(claim_inside("one")) == Stale()
    outside = claim("one", payment("one", 500, 0, account_id="bob", grant_id="bobs"))
    assert await store.apply(outside) == Denied(Reason.EXPIRED_INVOICE)
    assert isinstance(await store.apply(credit("one", 500, b"", reply("no"))), Credited)
    assert (await stored(store)).state is InvoiceState.SETTLED
    assert await store.apply(end("one")) == Stale()
    assert await available(store, "alice") == 100_500


async def test_of_a_payment_inside_and_the_decision_the_first_one_wins(store: Store) -> None:
    for name in ("decided", "paid"):
        await store.apply(record_invoice(name))
        assert await store.apply(claim_inside(name)) == Claimed()
    assert isinstance(await store.apply(settle("paid", 0, reply("ask-paid"))), Recorded)
    assert await store.apply(decide("paid", CANCEL, "no")) == Stale()
    assert await store.apply(decide("decided", CANCEL, "no")) == Claimed()
    assert await store.apply(settle("decided")) == InvoiceNotOpen()
    refused = RecordPayment("pay-decided", Failed("cancelled", FailureReason.REFUSED), NOW, (reply("ask-decided"),))
    assert isinstance(await store.apply(refused), Recorded)
    await store.apply(end("decided", reply("no")))
    assert (await available(store, "alice"), await available(store, "bob")) == (100_500, 99_500)


async def test_what_is_to_be_cancelled_does_not_expire_and_is_left_with_its_node_and_comes_back_with_it(
    store: Store,
) -> None:
    made = await store.apply(record_invoice("one"))
    assert made == Claimed()
    await store.apply(decide("one", CANCEL, "no"))
    expires_at = (await stored(store)).expires_at
    await store.apply(ExpireInvoices((hash_of("one"),), 0, NODE, NOW))
    assert (await stored(store)).state is InvoiceState.OPEN
    await store.apply(LeaveInvoices("another", expires_at + 1))
    assert ((await stored(store)).state, await store.to_cancel()) == (InvoiceState.LEFT, [])
    await store.apply(LeaveInvoices(NODE, expires_at + 1))
    assert [one.invoice_id for one in await store.to_cancel()] == ["inv-one"]
