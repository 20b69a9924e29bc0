"""The lines about clocks say how far they differ, which is wrong where that is known, and what to do."""

from __future__ import annotations

import pytest

from kitestring.app.service.clock_words import NODE, REFUSED_S, doubts, findings
from kitestring.base.clocks import NEAR_S, ClockReading, compare, reading
from kitestring.base.node import Finding, FindingState
from tests.kit.clock import NOW

OK, INFO, WARN, FAIL = FindingState.OK, FindingState.INFO, FindingState.WARN, FindingState.FAIL

SPANS = [(3_600, "60 min"), (26 * 3_600, "26 h"), (400 * 86_400, "400 d")]
BEYOND = f". Requests are refused from {REFUSED_S} s on"
SET = "`timedatectl set-ntp true` sets it and keeps it right"
NOBODY = "nobody outside of this machine tells the time: see with `timedatectl` whether NTP keeps this clock right"


def relay(name: str, ahead_s: int = 0) -> ClockReading:
    return reading(f"wss://{name}.example", f"{name}.example", NOW - ahead_s, NOW, NOW)


def node(ahead_s: int = 0) -> ClockReading:
    return reading(NODE, "", NOW - ahead_s, NOW, NOW)


def found(*readings: ClockReading) -> list[Finding]:
    return findings(compare(readings))


def said(*readings: ClockReading) -> list[tuple[FindingState, str]]:
    lines = found(*readings)
    assert {line.name for line in lines} == {"clock"}
    return [(line.state, line.sentence) for line in lines]


@pytest.mark.parametrize("ahead_s", [0, 1, -1])
def test_clocks_that_agree_are_one_line(ahead_s: int) -> None:
    off = f"{1 + abs(ahead_s)} s"
    assert said(relay("a", ahead_s)) == [(OK, f"agrees with wss://a.example to {off}")]
    everybody = said(relay("a"), relay("b", ahead_s), node())
    assert everybody == [(OK, f"agrees with wss://a.example, wss://b.example and the node to {off}")]


def test_where_nobody_else_can_be_asked_that_is_said() -> None:
    assert said() == [(INFO, NOBODY)]
    assert said(node()) == [(INFO, f"agrees with the node to 1 s; {NOBODY}")]


@pytest.mark.parametrize(("span_s", "span"), SPANS)
@pytest.mark.parametrize(("sign", "way"), [(1, "ahead of"), (-1, "behind")])
def test_two_that_agree_say_that_this_clock_is_wrong(sign: int, way: str, span_s: int, span: str) -> None:
    right = f"{span} {way} wss://a.example and the node, which agree with each other"
    assert said(relay("a", sign * span_s), node(sign * span_s)) == [
        (FAIL, f"this clock is {right}: this clock is wrong; {SET}{BEYOND}")
    ]


@pytest.mark.parametrize(("span_s", "span"), SPANS)
@pytest.mark.parametrize(("sign", "way"), [(1, "behind"), (-1, "ahead of")])
def test_a_relay_or_a_node_whose_clock_is_wrong_is_named(sign: int, way: str, span_s: int, span: str) -> None:
    right = f"{span} {way} this clock and wss://b.example, which agree with each other"
    tell = "tell whoever runs that relay, or use another one"
    assert said(relay("a", sign * span_s), relay("b")) == [
        (FAIL, f"the clock of wss://a.example is {right}: it is wrong there; {tell}{BEYOND}")
    ]
    assert said(node(sign * span_s), relay("b")) == [
        (FAIL, f"the clock of the node is {right}: it is wrong there; on its machine, {SET}{BEYOND}")
    ]


@pytest.mark.parametrize(("span_s", "span"), SPANS)
@pytest.mark.parametrize(("sign", "way"), [(1, "ahead of"), (-1, "behind")])
def test_one_alone_that_differs_accuses_nobody(sign: int, way: str, span_s: int, span: str) -> None:
    ((state, sentence),) = said(relay("a", sign * span_s), node())
    assert state is FAIL
    assert sentence.startswith(
        f"this clock is {span} {way} that of wss://a.example, and nothing tells which of the two is wrong: see with"
        " `timedatectl`"
    )
    assert sentence.endswith(BEYOND)


def test_what_is_still_accepted_is_a_warning() -> None:
    ((state, sentence),) = said(relay("a", REFUSED_S), relay("b", REFUSED_S))
    assert (state, sentence.endswith(SET)) == (WARN, True)
    assert [state for state, _ in said(relay("a", NEAR_S + 2))] == [WARN]
    assert [state for state, _ in said(relay("a", REFUSED_S + 2))] == [FAIL]


def test_when_ours_and_another_are_wrong_each_has_its_line() -> None:
    wrong = list(doubts(compare([relay("a", 3_600), relay("b", 3_600), relay("c", -7_200)])))
    assert [doubt.about for doubt in wrong] == ["this clock", "wss://c.example"]
    assert wrong[1].sentence.startswith(
        "the clock of wss://c.example is 3 h ahead of wss://a.example and wss://b.example"
    )


def test_a_node_with_our_own_wrong_clock_is_not_accused_besides() -> None:
    wrong = list(doubts(compare([relay("a", 3_600), relay("b", 3_600), node()])))
    assert [doubt.about for doubt in wrong] == ["this clock"]


def test_the_same_doubt_is_the_same_although_the_seconds_grow() -> None:
    one, other = (next(doubts(compare([relay("a", ahead_s)]))) for ahead_s in (3_600, 3_700))
    assert one[:2] == other[:2]
