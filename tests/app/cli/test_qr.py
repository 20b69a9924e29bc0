"""A QR code is one that a phone reads: dark on light, whole, with room around it, or it is a picture in a file."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import pytest
import segno

from kitestring.app.cli import qr
from kitestring.app.cli.connect import command as connect
from kitestring.app.cli.offer import command as offer
from kitestring.app.cli.qr import MAX_QR_BYTES, Qr, drawing
from kitestring.app.cli.shell import Drawn, Shell
from kitestring.base.errors import KitestringError
from tests.kit.app.console import Service, commands, run

CODE = "noffer1" + "q" * 150
OFFER: dict[str, Any] = {"noffer": CODE}
#: Where a phone scans what is shown.
SCANNED = {
    "connect", "link", "connection rotate", "offer create", "offer edit", "offer relink", "offer show", "invoice",
    "hold create", "receive", "debit pointer create", "debit pointer relink", "debit session", "manage link",
    "manage relink",
}  # fmt: skip
MODULES = {"█": (1, 1), "▀": (1, 0), "▄": (0, 1), " ": (0, 0)}


def looking(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(qr, "person_looks", lambda: True)
    monkeypatch.setattr(qr, "columns", lambda: width)


def read(drawn: str) -> list[list[int]]:
    """The modules that a camera sees, row after row; every line is held to black on white."""
    rows: list[list[int]] = []
    for line in drawn.splitlines():
        match = re.fullmatch("\x1b\\[38;5;16;48;5;231m([█▀▄ ]+)\x1b\\[0m", line)
        assert match is not None, line
        rows += map(list, zip(*(MODULES[block] for block in match[1]), strict=True))
    return rows


def test_every_command_whose_code_is_scanned_takes_the_same_options() -> None:
    found = {words for words, one in commands().items() if {"qr", "qr_file", "force"} <= {p.name for p in one.params}}
    assert found == SCANNED


@pytest.mark.parametrize(("width", "border"), [(200, 4), (57, 4), (56, 2), (53, 2)])
def test_what_is_drawn_is_the_code_in_black_on_white_with_light_around_it(
    monkeypatch: pytest.MonkeyPatch, width: int, border: int
) -> None:
    looking(monkeypatch, width)
    wanted = [list(row) for row in segno.make(CODE, error="l", micro=False).matrix_iter(border=border)]
    assert len(wanted) == 57 - 8 + 2 * border
    seen = read(drawing(CODE))
    assert [[int(bool(one)) for one in row] for row in wanted] == seen[: len(wanted)]
    assert not any(any(row) for row in seen[len(wanted) :])


def test_a_code_is_never_broken_by_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    looking(monkeypatch, 45)
    said = run(offer, "create", "tea", answer=OFFER)
    assert said.out == f"{CODE}\n"
    assert said.err == "this terminal is too narrow for the QR code (53 columns): add --qr-file FILE.png\n"
    assert run(offer, "create", "tea", "--no-qr", answer=OFFER).err == ""


def test_a_code_is_drawn_without_a_terminal_when_it_is_asked_for_and_never_when_it_is_not_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert run(offer, "create", "tea", answer=OFFER).out == f"{CODE}\n"
    drawn = f"{drawing(CODE)}\n\n{CODE}\n"
    assert run(offer, "create", "tea", "--qr", answer=OFFER).out == drawn
    looking(monkeypatch, 80)
    assert run(offer, "create", "tea", answer=OFFER).out == drawn
    assert run(offer, "create", "tea", "--no-qr", answer=OFFER).out == f"{CODE}\n"
    assert run(offer, "create", "tea", "--json", answer=OFFER).json == OFFER


def test_what_no_qr_code_holds_stands_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    longest = "x" * MAX_QR_BYTES
    assert isinstance(drawing(longest), Drawn)
    sentence = "no QR code holds so much: 2,954 bytes, and the most is 2,953"
    looking(monkeypatch, 1_000)
    said = run(offer, "create", "tea", answer={"noffer": f"{longest}x"})
    assert (said.out, said.err) == (f"{longest}x\n", f"{sentence}\n")
    with pytest.raises(KitestringError, match=f"done, but {sentence}; nothing was written to "):
        run(offer, "create", "tea", "--qr-file", str(tmp_path / "a.png"), answer={"noffer": f"{longest}x"})


def test_a_picture_is_written_beside_the_answer(tmp_path: Path) -> None:
    for name, begin in (("tea.png", b"\x89PNG"), ("tea.SVG", b"<?xml")):
        said = run(offer, "create", "tea", "--qr-file", str(tmp_path / name), answer=OFFER)
        assert (said.out, said.err) == (f"{CODE}\n", f"its QR code is in {tmp_path / name}\n")
        assert (tmp_path / name).read_bytes().startswith(begin)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) & 0o077, "anybody may see an offer"
    told = run(offer, "create", "tea", "--json", "--qr-file", str(tmp_path / "more.png"), answer=OFFER)
    assert (told.json, (tmp_path / "more.png").is_file()) == (OFFER, True)


def test_a_picture_of_a_secret_is_for_its_owner_alone_also_in_place_of_another(
    tmp_path: Path, service: Service
) -> None:
    file = tmp_path / "shop.png"
    file.write_text("old")
    file.chmod(0o644)
    refused = service.run("connect", "pictured", "--qr-file", str(file))
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert f"{file} is there already: --force overwrites it" in refused.stderr
    assert service.run("link", "pictured").exit_code != 0, "nothing was made"
    done = service.run("connect", "pictured", "--qr-file", str(file), "--force")
    assert "which is as secret as the code" in done.stderr
    assert file.read_bytes().startswith(b"\x89PNG")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--qr-file", "{}/tea.jpg"), "tea.jpg is no name of a picture: end it in .png or .svg"),
        (("--qr-file", "{}/none/tea.png"), "there is no directory {}/none: make it first"),
        (("--force",), "--force overwrites the file of --qr-file: name that too"),
        (("--qr", "--json"), "--json draws nothing: write the QR code with --qr-file FILE.png"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_is_made(
    options: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    typed = [option.replace("{}", str(tmp_path)) for option in options]
    with pytest.raises(KitestringError, match=re.escape(words.replace("{}", str(tmp_path)))):
        run(connect, "shop", *typed)


def test_a_file_that_appears_meanwhile_is_left_alone_and_the_answer_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tea.png"
    asked = Qr(None, file)
    file.write_text("of somebody else")
    with pytest.raises(KitestringError, match=r"done, but its QR code could not be written to .* \(file exists\)"):
        asked.show(Shell(), OFFER, CODE)
    assert capsys.readouterr().out == f"{CODE}\n"
    assert file.read_text() == "of somebody else"
