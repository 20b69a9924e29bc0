"""Pages of docs/ whose console blocks need Node.js: run with the foreign clients of the rig.

``python -m tests.kit.interop.pages`` writes their outputs anew, as `make docs` does those of the other pages.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Final

from docs.make import console

from tests.rig import parts

DOCS: Final = Path(__file__).parents[3] / "docs"
#: A block whose first line names the file that its reader saves it as.
_SCRIPT: Final = re.compile(r"^```js\n(// ([a-z]+\.mjs): .*?)^```$", re.DOTALL | re.MULTILINE)


def pages() -> list[Path]:
    return sorted(page for page in DOCS.rglob("*.md") if console.NODE_MARK in page.read_text(encoding="utf-8"))


def rerun(page: str) -> str:
    """The page with the outputs of a run just made, in a directory with its scripts and the packages of the rig."""
    node, modules = parts.find_node(), parts.find_clients()
    assert node is not None, parts.HOW_TO_GET
    assert modules is not None, parts.HOW_TO_GET
    with tempfile.TemporaryDirectory() as room:
        (Path(room) / "node_modules").symlink_to(modules)
        for code, name in _SCRIPT.findall(page):
            (Path(room) / name).write_text(code, encoding="utf-8")
        return console.rerun(page, Path(room), str(node.node.parent))


def main() -> None:
    for page in pages():
        before = page.read_text(encoding="utf-8")
        again = rerun(before)
        if not console.same(again, before):
            page.write_text(again, encoding="utf-8")
            sys.stdout.write(f"wrote {page.relative_to(DOCS.parent)}\n")


if __name__ == "__main__":
    main()
