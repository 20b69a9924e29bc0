"""A key that may ask again."""

from __future__ import annotations

from kitestring.app.cli.unblock import command
from tests.kit.app.console import Service, run
from tests.kit.app.questions import NPUB


def test_a_key_is_unblocked_by_its_name() -> None:
    answer = {"npub": NPUB, "unblocked": True}
    said = run(command, NPUB, "--idempotency-key", "k", answer=answer)
    assert said.asked == [("unblock", {"key": NPUB}, "k")]
    assert said.out == f"{NPUB} may ask again\n"
    assert run(command, NPUB, answer={**answer, "unblocked": False}).out == f"{NPUB} is not blocked\n"


def test_what_is_no_key_is_refused(service: Service) -> None:
    assert service.run("unblock", "bob").exit_code == 2
