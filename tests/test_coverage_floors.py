"""The floors of coverage: whose percentage counts where, and what fails a run."""

from pathlib import Path

import pytest
from tools.coverage_floors import FLOORS, faults, room_of

import kitestring


@pytest.mark.parametrize(
    ("file", "room"),
    [
        ("src/kitestring/base/money.py", "base"),
        ("src/kitestring/ledger/apply/batch.py", "ledger"),
        ("/home/kitestring/src/kitestring/wire/serve/nwc/table.py", "wire"),
        ("src/kitestring/app/demo.py", "app"),
        ("src/kitestring/app/cli/main.py", "app/cli"),
        ("src/kitestring/__main__.py", ""),
    ],
)
def test_a_file_counts_for_its_room_and_in_app_for_its_floor(file: str, room: str) -> None:
    assert room_of(file) == room


def test_what_is_below_its_floor_or_has_none_or_is_gone_is_told() -> None:
    measured = {"": 44.7, "base": 97.99, "wire": 90.0, "new": 77.7}
    told = list(faults({"": 85, "base": 98, "wire": 90, "gone": 50}, measured))
    assert [sentence.split(":")[0] for sentence in told] == [
        "top is at 44.7 %, its floor is 85",
        "base is at 97.9 %, its floor is 98",
        "gone is no room any more",
        "new has no floor",
    ]


def test_every_room_has_a_floor() -> None:
    package = Path(kitestring.__path__[0])
    assert set(FLOORS) == {room_of(f"src/kitestring/{file.relative_to(package)}") for file in package.rglob("*.py")}
