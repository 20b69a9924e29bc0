"""What is known to be wrong and not mended yet.

The short lane leaves it out, so that the main branch stays green; ``make prove`` plays it all the same, unless told
``--without-known``. Whoever mends a finding takes its rows away.
"""

from typing import Final

#: hazard, or name of a parser -> finding.
KNOWN: Final[dict[str, str]] = {
    "time goes back": "F2",
    # A node that is put back to the moment right before an order has lost nothing that anybody could count.
    "node restored": "F3",
    "ledger restored": "F5",
}
