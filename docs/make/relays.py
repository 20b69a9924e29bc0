"""The table of what foreign relays do, from what was measured of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

FACTS: Final = Path(__file__).parents[1] / "explanation" / "relays.json"

#: What each fact is about, and what we do about it.
MEANINGS: Final[Mapping[str, tuple[str, str]]] = {
    "settings": ("differs from what its authors ship by", ""),
    "heard": ("says to an answer that somebody listens to", "done"),
    "unheard": ("to one that nobody listens to", "`mute:` ends a reply; a receipt is tried again for 600 s"),
    "again": ("to the same one again", "`duplicate:` counts as taken; whoever hears it takes each id once"),
    "stored": ("to an event that it keeps", "connections are announced on every relay until each has it"),
    "forged": ("to an event that it refuses", "its words are shown by `doctor` and in the log"),
    "afterwards": ("to what comes after that", "`doctor` says that it does not carry what is addressed to us"),
    "dates": ("an answer with another date", "answers older than 45 s are signed anew"),
    "live": (
        "finds `#p`, `#e` and authors as they pass",
        "a service asks by `#p`; an app by `#e` and author, else by `#p`",
    ),
    "kept": (
        "finds them in what it keeps; obeys `limit` and `since`",
        "what is older is asked for by number, not by date: at most 500",
    ),
    "answers": ("keeps answers", "an app hears an answer that came before it listened, where they are kept"),
    "keys": ("keys in one filter", "200"),
    "filters": ("filters in one REQ", "2"),
    "subscriptions": (
        "subscriptions of one connection",
        "one for 200 keys of a service; one that is CLOSED is asked for again",
    ),
    "size": ("largest event", "an answer has up to 130 kB"),
    "auth": ("asks who we are", "every key authenticates, then what was refused is sent again"),
    "clock": ("tells the time over HTTP", "`doctor` compares the clocks of those that do"),
    "pings": ("a ping", "one every 25 s; a relay that does not answer is dialled anew"),
}


def foreign_relays() -> str:
    """One row for each fact, one column for each relay."""
    measured: dict[str, dict[str, str]] = json.loads(FACTS.read_text(encoding="utf-8"))
    heads = ["", *(facts["relay"] for facts in measured.values()), "what we do"]
    rows = [[asked, *(facts[name] for facts in measured.values()), ours] for name, (asked, ours) in MEANINGS.items()]
    return "\n".join(_row(cells) for cells in (heads, ["---"] * len(heads), *rows))


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
