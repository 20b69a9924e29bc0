"""A new link for a connection that is there: what happens to the old one is said, the new one alone is the answer."""

from __future__ import annotations

from kitestring.app.cli.connection import command
from tests.app.cli.test_connect import MADE
from tests.kit.app.console import Service, run


def test_the_new_link_alone_is_the_answer_and_the_end_of_the_old_one_is_said() -> None:
    said = run(command, "relink", "agent", "--idempotency-key", "k", answer=MADE)
    assert said.asked == [("connection_relink", {"name": "agent"}, "k")]
    assert said.out == "nostr+walletconnect://secret\n"
    assert "the old link of agent has ended: its app can do nothing here until it has the new one\n" in said.err
    assert "keep this link secret; until its first use `kitestring link agent` shows it again:" in said.err


def test_a_relinked_connection_takes_the_new_link_alone(service: Service) -> None:
    old = service.ok("connect", "my app", "--budget", "100/day")["nwc_uri"]
    paying = ("pay", "--wallet", "-")
    assert service.run(*paying, service.ok("sandbox", "invoice", "5")["bolt11"], stdin=old).exit_code == 0
    new = service.ok("connection", "relink", "my app")["nwc_uri"]
    assert service.run(*paying, service.ok("sandbox", "invoice", "5")["bolt11"], stdin=new).exit_code == 0
    assert service.run("connection", "relink", "nobody").exit_code == 2
