"""CLINK Enroll (kind 21004), the service's side: a key asks for an account, and gets the codes of it.

Whether it gets one is not the wire's to know, nor how much work that costs: it tells how much was proven.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kitestring.base.commands import Enroll
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.outcomes import Enrolled, Outcome
from kitestring.codec.json import dumps, loads_object
from kitestring.codec.pointers import Ndebit, Nmanage, Noffer
from kitestring.codec.pointers import encode as encode_pointer
from kitestring.nostr import kinds
from kitestring.nostr.event import Event
from kitestring.nostr.inbox import HOUR_S, Window
from kitestring.nostr.pow import proven_bits
from kitestring.wire.clink import CLINK_CODES, CLINK_VERSION, always_nip44, members_by_code, read_version, refuser
from kitestring.wire.grammar import Asked, Facts, Speakers, Wire
from kitestring.wire.refusal import WireRefusalError, refusal
from kitestring.wire.reply_to import ReplyTo

#: The beginning of an error text.
CODE_NAMES: Final = {
    1: "Enrollment Denied",
    2: "Temporary Failure",
    3: "Expired Request",
    4: "Rate Limited",
    5: "Insufficient Proof of Work",
    6: "Invalid Request",
}
CODES: Final[Mapping[Reason, int | None]] = {
    **CLINK_CODES,
    Reason.AMOUNT_OUT_OF_RANGE: 6,
    Reason.INSUFFICIENT_POW: 5,
}
#: The members that belong to a code. Clients of early drafts take a ``required_difficulty`` for proof of work under
#: code 4 too, so it stands with 5 alone.
MEMBERS: Final[Mapping[int, tuple[str, ...]]] = {
    3: ("delta",),
    4: ("retry_after", "work_bits"),
    5: ("required_difficulty",),
}


def read(text: str, event: Event, to: ReplyTo, _facts: Facts) -> Asked:
    """The ``read`` of this wire: an object, whatever is in it. Refused are a version and MALFORMED texts."""
    try:
        read_version(event)
        loads_object(text)
    except (CodecError, KitestringError) as failure:
        raise WireRefusalError(to, refusal(failure)) from None
    return Asked(Enroll(work_bits=proven_bits(event.id, event.tags)), to)


def encode(outcome: Outcome, _: ReplyTo) -> bytes | None:
    """The ``encode`` of this wire: the three codes of the account."""
    if not isinstance(outcome, Enrolled):
        return None
    service, relays, pointer_id = outcome.service_pubkey, outcome.pointer_relays, outcome.pointer_id
    members = {
        "res": "ok",
        "noffer": encode_pointer(Noffer(service, outcome.offer_relays, outcome.offer_id)),
        "ndebit": encode_pointer(Ndebit(service, relays, pointer_id)),
        "nmanage": encode_pointer(Nmanage(service, relays, pointer_id)),
    }
    return dumps(members).encode()


WIRE: Final = Wire(
    name="enroll",
    title="enroll",
    speakers=Speakers.STRANGERS,
    # Mining takes its time.
    windows={kinds.ENROLL: Window(back_s=120, ahead_s=30, answer_s=HOUR_S)},
    reply_kind=kinds.ENROLL,
    reply_tags=(CLINK_VERSION,),
    codes=CODES,
    cipher=always_nip44,
    unreadable=Reason.UNSUPPORTED_ENCRYPTION,
    read=read,
    encode=encode,
    refuse=refuser(CODE_NAMES, CODES, members_of=members_by_code(MEMBERS)),
    spends=False,
)
