"""Write every generated page and picture: ``python -m docs.generate``; with ``--check`` only say which are stale.

Whole pages come from the code, parts of pages stand between ``<!-- generated: NAME -->`` and ``<!-- end -->``, and
the console blocks of marked pages are run for real.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from docs.make import card, console, drawings, json_answers, nwc, relays, sdk, tables
from kitestring.app.cli.reference import reference_markdown as cli_page
from kitestring.app.home.manual import reference_markdown as configuration_page

DOCS: Final = Path(__file__).parent
ROOT: Final = DOCS.parent
NOTE: Final = "<!-- written by `make docs`; do not edit -->\n"

#: Files that are generated as a whole.
WHOLE: Final[Mapping[str, Callable[[], str]]] = {
    "reference/cli.md": lambda: NOTE + cli_page(),
    "reference/configuration.md": lambda: NOTE + configuration_page(),
    "reference/errors.md": lambda: NOTE + tables.errors_page(),
    "reference/json.md": lambda: NOTE + json_answers.json_page(),
    "reference/json-schema.json": json_answers.schema_text,
    "reference/nwc.md": lambda: NOTE + nwc.nwc_page(),
    "reference/sdk.md": lambda: NOTE + sdk.sdk_page(),
    "images/payment-states.svg": drawings.states_svg,
    "images/rooms.svg": lambda: drawings.rooms_svg(tables.layers(), tables.floors(), tables.PARTS, tables.pure_rooms()),
}
#: Parts of pages that are written by hand.
PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "states": tables.states,
    "invoice-states": tables.invoice_states,
    "states-mermaid": drawings.states_mermaid,
    "invariants": tables.invariants,
    "rooms": tables.rooms,
    "rooms-of-app": tables.rooms_of_app,
    "owner-commands": tables.owner_commands,
    "foreign-relays": relays.foreign_relays,
}
_PART: Final = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def makers() -> dict[Path, Callable[[], str]]:
    """Every generated file with what makes its text. What differs by its keys and times only is not new."""
    pages = (page for page in DOCS.rglob("*.md") if page.relative_to(DOCS).as_posix() not in WHOLE)
    return {
        **{DOCS / name: make for name, make in WHOLE.items()},
        DOCS / "images/card.svg": _picture,
        **{page: partial(_page, page) for page in sorted(pages)},
    }


def is_fresh(path: Path, text: str) -> bool:
    """Whether the file holds ``text`` already."""
    return path.exists() and path.read_text(encoding="utf-8") == text


def _picture() -> str:
    path, shown = DOCS / "images/card.svg", card.take()
    drawn = path.read_text(encoding="utf-8") if path.exists() else ""
    return drawn if card.mark(shown) in drawn else card.draw(shown)


def _page(path: Path) -> str:
    text = _PART.sub(lambda part: f"{part[1]}\n{PARTS[part[2]]()}\n\n{part[3]}", path.read_text(encoding="utf-8"))
    if console.MARK not in text:
        return text
    again = console.rerun(text)
    return text if console.same(again, text) else again


def main(arguments: list[str]) -> int:
    """Exit code 1 when ``--check`` finds something stale."""
    made = ((path, make()) for path, make in makers().items())
    stale = [(path, text) for path, text in made if not is_fresh(path, text)]
    names = [str(path.relative_to(ROOT)) for path, _ in stale]
    if "--check" in arguments:
        sys.stdout.writelines(f"stale: {name}; run `make docs`\n" for name in names)
        return 1 if names else 0
    for path, text in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    sys.stdout.writelines(f"wrote {name}\n" for name in names)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
