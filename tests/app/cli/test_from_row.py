"""Commands that are built from a row: their parameters become arguments and options, their results facts and tables."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest
from click.testing import CliRunner

from kitestring.app.cli import from_row
from kitestring.app.owner import commands, table
from kitestring.app.owner.command import Call, Read
from kitestring.app.owner.desk import Reading
from kitestring.app.owner.results.words import AnswerJson, says
from kitestring.app.owner.table import TABLE, CommandRow
from kitestring.app.service.execute import Result
from tests.kit.app.console import Noted

ROWS = {row.name: row for row in TABLE}


def run(name: str, *args: str, answer: Result | None = None) -> tuple[list[tuple[Any, ...]], str]:
    shell = Noted(answer or {})
    done = CliRunner().invoke(from_row._command(ROWS[name]), args, obj=shell)
    return shell.asked, done.output


@pytest.mark.parametrize("name", ROWS)
def test_every_row_can_be_a_command_with_the_help_of_its_docstring(name: str) -> None:
    built = from_row._command(ROWS[name])
    spec = commands.command(name)
    assert built.help is not None
    assert built.help.startswith(spec.doc)
    expected = {field.name for field in msgspec.structs.fields(spec.params)} | ({"key"} if spec.mutating else set())
    assert {one.name for one in built.params} - {"data_dir", "as_json", "json"} == expected


def test_an_object_is_typed_by_repeating_its_members() -> None:
    asked, _ = run("keysend", "02ab", "5", "--records", "65536=00", "--records", "65537=a=b", "--idempotency-key", "k")
    records = {"65536": "00", "65537": "a=b"}
    assert asked == [("keysend", {"pubkey": "02ab", "amount_msat": 5_000, "records": records}, "k")]
    for wrong in (("--records", "65536"), ("--records", "65536=00", "--records", "65536=01")):
        asked, said = run("keysend", "02ab", "5", *wrong)
        assert asked == []
        assert "write --records NAME=VALUE, each name once" in said


def test_amounts_are_typed_in_sats_and_lists_by_repeating() -> None:
    words = ("tea", "--price", "5", "--payer-data", "email", "--payer-data", "name", "--idempotency-key", "k")
    asked, _ = run("offer_create", *words)
    assert asked == [("offer_create", {"label": "tea", "price_msat": 5_000, "payer_data": ["email", "name"]}, "k")]


def test_budgets_are_typed_as_they_are_everywhere() -> None:
    asked, _ = run("debit_edit", "0a1b2c", "--budgets", "5/day", "--budgets", "9/24h", "--idempotency-key", "k")
    day, window = ({"limit_msat": 5_000, "period": "day", "length_s": 0}, {"limit_msat": 9_000, "period": "rolling"})
    assert asked == [("debit_edit", {"grant": "0a1b2c", "budgets": [day, {**window, "length_s": 86_400}]}, "k")]


def test_what_is_not_given_is_left_to_the_service() -> None:
    assert run("transactions")[0] == [("transactions", {})]
    assert run("transactions", "--unpaid", "--offset", "0")[0] == [("transactions", {"unpaid": True, "offset": 0})]
    assert run("transactions", "--no-unpaid")[0] == [("transactions", {"unpaid": False})]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("account_fund", "bob", "0"), "0 sat is too little"),
        (("account_fund", "bob", "1.5"), "'1.5' is not a whole number of sats"),
        (("account_fund", "bob"), "Missing argument 'AMOUNT_SAT'"),
        (("transactions", "--limit", "0"), "'0' is not a whole number from 1 to 1000"),
        (("transactions", "--direction", "up"), "'up' is not one of 'incoming', 'outgoing'"),
    ],
)
def test_a_mistake_is_told_before_the_service_is_asked(words: tuple[str, ...], said: str) -> None:
    asked, output = run(*words)
    assert asked == []
    assert said in output


def test_the_help_of_an_option_is_the_description_of_its_parameter() -> None:
    helps = {one.name: getattr(one, "help", None) for one in from_row._command(ROWS["events"]).params}
    assert helps["after"] == "The number of the last event that was seen (default: show the newest)."
    assert helps["limit"] == "How many (default: 20, at most 500)."


def test_a_result_is_shown_as_facts_and_tables() -> None:
    answer = {
        "spent_msat": 21_000,
        "relays": ["ws://a", "ws://b"],
        "why": None,
        "accounts": [{"account": "bob", "available_msat": 5_000}, {"account": "eve", "available_msat": 0}],
    }
    _, output = run("info", answer=answer)
    assert output == ("spent   21 sat\nrelays  ws://a, ws://b\n\naccount  available\nbob      5 sat\neve      0 sat\n")


def test_a_column_in_which_no_row_has_anything_is_left_out() -> None:
    rows = [{"account": "bob", "note": "", "why": None}, {"account": "eve", "note": "", "why": "x"}]
    assert run("info", answer={"accounts": rows})[1] == "account  why\nbob\neve      x\n"


# ---------------------------------------------------------------- a new row


class GreetParams(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    loud: bool = False


class GreetingJson(AnswerJson):
    greeting: Annotated[str, says("The greeting.")]


async def greet(_desk: Reading, params: GreetParams, _call: Call) -> Result:
    """Greet NAME.

    Louder with --loud.
    """
    return {"greeting": params.name}


def test_a_new_row_is_a_command_by_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = Read("greet", GreetParams, greet, GreetingJson)
    monkeypatch.setattr(table, "TABLE", (*TABLE, CommandRow("greet", "greetings", "greetings loud shout", "Greet.")))
    monkeypatch.setattr(from_row, "command", lambda name: spec if name == "greet" else commands.command(name))
    made = from_row.make("greetings loud shout")
    assert (made.name, made.help) == ("shout", "Greet NAME.\n\nLouder with --loud.")


def test_a_parameter_that_cannot_be_typed_is_named() -> None:
    class Odd(msgspec.Struct):
        shape: float

    with pytest.raises(TypeError, match="shape needs a command line that is written by hand"):
        from_row._parameter(from_row._fields(Odd)[0])
