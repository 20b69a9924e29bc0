"""The rules of a delivery: the pauses, and the age after which nobody waits for a message any more."""

from __future__ import annotations

import pytest

from kitestring.app.service.receptions import ALWAYS, DONE, RETRY_S, Reception, Rule, reception_of, until_taken
from kitestring.base.records import Message, Outgoing
from kitestring.base.store import LONGEST_RETRY_S
from kitestring.transport.publications import PublishResult, RelayAnswer, Verdict

SIGNED_AT = 1_800_000_000
MESSAGE = Message("", "note", b"", b"event", SIGNED_AT)


def test_the_pauses_grow_up_to_the_longest_one() -> None:
    assert [ALWAYS.pause_s(attempts) for attempts in (0, 4, 5, 19, 20, 21, 22, 500)] == [
        1, 30, 60, 60, 120, 300, LONGEST_RETRY_S, LONGEST_RETRY_S,
    ]  # fmt: skip


def test_no_pause_is_longer_than_what_the_ledger_takes_for_planned() -> None:
    assert max(RETRY_S) == LONGEST_RETRY_S
    with pytest.raises(ValueError, match="600 seconds at the latest"):
        Rule(None, (1, LONGEST_RETRY_S + 1))


@pytest.mark.parametrize(
    ("age_s", "attempts", "is_over"),
    [(599, 0, False), (600, 0, True), (-86_400, 13, False), (-86_400, 15, True), (-86_400, 500, True)],
)
def test_nobody_waits_after_the_age_or_after_the_pauses_where_the_clock_was_ahead(
    age_s: int, attempts: int, is_over: bool
) -> None:
    old = Outgoing(1, MESSAGE, attempts)
    assert Rule(600).is_over(old, SIGNED_AT + age_s) is is_over
    assert not ALWAYS.is_over(old, SIGNED_AT + age_s)


@pytest.mark.parametrize("age_s", [-86_400, 0, 86_400])
def test_what_is_done_is_over_whatever_the_clock_says(age_s: int) -> None:
    assert DONE.is_over(Outgoing(1, MESSAGE, 0), SIGNED_AT + age_s)


def test_until_it_is_taken_every_other_fate_has_the_same_rule() -> None:
    rules = until_taken(Rule(60))
    assert rules[Reception.TAKEN] is DONE
    assert {rules[reception].give_up_s for reception in Reception if reception is not Reception.TAKEN} == {60}


@pytest.mark.parametrize(
    ("answers", "best"),
    [
        ((), Reception.UNSENT),
        ((RelayAnswer.NONE,), Reception.UNSENT),
        ((RelayAnswer.NONE, RelayAnswer.LATER), Reception.REFUSED),
        ((RelayAnswer.REFUSED, RelayAnswer.AUTH), Reception.REFUSED),
        ((RelayAnswer.REFUSED, RelayAnswer.SENT), Reception.SILENT),
        ((RelayAnswer.SENT, RelayAnswer.UNHEARD, RelayAnswer.NONE), Reception.UNHEARD),
        ((RelayAnswer.UNHEARD, RelayAnswer.ACCEPTED), Reception.TAKEN),
    ],
)
def test_the_best_word_of_any_relay_counts(answers: tuple[RelayAnswer, ...], best: Reception) -> None:
    verdicts = {f"wss://relay{number}.example": Verdict(answer) for number, answer in enumerate(answers)}
    assert reception_of(PublishResult(False, verdicts)) is best


def test_every_word_of_a_relay_has_a_reception() -> None:
    receptions = {
        answer: reception_of(PublishResult(False, {"wss://a.example": Verdict(answer)})) for answer in RelayAnswer
    }
    assert {answer for answer, reception in receptions.items() if reception is Reception.UNSENT} == {RelayAnswer.NONE}
