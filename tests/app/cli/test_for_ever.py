"""What ends forever is asked about where something is lost by it, and nowhere else."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner, Result

from kitestring.app.cli import for_ever
from kitestring.app.cli.for_ever import agree_to_end
from kitestring.app.cli.shell import Shell
from kitestring.base.errors import KitestringError, Reason


class _Asked(Shell):
    """A service in front of a sandbox, of a real node, or one whose owner may not look."""

    def __init__(self, sandbox: bool | None) -> None:
        super().__init__()
        self.sandbox = sandbox

    def call(self, name: str, params: object, key: str = "", *, wait_s: float = 0) -> dict[str, object]:
        assert (name, params) == ("pay_preview", {})
        if self.sandbox is None:
            raise KitestringError(Reason.NOT_PERMITTED)
        return {"sandbox": self.sandbox}


def end(sandbox: bool | None, answers: str = "", *, yes: bool = False) -> Result:
    @click.command()
    def command() -> None:
        agree_to_end(_Asked(sandbox), "the offer tea", "nobody can pay it", yes=yes)
        click.echo("ended")

    return CliRunner().invoke(command, input=answers, standalone_mode=False)


def test_a_sandbox_and_yes_ask_nothing() -> None:
    assert end(True).stdout == end(False, yes=True).stdout == end(None, yes=True).stdout == "ended\n"


@pytest.mark.parametrize("sandbox", [False, None])
def test_where_nobody_can_answer_nothing_ends_without_yes(sandbox: bool | None) -> None:
    refused = end(sandbox)
    assert isinstance(refused.exception, KitestringError)
    assert (refused.exception.reason, refused.stdout) == (Reason.MALFORMED, "")
    assert "add --yes; nothing was changed" in refused.exception.message


@pytest.mark.parametrize(("answer", "is_ended"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_a_person_is_asked_and_told_what_is_lost(answer: str, is_ended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(for_ever, "person_answers", lambda _: True)
    said = end(False, answer)
    assert ("the offer tea ends forever: nobody can pay it" in said.stderr, "ended" in said.stdout) == (True, is_ended)
    if not is_ended:
        assert isinstance(said.exception, KitestringError)
        assert said.exception.reason is Reason.NOT_PERMITTED


def test_a_service_that_is_away_is_named_and_nothing_ends() -> None:
    class Away(_Asked):
        def call(self, name: str, params: object, key: str = "", *, wait_s: float = 0) -> dict[str, object]:
            raise KitestringError(Reason.UNAVAILABLE, "no service is running")

    with pytest.raises(KitestringError, match="no service is running"):
        agree_to_end(Away(None), "the offer tea", "nobody can pay it", yes=False)
