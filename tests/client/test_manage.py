"""An app at somebody else's service: what is sent, what is heard, and that nothing is made twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.client.manage import OfferManager, read_nmanage
from kitestring.codec import pointers
from kitestring.codec.pointers import Nmanage
from kitestring.nostr import kinds
from kitestring.relay.server import Relay
from kitestring.wire.ask.manage import OfferTerms
from kitestring.wire.clink import CLINK_VERSION
from tests.kit.chance import entropy
from tests.kit.client.debtor import Answer, Debtor, always
from tests.kit.client.hostile import CLIENT, CLOCK, PATIENT, SERVICE, Request, ndebit, net

MUG = OfferTerms(label="Mug", price_sats=12_000, payer_data=("email",))
FIELDS = {"label": "Mug", "price_sats": 12_000, "callback_url": "", "payer_data": ["email"]}
ROW = {"id": "ab" * 16, **FIELDS, "noffer": "noffer1x"}
DONE = {"res": "ok", "resource": "offer", "details": ROW}
HASTY = replace(PATIENT, debit_s=0.4, offer_s=0.4)


async def over_the_relay(answers: Callable[[Request], Answer], work: Any, waits: Any = PATIENT) -> tuple[Any, Debtor]:
    """What comes of ``work`` with a manager whose service answers so."""
    async with (
        Relay(None, clock=CLOCK, entropy=entropy) as relay,
        Debtor(relay.url, answers, kind=kinds.MANAGE) as service,
    ):
        link = pointers.encode(Nmanage(SERVICE.public_hex, (relay.url,), "shop"))
        manager = OfferManager(link, CLIENT, net(waits, relay.url))
        try:
            return await work(manager), service
        except KitestringError as error:
            return error, service


def by_action(**answers: Answer) -> Callable[[Request], Answer]:
    return lambda request: answers.get(request.members["action"])


async def test_an_offer_is_made_with_everything_that_services_insist_on() -> None:
    offer, service = await over_the_relay(always(DONE), lambda at: at.create(MUG))
    assert (offer.id, offer.terms, offer.noffer) == ("ab" * 16, MUG, "noffer1x")
    (request,) = service.requests
    assert request.members == {
        "resource": "offer", "action": "create", "pointer": "shop", "offer": {"fields": FIELDS},
    }  # fmt: skip
    assert (request.event.kind, request.event.pubkey) == (21_003, CLIENT.public_hex)
    assert request.event.tags == [["p", SERVICE.public_hex], CLINK_VERSION]


@pytest.mark.parametrize(
    ("work", "action"),
    [
        (lambda at: at.get("x"), "get"),
        (lambda at: at.update("x", MUG), "update"),
        (lambda at: at.page(), "list"),
        (lambda at: at.delete("x"), "delete"),
    ],
    ids=["get", "update", "list", "delete"],
)
async def test_the_other_deeds_are_asked_for_and_their_answers_read(work: Any, action: str) -> None:
    came, service = await over_the_relay(always(DONE), work)
    assert not isinstance(came, KitestringError)
    assert [request["action"] for request in service.asked] == [action]


async def test_all_offers_are_given_page_by_page_and_a_service_that_never_ends_is_left() -> None:
    def pages(request: Request) -> Answer:
        start = int(request.members.get("before") or "0")
        rows = [{**ROW, "id": str(start + n)} for n in (1, 2)]
        return {**DONE, "details": rows, **({"next": str(start + 2)} if start < 4 else {"next": str(start)})}

    async def work(at: OfferManager) -> list[str]:
        return [offer.id async for offer in at.offers()]

    ids, service = await over_the_relay(pages, work)
    assert ids == ["1", "2", "3", "4", "5", "6"]
    assert [request.get("before") for request in service.asked] == [None, "2", "4"]


@pytest.mark.parametrize("answer", [None, {"res": "GFY", "code": 2, "error": "the disk"}], ids=["silence", "failure"])
async def test_a_lost_answer_to_a_creation_is_an_unknown_end_and_nothing_is_made_again(answer: Answer) -> None:
    error, service = await over_the_relay(always(answer), lambda at: at.create(MUG), HASTY)
    assert (error.reason, error.details) == (Reason.UNAVAILABLE, {"outcome": "unknown"})
    assert "compare before you make it again" in error.message
    assert [request["action"] for request in service.asked] == ["create"]


@pytest.mark.parametrize(
    ("there", "actions", "made"),
    [
        ([{**ROW, "id": "other", "price_sats": 1}, {**ROW, "id": "same"}], ["list"], "same"),
        ([{**ROW, "id": "other", "price_sats": 1}], ["list", "create"], ROW["id"]),
        ([], ["list", "create"], ROW["id"]),
    ],
)
async def test_who_asks_again_compares_with_what_is_there_first(
    there: list[Any], actions: list[str], made: str
) -> None:
    answers = by_action(list={**DONE, "details": there}, create=DONE)
    offer, service = await over_the_relay(answers, lambda at: at.create_if_missing(MUG))
    assert (offer.id, [request["action"] for request in service.asked]) == (made, actions)


async def test_nothing_is_made_where_the_list_is_lost() -> None:
    error, service = await over_the_relay(by_action(create=DONE), lambda at: at.create_if_missing(MUG), HASTY)
    assert error.reason is Reason.UNAVAILABLE
    assert [request["action"] for request in service.asked] == ["list"]


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        ({"code": 1, "error": "no"}, Reason.NOT_PERMITTED, "the service refused: no"),
        ({"code": 3, "error": "late", "delta": {"actual_delta_ms": 120_000}}, Reason.STALE_REQUEST, "2.0 minutes"),
        ({"code": 4, "error": "busy", "retry_after": 30}, Reason.RATE_LIMITED, "asked again in 30 s"),
        ({"code": 4, "error": "wait", "retry_after": 600}, Reason.UNDECIDED, "its owner is being asked"),
        (
            {"code": 5, "error": "bad", "field": "price_sats", "range": {"min": 0, "max": 9}},
            Reason.MALFORMED, "the field is price_sats, from 0 to 9 sat",
        ),
        ({"code": 6, "error": "what"}, Reason.MALFORMED, "what"),
    ],
    ids=str,
)  # fmt: skip
async def test_a_refusal_says_what_to_do(answer: dict[str, Any], reason: Reason, words: str) -> None:
    error, service = await over_the_relay(always({"res": "GFY", **answer}), lambda at: at.create(MUG))
    assert (error.reason, words in error.message) == (reason, True), error.message
    assert len(service.requests) == 1


async def test_an_id_that_is_not_known_there_is_told_as_such() -> None:
    unknown = {"res": "GFY", "code": 6, "error": "unknown"}
    error, _ = await over_the_relay(always(unknown), lambda at: at.get("x"))
    assert error.reason is Reason.UNKNOWN_TARGET


async def test_an_offer_that_is_gone_is_deleted_also_where_the_service_denies_it_in_older_words() -> None:
    """Lightning.Pub 0.0.38 has one code for what is not there and what is somebody else's; its words differ."""
    gone = {"res": "GFY", "code": 1, "error": "Request Denied: Offer not found"}
    done, service = await over_the_relay(always(gone), lambda at: at.delete("x"))
    assert (done, len(service.requests)) == (None, 1)
    foreign = {**gone, "error": "Request Denied: App not authorized to update offer"}
    error, _ = await over_the_relay(always(foreign), lambda at: at.delete("x"))
    assert error.reason is Reason.NOT_PERMITTED


async def test_silence_to_anything_else_may_be_asked_for_again() -> None:
    told: list[float] = []
    error, _ = await over_the_relay(always(None), lambda at: at.get("x", waiting=told.append), HASTY)
    assert (error.reason, error.details) == (Reason.UNAVAILABLE, {})
    assert told == []


@pytest.mark.parametrize("details", [None, [], [ROW, ROW], [7]])
async def test_a_yes_without_the_one_offer_is_no_answer_to_build_on(details: object) -> None:
    error, _ = await over_the_relay(always({**DONE, "details": details}), lambda at: at.create(MUG))
    assert (error.reason, error.details["outcome"]) == (Reason.INTERNAL, "unknown")


@pytest.mark.parametrize("text", ["", "nmanage1x", pointers.encode(ndebit("wss://relay.example")), "lnbc1"], ids=str)
def test_what_is_no_link_is_refused(text: str) -> None:
    with pytest.raises(KitestringError) as caught:
        read_nmanage(text)
    assert caught.value.reason is Reason.MALFORMED
