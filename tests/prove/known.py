"""What is known to be wrong and not mended yet.

The short lane leaves it out, so that the main branch stays green; ``make prove`` plays it all the same, unless told
``--without-known``. Whoever mends a finding takes its rows away.
"""

from typing import Final

#: hazard, or name of a parser -> finding.
KNOWN: Final[dict[str, str]] = {
    "time goes back": "F2",
    "budget edited": "F2",
    "fee below zero": "F2",
    "nothing received": "F23",
    "low rates": "F1",
    "odd fees": "F2",
    "clock steps": "F1, F2, F14",
    "node forgets": "F3",
    "node restored": "F3",
    "node exchanged": "F6",
    "ledger restored": "F5",
    "two alive": "F17",
    "settle index": "F15",
}
