"""A long code is typed, or named by the place where it is: no secret has to stand on a command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kitestring.app.cli.given import MAX_GIVEN_BYTES, CodeType, is_place
from kitestring.base.errors import KitestringError, Reason
from tests.kit.app.console import Service, commands, kitestring, run
from tests.kit.codec.invoices import PAYMENT_HASH, invoice

#: Every argument that is a code, or may be one.
TAKEN = {
    (words, argument.name)
    for words, command in commands().items()
    for argument in command.params
    if isinstance(argument.type, CodeType)
}


def test_codes_are_taken_from_a_place_wherever_a_command_takes_one() -> None:
    assert {
        ("pay", "target"), ("decode", "code"), ("lookup", "payment"), ("offer show", "offer"),
        ("sandbox pay", "target"), ("connect-request", "link"), ("debit request", "ndebit"), ("debit budget", "ndebit"),
        ("debit subscribe", "ndebit"), ("manage create", "nmanage"), ("manage update", "nmanage"),
        ("manage get", "nmanage"), ("manage list", "nmanage"), ("manage delete", "nmanage"),
    } == TAKEN  # fmt: skip


def test_a_code_comes_from_a_variable_a_file_or_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup, code = commands()["lookup"], invoice()
    monkeypatch.setenv("CODE", f" {code[:40]}\n{code[40:]} ")
    (tmp_path / "code").write_text(f"{code}\n", encoding="utf-8")
    for typed in (code, "env:CODE", f"file:{tmp_path / 'code'}", "-"):
        asked = run(lookup, typed, answer={"type": "incoming"}, stdin=f"{code}\n").asked
        assert asked == [("lookup", {"payment_hash": PAYMENT_HASH}, "")], typed


def test_the_code_of_an_offer_shows_the_offer(service: Service) -> None:
    code = service.card["noffer"]
    assert service.ok("offer", "show", "-", stdin=f"{code}\n") == service.ok("offer", "show", code)


def test_a_place_is_told_from_a_code() -> None:
    typed = ("-", "env:A", "file:/a", "env:", "file:", "", "lnbc1", "sandbox:///a")
    assert [one for one in typed if is_place(one)] == ["-", "env:A", "file:/a"]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("env:NO_SUCH", "the environment variable NO_SUCH is not set"),
        ("file:/nowhere/code", "/nowhere/code is not a file with a code"),
        ("-", "there is nothing on standard input"),
    ],
)
def test_a_place_without_a_code_is_named(typed: str, words: str) -> None:
    with pytest.raises(KitestringError, match=re.escape(words)) as caught:
        run(commands()["decode"], typed)
    assert caught.value.reason is Reason.MALFORMED


def test_no_more_is_read_than_the_longest_code_has(tmp_path: Path) -> None:
    (tmp_path / "code").write_text("a" * 4 * MAX_GIVEN_BYTES, encoding="ascii")
    told = kitestring("decode", f"file:{tmp_path / 'code'}")
    assert told.exit_code == 2
    assert len(told.stderr) < MAX_GIVEN_BYTES
