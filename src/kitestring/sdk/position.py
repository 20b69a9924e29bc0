"""The place in a wallet's history up to which a program was told: kept by the program as a short text, and given back.

Payments do not come in the order of their times: a node may tell late what it got early. So a place is a time and,
after that time, the payments themselves.
"""

from __future__ import annotations

from typing import Final

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.outcomes import Transaction
from kitestring.base.text import clean

#: Seconds before the newest payment in which others are known one by one.
LOOK_BACK_S: Final = 86_400
#: The time moves in steps of so many seconds, so that not every payment looks through all others.
STEP_S: Final = 600
#: Payments known one by one (about 150 bytes each), and those of them that a text names (25 characters each).
MAX_SEEN: Final = 20_000
MAX_NAMED: Final = 500
#: Digits of a payment hash that stand for it.
_DIGITS: Final = 16
_HELD: Final = "h"
_LETTERS: Final = {"payment_received": "r", "payment_sent": "s", "hold_invoice_accepted": _HELD}
#: Seconds for which a payment that is held is known, whatever was told since: no longer can one be held, by
#: :data:`~kitestring.base.commands.MAX_HOLD_BLOCKS`, and a day.
HELD_S: Final = 8 * 86_400
_FORM: Final = "kite1"


class Position:
    """Everything that happened before ``floor`` (Unix seconds, by the wallet's clock) was told, or is not asked for."""

    def __init__(self, floor: int) -> None:
        self.floor = floor
        self._seen: dict[str, int] = {}  # by key, in the order in which they were told
        self._newest = floor

    @classmethod
    def read(cls, text: str) -> Position:
        """The place that ``str`` has written. Raises KitestringError(MALFORMED) for anything else."""
        form, _, rest = text.partition(":")
        try:
            if form != _FORM:
                raise ValueError(form)  # noqa: TRY301 - all that is wrong with it has one sentence
            floor, _, names = rest.partition(":")
            found = cls(_number(floor, 10))
            for name in filter(None, names.split(".")):
                key, _, later = name.partition("+")
                if key[:1] not in _LETTERS.values() or len(key) != 1 + _DIGITS:
                    raise ValueError(key)  # noqa: TRY301 - as above
                found._seen[key] = found.floor + _number(later, 16)
        except ValueError:
            shown = clean(text, 20)
            sentence = f"{shown!r} is no position of notifications: give one back as it was, or a time in Unix seconds"
            raise KitestringError(Reason.MALFORMED, sentence) from None
        return found

    def __str__(self) -> str:
        """The text of it, at most 13,000 characters. It names the latest; of many more, the others count as told by
        their time."""
        named = list(self._seen.items())[-MAX_NAMED:]
        left_out = list(self._seen.values())[:-MAX_NAMED]
        floor = max([self.floor, *(at + 1 for at in left_out)])
        names = ".".join(f"{key}+{max(0, at - floor):x}" for key, at in named if self._is_known(key, at, floor))
        return f"{_FORM}:{floor}:{names}"

    def is_new(self, kind: str, transaction: Transaction, now: int) -> bool:
        """Whether this was not told yet; ``now`` (Unix seconds) is the time of what has not ended."""
        return _at(transaction, now) >= self.floor and _key_of(kind, transaction) not in self._seen

    def add(self, kind: str, transaction: Transaction, now: int) -> None:
        """This is told. A time ahead of ``now`` counts as ``now``: a wrong clock must not hide what comes after it."""
        at = max(min(_at(transaction, now), now), self.floor)
        self._seen[_key_of(kind, transaction)] = at
        self._newest = max(self._newest, at)
        if len(self._seen) > MAX_SEEN:
            oldest = next(iter(self._seen))
            self._raise(self._seen.pop(oldest) + 1)
        if self._newest - LOOK_BACK_S >= self.floor + STEP_S:
            self._raise(self._newest - LOOK_BACK_S)

    def _raise(self, floor: int) -> None:
        self.floor = max(self.floor, floor)
        for key in [key for key, at in self._seen.items() if not self._is_known(key, at, self.floor)]:
            del self._seen[key]

    def _is_known(self, key: str, at: int, floor: int) -> bool:
        """Whether it has to be known by itself: what has ended is told by its time, once that lies before the floor."""
        return at >= floor or (key.startswith(_HELD) and at >= self._newest - HELD_S)


def _key_of(kind: str, transaction: Transaction) -> str:
    """The name of one thing that is told once: its type and its payment."""
    return _LETTERS[kind] + transaction.payment_hash[:_DIGITS]


def _at(transaction: Transaction, now: int) -> int:
    """The time when it became true. Wallets that tell none have told when it was made; what has not ended is now."""
    return now if transaction.state != "settled" else transaction.settled_at or transaction.created_at


def _number(text: str, base: int) -> int:
    """A number of plain digits. Raises ValueError."""
    if not text.isascii() or not text.isalnum() or len(text) > 12:
        raise ValueError(text)
    return int(text, base)
