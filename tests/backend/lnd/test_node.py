"""The lnd backend against a server that answers as told; the contract suite runs it against a real one."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from hashlib import sha256
from pathlib import Path

import pytest

from kitestring.backend import http
from kitestring.backend.http import NodeAnswerError, NodeRefusedError
from kitestring.backend.lnd.node import REFUSALS
from kitestring.base.destinations import Bolt11, invoice_text
from kitestring.base.money import Msat, sat
from kitestring.base.node import Backend, NodeBalance, NodeUnreachableError, OtherNodeError, PayOrder
from kitestring.base.payments import Failed, FailureReason, InFlight, NeverSeen, Settled, Unknown
from tests.kit.backend.lnd import FakeLnd, make_certificate
from tests.kit.backend.sides import open_url, order, stranger_invoice
from tests.kit.changed import replace
from tests.kit.clock import STEPS_S
from tests.kit.waiting import until

PREIMAGE = "07" * 32
HASH = sha256(bytes.fromhex(PREIMAGE)).hexdigest()


@pytest.fixture
async def fake(tmp_path: Path) -> AsyncIterator[FakeLnd]:
    async with FakeLnd(tmp_path) as server:
        yield server


@pytest.fixture
async def backend(fake: FakeLnd, tmp_path: Path) -> AsyncIterator[Backend]:
    lnd = open_url(fake.url, tmp_path)
    await lnd.open()
    yield lnd
    await lnd.close()


def an_order() -> PayOrder:
    return replace(order(stranger_invoice(1000, int(time.time()))), payment_hash=HASH)


def line(**members: object) -> bytes:
    return json.dumps({"result": {"payment_hash": HASH, **members}}).encode() + b"\n"


def error(code: int, message: str) -> bytes:
    return json.dumps({"code": code, "message": message, "details": []}).encode()


def ends_stream(code: int, message: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "details": []}}).encode() + b"\n"


FAILED = line(status="FAILED", failure_reason="FAILURE_REASON_NO_ROUTE", creation_time_ns="1800000000999999999")
SUCCEEDED = line(status="SUCCEEDED", payment_preimage=PREIMAGE, fee_msat="1005")


@pytest.mark.parametrize("fault", FakeLnd.FAULTS)
async def test_a_spoiled_answer_is_unknown(fake: FakeLnd, backend: Backend, fault: str) -> None:
    fake.fault = fault
    answer = await backend.pay(an_order())
    assert not isinstance(answer, (Settled, Failed))
    assert len(fake.sent) == 1


async def test_states_are_read_over_chunks_and_empty_lines(fake: FakeLnd, backend: Backend) -> None:
    fake.send = 200, line(status="IN_FLIGHT") + b"\n" + line(status="INITIATED") + SUCCEEDED
    assert await backend.pay(an_order()) == Settled(PREIMAGE, Msat(1005))


async def test_the_fee_limit_is_always_sent_and_the_amount_only_when_the_invoice_has_none(
    fake: FakeLnd, backend: Backend
) -> None:
    fake.send = 200, SUCCEEDED
    await backend.pay(replace(an_order(), fee_cap_msat=Msat(0)))
    text = invoice_text(an_order().destination)
    await backend.pay(replace(an_order(), destination=Bolt11(text, amountless=True), amount_msat=Msat(77)))
    assert [(sent["fee_limit_msat"], sent.get("amt_msat")) for sent in fake.sent] == [("0", None), ("10000", "77")]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("FAILURE_REASON_NO_ROUTE", FailureReason.NO_ROUTE),
        ("FAILURE_REASON_INSUFFICIENT_BALANCE", FailureReason.INSUFFICIENT_FUNDS),
        ("FAILURE_REASON_OF_THE_FUTURE", FailureReason.OTHER),
    ],
)
async def test_lnds_own_failed_is_evidence(fake: FakeLnd, backend: Backend, name: str, reason: FailureReason) -> None:
    fake.send = 200, line(status="FAILED", failure_reason=name)
    assert await backend.pay(an_order()) == Failed(f"lnd: {name}", reason)


@pytest.mark.parametrize("preimage", ["00" * 32, PREIMAGE.upper() + "00", "", "x"])
async def test_a_preimage_that_does_not_belong_to_the_hash_proves_nothing(
    fake: FakeLnd, backend: Backend, preimage: str
) -> None:
    fake.send = 200, line(status="SUCCEEDED", payment_preimage=preimage, fee_msat="1")
    assert isinstance(await backend.pay(an_order()), Unknown)


async def test_a_payment_that_exists_is_looked_up(fake: FakeLnd, backend: Backend) -> None:
    fake.send = 409, error(6, "invoice is already paid")
    fake.track = 200, SUCCEEDED
    assert await backend.pay(an_order()) == Settled(PREIMAGE, Msat(1005))


@pytest.mark.parametrize(("words", "reason"), REFUSALS)
async def test_a_refusal_counts_only_when_lnd_does_not_know_the_payment(
    fake: FakeLnd, backend: Backend, words: str, reason: str
) -> None:
    fake.send = 500, error(2, f"{words}: as lnd says it")
    assert isinstance(answer := await backend.pay(an_order()), Failed)
    assert (answer.reason, words in answer.evidence) == (reason, True)
    fake.track = 200, SUCCEEDED
    assert await backend.pay(an_order()) == Settled(PREIMAGE, Msat(1005))
    fake.track = 200, line(status="IN_FLIGHT")
    assert await backend.pay(an_order()) == InFlight()
    fake.track = 500, error(2, "database is closed")
    assert isinstance(await backend.pay(an_order()), Unknown)


async def test_a_node_that_goes_away_after_a_refusal_was_asked_all_the_same(
    fake: FakeLnd, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(_: str) -> Settled:
        raise NodeUnreachableError("gone")

    fake.send = 500, error(2, "invoice expired. Valid until yesterday")
    monkeypatch.setattr(backend, "lookup_payment", gone)
    assert isinstance(await backend.pay(an_order()), Unknown)


async def test_a_connection_that_was_kept_and_breaks_is_no_proof_that_nothing_was_sent(
    fake: FakeLnd, backend: Backend
) -> None:
    """Nobody answers after it: an order must neither be sent again nor count as never sent."""
    fake.send = 200, SUCCEEDED
    assert isinstance(await backend.pay(an_order()), Settled)
    fake.send, fake.fault, fake.last = None, "cut before the headers", True
    assert isinstance(await backend.pay(an_order()), Unknown)
    assert len(fake.sent) == 2
    with pytest.raises(NodeUnreachableError):
        await backend.pay(an_order())
    assert len(fake.sent) == 2


async def test_payments_that_last_leave_room_for_questions(
    fake: FakeLnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_PAYMENTS", 2)
    monkeypatch.setattr(http, "MAX_CALLS", 1)
    lnd = open_url(fake.url, tmp_path)
    await lnd.open()
    fake.fault = "hang"
    paying = [asyncio.create_task(lnd.pay(an_order())) for _ in range(3)]
    await until(lambda: len(fake.sent) == 2)
    async with asyncio.timeout(10):
        assert (await lnd.balance()).spendable_msat == 0
        assert isinstance(await lnd.lookup_payment(HASH), NeverSeen)
    fake.fault, fake.send = "", (200, SUCCEEDED)
    fake.released.set()
    await asyncio.gather(*paying)
    await lnd.close()


async def test_a_channel_whose_peer_is_away_can_send_nothing_and_is_owned_all_the_same(
    fake: FakeLnd, backend: Backend
) -> None:
    """Right after a start of lnd no channel is active."""
    channel: dict[str, object] = {
        "initiator": True, "local_balance": "5000", "remote_balance": "900", "commit_fee": "30",
        "local_chan_reserve_sat": "100", "remote_chan_reserve_sat": "100",
    }  # fmt: skip
    fake.channels = [{**channel, "active": True}, channel]
    assert await backend.balance() == NodeBalance(sat(4_870), sat(800), sat(10_000))
    fake.channels = [channel]
    assert await backend.balance() == NodeBalance(sat(0), sat(0), sat(5_000))


async def test_a_failure_is_dated_by_lnd(fake: FakeLnd, backend: Backend) -> None:
    fake.track = 200, FAILED
    failed = Failed("lnd: FAILURE_REASON_NO_ROUTE", FailureReason.NO_ROUTE, 1_800_000_000)
    assert await backend.lookup_payment(HASH) == failed


async def test_the_failure_of_an_earlier_attempt_does_not_end_an_order_that_may_be_on_its_way(
    fake: FakeLnd, backend: Backend
) -> None:
    fake.track = 200, FAILED
    fake.send = 503, error(14, "transport is closing")
    assert isinstance(await backend.pay(an_order()), Unknown)
    fake.send = 500, error(2, "invoice expired. Valid until yesterday")
    assert isinstance(answer := await backend.pay(an_order()), Failed)
    assert (answer.reason, answer.attempt_at) == ("expired", None)


async def test_the_end_of_another_order_for_the_same_hash_is_the_end_of_this_one(
    fake: FakeLnd, backend: Backend
) -> None:
    fake.send = 409, error(6, "payment is in transition")
    fake.track = 200, FAILED
    assert await backend.pay(an_order()) == Failed("lnd: FAILURE_REASON_NO_ROUTE", FailureReason.NO_ROUTE)


async def test_only_lnds_own_word_in_a_stream_means_never_seen(fake: FakeLnd, backend: Backend) -> None:
    assert isinstance(await backend.lookup_payment(HASH), NeverSeen)
    fake.track = 200, ends_stream(5, "payment isn't initiated")
    assert isinstance(await backend.lookup_payment(HASH), NeverSeen)
    for status, body in (
        (404, error(5, "Not Found")),  # grpc-gateway, about a route that it does not have
        (404, ends_stream(5, "Not Found")),
        (404, error(5, "payment isn't initiated")),
        (404, ends_stream(2, "payment isn't initiated")),
        (404, ends_stream(5, "payment isn't initiated yet")),
        (404, b"404 page not found"),
        (500, error(2, "context canceled")),
        (404, b"{}"),
    ):
        fake.track = status, body
        for look in (backend.lookup_payment, backend.track):
            assert isinstance(await look(HASH), Unknown), body


async def test_a_route_that_is_missing_makes_no_refusal_final(fake: FakeLnd, backend: Backend) -> None:
    fake.send = 500, error(2, "invoice expired. Valid until yesterday")
    fake.track = 404, error(5, "Not Found")
    assert isinstance(await backend.pay(an_order()), Unknown)


@pytest.mark.parametrize(
    ("status", "code", "words", "state"),
    [(404, 5, "unable to locate invoice", "unknown"), (404, 5, "there are no existing invoices", "unknown"),
     (404, 5, "Not Found", ""), (500, 2, "unable to locate invoice: the database is closed", "")],
)  # fmt: skip
async def test_only_lnds_own_word_means_that_there_is_no_such_invoice(
    fake: FakeLnd, backend: Backend, status: int, code: int, words: str, state: str
) -> None:
    fake.invoice = status, error(code, words)
    if state:
        assert (await backend.lookup_invoice(HASH)).state == state
        return
    for ask in (backend.lookup_invoice, backend.cancel_invoice):
        with pytest.raises(NodeRefusedError, match=words):
            await ask(HASH)


async def test_the_count_of_payments_is_lnds_own_and_nothing_that_it_does_not_say(
    fake: FakeLnd, backend: Backend
) -> None:
    assert await backend.payment_index() == 0
    fake.payments = {"payments": [{"payment_hash": HASH, "status": "FAILED"}], "total_num_payments": "7"}
    assert await backend.payment_index() == 7
    assert fake.asked[-1].query["include_incomplete"] == fake.asked[-1].query["count_total_payments"] == "true"
    fake.payments = {"payments": [{"payment_hash": HASH, "status": "FAILED"}], "last_index_offset": "1001"}
    with pytest.raises(NodeAnswerError, match="does not count"):
        await backend.payment_index()


async def test_another_node_at_the_address_gets_no_order_and_the_first_one_does_when_it_is_back(
    fake: FakeLnd, backend: Backend
) -> None:
    """The same certificate and macaroon: a failover, another volume, a proxy that leads elsewhere."""
    fake.send, here = (200, SUCCEEDED), fake.node_id
    assert isinstance(await backend.pay(an_order()), Settled)
    assert backend.node_id == (await backend.info()).node_id == here
    fake.node_id = "03" + "ee" * 32
    assert (await backend.info()).node_id == backend.node_id == fake.node_id
    for ask in (backend.pay(an_order()), backend.lookup_payment(HASH), backend.track(HASH), backend.balance(),
                backend.lookup_invoice(HASH), backend.payment_index()):  # fmt: skip
        with pytest.raises(OtherNodeError, match="another lnd answers"):
            await ask
    assert len(fake.sent) == 1
    fake.node_id = here
    with pytest.raises(NodeUnreachableError, match="is back at this address"):
        await backend.pay(an_order())
    assert isinstance(await backend.pay(an_order()), Settled)
    assert (backend.node_id, len(fake.sent)) == (here, 2)


async def test_whoever_is_at_the_address_is_asked_before_each_new_connection_and_not_on_a_kept_one(
    fake: FakeLnd, backend: Backend
) -> None:
    fake.send = 200, SUCCEEDED
    for _ in range(3):
        await backend.pay(an_order())
    assert fake.greetings == 1
    fake.node_id = "03" + "ee" * 32
    await asyncio.gather(*(backend.balance() for _ in range(3)), return_exceptions=True)  # new connections
    assert backend.node_id == fake.node_id
    with pytest.raises(OtherNodeError):  # the kept ones are dropped
        await backend.pay(an_order())
    assert len(fake.sent) == 3


@pytest.mark.parametrize("ahead_s", [sign * step for step in STEPS_S for sign in (1, -1)])
async def test_lnd_tells_what_time_its_own_clock_shows(fake: FakeLnd, backend: Backend, ahead_s: int) -> None:
    now = int(time.time())
    fake.date = formatdate(now - ahead_s, usegmt=True)
    assert (await backend.info()).told_at == now - ahead_s


async def test_another_certificate_is_not_spoken_to(fake: FakeLnd, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other, _ = make_certificate(tmp_path / "other")
    lnd = open_url(fake.url.replace(str(fake.cert), str(other)), tmp_path)
    await lnd.open()
    try:
        with pytest.raises(NodeUnreachableError, match="another certificate"):
            await lnd.pay(an_order())
    finally:
        await lnd.close()
    assert fake.sent == []


async def test_a_wrong_macaroon_is_never_shown_and_proves_nothing(fake: FakeLnd, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("0201beef")
    lnd = open_url(f"{fake.url.partition('macaroon=')[0]}macaroon={tmp_path / 'wrong'}", tmp_path)
    await lnd.open()
    with pytest.raises(NodeUnreachableError, match=r"does not say who it is: lnd: verification failed \(code 2\)"):
        await lnd.pay(an_order())
    with pytest.raises(NodeRefusedError) as raised:
        await lnd.info()
    assert "beef" not in f"{raised.value}{lnd!r}"
    assert fake.sent == []
    await lnd.close()
