"""Tell how an attempt to deliver a message was received, and what is done next: what the table of routes is made of.

A message is sent again only while somebody can be waiting for it. So a rule stands for each kind of message and each
reception: after which pauses it is sent again, and up to which age.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from kitestring.base.records import Outgoing
from kitestring.base.store import LONGEST_RETRY_S
from kitestring.transport.publications import PublishResult, RelayAnswer

#: Waits between attempts for one message: once a minute for a quarter of an hour, then more and more seldom. The last
#: one is repeated.
RETRY_S: Final = (1, 2, 5, 10, 30, *[60] * 15, 120, 300, LONGEST_RETRY_S)


class Reception(Enum):
    """The way that one attempt was received, from the best to the worst."""

    TAKEN = "taken"
    UNHEARD = "nobody was listening"  # NIP-01's `mute:`
    SILENT = "sent, and never confirmed"
    REFUSED = "refused"
    UNSENT = "not sent: nobody was there to take it"


OnReception = Callable[[Reception], None]


#: The reception that one relay's word stands for, the best first. What one relay has passed on is not kept for another.
_RECEPTIONS: Final = {
    RelayAnswer.ACCEPTED: Reception.TAKEN,
    RelayAnswer.UNHEARD: Reception.UNHEARD,
    RelayAnswer.SENT: Reception.SILENT,
    RelayAnswer.LATER: Reception.REFUSED,
    RelayAnswer.AUTH: Reception.REFUSED,
    RelayAnswer.REFUSED: Reception.REFUSED,
    RelayAnswer.NONE: Reception.UNSENT,
}
_RANK: Final = {answer: rank for rank, answer in enumerate(_RECEPTIONS)}


def reception_of(result: PublishResult) -> Reception:
    """The best word of any relay."""
    if not result.relays:
        return Reception.UNSENT
    answers = [verdict.answer for verdict in result.relays.values()]
    return _RECEPTIONS[answers[0] if len(answers) == 1 else min(answers, key=_RANK.__getitem__)]


@dataclass(frozen=True, slots=True)
class Rule:
    """``give_up_s`` is the age in seconds at which nobody waits for the message any more: None for never, 0 for done.

    Raises ValueError for a pause of more than :data:`LONGEST_RETRY_S`.
    """

    give_up_s: int | None
    pauses_s: tuple[int, ...] = RETRY_S

    def __post_init__(self) -> None:
        if max(self.pauses_s) > LONGEST_RETRY_S:
            raise ValueError(f"a message is tried again after {LONGEST_RETRY_S} seconds at the latest")

    def pause_s(self, attempts: int) -> int:
        """Seconds to wait after so many attempts that had failed before this one."""
        return self.pauses_s[min(attempts, len(self.pauses_s) - 1)]

    def is_over(self, outgoing: Outgoing, now: int) -> bool:
        """Whether nobody waits any more. The pauses count too: what a clock that was ahead has signed looks young for
        long."""
        if self.give_up_s is None:
            return False
        repeated = max(0, outgoing.attempts - len(self.pauses_s))
        waited_s = sum(self.pauses_s[: outgoing.attempts]) + repeated * self.pauses_s[-1]
        return max(now - outgoing.message.signed_at, waited_s) >= self.give_up_s


DONE: Final = Rule(give_up_s=0)
ALWAYS: Final = Rule(give_up_s=None)
#: How a kind of message goes on after each reception.
Rules = Mapping[Reception, Rule]


def until_taken(rule: Rule = ALWAYS) -> Rules:
    """One rule for whatever is not taken."""
    return {reception: DONE if reception is Reception.TAKEN else rule for reception in Reception}
