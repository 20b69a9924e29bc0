"""A key that is refused from now on."""

from __future__ import annotations

from kitestring.app.cli.block import command
from tests.kit.app.console import Service, run
from tests.kit.app.questions import NPUB


def test_a_key_is_blocked_by_its_name_with_a_note() -> None:
    answer = {"npub": NPUB, "blocked": True}
    said = run(command, NPUB, "--note", "spam", "--idempotency-key", "k", answer=answer)
    assert said.asked == [("block", {"key": NPUB, "note": "spam"}, "k")]
    assert said.out.startswith(f"{NPUB} is refused whatever it asks for")
    assert "is blocked already" in run(command, NPUB, answer={**answer, "blocked": False}).out


def test_a_blocked_key_is_listed_and_what_is_no_key_is_refused(service: Service) -> None:
    assert service.ok("block", NPUB)["blocked"] is True
    assert [row["npub"] for row in service.ok("blocked")["blocked"]] == [NPUB]
    assert service.ok("unblock", NPUB)["unblocked"] is True
    assert service.run("block", "bob").exit_code == 2
