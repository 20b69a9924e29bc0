"""What is mistyped on the command line is told in one style, in no library's words."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from kitestring.app.cli.main import cli


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["balance", "--foo"], "there is no option '--foo'; see `kitestring balance --help`"),
        (
            ["connect", "x", "--per-paymant", "5"],
            "there is no option '--per-paymant'; did you mean --per-payment?",
        ),
        (["invoice", "-5"], "an amount or a number has no sign: write it as in 21; see `kitestring invoice --help`"),
        (["pay"], "TARGET is missing; see `kitestring pay --help`"),
        (["call", "foo"], "--wallet is missing; see `kitestring call --help`"),
        (["connect", "x", "--budget"], "the option '--budget' needs a value"),
        (
            ["blocked", "my", "key"],
            (
                "the command ends before 'my key': put words that belong together in quotes;"
                " see `kitestring blocked --help`"
            ),
        ),
        (["backup", ""], "DIRECTORY is empty: name a new one; see `kitestring backup --help`"),
        (
            ["offer", "create", "tea", "--ask", ""],
            "--ask is empty: name what the payer must tell, such as email; see `kitestring offer create --help`",
        ),
    ],
)
def test_a_mistake_is_one_sentence_with_the_help_that_tells_more(typed: list[str], words: str) -> None:
    told = CliRunner().invoke(cli, typed)
    assert (told.exit_code, told.stderr) == (2, f"error: {words}\n")
