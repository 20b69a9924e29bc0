"""From a name to an offer: addresses over a web that is laid ready, profiles over relays."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.client.net import Net
from kitestring.client.offers import discovery
from kitestring.client.offers.discovery import MAX_PROFILES, find_at, find_of
from kitestring.codec import pointers
from kitestring.codec.address import InternetAddress
from kitestring.codec.nip19 import Profile
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from kitestring.relay.server import Relay
from kitestring.transport.border import FetchFault
from kitestring.transport.fetch import DEFAULT_CAPS, FetchCaps, Fetched
from tests.kit.chance import entropy
from tests.kit.changed import replace
from tests.kit.client.hostile import CLOCK, IMPATIENT, PATIENT, STRANGER, hostile_relay, net, noffer, pool
from tests.kit.client.web import Documents
from tests.kit.clock import NOW, PATIENCE_S

BOB = InternetAddress("bob", "pay.example")
NOSTR, LNURLP = BOB.nostr_json, BOB.lnurlp
OFFER = noffer("wss://relay.example.com")
CODE = pointers.encode(OFFER)
OTHER = pointers.encode(noffer("wss://relay.example.com", "other"))


def on(served: Mapping[str, str | FetchFault]) -> tuple[Net, Documents]:
    web = Documents(served)
    return replace(net(), web=web), web


async def refused(served: Mapping[str, str | FetchFault]) -> KitestringError:
    with pytest.raises(KitestringError) as caught:
        await find_at(BOB, on(served)[0])
    return caught.value


# ---------------------------------------------------------------- addresses


async def test_an_address_is_looked_up_in_both_documents_and_only_one_may_redirect() -> None:
    mine, web = on({LNURLP: json.dumps({"tag": "payRequest", "clink_offer": CODE})})
    assert await find_at(BOB, mine) == OFFER
    assert web.asked == {NOSTR: 0, LNURLP: 2}


@pytest.mark.parametrize("value", [{"bob": CODE}, CODE], ids=["map", "flat"])
@pytest.mark.parametrize("name", ["clink_offer", "nip69"])
async def test_nostr_json_comes_first(name: str, value: object) -> None:
    documents = {NOSTR: json.dumps({name: value}), LNURLP: json.dumps({"clink_offer": OTHER})}
    assert await find_at(BOB, on(documents)[0]) == OFFER


async def test_a_slow_second_document_is_not_waited_for_when_the_first_one_tells() -> None:
    never = asyncio.Event()

    class Slow(Documents):
        async def fetch(
            self, url: str, *, own: bool = False, method: str = "GET", body: bytes | None = None,
            headers: Mapping[str, str] | None = None, caps: FetchCaps = DEFAULT_CAPS,
        ) -> Fetched:  # fmt: skip
            if url == LNURLP:
                await never.wait()
            return await super().fetch(url, caps=caps)

    async with asyncio.timeout(PATIENCE_S):
        assert await find_at(BOB, replace(net(), web=Slow({NOSTR: json.dumps({"clink_offer": CODE})}))) == OFFER


@pytest.mark.parametrize("fault", [FetchFault.LATE, FetchFault.REDIRECTED, FetchFault.TOO_LARGE])
async def test_one_document_that_cannot_be_read_leaves_the_other(fault: FetchFault) -> None:
    assert await find_at(BOB, on({NOSTR: fault, LNURLP: json.dumps({"noffer": CODE})})[0]) == OFFER
    assert await find_at(BOB, on({NOSTR: json.dumps({"clink_offer": CODE}), LNURLP: fault})[0]) == OFFER


async def test_an_address_that_takes_lnurl_alone_is_said_to_be_one() -> None:
    for nostr in ("{}", FetchFault.LATE):
        error = await refused({NOSTR: nostr, LNURLP: '{"tag":"payRequest","callback":"https://x"}'})
        assert error.reason is Reason.UNSUPPORTED
        assert "bob@pay.example takes payments by LNURL alone" in error.message


async def test_nobody_of_that_name_is_told_apart_from_a_domain_that_is_away() -> None:
    unknown = await refused({LNURLP: '{"status":"ERROR","reason":"no"}'})
    assert unknown.reason is Reason.UNKNOWN_TARGET
    assert "names no offer" in unknown.message
    away = await refused({NOSTR: FetchFault.UNREACHABLE, LNURLP: FetchFault.UNREACHABLE})
    assert (away.reason, away.message) == (
        Reason.UNAVAILABLE,
        "bob@pay.example cannot be looked up: example.com is away",
    )


async def test_an_address_leads_into_no_private_network() -> None:
    with pytest.raises(KitestringError, match="is not on a public address") as caught:
        await find_at(InternetAddress("bob", "nas.local"), net())
    assert caught.value.reason is Reason.NOT_PERMITTED


# ---------------------------------------------------------------- profiles


def profile(content: str, at: int = NOW) -> Event:
    return sign_event(STRANGER, kind=kinds.METADATA, tags=[], content=content, created_at=at)


def naming(code: str) -> str:
    return json.dumps({"name": "Bob", "clink_offer": code})


async def test_a_profile_is_found_at_ones_own_relays() -> None:
    async with Relay(None, clock=CLOCK, entropy=entropy) as relay, pool(relay.url) as publisher:
        assert (await publisher.publish(profile(naming(CODE)))).accepted
        assert await find_of(Profile(STRANGER.public_hex), net(PATIENT, relay.url)) == OFFER


async def test_the_newest_profile_that_the_key_has_signed_counts_whatever_else_relays_send() -> None:
    new, old = profile(naming(CODE), NOW), profile(naming(OTHER), NOW - 60)
    forged = [replace(profile(naming(OTHER), NOW + number), sig="00" * 64) for number in range(1, MAX_PROFILES + 9)]
    own_note = sign_event(STRANGER, kind=1, tags=[], content=naming(OTHER), created_at=NOW + 99)
    async with (
        hostile_relay(lambda _: None, stored=[*forged, own_note]) as liar,
        hostile_relay(lambda _: None, stored=[new, old]) as honest,
    ):
        mine = net(PATIENT, liar.url, honest.url)
        assert await find_of(Profile(STRANGER.public_hex, (liar.url, honest.url)), mine) == OFFER


async def test_a_relay_that_floods_costs_few_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[Event] = []

    def verify(event: Event) -> bool:
        looked_at.append(event)
        return False

    monkeypatch.setattr(discovery, "verify_event", verify)
    flood = [profile(naming(CODE), NOW + number) for number in range(3 * MAX_PROFILES)]
    async with hostile_relay(lambda _: None, stored=flood) as relay:
        with pytest.raises(KitestringError, match="knows the profile"):
            await find_of(Profile(STRANGER.public_hex), net(IMPATIENT, relay.url))
    assert looked_at == flood[:MAX_PROFILES]


async def test_a_profile_is_asked_for_at_the_relays_beside_its_key_which_are_checked() -> None:
    async with hostile_relay(lambda _: None, stored=[profile(naming(CODE))]) as named:
        person = Profile(STRANGER.public_hex, (named.url,))
        assert await find_of(person, net(IMPATIENT, allow_private=True)) == OFFER
        with pytest.raises(KitestringError) as caught:
            await find_of(person, net(IMPATIENT))
        assert caught.value.reason is Reason.NOT_PERMITTED
        async with hostile_relay(lambda _: None, stored=[profile(naming(OTHER))]) as own:
            found = await find_of(person, net(IMPATIENT, own.url))
        assert pointers.encode(found) == OTHER  # only one's own was asked


async def test_a_bare_key_without_any_relay_cannot_be_looked_up() -> None:
    with pytest.raises(KitestringError, match=r"take the nprofile1… of it") as caught:
        await find_of(Profile(STRANGER.public_hex), net(IMPATIENT))
    assert caught.value.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ([], "no relay that was asked knows the profile"),
        ([profile("<html>")], "names no offer"),
        ([profile('{"lud16":"bob@pay.example"}')], "but the address bob@pay.example: pay that one"),
    ],
    ids=["no profile", "no JSON", "an address"],
)
async def test_a_profile_without_an_offer_is_told_as_such(stored: list[Event], words: str) -> None:
    async with hostile_relay(lambda _: None, stored=stored) as relay:
        with pytest.raises(KitestringError, match=words) as caught:
            await find_of(Profile(STRANGER.public_hex), net(IMPATIENT, relay.url))
    assert caught.value.reason is Reason.UNKNOWN_TARGET


async def test_relays_that_are_away_are_told_as_such(port: int) -> None:
    with pytest.raises(KitestringError, match="no relay can be reached") as caught:
        await find_of(Profile(STRANGER.public_hex), net(IMPATIENT, f"ws://127.0.0.1:{port}"))
    assert caught.value.reason is Reason.UNAVAILABLE
