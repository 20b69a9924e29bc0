"""What is known to be wrong and not mended yet.

The short lane leaves it out, so that the main branch stays green; ``make prove`` plays it all the same, unless told
``--without-known``. Whoever mends a finding takes its rows away.
"""

from typing import Final

#: hazard, or name of a parser -> finding.
KNOWN: Final[dict[str, str]] = {}
