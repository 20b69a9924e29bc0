"""One event on its way: what each relay's word means, when it is over, and when it is sent again."""

from __future__ import annotations

import pytest

from kitestring.transport.publications import (
    MAX_RETRY_PAUSE_S,
    OK_TIMEOUT_S,
    UNANSWERED,
    Publication,
    PublishResult,
    RelayAnswer,
    Verdict,
    read_ok,
)

A, B = "wss://a.example", "wss://b.example"
YES, NO, LATER, AUTH, SENT, UNHEARD = (
    Verdict(RelayAnswer[name]) for name in ("ACCEPTED", "REFUSED", "LATER", "AUTH", "SENT", "UNHEARD")
)


def publication(*verdicts: Verdict, every: bool = False) -> Publication:
    relays = dict(zip((A, B), verdicts, strict=False))
    return Publication("ab" * 32, "cd" * 32, b"frame", relays, every, due=OK_TIMEOUT_S, deadline=30, done=[])


@pytest.mark.parametrize(
    ("accepted", "message", "answer"),
    [
        (True, "", RelayAnswer.ACCEPTED),
        (True, "mute: nobody listens", RelayAnswer.ACCEPTED),
        (False, "duplicate: have it", RelayAnswer.ACCEPTED),
        (False, "mute: no one was listening", RelayAnswer.UNHEARD),
        (False, "rate-limited: slow down", RelayAnswer.LATER),
        (False, "error: disk", RelayAnswer.LATER),
        (False, "", RelayAnswer.LATER),
        (False, "no machine-readable word here", RelayAnswer.LATER),
        (False, "auth-required: who are you", RelayAnswer.AUTH),
        (False, "restricted: members only", RelayAnswer.REFUSED),
        (False, "blocked: not you", RelayAnswer.REFUSED),
        (False, "pow: too cheap", RelayAnswer.REFUSED),
        (False, "invented: a word of tomorrow", RelayAnswer.REFUSED),
    ],
)
def test_what_the_word_in_an_ok_means(accepted: bool, message: str, answer: RelayAnswer) -> None:
    assert read_ok(accepted, message) == Verdict(answer, message)


@pytest.mark.parametrize(
    ("one", "other", "any_", "every"),
    [
        (YES, UNANSWERED, True, None),
        (YES, NO, True, False),
        (YES, YES, True, True),
        (NO, UNANSWERED, None, None),
        (NO, LATER, None, None),
        (NO, AUTH, None, None),
        (NO, NO, False, False),
        (UNHEARD, NO, False, False),
        (UNHEARD, UNANSWERED, None, None),
        (SENT, NO, None, None),
        (YES, AUTH, True, None),
        (UNANSWERED, UNANSWERED, None, None),
    ],
)
def test_it_is_over_when_one_relay_has_it_or_none_will_and_with_every_when_all_have_said(
    one: Verdict, other: Verdict, any_: bool | None, every: bool | None
) -> None:
    assert publication(one, other).outcome() is any_
    assert publication(other, one).outcome() is any_
    assert publication(one, other, every=True).outcome() is every
    assert publication(other, one, every=True).outcome() is every


@pytest.mark.parametrize(
    ("verdict", "wanted"),
    [(UNANSWERED, True), (SENT, True), (LATER, True), (YES, False), (NO, False), (AUTH, False), (UNHEARD, False)],
)
def test_it_is_sent_again_only_to_who_has_not_said_the_last_word(verdict: Verdict, wanted: bool) -> None:
    assert publication(verdict).wants(A) is wanted
    assert not publication(verdict).wants("wss://elsewhere.example")


def test_it_counts_as_sent_while_the_connection_that_it_went_out_on_stands() -> None:
    sent = publication(UNANSWERED, NO)
    sent.note_sent(A)
    assert sent.verdicts == {A: SENT, B: NO}
    assert [sent.is_unanswered(url) for url in (A, B, "wss://elsewhere.example")] == [True, False, False]
    sent.note_lost(A)
    sent.note_lost(B)
    sent.note_lost("wss://elsewhere.example")
    assert sent.verdicts == {A: UNANSWERED, B: NO}
    assert not sent.is_unanswered(A)


def test_what_a_relay_has_said_stays_said_when_the_event_is_sent_again_or_the_connection_breaks() -> None:
    sent = publication(LATER)
    sent.note_sent(A)
    sent.note_lost(A)
    assert sent.verdicts == {A: LATER}


def test_the_pauses_before_it_is_sent_again_double_up_to_a_minute() -> None:
    sent, now, pauses = publication(UNANSWERED), 0.0, []
    for _ in range(6):
        sent.postpone(now)
        pauses.append(sent.due - now)
        now = sent.due
    assert pauses == [10, 20, 40, MAX_RETRY_PAUSE_S, MAX_RETRY_PAUSE_S, MAX_RETRY_PAUSE_S]


def test_a_relay_whose_authentication_came_to_nothing_gets_another_chance() -> None:
    sent = publication(Verdict(RelayAnswer.AUTH, "auth-required: who"), NO)
    sent.postpone(0)
    assert sent.verdicts == {A: Verdict(RelayAnswer.LATER, "auth-required: who"), B: NO}
    assert sent.wants(A)


def test_all_who_wait_for_it_are_told_the_same_and_what_comes_later_does_not_change_it() -> None:
    sent, told = publication(YES, NO), list[PublishResult]()
    sent.done += [told.append, told.append]
    sent.finish(True)
    sent.verdicts[B] = LATER
    assert told == [PublishResult(True, {A: YES, B: NO})] * 2


def test_one_whose_callback_raises_keeps_no_other_from_being_told(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: PublishResult) -> None:
        raise ValueError("a bug")

    sent, told = publication(YES), list[PublishResult]()
    sent.done += [broken, told.append]
    sent.finish(True)
    assert told == [PublishResult(True, {A: YES})]
    assert "a callback of publication abab" in caplog.text
