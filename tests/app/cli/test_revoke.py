"""The end of a wallet connection on the command line."""

from __future__ import annotations

from kitestring.app.cli.revoke import command
from tests.kit.app.console import Service, run


def test_a_connection_is_ended_by_its_name() -> None:
    said = run(command, "agent", "--yes", "--idempotency-key", "k", answer={"name": "agent"})
    assert said.asked == [("revoke", {"name": "agent"}, "k")]
    assert said.out == "agent is revoked: the app can do nothing here any more\n"


def test_one_that_is_not_there_is_named(service: Service) -> None:
    refused = service.run("revoke", "nobody")
    assert (refused.exit_code, "there is no connection 'nobody'" in refused.stderr) == (2, True)
