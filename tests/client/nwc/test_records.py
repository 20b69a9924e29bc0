"""A wallet's record of a payment, and what it proves."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.payments import Failed, InFlight, LookupAnswer, NeverSeen, Settled, Unknown
from kitestring.nostr.event import Event
from tests.kit.client.hostile import IMPATIENT, Request, hostile_relay, info_event
from tests.kit.client.nwc import SETTLED, client, refused, script, settled
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE


async def test_a_failure_is_dated_by_the_wallets_clock() -> None:
    """One that is ahead dates an earlier failure after our order."""
    record = settled(state="failed", preimage=None, settled_at=None, created_at=NOW + 60)

    def answer(request: Request) -> Iterable[Event]:
        text = {"error": None, "result": record}
        return [request.reply(text, at=NOW + 120)] if request.method == "lookup_invoice" else []

    assert (await refused(answer)).reason is Reason.PAYMENT_IN_FLIGHT


@pytest.mark.parametrize(
    ("record", "answer"),
    [
        (SETTLED, Settled(PREIMAGE, Msat(7))),
        (settled(state="failed", preimage=None), Failed("its record says failed", attempt_at=NOW)),
        (settled(state="failed", preimage=None, created_at=None), Failed("its record says failed")),
        (settled(state="pending", preimage=None, settled_at=None), InFlight()),
        (settled(state="expired", preimage=None, settled_at=None), InFlight()),
        (settled(preimage=None), Unknown("its record says settled, without a proof")),
        (settled(preimage="44" * 32), Unknown("its record says settled, without a proof")),
        (settled(type="incoming"), Unknown("its record is of an invoice, not of a payment")),
        (("NOT_FOUND", ""), NeverSeen(NOW)),
        (("RESTRICTED", "not yours"), Unknown("the wallet refused: not yours")),
    ],
)
async def test_the_record_of_a_payment_is_the_answer_of_a_look_up(record: object, answer: LookupAnswer) -> None:
    async with hostile_relay(script(lookup_invoice=record), stored=[info_event()]) as relay, client(relay) as wallet:
        assert await wallet.lookup_payment(PAYMENT_HASH) == answer


async def test_a_wallet_that_does_not_answer_says_nothing_about_a_payment() -> None:
    async with (
        hostile_relay(script(lookup_invoice=None), stored=[info_event()]) as relay,
        client(relay, IMPATIENT) as wallet,
    ):
        assert isinstance(await wallet.lookup_payment(PAYMENT_HASH), Unknown)
