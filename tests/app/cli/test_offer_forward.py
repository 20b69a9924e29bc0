"""Codes are led to other offers on the command line, and no more."""

from __future__ import annotations

import click
import pytest

from kitestring.app.cli.offer_forward import command
from tests.kit.app.console import Service, run

ANSWER = {"label": "mug", "offer_id": "0b"}


def test_a_code_leads_to_another_offer_until_that_is_ended() -> None:
    said = run(command, "tea", "mug", "--idempotency-key", "k", answer=ANSWER)
    assert said.asked == [("offer_forward", {"offer": "tea", "to": "mug"}, "k")]
    assert said.out == "tea forwards to mug, and sells nothing itself any more\n"
    assert "`kitestring offer show mug` has its id" in said.err  # its label is that of no offer any more
    ended = run(command, "0b", "--end", "--idempotency-key", "k", answer=ANSWER)
    assert ended.asked == [("offer_forward", {"offer": "0b", "to": None}, "k")]
    assert ended.out == "the code 0b of mug forwards no more\n"


@pytest.mark.parametrize("typed", [("tea",), ("tea", "mug", "--end")])
def test_where_to_is_said_or_that_it_ends(typed: tuple[str, ...]) -> None:
    with pytest.raises(click.UsageError, match="or --end"):
        run(command, *typed)


def test_an_offer_is_edited_switched_off_and_forwarded_at_a_running_service(service: Service) -> None:
    made = service.ok("offer", "create", "bread", "--price-on-request", "7")
    assert service.ok("sandbox", "pay", made["noffer"], "7")["amount_msat"] == 7_000
    same = service.ok("offer", "edit", "bread", "--price-on-request", "8")
    assert (same["noffer"], same["old_noffer"]) == (made["noffer"], None)
    assert service.ok("sandbox", "pay", made["noffer"], "8")["amount_msat"] == 8_000
    service.ok("offer", "off", "bread")
    assert service.run("sandbox", "pay", made["noffer"], "8").exit_code != 0
    service.ok("offer", "on", "bread")
    fixed = service.ok("offer", "edit", "bread", "--price", "9")
    assert fixed["old_noffer"] == made["noffer"]
    assert service.ok("sandbox", "pay", fixed["noffer"], "9")["amount_msat"] == 9_000
    assert service.ok("offer", "show", made["noffer"])["latest"] == fixed["noffer"]
    service.ok("offer", "create", "rolls")
    service.ok("offer", "forward", "bread", "rolls")
    assert len(service.ok("offer", "show", "rolls")["old_ids"]) == 2
    service.ok("offer", "forward", fixed["offer_id"], "--end")
    assert len(service.ok("offer", "show", "rolls")["old_ids"]) == 1
    service.ok("offer", "delete", "rolls")
