"""The page about relays says what the table of routes says."""

from __future__ import annotations

import json

from docs.make.relays import FACTS, MEANINGS

from kitestring.app.service.announcer import ANNOUNCEMENT
from kitestring.app.service.receptions import Reception, Rule
from kitestring.app.service.routes import ROWS
from kitestring.app.service.zap_carrier import ZAP
from kitestring.base.records import LOG, NOTIFICATION, RECEIPT, REPLY
from kitestring.transport.publications import OK_TIMEOUT_S, PUBLISH_DEADLINE_S
from tests.kit.pages import HOW_TO

TEXT = (HOW_TO.parent / "explanation" / "relays.md").read_text(encoding="utf-8")
NAMES = {
    REPLY: "reply",
    RECEIPT: "receipt",
    NOTIFICATION: "notification of a payment",
    ANNOUNCEMENT: "announcement of a connection",
    LOG: "line of the log",
    ZAP: "receipt of a zap",
}


def test_the_table_on_the_page_is_that_of_the_routes() -> None:
    rows = [f"| {NAMES[row.kind]} | {' | '.join(_said(row.rules[end]) for end in Reception)} |" for row in ROWS]
    assert [row for row in rows if row not in TEXT] == []


def test_the_columns_are_in_the_order_of_the_receptions() -> None:
    heads = "| message | taken | nobody was listening | never confirmed | refused | not sent |"
    assert heads in TEXT
    assert [end.name for end in Reception] == ["TAKEN", "UNHEARD", "SILENT", "REFUSED", "UNSENT"]


def test_the_waits_of_the_pool_are_named() -> None:
    again = (int(OK_TIMEOUT_S), int(3 * OK_TIMEOUT_S))
    assert f"sends it again after {again[0]} and after {again[1]} seconds" in TEXT
    assert f"gives it back after {PUBLISH_DEADLINE_S:.0f}" in " ".join(TEXT.split())


def test_every_fact_about_a_foreign_relay_has_a_row_that_says_what_we_do() -> None:
    measured = json.loads(FACTS.read_text(encoding="utf-8"))
    assert [name for name, facts in measured.items() if facts.keys() - {"relay"} != MEANINGS.keys()] == []


def _said(rule: Rule) -> str:
    return {None: "never", 0: "done"}.get(rule.give_up_s, f"{rule.give_up_s} s")
