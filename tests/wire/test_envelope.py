from __future__ import annotations

import msgspec
import pytest

from kitestring.base.errors import CodecError
from kitestring.base.money import Msat
from kitestring.base.outcomes import Balance
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, decode_event, sign_event, verify_event
from kitestring.wire.envelope import (
    Expected,
    decrypt,
    encrypt,
    is_reply,
    notification_event,
    reply_event,
    reply_time,
    request_event,
    shared_secret,
)
from kitestring.wire.registry import BY_NAME
from kitestring.wire.reply_to import Cipher, ReplyTo
from kitestring.wire.text import MAX_PLAINTEXT_BYTES
from tests.kit.chance import Counted
from tests.kit.changed import replace
from tests.kit.clock import NOW
from tests.kit.wire.samples import CLIENT, SERVICE, STRANGER

NWC = ReplyTo("nwc", "nwc:g1", CLIENT.public_hex, "nip44", "ab" * 32, NOW, "get_balance")
OFFER = ReplyTo("offers", "service", CLIENT.public_hex, "nip44", "ab" * 32, NOW)


def reply(to: ReplyTo, plaintext: bytes = b'{"res":"ok"}', now: int = NOW) -> Event:
    shared = shared_secret(SERVICE, to.peer, to.cipher)
    return decode_event(
        reply_event(BY_NAME[to.wire], to, plaintext, key=SERVICE, shared=shared, entropy=Counted(), now=now).event
    )


@pytest.mark.parametrize("cipher", ["nip44", "nip04"])
def test_the_client_reads_the_reply_and_believes_it(cipher: Cipher) -> None:
    to = msgspec.structs.replace(NWC, cipher=cipher)
    plaintext = BY_NAME["nwc"].answer(Balance(Msat(5)), to)
    assert plaintext is not None
    event = reply(to, plaintext, NOW + 3)
    assert event.tags == [["p", CLIENT.public_hex], ["e", "ab" * 32]]
    assert (event.kind, event.created_at) == (kinds.NWC_RESPONSE, NOW + 3)
    assert is_reply(event, Expected(kinds.NWC_RESPONSE, SERVICE.public_hex, CLIENT.public_hex, "ab" * 32))
    text = decrypt(event.content, cipher, shared_secret(CLIENT, SERVICE.public_hex, cipher))
    assert text.encode() == plaintext


def test_offer_replies_carry_exactly_three_tags() -> None:
    event = reply(OFFER)
    assert event.kind == kinds.OFFER
    assert event.tags == [["p", CLIENT.public_hex], ["e", "ab" * 32], ["clink_version", "1"]]


def test_a_reply_is_not_older_than_its_request_and_not_far_ahead_of_our_clock() -> None:
    assert reply_time(NOW + 20, NOW) == NOW + 20
    assert reply_time(NOW - 20, NOW) == NOW
    assert reply_time(NOW + 500, NOW) == NOW + 60


def test_signing_again_gives_a_fresh_time_and_a_new_ciphertext() -> None:
    first, second = reply(OFFER), reply(OFFER, now=NOW + 50)
    assert (first.created_at, second.created_at) == (NOW, NOW + 50)
    assert verify_event(second)
    assert first.id != second.id


@pytest.mark.parametrize("cipher", ["nip44", "nip04"])
def test_the_largest_message_still_fits_an_event_and_one_byte_more_is_refused(cipher: Cipher) -> None:
    to = msgspec.structs.replace(OFFER, cipher=cipher)
    reply(to, b"x" * MAX_PLAINTEXT_BYTES)
    for longer in (b"x" * (MAX_PLAINTEXT_BYTES + 1), "🪁".encode() * (MAX_PLAINTEXT_BYTES // 4 + 1)):
        with pytest.raises(CodecError):
            reply(to, longer)


@pytest.mark.parametrize(
    ("kind", "cipher", "expires_at", "tail"),
    [
        (kinds.NWC_REQUEST, "nip44", None, [["encryption", "nip44_v2"]]),
        (kinds.NWC_REQUEST, "nip04", NOW + 90, [["expiration", str(NOW + 90)]]),
        (kinds.OFFER, "nip44", None, [["clink_version", "1"]]),
        (kinds.DEBIT, "nip44", None, [["clink_version", "1"]]),
    ],
)
def test_requests_carry_the_tags_of_their_wire(
    kind: int, cipher: Cipher, expires_at: int | None, tail: list[list[str]]
) -> None:
    event = request_event(
        CLIENT,
        kind=kind,
        service=SERVICE.public_hex,
        plaintext="{}",
        cipher=cipher,
        shared=shared_secret(CLIENT, SERVICE.public_hex, cipher),
        entropy=Counted(),
        now=NOW,
        expires_at=expires_at,
    )
    assert event.tags == [["p", SERVICE.public_hex], *tail]
    assert verify_event(event)
    assert decrypt(event.content, cipher, shared_secret(SERVICE, CLIENT.public_hex, cipher)) == "{}"


def signed(kind: int, tags: list[list[str]], key: SecretKey = SERVICE) -> Event:
    return sign_event(key, kind=kind, tags=tags, content="x", created_at=NOW)


P, E, V = ["p", CLIENT.public_hex], ["e", "ab" * 32], ["clink_version", "1"]


@pytest.mark.parametrize(
    ("event", "believed"),
    [
        (signed(kinds.OFFER, [P, E, V]), True),
        (signed(kinds.OFFER, [P, E]), True),
        (signed(kinds.OFFER, [P, E, V], STRANGER), False),
        (signed(kinds.OFFER, [["p", STRANGER.public_hex], P, E, V]), False),
        (signed(kinds.OFFER, [P, ["e", "cd" * 32], E, V]), False),
        (signed(kinds.OFFER, [E, V]), False),
        (signed(kinds.OFFER, [P, V]), False),
        (signed(kinds.OFFER, [P, E, ["clink_version", "2"]]), False),
        (signed(kinds.DEBIT, [P, E, V]), False),
        (msgspec.structs.replace(signed(kinds.OFFER, [P, E, V]), content="y"), False),
        (msgspec.structs.replace(signed(kinds.OFFER, [P, E, V]), sig="00" * 64), False),
    ],
)
def test_only_the_services_own_answer_to_this_request_is_believed(event: Event, believed: bool) -> None:
    assert is_reply(event, Expected(kinds.OFFER, SERVICE.public_hex, CLIENT.public_hex, "ab" * 32)) is believed


def test_every_reply_of_clink_that_names_a_version_names_version_1() -> None:
    expected = Expected(kinds.DEBIT, SERVICE.public_hex, CLIENT.public_hex, "ab" * 32)
    assert is_reply(signed(kinds.DEBIT, [P, E, V]), expected)
    assert not is_reply(signed(kinds.DEBIT, [P, E, ["clink_version", "2"]]), expected)


def test_a_nwc_response_may_lack_the_addressee_but_not_have_another() -> None:
    expected = Expected(kinds.NWC_RESPONSE, SERVICE.public_hex, CLIENT.public_hex, "ab" * 32)
    assert is_reply(signed(kinds.NWC_RESPONSE, [E]), expected)
    assert not is_reply(signed(kinds.NWC_RESPONSE, [["p", STRANGER.public_hex], E]), expected)
    assert not is_reply(signed(kinds.NWC_RESPONSE, [P, E]), replace(expected, own=STRANGER.public_hex))


def test_foreign_keys_cannot_read_a_message() -> None:
    content = encrypt("{}", "nip44", shared_secret(SERVICE, CLIENT.public_hex, "nip44"), Counted())
    with pytest.raises(CodecError):
        decrypt(content, "nip44", shared_secret(STRANGER, SERVICE.public_hex, "nip44"))


@pytest.mark.parametrize(("kind", "cipher"), [(kinds.NWC_NOTIFY, "nip44"), (kinds.NWC_NOTIFY_NIP04, "nip04")])
def test_what_is_said_unasked_names_its_reader_and_nothing_else(kind: int, cipher: Cipher) -> None:
    shared = shared_secret(SERVICE, CLIENT.public_hex, cipher)
    encoded = notification_event(
        kind, CLIENT.public_hex, cipher, b'{"a":1}', key=SERVICE, shared=shared, entropy=Counted(), now=NOW
    )
    event = decode_event(encoded.event)
    assert verify_event(event)
    assert (event.kind, event.created_at, event.tags) == (kind, NOW, [["p", CLIENT.public_hex]])
    assert decrypt(event.content, cipher, shared_secret(CLIENT, SERVICE.public_hex, cipher)) == '{"a":1}'
