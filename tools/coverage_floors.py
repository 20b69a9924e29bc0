"""Compares the branch coverage of each room with its floor, after `coverage run`. Exit code 1 when one lies below."""

import json
import math
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import coverage

#: Room → the least percentage of its statements and branches that the tests reach in their own process.
FLOORS = {
    "": 85,
    "app": 87,
    "app/blocking": 95,
    "app/cli": 90,
    "app/doors": 95,
    "app/embedded": 95,
    "app/home": 96,
    "app/owner": 93,
    "app/service": 93,
    "backend": 94,
    "base": 98,
    "client": 96,
    "codec": 99,
    "crypto": 94,
    "engine": 98,
    "ledger": 98,
    "nostr": 99,
    "policy": 98,
    "relay": 96,
    "sdk": 93,
    "transport": 96,
    "wire": 98,
}

#: What the files beside the rooms are called.
TOP = "top"


def room_of(file: str) -> str:
    """The first folder below the package, inside `app` the second one, too; "" for the files at the top."""
    folders = file.rpartition("kitestring/")[2].split("/")[:-1]
    return "/".join(folders[: 2 if folders[:1] == ["app"] else 1])


def measured() -> dict[str, float]:
    """Room → percentage of statements and branches reached in the last run."""
    data = coverage.Coverage()
    data.load()
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.json"
        data.json_report(outfile=str(report))
        files = json.loads(report.read_text(encoding="utf-8"))["files"]
    there, reached = Counter[str](), Counter[str]()
    for file, counted in files.items():
        numbers = counted["summary"]
        there[room_of(file)] += numbers["num_statements"] + numbers["num_branches"]
        reached[room_of(file)] += numbers["covered_lines"] + numbers["covered_branches"]
    return {room: 100 * reached[room] / count for room, count in there.items() if count}


def faults(floors: Mapping[str, int], rooms: Mapping[str, float]) -> Iterable[str]:
    """One sentence for each room below its floor, without a floor, or gone."""
    for room in sorted({*floors, *rooms}):
        name = room or TOP
        if room not in floors:
            yield f"{name} has no floor: give it {int(rooms[room])} in tools/coverage_floors.py"
        elif room not in rooms:
            yield f"{name} is no room any more: take its floor out of tools/coverage_floors.py"
        elif rooms[room] < floors[room]:
            percent = math.floor(10 * rooms[room]) / 10
            yield f"{name} is at {percent} %, its floor is {floors[room]}: `coverage report -m` names the lines"


def main() -> int:
    """Prints the table; returns the exit code."""
    rooms = measured()
    for room, percent in sorted(rooms.items()):
        sys.stdout.write(f"{room or TOP:16} {percent:6.1f} %   floor {FLOORS.get(room, '–')}\n")
    found = list(faults(FLOORS, rooms))
    sys.stderr.writelines(f"{sentence}\n" for sentence in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
