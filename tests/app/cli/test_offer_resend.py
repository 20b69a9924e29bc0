"""Telling a webhook once more: one payment, or all that failed."""

from __future__ import annotations

import pytest

from kitestring.app.cli.offer_resend import command
from tests.kit.app.console import kitestring, run


def test_one_or_all_that_failed_are_sent_again() -> None:
    one = run(command, "0c", "--idempotency-key", "k", answer={"sent_again": 1, "left": 0})
    assert one.asked == [("offer_resend", {"delivery": "0c"}, "k")]
    assert one.out == "1 delivery is sent again; see `kitestring offer deliveries`\n"
    every = run(command, "--failed", "--offer", "tea", answer={"sent_again": 1_000, "left": 5})
    assert every.asked[0][1] == {"failed": True, "offer": "tea"}
    assert every.out == (
        "1000 deliveries are sent again; 5 more have failed: run it again; see `kitestring offer deliveries`\n"
    )
    none = run(command, "--failed", answer={"sent_again": 0, "left": 3})
    assert none.out == "nothing that has failed can be sent again; see `kitestring offer deliveries --failed`\n"


@pytest.mark.parametrize("words", [(), ("0c", "--failed"), ("0c", "--offer", "tea")])
def test_what_does_not_go_together_is_refused(words: tuple[str, ...]) -> None:
    assert kitestring("offer", "resend", *words).exit_code == 2
