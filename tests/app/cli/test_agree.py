"""Before real money moves its author sees what is paid and says yes; where nobody can, --yes has said so."""

from __future__ import annotations

import json
import time
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from kitestring.app.cli import agree as agree_module
from kitestring.app.cli.agree import agree_to, pay_if_agreed, preview_text
from kitestring.app.cli.shell import Shell
from kitestring.app.cli.wish import Wish
from kitestring.base.errors import KitestringError, Reason

OFFER = Wish("noffer1tea", 21)
PAID = {"paid": True}
SEEN: dict[str, Any] = {
    "sandbox": False, "network": "bitcoin", "is_repeated": False, "kind": "offer", "payee": "offer tea of npub1aaa",
    "payee_key": "02" + "ab" * 32, "bolt11": "lnbc1", "payment_hash": "cd" * 32, "amount_msat": 21_000,
    "fee_cap_msat": 10_000, "service_fee_msat": 0, "description": "two cups", "expires_at": 2**40,
    "spendable_msat": 90_000, "paid_from": "owner", "already_paid": False,
}  # fmt: skip


class Till:
    """Shows each of these in turn, the last one forever, and notes what is paid."""

    def __init__(self, *seen: dict[str, Any], real: bool = True) -> None:
        self.seen, self.real = list(seen) or [SEEN], real
        self.shown = 0
        self.paid: list[tuple[Wish, dict[str, Any] | None]] = []

    def is_real(self) -> bool:
        return self.real

    def preview(self, _: Wish) -> dict[str, Any]:
        self.shown += 1
        return self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]

    def pay(self, wish: Wish, seen: dict[str, Any] | None) -> dict[str, Any]:
        self.paid.append((wish, seen))
        return PAID


def say(till: Till, answers: str = "", *, yes: bool = False, dry_run: bool = False, as_json: bool = False) -> Result:
    """What comes of it where these answers are typed."""

    @click.command()
    def command() -> None:
        shell = Shell()
        shell.as_json = as_json
        pay_if_agreed(shell, OFFER, till, lambda _, result: click.echo(json.dumps(result)), yes=yes, dry_run=dry_run)

    return CliRunner().invoke(command, input=answers, standalone_mode=False)


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agree_module, "person_answers", lambda _: True)


@pytest.mark.usefixtures("at_a_terminal")
def test_who_says_yes_pays_what_was_shown_and_the_question_stands_beside_the_answer() -> None:
    till = Till()
    done = say(till, "y\n")
    assert (done.exception, json.loads(done.stdout)) == (None, PAID)
    assert done.stderr.splitlines() == [
        "to      offer tea of npub1aaa",
        f"node    02{'ab' * 32}",
        'for     "two cups"',
        "amount  21 sat",
        "fee     at most 10 sat",
        "from    owner, which can spend 90 sat",
        "money   real bitcoin",
        "Pay? [y/N]: y",
    ]
    assert till.paid == [(OFFER, SEEN)]


@pytest.mark.usefixtures("at_a_terminal")
@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_anything_but_yes_pays_nothing(answer: str) -> None:
    till = Till()
    done = say(till, answer)
    assert isinstance(done.exception, KitestringError if answer else click.Abort)
    assert (till.paid, done.stdout) == ([], "")


def test_where_nobody_can_answer_nothing_is_paid_or_asked_for_without_yes() -> None:
    till = Till()
    done = say(till, "y\n")
    assert isinstance(done.exception, KitestringError)
    assert (done.exception.reason, till.paid, till.shown) == (Reason.MALFORMED, [], 0)
    assert "add --yes to pay without a question, or --dry-run" in done.exception.message
    assert done.exception.message.endswith("nothing was paid")


def test_a_sandbox_and_yes_ask_nothing_and_look_at_nothing() -> None:
    for till, yes in ((Till(real=False), False), (Till(), True)):
        assert say(till, yes=yes).exception is None
        assert (till.paid, till.shown) == ([(OFFER, None)], 0)


@pytest.mark.parametrize("yes", [False, True])
def test_a_dry_run_shows_it_and_pays_nothing_whatever_else_is_said(yes: bool) -> None:
    till = Till()
    done = say(till, yes=yes, dry_run=True)
    assert done.stdout.endswith("\n\nthis was a dry run: nothing was paid\n")
    assert json.loads(say(till, yes=yes, dry_run=True, as_json=True).stdout) == SEEN
    assert till.paid == []


@pytest.mark.usefixtures("at_a_terminal")
def test_an_invoice_that_expired_while_somebody_thought_is_asked_for_again_and_shown_if_it_differs() -> None:
    late = {**SEEN, "expires_at": int(time.time()) - 1}
    same = Till(late, {**SEEN, "bolt11": "lnbc2"})
    assert say(same, "y\n").exception is None
    assert same.paid == [(OFFER, {**SEEN, "bolt11": "lnbc2"})]
    dearer = Till(late, {**SEEN, "amount_msat": 22_000})
    assert isinstance(say(dearer, "y\nn\n").exception, KitestringError)
    assert dearer.paid == []
    agreed = Till(late, {**SEEN, "amount_msat": 22_000})
    assert say(agreed, "y\ny\n").stderr.count("Pay?") == 2
    assert agreed.paid == [(OFFER, {**SEEN, "amount_msat": 22_000})]


@pytest.mark.usefixtures("at_a_terminal")
def test_what_is_paid_already_and_a_key_that_was_used_need_no_answer() -> None:
    paid = Till({**SEEN, "already_paid": True, "expires_at": 0})
    assert say(paid).exception is None
    assert paid.paid == [(OFFER, {**SEEN, "already_paid": True, "expires_at": 0})]
    repeated = Till({"sandbox": False, "network": "bitcoin", "is_repeated": True})
    assert say(repeated).exception is None
    assert repeated.paid == [(OFFER, None)]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"sandbox": True}, "money   none: a sandbox"),
        ({"network": "signet"}, "money   test money (signet)"),
        ({"network": ""}, "money   real, as far as is known"),
        ({"fee_cap_msat": 0}, "fee     none"),
        ({"fee_cap_msat": None}, "fee     as much as the settings of the payer allow"),
        ({"spendable_msat": None}, "from    owner"),
        ({"kind": "invoice"}, f"to      node 02{'ab' * 32}"),
        ({"already_paid": True}, "this was paid already"),
    ],
)
def test_what_is_shown_says_which_money_and_how_much_of_it(change: dict[str, Any], line: str) -> None:
    text = preview_text(Shell(), {**SEEN, **change})
    assert line in text.splitlines()
    assert all(len(one) <= 80 for one in text.splitlines())


def test_a_used_key_is_said_to_make_no_second_payment() -> None:
    assert "would be carried on, and not made again" in preview_text(Shell(), {"is_repeated": True})


@pytest.mark.usefixtures("at_a_terminal")
def test_what_needs_no_look_is_agreed_to_in_the_same_way() -> None:
    def come_of(answers: str, **said: bool) -> Any:
        agreed: list[bool] = []

        @click.command()
        def command() -> None:
            agreed.append(agree_to(Shell(), SEEN, **{"is_real": True, "yes": False, "dry_run": False, **said}))

        done = CliRunner().invoke(command, input=answers, standalone_mode=False)
        return agreed or type(done.exception)

    assert come_of("y\n") == [True]
    assert come_of("n\n") is KitestringError
    assert come_of("", yes=True) == come_of("", is_real=False) == [True]
    assert come_of("", yes=True, dry_run=True) == [False]
