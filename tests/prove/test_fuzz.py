"""What others send, spoilt and grown: nothing but the documented errors, and no step more than it needs."""

import pytest

from tests.prove.fuzz import FuzzError, fuzz, growth
from tests.prove.known import KNOWN
from tests.prove.parsers import PARSERS, Parser

INPUTS = 150
SOUND = [parser for parser in PARSERS if parser.name not in KNOWN]


@pytest.mark.parametrize("parser", SOUND, ids=lambda parser: parser.name)
def test_spoilt_input_is_refused_as_documented(parser: Parser) -> None:
    assert fuzz(parser, 1, INPUTS) == INPUTS


@pytest.mark.parametrize("parser", SOUND, ids=lambda parser: parser.name)
def test_twice_the_input_takes_about_twice_the_steps(parser: Parser) -> None:
    assert growth(parser) > 0


def _square(data: bytes) -> None:
    for _ in data:
        for _ in range(len(data) // 50):
            pass


def test_quadratic_work_is_seen() -> None:
    with pytest.raises(FuzzError, match=r"square: .* takes .* steps"):
        growth(Parser("square", _square, lambda: (b"x",)))


def test_an_undocumented_error_is_named_with_its_seed_and_input() -> None:
    parser = Parser("digits", int, lambda: (b"12345",))
    with pytest.raises(FuzzError, match=r"digits: seed 7, input \d+: ValueError"):
        fuzz(parser, 7, 100)


def test_the_same_seed_gives_the_same_input() -> None:
    def told(seed: int) -> list[bytes]:
        seen: list[bytes] = []
        fuzz(Parser("told", seen.append, lambda: (b"abc", b"defghi")), seed, 50)
        return seen

    assert told(1) == told(1) != told(2)
