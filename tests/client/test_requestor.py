"""The seed with which services are asked: made once, for its owner alone, and never replaced."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.client.requestor import FILE_NAME, requestor_seed
from tests.kit.chance import Counted


def test_it_is_drawn_once_and_found_again(tmp_path: Path) -> None:
    home, draws = tmp_path / "a" / "b", Counted()
    seed = requestor_seed(home, draws)
    assert len(seed) == 32
    assert requestor_seed(home, draws) == seed
    path = home / FILE_NAME
    assert path.read_text() == f"{seed.hex()}\n"
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(home.stat().st_mode)) == (0o600, 0o700)
    assert [each.name for each in home.iterdir()] == [FILE_NAME]


def test_of_many_that_come_at_once_all_have_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        seeds = list(pool.map(lambda _: requestor_seed(tmp_path, os.urandom), range(64)))
    assert len(set(seeds)) == 1
    assert [each.name for each in tmp_path.iterdir()] == [FILE_NAME]


def test_one_that_somebody_else_makes_meanwhile_stays(tmp_path: Path) -> None:
    theirs = bytes(range(32))

    def slow(size: int) -> bytes:
        path = tmp_path / FILE_NAME
        path.touch(0o600)
        path.write_text(theirs.hex())
        return bytes(size)

    assert requestor_seed(tmp_path, slow) == theirs


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, "00" * 33, "é" * 64])
def test_a_damaged_one_is_named_never_shown_and_never_replaced(text: str, tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.touch(0o600)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(KitestringError, match="is damaged: it must hold 64 hex digits") as caught:
        requestor_seed(tmp_path, os.urandom)
    assert caught.value.reason is Reason.MALFORMED
    assert text == "" or text not in caught.value.message
    assert path.read_text(encoding="utf-8") == text


def test_one_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    requestor_seed(tmp_path, os.urandom)
    (tmp_path / FILE_NAME).chmod(0o640)
    with pytest.raises(KitestringError, match="chmod 600"):
        requestor_seed(tmp_path, os.urandom)


def test_a_directory_in_its_place_is_no_key(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(KitestringError, match="is no file"):
        requestor_seed(tmp_path, os.urandom)
