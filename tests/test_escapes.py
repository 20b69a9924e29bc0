"""Whoever silences a linter says why."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("bench", "docs", "examples", "src", "tests", "tools")
#: The two escapes, and what has to follow them on their line: named codes, and words.
ESCAPE = re.compile(r"# (?:type: ignore|(?:ruff: )?noqa)\b")
REASONED = re.compile(
    r"# type: ignore\[[a-z, -]+\]  # \w.+|# (?:ruff: )?noqa: [A-Z]+[0-9]+(?:, [A-Z]+[0-9]+)*(?: - | \(|  # )\w.+"
)


def test_every_escape_names_what_it_silences_and_why() -> None:
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]
    bare = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in files
        if file != Path(__file__)
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if ESCAPE.search(line) and not REASONED.search(line)
    ]
    assert bare == []
