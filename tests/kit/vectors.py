"""Reads the files of tests/vectors; the README there says where each comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parents[1] / "vectors"


def load(name: str) -> Any:
    """A JSON file, parsed."""
    return json.loads((DIRECTORY / name).read_bytes())


def text(value: str | dict[str, Any]) -> str:
    """A text that is written out, or as ``{"repeat": …, "times": …}``."""
    return value if isinstance(value, str) else str(value["repeat"]) * int(value["times"])
