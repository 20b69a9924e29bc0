"""F28, and what the fuzzer found besides: errors that nobody documents."""

import json

from kitestring.base.errors import KitestringError
from kitestring.nostr.relay import ServerConversation
from tests.prove.parsers import BY_NAME
from tests.sim.findings.critical import ViolationError


def _spoil(name: str, data: bytes) -> None:
    parser = BY_NAME[name]
    try:
        parser.call(data)
    except parser.raises:
        return
    except Exception as wrong:
        raise ViolationError(f"{name}: {wrong!r}") from wrong


def test_f28_a_proxy_that_is_no_url_is_refused_in_a_sentence() -> None:
    _spoil("proxies", b"http://[::1:3128")


def test_f28_a_file_that_is_nested_too_deeply_is_refused_in_a_sentence() -> None:
    _spoil("config", b"relays = " + b"[" * 4_000)


def test_f28_a_number_that_is_too_long_is_refused_in_a_sentence() -> None:
    _spoil("config", b"[relay]\nport = " + b"9" * 5_000)


def test_n1_a_filter_with_an_endless_number_is_refused_by_the_relay() -> None:
    _spoil("messages to a relay", b'["REQ","a",{"since":1e4000}]')


def test_what_is_right_is_read() -> None:
    assert KitestringError in BY_NAME["config"].raises
    frame = json.dumps(["REQ", "a", {"since": 1}]).encode()
    assert ServerConversation("challenge", ()).receive(frame)
