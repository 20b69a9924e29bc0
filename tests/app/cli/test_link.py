"""The link of a connection, shown again until its first use."""

from __future__ import annotations

import json

from kitestring.app.cli.link import command
from tests.app.cli.test_connect import MADE
from tests.kit.app.console import Service, run


def test_the_link_alone_is_the_answer() -> None:
    said = run(command, "agent", "--idempotency-key", "k", answer=MADE)
    assert said.asked == [("link", {"name": "agent"}, "k")]
    assert said.out == "nostr+walletconnect://secret\n"
    assert "already" not in said.err


def test_a_link_is_shown_again_until_an_app_has_used_it(service: Service) -> None:
    link = service.ok("connect", "shown again", "--preset", "full")["nwc_uri"]
    assert service.run("link", "shown again").stdout == f"{link}\n"
    bolt11 = service.ok("sandbox", "invoice", "5")["bolt11"]
    assert service.run("pay", "--yes", "--wallet", "-", bolt11, stdin=link).exit_code == 0
    refused = service.run("--json", "link", "shown again")
    error = json.loads(refused.stdout)["error"]
    assert (refused.exit_code, error["reason"]) == (2, "already_used")
    assert "kitestring connection rotate 'shown again'" in error["message"]
    assert service.run("link", "nobody").exit_code == 2
