"""A new link for a connection that is there: what happens to the old one is said, the new one alone is the answer."""

from __future__ import annotations

from kitestring.app.cli.connection import command
from kitestring.app.cli.values import when
from tests.app.cli.test_connect import MADE
from tests.kit.app.console import Service, run

MADE_AT = 1_750_000_000
SHOWN = {**MADE, "last_used_at": None, "created_at": MADE_AT, "state": "active", "budgets": []}
PAUSED_AT = 1_760_000_000
K = ("--idempotency-key", "k")


def test_the_new_link_alone_is_the_answer_and_the_end_of_the_old_one_is_said() -> None:
    said = run(command, "rotate", "agent", *K, answer=MADE)
    assert said.asked == [("connection_rotate", {"name": "agent"}, "k")]
    assert said.out == "nostr+walletconnect://secret\n"
    assert "the old link of agent has ended: its app can do nothing here until it has the new one\n" in said.err
    assert "keep this link secret; until its first use `kitestring link agent` shows it again:" in said.err


def test_each_relay_of_a_connection_is_shown_with_what_it_does_and_says() -> None:
    relays = [
        {"relay": "wss://good.example", "listening": True, "announced": True, "words": None},
        {"relay": "wss://bad.example", "listening": True, "announced": False, "words": "blocked: members only"},
    ]
    said = run(command, "show", "agent", answer={**SHOWN, "used": False, "relays": relays})
    assert said.asked == [("connection_show", {"name": "agent"}, "")]
    first, since, _, head, good, bad = said.out.splitlines()
    assert since == f"made: {when(MADE_AT)}"
    assert first.startswith("agent: account owner; no budget limit;")
    assert first.endswith("not used yet: `kitestring link agent` shows the link again")
    assert head.split("  ")[0] == "relay"
    assert good.split() == ["wss://good.example", "yes", "yes", "–"]
    assert bad.split() == ["wss://bad.example", "yes", "no", "blocked:", "members", "only"]
    used = {**SHOWN, "used": True, "last_used_at": 1_760_000_000, "relays": []}
    assert f"; last used {when(1_760_000_000)}\n" in run(command, "show", "agent", answer=used).out


def test_what_is_left_of_each_budget_is_shown_and_a_rolling_one_has_no_moment_at_which_it_renews() -> None:
    day = {
        "limit_msat": 5_000_000, "period": "day", "length_s": 0, "used_msat": 1_000, "left_msat": 4_999_000,
        "renews_at": 1_760_000_000,
    }  # fmt: skip
    rolling = {**day, "period": "rolling", "length_s": 86_400}
    answer = {**SHOWN, "used": True, "relays": [], "budgets": [day, rolling, {**day, "renews_at": None}]}
    first, second, third = run(command, "show", "agent", answer=answer).lines[2:5]
    assert first == f"budget: 4,999 sat left of 5,000 sat per day, renews {when(1_760_000_000)}"
    assert second == "budget: 4,999 sat left of 5,000 sat in any 24h"
    assert third == "budget: 4,999 sat left of 5,000 sat per day"
    over = {**day, "used_msat": 6_000_000, "left_msat": 0}
    assert run(command, "show", "agent", answer={**answer, "budgets": [over]}).lines[2] == (
        f"budget: 0 sat left of 5,000 sat per day (6,000 sat is spent already), renews {when(1_760_000_000)}"
    )


def test_a_paused_or_expired_connection_says_how_its_app_goes_on() -> None:
    for state, way in (("paused", "connection resume agent"), ("expired", "connection edit agent --expires 30d")):
        said = run(command, "show", "agent", answer={**SHOWN, "used": True, "relays": [], "state": state})
        assert said.lines[2] == f"{state}: `kitestring {way}` lets its app go on"
    rotated = run(command, "rotate", "agent", *K, answer={**MADE, "paused_at": PAUSED_AT})
    assert "paused: `kitestring connection resume agent` lets its app go on" in rotated.err


def test_a_pause_and_its_end_are_said_and_that_they_were_so_already() -> None:
    paused = {**SHOWN, "state": "paused", "paused_at": PAUSED_AT, "changed": True}
    said = run(command, "pause", "agent", *K, answer=paused)
    assert said.asked == [("connection_pause", {"name": "agent"}, "k")]
    assert said.out == "agent is paused: `kitestring connection resume agent` lets its app go on\n"
    again = run(command, "pause", "agent", *K, answer={**paused, "changed": False})
    assert again.out.startswith(f"agent is paused already, since {when(PAUSED_AT)}: ")
    resumed = run(command, "resume", "agent", *K, answer={**SHOWN, "changed": True})
    assert resumed.asked == [("connection_resume", {"name": "agent"}, "k")]
    assert resumed.out == "agent is no longer paused: its app goes on\n"
    assert run(command, "resume", "agent", *K, answer={**SHOWN, "changed": False}).out == "agent was not paused\n"
    expired = run(command, "resume", "agent", *K, answer={**SHOWN, "state": "expired", "changed": True})
    assert "but has expired: `kitestring connection edit agent --expires 30d` lets its app go on" in expired.out


def test_a_connection_is_renamed_in_two_words() -> None:
    renamed = {**SHOWN, "name": "till", "changed": {"name": {"before": "agent", "after": "till"}}}
    said = run(command, "rename", "agent", "till", *K, answer=renamed)
    assert said.asked == [("connection_edit", {"name": "agent", "new_name": "till"}, "k")]
    assert said.out == "the connection agent is called till\n"
    same = run(command, "rename", "till", "till", *K, answer={**renamed, "changed": {}})
    assert same.out == "the connection till is called till already\n"


def test_the_app_of_a_paused_connection_is_refused_until_it_is_resumed(service: Service) -> None:
    uri = service.ok("connect", "sleeper", "--budget", "100/day")["nwc_uri"]
    paying = ("--json", "pay", "--yes", "--wallet", "-")
    service.ok("connection", "pause", "sleeper")
    refused = service.run(*paying, service.ok("sandbox", "invoice", "5")["bolt11"], stdin=uri)
    assert refused.exit_code == 5
    assert "this connection is paused: only the owner of the wallet can resume it" in refused.stdout
    assert service.ok("connection", "show", "sleeper")["spent_msat"] == 0
    service.ok("connection", "rename", "sleeper", "waker")
    service.ok("connection", "resume", "waker")
    assert service.run(*paying, service.ok("sandbox", "invoice", "5")["bolt11"], stdin=uri).exit_code == 0


def test_the_owner_sees_what_an_app_has_used_of_its_budget(service: Service) -> None:
    uri = service.ok("connect", "eater", "--budget", "100/total")["nwc_uri"]
    paid = service.ok("pay", service.ok("sandbox", "invoice", "40")["bolt11"], "--yes", "--wallet", "-", stdin=uri)
    (stands,) = service.ok("connection", "show", "eater")["budgets"]
    assert stands["used_msat"] == 40_000 + paid["fee_msat"]
    assert stands["left_msat"] == 100_000 - stands["used_msat"]


def test_the_relay_of_a_running_service_brings_requests_and_shows_the_connection(service: Service) -> None:
    service.ok("connect", "kiosk")
    shown = service.ok("connection", "show", "kiosk")
    assert shown["relays"] == [{"relay": service.card["relay"], "listening": True, "announced": True, "words": None}]
    assert service.run("connection", "show", "nobody").exit_code == 2


def test_a_rotated_connection_takes_the_new_link_alone(service: Service) -> None:
    old = service.ok("connect", "my app", "--budget", "100/day")["nwc_uri"]
    paying = ("pay", "--yes", "--wallet", "-")
    assert service.run(*paying, service.ok("sandbox", "invoice", "5")["bolt11"], stdin=old).exit_code == 0
    new = service.ok("connection", "rotate", "my app")["nwc_uri"]
    assert service.run(*paying, service.ok("sandbox", "invoice", "5")["bolt11"], stdin=new).exit_code == 0
    assert service.run("connection", "rotate", "nobody").exit_code == 2
