"""Messages to the operator, written into the service's log: none is lost, however the service ended in between."""

from __future__ import annotations

import logging
from typing import Final

from kitestring.app.service.receptions import OnReception, Reception
from kitestring.base.records import Message
from kitestring.base.text import clean

log = logging.getLogger("kitestring.alarm")

#: The address of a message that is no alarm.
GOOD_NEWS: Final = b"good news"
#: Of one line; the ledger keeps the whole text.
MAX_CHARS: Final = 1_000


def write_line(message: Message, done: OnReception) -> None:
    """Write one line. The message is taken once it is written."""
    level = logging.WARNING if message.address == GOOD_NEWS else logging.ERROR
    log.log(level, "%s", clean(message.plaintext.decode(), MAX_CHARS))
    done(Reception.TAKEN)
