"""Words that are no command lead to the one that was meant."""

from __future__ import annotations

import pytest

from kitestring.app.cli.near import OTHER_WORDS
from tests.kit.app.console import commands, kitestring


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["help"], "there is no command 'help'; did you mean `kitestring --help`?"),
        (["send"], "there is no command 'send'; did you mean `kitestring pay`?"),
        (["blance"], "there is no command 'blance'; did you mean `kitestring balance`?"),
        (["zzz"], "there is no command 'zzz'; see `kitestring --help`"),
        (
            ["offer", "lst"],
            "there is no command 'offer lst'; did you mean `kitestring offer list`?",
        ),
        (
            ["debit", "pointer", "lst"],
            "there is no command 'debit pointer lst'; did you mean `kitestring debit pointer list`?",
        ),
    ],
)
def test_a_word_that_is_no_command_is_told_with_the_one_that_was_meant(typed: list[str], said: str) -> None:
    result = kitestring(*typed)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {said}")


def test_the_words_of_other_programs_lead_to_commands_that_there_are_and_hide_none() -> None:
    known = commands()
    first = {words.partition(" ")[0] for words in known}
    assert all(meant in known or meant in {"--help", "--version"} for meant in OTHER_WORDS.values())
    assert first.isdisjoint(OTHER_WORDS)
