"""The picture of the README: a terminal with what ``make run`` (``kitestring up``) printed."""

from __future__ import annotations

import hashlib
import io
from typing import Final

from rich.console import Console
from rich.text import Text

from docs.make.console import Session, normalised

#: Wide enough for the sentences; only the codes are longer, and run on in the next line as they do in a terminal.
COLUMNS: Final = 100

#: As rich's own, without the font that it loads from elsewhere, and with the mark by which a stale picture is found.
_FORMAT: Final = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<!-- %s -->
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; \
font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""  # noqa: E501 - one element is one line


def take() -> str:
    """What the service prints at its first start."""
    with Session() as session:
        return session.start()


def mark(card: str) -> str:
    """The same for two cards with the same words."""
    return f"made from `kitestring up`; words {hashlib.sha256(normalised(card).encode()).hexdigest()[:32]}"


def draw(card: str) -> str:
    """The card as SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), color_system="truecolor", legacy_windows=False)
    console.print(Text.assemble(("$ ", "bold green"), ("make run", "bold")), "")
    for line in card.splitlines():
        style = "dim" if line.startswith("  #") else ""
        for start in range(0, max(len(line), 1), COLUMNS):  # as a terminal does it, in the middle of a word
            console.print(Text(line[start : start + COLUMNS], style=style, no_wrap=True))
    return console.export_svg(title="kitestring", code_format=_FORMAT % mark(card), unique_id="card")
