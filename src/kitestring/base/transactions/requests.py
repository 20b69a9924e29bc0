"""Requests that need no claim: those that are answered, refused or forgotten."""

from __future__ import annotations

from kitestring.base.records import Message, Request
from kitestring.base.transactions.answers import Done, Finished, More, Running, Tx, Unstored


class Answer(Tx[Done | Finished | Running], frozen=True):
    """Finish one request with a reply, inserting it if it was never claimed (a refusal, a second asker).

    A claimed request is finished only by a caller that names the payment it waits for (``request.payment_id``, as it
    is stored); to anybody else it is running and nothing is written. Finished: it had a reply already, which stays.
    """

    request: Request
    messages: tuple[Message, ...]
    now: int


class Refuse(Tx[Done | Unstored | Finished | Running], frozen=True):
    """Refuse a request that was never claimed, so that it never will be: until ``until`` (Unix seconds), its id and its
    reply are kept, and nothing else of it. ``until`` must lie behind the end of its age window, by every clock.

    ``reply`` None is silence; it may also be an answer to what needs no claim. The replies kept of one grant have at
    most ``max_bytes``, those that refuse and those that answer each for themselves; beyond that only the id is. Of one
    grant ``max_number`` refusals are kept, answers among them; beyond that the oldest are forgotten, and what it has
    sent before them is refused forever. Unstored also for what that refuses already.
    """

    request: Request
    until: int
    now: int
    reply: Message | None
    max_bytes: int
    max_number: int


class ForgetRefusals(Tx[Done | More], frozen=True):
    """Forget refusals that were to be kept until before ``before``, once they have been sent or ``unsent_before``
    (Unix seconds) has passed. What is as old as one of them is refused from then on, also if our clock goes back. Of
    questions to the owner that ended without a yes the newest are kept, of strangers and of known keys as many."""

    before: int
    unsent_before: int


class Prune(Tx[Done | More], frozen=True):
    """Forget finished requests and their messages that are more than ``keep_s`` seconds older than ``now``, or than the
    newest request if that is earlier; the horizon moves forward with them.
    Refusals are not its affair.

    Requests of ``CONTROL_WIRE`` stay forever: an idempotency key has no age that could refuse it.
    """

    now: int
    keep_s: int
