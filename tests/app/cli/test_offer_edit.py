"""Offers are changed on the command line: what is typed is what changes, and it is said what becomes of the code."""

from __future__ import annotations

from typing import Any

import click
import pytest

from kitestring.app.cli.offer_edit import command
from tests.kit.app.console import run

EDITED: dict[str, Any] = {"label": "tea", "noffer": "noffer1xyz", "old_noffer": "", "changed": {"label": {}}}


@pytest.mark.parametrize(
    ("typed", "members"),
    [
        (("--price", "3.50EUR"), {"currency": "EUR", "price_minor": 350}),
        (("--price", "1000"), {"price_msat": 1_000_000}),
        (("--price-on-request", "1000"), {"price_msat": 1_000_000, "price_on_request": True}),
        (("--any-amount", "--min", "5"), {"price_msat": None, "min_msat": 5_000}),
        (("--label", "mug"), {"new_label": "mug"}),
        (("--ask", "name?,email"), {"payer_data": ["name?", "email"]}),
        (("--ask", "nothing"), {"payer_data": []}),
        (("--expires", "30d"), {"expires_in_s": 30 * 86_400}),
        (("--expires", "2027-01-31"), {"expires_at": 1_801_353_600}),
        (("--expires", "never"), {"expires_at": None}),
    ],
)
def test_what_is_typed_is_all_that_changes(typed: tuple[str, ...], members: dict[str, Any]) -> None:
    said = run(command, "tea", *typed, "--idempotency-key", "k", answer=EDITED)
    assert said.asked == [("offer_edit", {"offer": "tea", **members}, "k")]
    assert said.out == "noffer1xyz\n"


def test_it_is_said_what_becomes_of_the_code() -> None:
    assert "its code is the same" in run(command, "tea", "--label", "x", answer=EDITED).err
    recoded = {**EDITED, "changed": {**EDITED["changed"], "noffer": {"before": "noffer1a", "after": "noffer1xyz"}}}
    assert "The old one works on" in run(command, "tea", "--any-amount", answer=recoded).err
    assert "these terms already" in run(command, "tea", "--label", "x", answer={**EDITED, "changed": {}}).err
    new = run(command, "tea", "--price", "5", answer={**EDITED, "old_noffer": "noffer1old"})
    for words in ("there is a new code: print it", "the offer has moved, and pay nothing", "--price-on-request"):
        assert words in new.err


def test_a_price_and_any_amount_contradict_each_other() -> None:
    with pytest.raises(click.UsageError, match="not both"):
        run(command, "tea", "--any-amount", "--price", "5")


@pytest.mark.parametrize("typed", [("--ask", "email", "--ask", "nothing"), ("--ask", "nothing,email")])
def test_a_payer_is_asked_for_nothing_or_for_something(typed: tuple[str, ...]) -> None:
    with pytest.raises(click.UsageError, match="--ask nothing stands alone"):
        run(command, "tea", *typed)
