"""What SQLite says about the way in which it runs a statement."""

import re
from collections.abc import Callable

from kitestring.ledger.sqlite.store import SqliteStore

#: What a plan may not contain: a walk through a table, or through all that a service, a connection or an account has
#: there, or a sort. Constant rows are those of an insert; payments under way are a bounded number; what a subquery
#: gives is looked up by steps of its own.
WALK = re.compile(
    r"^SCAN (?!(\d+ )?CONSTANT|\(subquery)|TEMP B-TREE"
    r"|^SEARCH (?!\S+ USING INDEX payments_(open|resolved))\S+ USING .*\(service=\?\)$"
    r"|^SEARCH (payments|invoices) USING .*\(service=\? AND (grant|account)_id=\?\)$"
)


#: A store, and what SQLite says about each statement it has run: (statement, one step of its plan).
Plans = tuple[SqliteStore, Callable[[], list[tuple[str, str]]]]
