"""The words of others, at the border: every way in and every way out uses these functions, and nothing else does.

What a text may keep is decided here alone. Control characters become a blank, so that words stay apart and no row of a
list can be forged; marks that reorder what a reader sees are taken out. Letters and marks that languages and joined
emoji need stay as they are.
"""

from __future__ import annotations

import re
from typing import Final

#: Characters that a stranger's words may fill on a screen or in a log line.
MAX_LINE_CHARS: Final = 200

#: Controls, and the separators of lines and paragraphs.
_CONTROLS: Final = "\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029"
#: Marks of direction, overrides, isolates, deprecated formats, notes between lines, byte-order marks, half surrogates.
_TRICKS: Final = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f\ufff9-\ufffb\ufeff\ud800-\udfff"
_control: Final = re.compile(f"[{_CONTROLS}]+")
_trick: Final = re.compile(f"[{_TRICKS}]+")
_unsafe: Final = re.compile(f"[{_CONTROLS}{_TRICKS}]")
#: Beside those, in what people tell apart by looking: soft hyphen, joiners of words, other white space than a blank.
_unseen: Final = re.compile(f"[{_CONTROLS}{_TRICKS}\xad\u180e\u200b\u2060-\u2064]|[^\\S ]")


def clean(text: str, max_chars: int) -> str:
    """``text`` on one line, without what plays tricks on a screen, cut to ``max_chars``."""
    if text.isprintable():
        return text[:max_chars]
    # Cut twice: the first cut bounds the work, the second the result.
    parts = _control.split(_trick.sub("", text[: 4 * max_chars]))
    bare = parts[0] if len(parts) == 1 else " ".join(filter(None, (part.strip(" ") for part in parts)))
    return bare[:max_chars]


def one_line(text: str, max_chars: int = MAX_LINE_CHARS) -> str:
    """:func:`clean` for errors, logs and screens, at the length that they have for the words of others."""
    return clean(text, max_chars)


def on_screen(text: str) -> str:
    """``text`` of several lines, without control characters but its line ends: whatever it was made of, no sequence in
    it steers a terminal."""
    return text if _unsafe.search(text) is None else "\n".join(_without(line) for line in text.split("\n"))


def _without(line: str) -> str:
    return _control.sub(" ", _trick.sub("", line))


def escape_unsafe(json_text: str) -> str:
    """The same JSON value, written so that the text itself holds nothing unsafe.

    Values are not changed: a signed event may be among them.
    """
    if json_text.isprintable():
        return json_text
    return _unsafe.sub(lambda match: f"\\u{ord(match[0]):04x}", json_text)


def is_safe(text: str) -> bool:
    """Whether :func:`clean` and :func:`escape_unsafe` leave it as it is."""
    return _unsafe.search(text) is None


def unseen(text: str) -> str:
    """The first character of ``text`` that nobody sees, "" if there is none. Joiners that scripts need are no such."""
    found = _unseen.search(text)
    return "" if found is None else found[0]
