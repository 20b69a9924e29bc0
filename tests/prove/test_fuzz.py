"""What others send, spoilt and grown: nothing but the documented errors, and no step more than it needs."""

import ast
import re
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

import pytest

import kitestring
from tests.prove.fuzz import FuzzError, fuzz, growth
from tests.prove.known import KNOWN
from tests.prove.parser import Parser
from tests.prove.parsers import PARSERS

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


#: Where texts of others are read, and how the functions are called that do it.
ROOMS = ("codec", "wire", "nostr", "backend/lnd")
READING = re.compile(r"_?(read|decode|parse|loads|require|check|judge|thaw|tidy|signer|is_reply|is_notification)")
#: What reads our own words, the owner's settings, or what was read before.
OF_OUR_OWN = {
    "codec/beacon.py": {"require_line", "require_avatar", "require_website", "_require_whole"},
    "codec/bech32.py": {"decode_symbols"},  # of an invoice whose letters were looked at
    "codec/tickers.py": {"read"},
    "wire/ask/debits.py": {"judge_preimage"},
    "wire/ask/offers.py": {"judge_receipt"},
    "wire/ask/nwc/payments.py": {"read_none"},
    "wire/beacon.py": {"_require_key"},
    "wire/reply_to.py": {"thaw"},
    "nostr/event.py": {"read_head"},
    "nostr/inbox.py": {"check"},
    "backend/lnd/macaroon.py": {"read_macaroon"},
    "backend/lnd/rest.py": {"_read"},
}


def _readers() -> set[tuple[str, str]]:
    root = Path(kitestring.__file__).parent
    files = (path for room in ROOMS for path in (root / room).rglob("*.py"))
    return {
        (str(path.relative_to(root)), one.name)
        for path in files
        for one in ast.walk(ast.parse(path.read_text()))
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and READING.match(one.name)
    }


def test_every_function_that_reads_what_others_send_is_reached_by_a_parser() -> None:
    reached: set[tuple[str, str]] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            reached.add((frame.f_code.co_filename.rpartition("/kitestring/")[2], frame.f_code.co_name))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        for parser in PARSERS:
            for seed in parser.seeds()[:400]:
                with suppress(*parser.raises):
                    parser.call(seed)
    finally:
        sys.setprofile(before)
    ours = {(file, name) for file, names in OF_OUR_OWN.items() for name in names}
    assert _readers() - reached - ours == set()
    assert ours <= _readers()
