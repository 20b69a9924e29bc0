from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.errors import CodecError
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event, encode_event, sign_event
from kitestring.nostr.filter import Filter
from kitestring.nostr.relay import (
    MAX_AUTH_AGE_S,
    MAX_FILTERS,
    MAX_FRAME_BYTES,
    Auth,
    AuthChallenge,
    Authenticated,
    ClientConversation,
    Close,
    ClosedMessage,
    EoseMessage,
    EventMessage,
    Ignored,
    NoticeMessage,
    OkMessage,
    Publish,
    RefusedFrame,
    ServerConversation,
    Subscribe,
    auth_event,
    event_frame,
    reason_prefix,
)

NOW = 1_760_000_000
URL = "wss://relay.example.com"
KEY, OTHER = SecretKey(b"\x01" * 32), SecretKey(b"\x02" * 32)
EVENT = sign_event(KEY, kind=21001, tags=[["p", OTHER.public_hex]], content='ü "quoted"\n', created_at=NOW)
BOMB = b"[" * 60_000
GARBAGE = [
    b"", b" ", b"null", b"{}", b"[]", b"[1]", b'["EVENT"]', b'["EVENT","s"]', b'["EVENT","s",{}]', b'["EVENT","s",[]]',
    b'["OK","id"]', b'["OK","id","true",""]', b'["OK",1,true,""]', b'["EOSE"]', b'["EOSE",7]', b'["CLOSED"]',
    b'["AUTH"]', b'["AUTH",null]', b'["NOTICE",{}]', b'["COUNT","s",{"count":1}]', b'["eose","s"]', b"\xff\xfe",
    b'["EOSE","\xff"]', b'["EOSE","\\ud800"]', b'["EOSE","s"', BOMB, b'["EVENT","s",' + BOMB,
    b'["EVENT","s",{"x":' + BOMB,
]  # fmt: skip


def opened() -> ClientConversation:
    talk = ClientConversation(URL)
    talk.subscribe("s", [Filter(kinds={21001})])
    return talk


def event_message(event: Event = EVENT, subscription_id: str = "s") -> bytes:
    return b'["EVENT",' + json.dumps(subscription_id).encode() + b"," + encode_event(event) + b"]"


# ---------------------------------------------------------------- the client's side


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (event_message(), EventMessage("s", EVENT)),
        (b' [ "EVENT" , "s" , ' + encode_event(EVENT) + b' , "more" ] ', EventMessage("s", EVENT)),
        (b'["EOSE","s"]', EoseMessage("s")),
        (b'["EOSE","s",{"cursor":1}]', EoseMessage("s")),
        (b'["CLOSED","s"]', ClosedMessage("s")),
        (b'["NOTICE","slow down"]', NoticeMessage("slow down")),
        (b'["OK","abc",true]', OkMessage("abc", True)),
        (b'["OK","abc",false,"blocked: no"]', OkMessage("abc", False, "blocked: no")),
        (b'["AUTH","c1"]', AuthChallenge("c1")),
    ],
)
def test_a_frame_of_a_relay_becomes_its_type(frame: bytes, expected: object) -> None:
    assert opened().receive(frame) == expected
    assert opened().receive(frame.decode()) == expected


@pytest.mark.parametrize("frame", GARBAGE, ids=lambda frame: repr(frame[:24]))
def test_a_malformed_frame_is_ignored_and_disturbs_nothing(frame: bytes) -> None:
    talk = opened()
    assert isinstance(talk.receive(frame), Ignored)
    assert isinstance(talk.receive(event_message()), EventMessage)


@given(st.binary(max_size=300) | st.text(max_size=300))
@settings(max_examples=100, deadline=None)
def test_no_frame_whatsoever_raises(frame: bytes | str) -> None:
    opened().receive(frame)
    ServerConversation("c", ()).receive(frame)


def test_an_event_needs_the_form_of_nip_01() -> None:
    good = json.loads(encode_event(EVENT))
    for name, bad in (
        ("id", "AB" * 32),
        ("kind", 1.0),
        ("kind", "1"),
        ("created_at", True),
        ("tags", [[1]]),
        ("sig", ""),
    ):
        frame = json.dumps(["EVENT", "s", good | {name: bad}]).encode()
        assert isinstance(opened().receive(frame), Ignored), name


def test_an_oversize_frame_is_ignored_unparsed() -> None:
    frame = b'["NOTICE","' + b"x" * MAX_FRAME_BYTES + b'"]'
    assert isinstance(opened().receive(frame), Ignored)


def test_what_is_too_large_for_a_frame_is_not_sent() -> None:
    with pytest.raises(CodecError):
        event_frame(b"x" * MAX_FRAME_BYTES)
    keys = {f"{number:064x}" for number in range(900)}
    with pytest.raises(CodecError):
        ClientConversation(URL).subscribe("s", [Filter(authors=keys), Filter(ids=keys), Filter(tags={"p": keys})])


def test_news_of_a_subscription_that_was_never_opened_or_is_closed_is_ignored() -> None:
    talk = opened()
    assert isinstance(talk.receive(event_message(subscription_id="other")), Ignored)
    assert talk.close("s") == b'["CLOSE","s"]'
    for frame in (event_message(), b'["EOSE","s"]', b'["CLOSED","s","x"]'):
        assert isinstance(talk.receive(frame), Ignored)


def test_the_word_before_the_colon_is_the_reason() -> None:
    assert reason_prefix("rate-limited: slow down") == "rate-limited"
    assert reason_prefix("no colon") == reason_prefix("two words: x") == reason_prefix("") == ""


def answered(talk: ClientConversation, key: SecretKey, text: bytes = b'true,""') -> object:
    event = auth_event(key, URL, talk.challenge or "", NOW)
    assert talk.authenticate(event) == b'["AUTH",' + encode_event(event) + b"]"
    return talk.receive(b'["OK","' + event.id.encode() + b'",' + text + b"]")


def test_a_request_that_needs_authentication_is_sent_again_after_it() -> None:
    talk = opened()
    talk.receive(b'["AUTH","c1"]')
    assert talk.next_auth() is None
    req = talk.subscribe("s", [Filter(kinds={21001})])
    assert talk.receive(b'["CLOSED","s","auth-required: who are you"]') == ClosedMessage(
        "s", "auth-required: who are you"
    )
    assert talk.want_auth([KEY.public_hex, OTHER.public_hex])
    talk.block_subscription("s", [KEY.public_hex, OTHER.public_hex])
    talk.block_event(EVENT.id, event_frame(encode_event(EVENT)), [OTHER.public_hex])
    assert talk.next_auth() == KEY.public_hex
    assert answered(talk, KEY) == Authenticated(KEY.public_hex, True, "")
    assert talk.resend() == []  # the second key is still to come
    answered(talk, OTHER)
    assert talk.resend() == [req, event_frame(encode_event(EVENT))]
    assert talk.resend() == []
    assert isinstance(talk.receive(event_message()), EventMessage)


def test_a_request_can_wait_for_an_authentication_before_it_is_sent_at_all() -> None:
    talk = opened()
    before = talk.wants_auth
    talk.receive(b'["AUTH","c1"]')
    talk.subscribe("s", [])
    talk.receive(b'["CLOSED","s","auth-required: who are you"]')
    assert (before, talk.wants_auth) == (False, True)
    assert talk.want_auth([KEY.public_hex])
    req = talk.subscribe("t", [Filter(kinds={21001})])
    talk.block_subscription("t", [KEY.public_hex])
    assert (talk.is_blocked("t"), talk.is_blocked("u")) == (True, False)
    answered(talk, KEY)
    assert req in talk.resend()
    assert not talk.is_blocked("t")


def test_what_waits_for_keys_that_are_answered_is_given_while_others_still_wait() -> None:
    talk = opened()
    talk.receive(b'["AUTH","c1"]')
    asked = {name: talk.subscribe(name, []) for name in ("s", "t")}
    assert talk.want_auth([KEY.public_hex])
    talk.block_subscription("s", [KEY.public_hex])
    assert talk.want_auth([OTHER.public_hex])
    talk.block_subscription("t", [OTHER.public_hex])
    answered(talk, KEY)
    assert talk.resend() == [asked["s"]]
    assert (talk.is_blocked("s"), talk.is_blocked("t")) == (False, True)
    talk.receive(b'["CLOSED","s","auth-required: not you"]')
    assert not talk.want_auth([KEY.public_hex]), "it has had its chance, whoever still waits"
    answered(talk, OTHER)
    assert asked["t"] in talk.resend()


def test_where_no_answer_to_an_authentication_comes_what_waits_for_it_is_given_all_the_same() -> None:
    talk = opened()
    talk.receive(b'["AUTH","c1"]')
    req = talk.subscribe("s", [])
    assert talk.want_auth([KEY.public_hex, OTHER.public_hex])
    talk.block_subscription("s", [KEY.public_hex, OTHER.public_hex])
    talk.authenticate(auth_event(KEY, "wss://relay.example", "c1", 1_760_000_000))
    assert talk.resend() == []
    assert talk.is_wanted([OTHER.public_hex])
    assert not talk.is_wanted([KEY.public_hex])
    assert talk.release("s", [KEY.public_hex]) == req
    assert isinstance(talk.receive(b'["EOSE","s"]'), EoseMessage)
    assert talk.next_auth() == OTHER.public_hex, "whose turn is still to come"
    assert not talk.want_auth([KEY.public_hex])


def test_an_event_that_nobody_waits_for_is_kept_no_longer() -> None:
    talk = opened()
    talk.block_event(EVENT.id, event_frame(encode_event(EVENT)), [])
    talk.let_go(EVENT.id)
    talk.let_go("another")
    assert talk.resend() == []


def test_only_the_newest_challenge_is_answered_and_each_key_once_per_challenge() -> None:
    talk = opened()
    assert talk.want_auth([KEY.public_hex])
    assert talk.next_auth() is None  # no challenge yet
    talk.receive(b'["AUTH","c1"]')
    talk.receive(b'["AUTH","c2"]')
    assert talk.challenge == "c2"
    answered(talk, KEY)
    assert not talk.want_auth([KEY.public_hex])
    talk.receive(b'["AUTH","c2"]')
    assert not talk.want_auth([KEY.public_hex])
    talk.receive(b'["AUTH","c3"]')
    assert talk.want_auth([KEY.public_hex])


def test_an_authentication_under_way_is_repeated_for_a_new_challenge() -> None:
    talk = opened()
    talk.receive(b'["AUTH","c1"]')
    talk.want_auth([KEY.public_hex])
    talk.authenticate(auth_event(KEY, URL, "c1", NOW))
    talk.receive(b'["AUTH","c2"]')
    assert talk.next_auth() == KEY.public_hex


def test_a_restricted_key_is_not_tried_again_even_with_a_new_challenge() -> None:
    talk = opened()
    talk.receive(b'["AUTH","c1"]')
    talk.want_auth([KEY.public_hex])
    assert answered(talk, KEY, b'false,"restricted: not a member"') == Authenticated(
        KEY.public_hex, False, "restricted: not a member"
    )
    talk.receive(b'["AUTH","c2"]')
    assert not talk.want_auth([KEY.public_hex])


# ---------------------------------------------------------------- the relay's side


def server() -> ServerConversation:
    return ServerConversation("challenge", ["relay.example.com"])


def test_a_frame_of_a_client_becomes_its_command() -> None:
    assert server().receive(event_frame(encode_event(EVENT))) == Publish(EVENT)
    assert server().receive(b'["CLOSE","s"]') == Close("s")
    assert server().receive(b'["AUTH",' + encode_event(EVENT) + b"]") == Auth(EVENT)
    wanted = [Filter(kinds={21001}, tags={"p": {OTHER.public_hex}}, limit=3), Filter(ids={EVENT.id})]
    frame = ClientConversation(URL).subscribe("s", wanted)
    command = server().receive(frame)
    assert command == Subscribe("s", tuple(wanted))


@pytest.mark.parametrize(
    ("frame", "reply"),
    [
        (b"not json", ["NOTICE", "invalid: the frame is not a JSON array"]),
        (BOMB, ["NOTICE", "invalid: the frame is not a JSON array"]),
        (b"{}", ["NOTICE", "invalid: the frame is not a JSON array"]),
        (b"[]", ["NOTICE", "invalid: a frame is a JSON array that begins with a word"]),
        (b'["COUNT","s",{}]', ["NOTICE", "unsupported: there is no COUNT message here"]),
        (b'["REQ"]', ["NOTICE", "invalid: the REQ message is malformed"]),
        (b'["REQ","",{}]', ["NOTICE", "invalid: a subscription id has 1 to 64 characters"]),
        (b'["REQ","' + b"x" * 65 + b'",{}]', ["NOTICE", "invalid: a subscription id has 1 to 64 characters"]),
        (b'["REQ","s",{"since":1e4000}]', ["CLOSED", "s", "invalid: a filter that cannot be read"]),
        (b'["REQ","s"]', ["CLOSED", "s", f"invalid: a REQ has 1 to {MAX_FILTERS} filters"]),
        (b'["REQ","s"' + b",{}" * 21 + b"]", ["CLOSED", "s", f"invalid: a REQ has 1 to {MAX_FILTERS} filters"]),
        (
            b'["EVENT",{"id":"' + b"a" * 64 + b'"}]',
            ["OK", "a" * 64, False, "invalid: the event does not have the form of NIP-01"],
        ),
        (b'["NOTICE","' + b"x" * MAX_FRAME_BYTES + b'"]', ["NOTICE", "invalid: a frame must not exceed 131072 bytes"]),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_malformed_command_is_answered_in_the_form_that_fits(frame: bytes, reply: list[object]) -> None:
    command = server().receive(frame)
    assert isinstance(command, RefusedFrame)
    assert json.loads(command.reply) == reply


def test_a_malformed_filter_closes_the_subscription() -> None:
    for bad in (b"1", b'{"kinds":["1"]}', b'{"ids":["zz"]}', b'{"#emoji":[]}', b'{"since":-1}'):
        command = server().receive(b'["REQ","s",' + bad + b"]")
        assert isinstance(command, RefusedFrame)
        assert json.loads(command.reply)[:2] == ["CLOSED", "s"]


def test_an_answer_to_our_challenge_for_our_address_authenticates() -> None:
    talk = server()
    assert talk.authenticate(auth_event(KEY, "wss://Relay.Example.com:443/", "challenge", NOW), NOW) == ""
    assert talk.authenticated == {KEY.public_hex}


def forged() -> Event:
    good = auth_event(KEY, URL, "challenge", NOW)
    return Event(good.id, OTHER.public_hex, good.created_at, good.kind, good.tags, good.content, good.sig)


@pytest.mark.parametrize(
    "event",
    [
        auth_event(KEY, URL, "another", NOW),
        auth_event(KEY, "wss://evil.example.com", "challenge", NOW),
        auth_event(KEY, "wss://evil.example.com/relay.example.com", "challenge", NOW),
        auth_event(KEY, URL, "challenge", NOW - MAX_AUTH_AGE_S - 1),
        sign_event(KEY, kind=22243, tags=[["relay", URL], ["challenge", "challenge"]], content="", created_at=NOW),
        forged(),
    ],
    ids=["challenge", "relay", "path", "old", "kind", "signature"],
)
def test_an_answer_that_is_wrong_in_one_point_does_not_authenticate(event: Event) -> None:
    talk = server()
    assert talk.authenticate(event, NOW)
    assert not talk.authenticated
