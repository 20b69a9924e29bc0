"""Pasted texts: what mail programs, chats and editors put into a code or link without anybody seeing it."""

from __future__ import annotations

import re
from typing import Final

#: No code, key or link has any of these in it: soft hyphen, marks and joiners of words, marks of direction, selectors
#: of a drawing, byte-order mark.
_UNSEEN: Final = re.compile("[\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]+")


def tidy(text: str) -> str:
    """``text`` without white space around it and without what nobody sees, its lines joined: long codes are wrapped."""
    bare = text.strip() if text.isascii() else _UNSEEN.sub("", text).strip()
    return "".join(line.strip() for line in bare.splitlines())


def is_wrapped(text: str) -> bool:
    """Whether ``text`` has more than one line, which :func:`tidy` joins. For what has no checksum that is no repair."""
    return len(_UNSEEN.sub("", text).strip().splitlines()) > 1
