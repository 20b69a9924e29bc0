"""Requests and their answers, and how they are forgotten."""

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.invoices import InvoiceState
from kitestring.base.records import CONTROL_WIRE
from kitestring.base.store import Store
from kitestring.base.transactions.answers import Claimed, Denied, Done, Finished, More, Running
from kitestring.base.transactions.invoices import ExpireInvoices, LeaveInvoices
from kitestring.base.transactions.requests import Answer, Prune
from tests.kit.changed import replace
from tests.kit.ledger.steps import open_invoice
from tests.kit.ledger.values import (
    NODE,
    NOW,
    answered,
    claim,
    execute,
    fail,
    hash_of,
    invoice,
    record_invoice,
    reply,
    request,
    settle,
)


async def test_an_answer_finishes_a_request_once_and_the_first_one_stays(store: Store) -> None:
    refusal = Answer(request("r"), (reply("r", "no"),), NOW)
    assert await store.apply(refusal) == Done()
    assert await store.request("r") == request("r", command=b"")
    second = replace(refusal, messages=(reply("r", "yes"),))
    assert await store.apply(second) == Finished((reply("r", "no"),))
    with pytest.raises(KitestringError, match="needs a reply"):
        await store.apply(Answer(request("s"), (), NOW))
    assert await store.request("s") is None


async def test_a_claimed_request_is_answered_only_by_who_names_the_payment_it_waits_for(store: Store) -> None:
    await store.apply(claim("a"))
    for stranger in (request("ask-a"), request("ask-a", payment_id="pay-b")):
        refusal = Answer(stranger, (reply(stranger.request_id, "no"),), NOW)
        assert await store.apply(refusal) == Running()
        assert await store.messages(stranger.request_id) == ()
    (waiting,) = await store.waiting("pay-a")
    assert await store.apply(Answer(waiting, (answered("a"),), NOW)) == Done()
    assert await store.messages("ask-a") == (answered("a"),)
    await store.apply(fail("a"))


@pytest.mark.parametrize(("wire", "kept"), [("nwc", b""), ("offers", b""), (CONTROL_WIRE, b"what was asked")])
async def test_of_a_finished_request_what_it_asked_for_is_kept_of_the_owners_alone(
    store: Store, wire: str, kept: bytes
) -> None:
    """A payment asks with 12 kB, a hundred thousand times a day; the owner's, told again, have to ask for the same."""
    asked = claim("a", asked=replace(request("ask-a"), wire=wire, command=b"what was asked"))
    await store.apply(asked)
    (waiting,) = await store.waiting("pay-a")
    assert waiting.command == b"what was asked"
    await store.apply(settle("a", 10, answered("a")))
    at_once = replace(request("r"), wire=wire, command=b"what was asked")
    await store.apply(Answer(at_once, (reply("r"),), NOW))
    for name in ("ask-a", "r"):
        assert (found := await store.request(name))
        assert found.command == kept


async def test_what_is_pruned_is_refused_for_ever(store: Store) -> None:
    await store.apply(claim("old"))
    await store.apply(settle("old", 10, answered("old")))
    await store.apply(claim("open"))
    await open_invoice(store, "awaited")
    fresh = request("fresh", received_at=NOW + 20, sent_at=NOW + 20)
    await store.apply(Answer(fresh, (replace(reply("fresh"), signed_at=NOW + 20),), NOW + 20))
    ahead = request("ahead", sent_at=NOW + 20)
    await store.apply(Answer(ahead, (reply("ahead"),), NOW))
    await store.apply(Prune(NOW + 10, 0))
    assert (await store.totals()).pruned_before == NOW + 10
    assert await store.request("ask-old") is None
    assert await store.messages("ask-old") == ()
    for kept in ("ask-open", "want-awaited", "fresh", "ahead"):
        assert await store.request(kept) is not None
    assert await store.apply(claim("old")) == Denied(Reason.STALE_REQUEST)
    assert await store.apply(record_invoice("i")) == Denied(Reason.STALE_REQUEST)
    assert await store.apply(execute("setting")) == Denied(Reason.STALE_REQUEST)
    await store.apply(Prune(NOW, 0))
    assert (await store.totals()).pruned_before == NOW + 10
    await store.apply(fail("open", answered("open")))


async def test_a_clock_that_is_wrong_by_a_year_moves_the_horizon_no_further_than_the_newest_request(
    store: Store,
) -> None:
    year = 365 * 86_400
    await store.apply(Answer(request("r"), (reply("r"),), NOW))
    own = request("ctl:1", wire="control", sent_at=NOW + year, received_at=NOW + year)
    await store.apply(Answer(own, (reply("ctl:1"),), NOW + year))
    await store.apply(Prune(NOW + year, 0))
    assert (await store.totals()).pruned_before == NOW
    received = request("s", sent_at=NOW + 1, received_at=NOW + year)
    await store.apply(Answer(received, (reply("s"),), NOW))
    await store.apply(Prune(NOW + year, 0))
    assert (await store.totals()).pruned_before == NOW + 1
    assert await store.apply(claim("a", asked=request("ask-a", sent_at=NOW + 2))) == Claimed()


async def test_a_clock_that_is_ahead_makes_no_request_old_that_is_not_older_than_the_newest(store: Store) -> None:
    for number in (0, 60):
        asked = request(f"r{number}", sent_at=NOW + number, received_at=NOW + number)
        await store.apply(Answer(asked, (replace(reply(f"r{number}"), signed_at=NOW + number),), NOW + number))
    await store.apply(Prune(NOW + 40 * 86_400, 30 * 86_400))
    assert await store.request("r0") is not None
    assert (await store.totals()).pruned_before == NOW + 60 - 30 * 86_400


async def test_an_owners_idempotency_key_is_never_pruned(store: Store) -> None:
    asked = request("ctl:order-17", wire="control", grant_id="app")
    await store.apply(claim("a", asked=asked))
    await store.apply(settle("a", 10, reply("ctl:order-17")))
    await store.apply(Answer(request("newest", received_at=NOW + 99, sent_at=NOW + 99), (reply("newest"),), NOW))
    await store.apply(Prune(NOW + 50, 0))
    later = replace(asked, sent_at=NOW + 100, received_at=NOW + 100)
    assert await store.apply(claim("b", asked=later)) == Finished((reply("ctl:order-17"),))
    assert await store.payment("pay-b") is None


async def test_the_request_of_an_invoice_is_kept_while_it_may_be_paid_and_not_after_its_node_has_gone(
    store: Store,
) -> None:
    await store.apply(record_invoice("i"))
    late = request("late", received_at=NOW + 9_999, sent_at=NOW + 9_999)
    await store.apply(Answer(late, (reply("late"),), NOW + 9_999))
    await store.apply(Prune(NOW + 9_000, 0))
    assert await store.request("want-i") is not None
    await store.apply(LeaveInvoices("another node", NOW + 9_000))
    await store.apply(Prune(NOW + 9_000, 0))
    assert await store.request("want-i") is None


async def test_housekeeping_says_that_there_is_more_until_nothing_is_left(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.ledger.apply.requests.PRUNE_LIMIT", 2)
    monkeypatch.setattr("kitestring.ledger.apply.invoices.SWEEP_LIMIT", 2)
    for number in range(3):
        offered = invoice(f"o{number}", grant_id="", offer_id="tea", account_id="owner", request_id=f"want-o{number}")
        await store.apply(record_invoice(f"o{number}", offered))
        await store.apply(Answer(request(f"r{number}"), (reply(f"r{number}"),), NOW))
    late = request("late", received_at=NOW + 99, sent_at=NOW + 99)
    await store.apply(Answer(late, (reply("late"),), NOW + 99))
    end = NOW + 3601
    ended = tuple(hash_of(f"o{number}") for number in range(3))
    assert await store.apply(ExpireInvoices(ended, 0, NODE, NOW)) == Done()
    assert [await store.apply(ExpireInvoices((), end, NODE, NOW)) for _ in range(2)] == [More(), Done()]
    assert await store.invoices(InvoiceState.EXPIRED) == []
    assert [await store.apply(Prune(NOW + 1, 0)) for _ in range(3)] == [More(), More(), Done()]
    assert await store.request("r2") is None
