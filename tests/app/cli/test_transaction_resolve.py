"""One command under two names."""

from kitestring.app.cli import resolve, transaction_resolve


def test_it_is_the_very_command() -> None:
    assert transaction_resolve.command is resolve.command
