"""``kitestring approvals``: who asks for money and waits for the owner's word, now or as they come."""

from __future__ import annotations

import time
from operator import itemgetter
from typing import Any, Final

import click

from kitestring.app.cli.columns import Column, fitted
from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import Whole, amount, budget, budget_of, facts, quoted, short_key, when
from kitestring.base.errors import Exit

#: Seconds between two looks at the feed.
WATCH_EVERY_S: Final = 1.0
#: Events of one look.
FEED_ROWS: Final = 500
#: The kinds of events that are about questions.
ASKED, DECIDED = "asked", "decided"
#: Of the words of others, in a row of a terminal.
MAX_WORDS_CHARS: Final = 48
HOW: Final = "answer with `kitestring approve ID` or `kitestring deny ID`: the last six characters are enough"


@click.command("approvals")
@click.argument("question", metavar="[ID]", default="")
@click.option("--ended", is_flag=True, help="Those that were decided or have expired, the newest first.")
@click.option("--limit", type=Whole(1, 500), default=100, metavar="N", help="How many (default: 100, at most 500).")
@click.option("--watch", is_flag=True, help="Show them as they come, and how they end, until Ctrl-C.")
@common
def command(shell: Shell, question: str, ended: bool, limit: int, watch: bool) -> int:
    """Show who asks for money and waits for your word, or the one question ID.

    Each is shown with what it would cost, what this key has been paid before, and what it may take already. What they
    say is theirs: nobody has checked it.
    """
    if watch:
        if question or ended:
            raise click.UsageError("--watch shows what comes: leave out ID and --ended")
        return _watch(shell)
    result = shell.read("approvals", {"id": question, "ended": ended, "limit": limit})
    rows = result["approvals"]
    if ended:
        shell.show(result, _ended(rows) if rows else "no question has ended yet")
        return Exit.OK
    shell.show(result, "\n\n".join(map(described, rows)) if rows else "nobody asks for anything")
    if any(row["state"] == "open" for row in rows):
        shell.note(f"\n{HOW}")
    return Exit.OK


def _watch(shell: Shell) -> int:
    """Print what is open, then each question as it comes and each end, by the feed. No question is told twice."""
    try:
        seen = shell.call("events", {"limit": 1})["last"]  # without a running service nothing would ever come
        shell.note(f"waiting for questions, until Ctrl-C; {HOW}\n")
        told = {row["id"] for row in shell.read("approvals")["approvals"] if _tell(shell, ASKED, row)}
        while True:
            feed = shell.read("events", {"after": seen, "limit": FEED_ROWS})
            for event in feed["events"]:
                seen = event["number"]
                _follow(shell, event, told)
            if len(feed["events"]) < FEED_ROWS:
                seen = max(seen, feed["last"])
                time.sleep(WATCH_EVERY_S)
    except KeyboardInterrupt:
        return Exit.OK


def _follow(shell: Shell, event: dict[str, Any], told: set[str]) -> None:
    """Tell of one event, if it is about a question."""
    kind, approval_id = event["kind"], event["approval_id"]
    if kind not in {ASKED, DECIDED} or (kind == ASKED and approval_id in told):
        return
    told.add(approval_id)
    for row in shell.read("approvals", {"id": approval_id})["approvals"]:
        _tell(shell, kind, row)


def _tell(shell: Shell, kind: str, row: dict[str, Any]) -> bool:
    """One line for a program, some for a person."""
    shell.show({"event": kind, **row}, f"{described(row)}\n" if kind == ASKED else f"{_end_of(row)}\n")
    return True


def described(row: dict[str, Any]) -> str:
    """One question, with what the owner needs to judge it."""
    return facts(
        [
            ("question", row["id"]),
            ("asks for", wanted(row)),
            ("from", row["npub"]),
            ("before", _past(row["dealings"])),
            ("at", row["pointer"] or row["pointer_id"]),
            ("may take", _may_take(row["grant"]) if row["connection"] is None and row["manage"] is None else ""),
            *_fields(row["manage"]),
            ("calls itself", _called(row["connection"])),
            ("waits at", ", ".join(row["connection"]["relays"]) if row["connection"] else ""),
            ("they say", quoted(row["description"]) if row["description"] else ""),
            ("invoice says", quoted(row["invoice_description"]) if row["invoice_description"] else ""),
            ("until", f"{when(row['expires_at'])}{_left(row['expires_at'])}" if row["state"] == "open" else ""),
            ("ended", "" if row["state"] == "open" else _how_it_ended(row)),
        ]
    )


def _called(asked: dict[str, Any] | None) -> str:
    return quoted(asked["name"]) if asked and asked["name"] else ""


def wanted(row: dict[str, Any]) -> str:
    """Say what a question asks for, in our own words."""
    if row["connection"] is not None:
        return _connection(row["connection"])
    if row["manage"] is not None:
        return _deed(row["manage"])
    if row["amount_msat"] is not None:
        most = row["amount_msat"] + row["max_fee_msat"] + row["service_fee_msat"]
        fees = "the fees" if row["service_fee_msat"] else "the fee"
        return f"{amount(row['amount_msat'])}, once; at most {amount(most)} with {fees}"
    if row["budget"] is not None:
        asked = row["budget"]
        return f"a budget: {budget_of(asked)}, without asking again"
    if row["kind"] == "budget":
        return "FULL ACCESS: any amount, at any time, without asking again"
    return f"the right to {row['kind']}"


#: What an app would do, by its action.
_DEEDS: Final = {
    "create": "to make an offer, which anybody can pay to you",
    "update": "to change its offer {}",
    "get": "to see its offer {}",
    "list": "to see the offers that it has made",
    "delete": "to delete its offer {}",
}
#: The fields of an offer as people call them.
_FIELDS: Final = {
    "label": "called", "price_sats": "price", "callback_url": "tells payments to", "payer_data": "asks payers for",
}  # fmt: skip


def _deed(asked: dict[str, Any]) -> str:
    return _DEEDS[asked["action"]].format(quoted(asked["offer"] or ""))


def _fields(asked: dict[str, Any] | None) -> list[tuple[str, str]]:
    """The fields that an app would write, and what a yes means."""
    if asked is None:
        return []
    fields = asked["fields"]
    shown = [(words, _field(name, fields[name])) for name, words in _FIELDS.items() if fields[name] is not None]
    return [
        *shown,
        ("yes means", "--once: this request alone; --always: it manages offers from now on, without asking"),
    ]


def _field(name: str, value: Any) -> str:
    if name == "price_sats":
        return amount(value * 1_000) if value else "whatever the payer names"
    if name == "payer_data":
        return ", ".join(value) or "nothing"
    return quoted(value) if value else "nobody"


def _connection(asked: dict[str, Any]) -> str:
    limit = asked["budget"]
    limited = "WITHOUT ANY LIMIT" if limit is None else budget(limit["limit_msat"], limit["period"], 0)
    parts = [
        f"a connection that may {', '.join(asked['methods']) or 'nothing for certain'}",
        f"and, if you have it, {', '.join(asked['optional_methods'])}" if asked["optional_methods"] else "",
        limited,
        "with an account of its own" if asked["isolated"] else "",
        "" if asked["expires_at"] is None else f"until {when(asked['expires_at'])}",
        "" if asked["verifiable"] or asked["wants_link"] else "it cannot tell our answer from that of somebody else",
    ]
    return "; ".join(filter(None, parts))


def budgets_text(rows: list[dict[str, Any]]) -> str:
    """Budgets and what is left of them; no budget is no limit."""
    if not rows:
        return "any amount"
    return " and ".join(f"{budget_of(row)} ({amount(row['left_msat'])} left)" for row in rows)


def _past(dealings: dict[str, Any]) -> str:
    number = dealings["payments"]
    if not number:
        return "never paid"
    times = "1 payment" if number == 1 else f"{number} payments"
    return f"{times}, {amount(dealings['cost_msat'])} in all, the last {when(dealings['last_at'])}"


def _may_take(grant: dict[str, Any] | None) -> str:
    return "nothing without asking" if grant is None else budgets_text(grant["budgets"])


def _left(expires_at: int) -> str:
    """The time that is left, as long as there is any."""
    left_s = expires_at - int(time.time())
    if left_s <= 0:
        return ""
    return f", in {left_s // 60} min" if left_s >= 60 else f", in {left_s} s"


def _how_it_ended(row: dict[str, Any]) -> str:
    by = f", by {row['decided_by']}" if row["decided_by"] else ""
    said = f" ({row['decision']})" if row["decision"] else ""
    return f"{row['state']}{said}{by}, {when(row['decided_at'])}"


def _end_of(row: dict[str, Any]) -> str:
    return f"question …{row['id'][-12:]} of {short_key(row['npub'])} for {wanted(row)}: {_how_it_ended(row)}"


def _ended(rows: list[dict[str, Any]]) -> str:
    cells = [
        (
            when(row["decided_at"]),
            row["state"],
            row["decided_by"],
            row["decision"],
            amount(row["amount_msat"]) if row["amount_msat"] is not None else row["kind"],
            row["pointer"],
            short_key(row["npub"]),
            quoted(row["description"], MAX_WORDS_CHARS) if row["description"] else "",
            row["id"],
        )
        for row in rows
    ]
    return fitted(cells, _ENDED)


_ENDED: Final = (
    Column("when", itemgetter(0), rank=4),
    Column("end", itemgetter(1), least=8),
    Column("by", itemgetter(2), rank=6, least=8, most=24),
    Column("decision", itemgetter(3), rank=7, least=8),
    Column("asked for", itemgetter(4)),
    Column("at", itemgetter(5), rank=5, least=6, most=24),
    Column("from", itemgetter(6), rank=3),
    Column("they said", itemgetter(7), rank=2, least=10),
    Column("id", itemgetter(8), least=13, most=64, keeps_end=True),
)
