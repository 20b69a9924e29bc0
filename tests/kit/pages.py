"""Python blocks of the pages, run as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

HOW_TO = Path(__file__).parents[2] / "docs/how-to"


def blocks(name: str, language: str = "python") -> list[str]:
    """The code blocks of a page of docs/how-to, in their order."""
    text = (HOW_TO / f"{name}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def names_of(code: str, module: str) -> dict[str, Any]:
    """The names that a block defines, as the module of that name would."""
    names: dict[str, Any] = {"__name__": module}
    exec(compile(code, f"<{module}>", "exec", dont_inherit=True), names)
    return names
