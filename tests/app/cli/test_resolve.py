"""The operator's word on the command line."""

from __future__ import annotations

import click
import pytest

from kitestring.app.cli.resolve import command
from tests.kit.app.console import Service, run


def test_the_word_is_given_with_its_note() -> None:
    said = run(command, "ab" * 32, "the channel is gone", "--idempotency-key", "k", answer={"payment_hash": "ab" * 32})
    assert said.asked == [("payment_resolve", {"payment": "ab" * 32, "note": "the channel is gone"}, "k")]
    assert said.out == f"payment {'ab' * 32} is resolved: its reservation is released\n"


def test_a_word_without_a_reason_is_none() -> None:
    with pytest.raises(click.MissingParameter):
        run(command, "ab" * 32)


def test_a_payment_that_is_not_there_is_not_resolved(service: Service) -> None:
    refused = service.run("resolve", "ab" * 32, "why")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "no payment of unknown outcome" in refused.stderr
