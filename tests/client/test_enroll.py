"""Opening an account at somebody else's service: asked, worked for once, and asked again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from kitestring.base.errors import Exit, KitestringError, Reason
from kitestring.client.beacon import ServiceAddress
from kitestring.client.enroll import USUAL_BITS, OpenedAccount, enroll, read_service
from kitestring.client.net import Waits
from kitestring.codec import nip19, pointers
from kitestring.codec.beacon import BeaconContent
from kitestring.codec.nip19 import Profile, PublicKey
from kitestring.nostr import kinds
from kitestring.nostr.event import sign_event
from kitestring.nostr.pow import proven_bits
from kitestring.nostr.work import MAX_WORK_BITS
from kitestring.relay.server import Relay
from kitestring.transport.relays import RelayPool
from kitestring.wire.beacon import beacon_draft
from tests.kit import vectors
from tests.kit.chance import entropy
from tests.kit.client.debtor import Answers, Debtor, always, in_turn
from tests.kit.client.hostile import (
    CLIENT,
    CLOCK,
    IMPATIENT,
    PATIENT,
    SERVICE,
    STRANGER,
    Request,
    hostile_relay,
    ndebit,
    net,
    noffer,
)

CASES = {case["id"]: case["payload"] for case in vectors.load("clink_payloads.json")["enroll_reply"]}
OK: dict[str, Any] = json.loads(CASES["ok"])
CODES = (OK["noffer"], OK["ndebit"], OK["nmanage"])
URL = "wss://relay.example.com"


def wants(bits: int, code: int = 5) -> dict[str, Any]:
    return {"res": "GFY", "code": code, "error": "Insufficient proof of work", "required_difficulty": bits}


@asynccontextmanager
async def at_service(answers: Answers) -> AsyncIterator[Debtor]:
    async with (
        Relay(None, clock=CLOCK, entropy=entropy) as relay,
        Debtor(relay.url, answers, kind=kinds.ENROLL) as service,
    ):
        yield service


async def enrolled(service: Debtor, waits: Waits = PATIENT, **how: Any) -> OpenedAccount:
    place = ServiceAddress(service.key.public_hex, (service.url,))
    return await enroll(place, CLIENT, net(waits, service.url), **how)


async def refused(service: Debtor, waits: Waits = PATIENT, **how: Any) -> KitestringError:
    with pytest.raises(KitestringError) as caught:
        await enrolled(service, waits, **how)
    return caught.value


def work(request: Request) -> int:
    return proven_bits(request.event.id, request.event.tags)


# ------------------------------------------------------------ asking


@pytest.mark.parametrize("case", ["ok", "ok-early-draft"])
async def test_an_account_without_work_is_told_at_once_in_either_form(case: str) -> None:
    async with at_service(always(CASES[case])) as service:
        assert await enrolled(service) == OpenedAccount(*CODES, work_bits=0)
        (request,) = service.requests
    assert (request.members, request.event.kind) == ({}, 21_004)
    assert request.event.tags == [["p", SERVICE.public_hex], ["clink_version", "1"]]


@pytest.mark.parametrize("code", [5, 4], ids=["as it is", "as it was in early drafts"])
async def test_work_that_is_asked_for_is_done_once_and_shown(code: int) -> None:
    async with at_service(in_turn([wants(9, code), OK])) as service:
        assert await enrolled(service) == OpenedAccount(*CODES, work_bits=9)
        assert [work(request) for request in service.requests] == [0, 9]
        assert len({request.event.pubkey for request in service.requests}) == 1


async def test_who_wants_more_after_the_work_is_not_worked_for_again() -> None:
    async with at_service(in_turn([wants(5), wants(6), OK])) as service:
        error = await refused(service)
        assert len(service.requests) == 2
    assert (error.reason, error.exit_code) == (Reason.INSUFFICIENT_POW, Exit.RATE_LIMITED)
    assert error.details["required_difficulty"] == 6


async def test_more_than_is_mined_is_told_and_not_begun() -> None:
    async with at_service(always(CASES["pow-too-hard"])) as service:
        error = await refused(service)
        assert len(service.requests) == 1
    assert error.reason is Reason.INSUFFICIENT_POW
    assert f"it asks for 30 bits of work, more than the {MAX_WORK_BITS}" in error.message


async def test_a_difficulty_that_is_known_beforehand_is_mined_first() -> None:
    async with at_service(always(OK)) as service:
        assert (await enrolled(service, known_bits=8)).work_bits == 8
        assert [work(request) for request in service.requests] == [8]


async def tell(service: Debtor, bits: int, age_s: int = 0) -> None:
    """The beacon of the service on its relay, of that age."""
    draft = beacon_draft(BeaconContent(enroll_difficulty=bits))
    at = CLOCK.now() - age_s
    event = sign_event(service.key, kind=draft.kind, tags=draft.tags, content=draft.content, created_at=at)
    async with RelayPool([service.url], clock=CLOCK, entropy=entropy) as pool:
        assert (await pool.publish(event)).accepted


async def test_what_a_fresh_beacon_names_is_mined_before_the_service_is_asked() -> None:
    async with at_service(always(OK)) as service:
        await tell(service, 9)
        assert (await enrolled(service)).work_bits == 9
        assert [work(request) for request in service.requests] == [9]


@pytest.mark.parametrize(("bits", "age_s"), [(9, 300), (MAX_WORK_BITS + 1, 0)])
async def test_a_beacon_that_is_old_or_asks_for_too_much_is_passed_over(bits: int, age_s: int) -> None:
    async with at_service(in_turn([wants(5), OK])) as service:
        await tell(service, bits, age_s)
        assert (await enrolled(service)).work_bits == 5
        assert [work(request) for request in service.requests] == [0, 5]


@pytest.mark.parametrize("known", [0, MAX_WORK_BITS + 1, -1])
async def test_a_known_difficulty_that_is_none_or_too_much_is_asked_about(known: int) -> None:
    async with at_service(always(OK)) as service:
        assert (await enrolled(service, known_bits=known)).work_bits == 0


async def test_a_stale_beacon_costs_one_more_round_of_work() -> None:
    async with at_service(in_turn([wants(10), OK])) as service:
        assert (await enrolled(service, known_bits=6)).work_bits == 10
        assert [work(request) for request in service.requests] == [6, 10]


async def test_who_does_not_answer_a_request_without_work_is_asked_once_with_the_usual_work() -> None:
    def only_with_work(request: Request) -> Any:
        return OK if work(request) else None

    async with at_service(only_with_work) as service:
        assert (await enrolled(service, replace(PATIENT, enroll_s=0.5))).work_bits == USUAL_BITS
        assert [work(request) for request in service.requests] == [0, USUAL_BITS]


async def test_silence_is_no_refusal_and_asking_again_is_safe() -> None:
    async with at_service(always(None)) as service:
        error = await refused(service, IMPATIENT)
        assert len(service.requests) == 2
    assert (error.reason, error.exit_code) == (Reason.UNAVAILABLE, Exit.UNAVAILABLE)
    assert "asking again is safe" in error.message


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        ({"res": "GFY", "code": 1, "error": "Closed"}, Reason.NOT_PERMITTED, "opened no account: Closed"),
        ({"res": "GFY", "code": 2, "error": "Later"}, Reason.UNAVAILABLE, "Later"),
        ({"code": 3, "error": "Old", "delta": {"actual_delta_ms": 120_000}}, Reason.STALE_REQUEST, "2.0 minutes"),
        (json.loads(CASES["rate"]), Reason.RATE_LIMITED, "asked again at 2025-10-09"),
        ({"res": "GFY", "code": 4, "error": "Full", "retry_after": 600}, Reason.RATE_LIMITED, "again in 600 s"),
        ({"res": "GFY", "code": 6, "error": "Bad"}, Reason.MALFORMED, "Bad"),
        ({"res": "GFY", "code": 5, "error": "Work"}, Reason.INSUFFICIENT_POW, "Work"),
    ],
)
async def test_a_refusal_is_told_with_its_reason(answer: dict[str, Any], reason: Reason, words: str) -> None:
    async with at_service(always(answer)) as service:
        error = await refused(service)
        assert len(service.requests) == 1
    assert error.reason is reason
    assert words in error.message


async def test_answers_that_do_not_count_do_not_end_the_wait() -> None:
    def says(request: Request) -> Any:
        codes = json.dumps(OK)
        return [
            request.reply(codes, key=STRANGER),
            request.reply(codes, about="ab" * 32),
            request.reply(codes, tags=[["clink_version", "2"]]),
            request.reply('{"res":"ok"}'),
            request.reply(json.dumps({**OK, "code": 1})),
            request.reply(codes, tags=[["clink_version", "1"]]),
        ]

    async with hostile_relay(says) as relay:
        place = ServiceAddress(SERVICE.public_hex, (relay.url,))
        assert (await enroll(place, CLIENT, net(PATIENT, relay.url))).noffer == OK["noffer"]
        assert len(relay.requests) == 1


async def test_a_strangers_relay_on_this_machine_is_not_dialled() -> None:
    with pytest.raises(KitestringError) as caught:
        await enroll(ServiceAddress(SERVICE.public_hex, ("ws://127.0.0.1:1",)), CLIENT, net(IMPATIENT))
    assert caught.value.reason is Reason.NOT_PERMITTED


# ------------------------------------------------------------ where


@pytest.mark.parametrize(
    ("text", "relays"),
    [
        (nip19.encode(Profile(SERVICE.public_hex, (URL,))), ()),
        (f" nostr:{nip19.encode(Profile(SERVICE.public_hex, (URL,)))}\n", ()),
        (nip19.encode(PublicKey(SERVICE.public_hex)), (URL,)),
        (SERVICE.public_hex, (URL,)),
        (pointers.encode(noffer(URL)), ()),
        (pointers.encode(noffer(URL)).upper(), ()),
    ],
)
def test_a_service_is_named_by_what_it_publishes(text: str, relays: tuple[str, ...]) -> None:
    assert read_service(text, relays) == ServiceAddress(SERVICE.public_hex, (URL,))


def test_relays_that_are_named_stand_before_those_in_the_code_and_four_are_asked() -> None:
    own = tuple(f"wss://r{number}.example" for number in range(4))
    found = read_service(nip19.encode(Profile(SERVICE.public_hex, (URL,))), own)
    assert (found.relays, found.left_out) == (own, (URL,))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (nip19.encode(PublicKey(SERVICE.public_hex)), "name one with --relay"),
        (pointers.encode(ndebit(URL)), "nprofile1…, npub1… or noffer1…"),
        ("lnbc1", "cannot be read"),
        ("bob", "cannot be read"),
        ("npub1x", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_what_names_no_service_is_refused_with_a_sentence(text: str, words: str) -> None:
    with pytest.raises(KitestringError) as caught:
        read_service(text)
    assert caught.value.reason is Reason.MALFORMED
    assert words in caught.value.message


def test_a_relay_that_was_typed_wrongly_is_named() -> None:
    with pytest.raises(KitestringError, match="'foo' is no relay address; it must look like wss://"):
        read_service(nip19.encode(Profile(SERVICE.public_hex, (URL,))), ("foo",))


async def test_a_key_that_is_none_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(KitestringError) as caught:
        await enroll(ServiceAddress("ff" * 32, (URL,)), CLIENT, net(IMPATIENT))
    assert caught.value.reason is Reason.MALFORMED
