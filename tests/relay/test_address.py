from __future__ import annotations

import pytest

from kitestring.relay.address import relay_url


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "ws://127.0.0.1:7"),
        ("0.0.0.0", "ws://127.0.0.1:7"),
        ("", "ws://127.0.0.1:7"),
        ("::", "ws://[::1]:7"),
        ("::1", "ws://[::1]:7"),
        ("relay.lan", "ws://relay.lan:7"),
    ],
)
def test_the_relay_is_named_by_an_address_that_can_be_dialled(host: str, url: str) -> None:
    assert relay_url(host, 7) == url
