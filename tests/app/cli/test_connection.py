"""A new link for a connection that is there: what happens to the old one is said, the new one alone is the answer."""

from __future__ import annotations

from kitestring.app.cli.connection import command
from kitestring.app.cli.values import when
from tests.app.cli.test_connect import MADE
from tests.kit.app.console import Service, run

SHOWN = {**MADE, "last_used_at": None}


def test_the_new_link_alone_is_the_answer_and_the_end_of_the_old_one_is_said() -> None:
    said = run(command, "relink", "agent", "--idempotency-key", "k", answer=MADE)
    assert said.asked == [("connection_relink", {"name": "agent"}, "k")]
    assert said.out == "nostr+walletconnect://secret\n"
    assert "the old link of agent has ended: its app can do nothing here until it has the new one\n" in said.err
    assert "keep this link secret; until its first use `kitestring link agent` shows it again:" in said.err


def test_each_relay_of_a_connection_is_shown_with_what_it_does_and_says() -> None:
    relays = [
        {"relay": "wss://good.example", "listening": True, "announced": True, "words": ""},
        {"relay": "wss://bad.example", "listening": True, "announced": False, "words": "blocked: members only"},
    ]
    said = run(command, "show", "agent", answer={**SHOWN, "used": False, "relays": relays})
    assert said.asked == [("connection_show", {"name": "agent"}, "")]
    first, _, head, good, bad = said.out.splitlines()
    assert first.startswith("agent: account owner; 5,000 sat per day;")
    assert first.endswith("not used yet: `kitestring link agent` shows the link again")
    assert head.split("  ")[0] == "relay"
    assert good.split() == ["wss://good.example", "yes", "yes", "–"]
    assert bad.split() == ["wss://bad.example", "yes", "no", "blocked:", "members", "only"]
    used = {**SHOWN, "used": True, "last_used_at": 1_760_000_000, "relays": []}
    assert f"; last used {when(1_760_000_000)}\n" in run(command, "show", "agent", answer=used).out


def test_the_relay_of_a_running_service_brings_requests_and_shows_the_connection(service: Service) -> None:
    service.ok("connect", "kiosk")
    shown = service.ok("connection", "show", "kiosk")
    assert shown["relays"] == [{"relay": service.card["relay"], "listening": True, "announced": True, "words": ""}]
    assert service.run("connection", "show", "nobody").exit_code == 2


def test_a_relinked_connection_takes_the_new_link_alone(service: Service) -> None:
    old = service.ok("connect", "my app", "--budget", "100/day")["nwc_uri"]
    paying = ("pay", "--wallet", "-")
    assert service.run(*paying, service.ok("sandbox", "invoice", "5")["bolt11"], stdin=old).exit_code == 0
    new = service.ok("connection", "relink", "my app")["nwc_uri"]
    assert service.run(*paying, service.ok("sandbox", "invoice", "5")["bolt11"], stdin=new).exit_code == 0
    assert service.run("connection", "relink", "nobody").exit_code == 2
