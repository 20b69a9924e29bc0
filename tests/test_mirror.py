"""Every file of the package has a test file of its own, in the same place, and a room's tests mirror its files.

Where one file has too many tests for one, what belongs together stands beside: ``test_pursuit_internal.py``.

What tests several rooms together stands in a folder with another purpose: acceptance, contract, docs, interop, sim.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import kitestring

SOURCE = Path(kitestring.__path__[0])
TESTS = Path(__file__).parent
ROOMS = sorted(folder.name for folder in SOURCE.iterdir() if (folder / "__init__.py").is_file())
#: Files of the package without a test file, each with the reason. A row may only go.
WITHOUT = {
    "app/service/seams.py": "names and types only, without behaviour; mypy holds all who make and use it to them",
    "base/ports.py": "protocols only, without behaviour; mypy holds all who fulfil and use them to them",
    "base/store.py": "protocols only, without behaviour; mypy holds all who fulfil and use them to them",
    "base/zaps.py": "one value without behaviour; tests/wire/test_zaps.py shows what becomes one",
}
#: Folders of types only: one test holds them all.
HELD_TOGETHER = {
    "app/cli/results": "tests/app/cli/test_answers.py; every test holds what a command shows to them",
    "app/owner/results": "tests/contract/test_results.py; every test holds the answers of the commands to them",
}

HAS_TESTS = re.compile(r"^(async )?def test_|\.TestCase$", re.MULTILINE)


def test_every_file_has_a_test_file_of_its_own() -> None:
    files = [file.relative_to(SOURCE) for file in sorted(SOURCE.rglob("*.py")) if not file.name.startswith("__")]
    without = [file for file in files if str(file.parent) not in HELD_TOGETHER and not _tests_of(file).is_file()]
    assert [str(file) for file in without] == sorted(WITHOUT)


def test_every_test_file_of_a_room_mirrors_one_of_its_files() -> None:
    found = [file.relative_to(TESTS) for room in ROOMS for file in sorted((TESTS / room).rglob("test_*.py"))]
    assert [file for file in found if not any(_files_of(file))] == []


def test_no_test_file_is_empty() -> None:
    found = [file for file in sorted(TESTS.rglob("test_*.py")) if not HAS_TESTS.search(file.read_text("utf-8"))]
    assert found == []


def _tests_of(file: Path) -> Path:
    return TESTS / file.parent / f"test_{file.name}"


def _files_of(test: Path) -> Iterator[bool]:
    """Whether the file is there, of the whole name or of its first words."""
    words = test.stem.removeprefix("test_").split("_")
    for count in range(1, len(words) + 1):
        yield (SOURCE / test.parent / f"{'_'.join(words[:count])}.py").is_file()
