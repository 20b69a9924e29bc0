"""Text from peers: capped and without control characters before anything else sees it."""

from __future__ import annotations

import re
from typing import Final

#: Characters that a stranger's words may fill on a screen or in a log line.
MAX_LINE_CHARS: Final = 200

#: Controls, line and paragraph separators, surrogates, and the marks that reorder what a reader sees.
UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str, max_chars: int) -> str:
    """``text`` without control characters, cut to ``max_chars``: for what is kept and shown to other people, such as a
    description, where joined emoji and unusual spaces have to stay."""
    if text.isprintable():
        return text[:max_chars]
    # Cut twice: the first cut bounds the work, the second the result.
    return UNSAFE.sub("", text[: 4 * max_chars])[:max_chars]


def one_line(text: str, max_chars: int = MAX_LINE_CHARS) -> str:
    """``text`` cut to ``max_chars``, with a space for whatever is not plainly visible: for errors, logs and screens."""
    cut = text[:max_chars]
    return cut if cut.isprintable() else "".join(char if char.isprintable() else " " for char in cut)
