"""CLINK Enroll (kind 21004), the other side: what is asked, and which answers are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kitestring.base.errors import CodecError, Reason
from kitestring.base.outcomes import Refused
from kitestring.codec.json import loads_reply
from kitestring.codec.nip19 import MAX_LENGTH
from kitestring.codec.pointers import Ndebit, Nmanage, Noffer, Pointer, decode
from kitestring.nostr.work import MAX_WORK_BITS
from kitestring.wire.ask.members import Members, number_in
from kitestring.wire.ask.members import text_in as _text_in
from kitestring.wire.ask.offers import FIRST_ABSOLUTE_TIME
from kitestring.wire.envelope import MAX_REPLY_BYTES
from kitestring.wire.text import MAX_PEER_MESSAGE

#: The whole request.
REQUEST: Final = "{}"
_KINDS: Final[tuple[tuple[str, type[Pointer]], ...]] = (("noffer", Noffer), ("ndebit", Ndebit), ("nmanage", Nmanage))
_LATE, _BUSY, _LAZY = 3, 4, 5
_REASONS: Final = {
    1: Reason.NOT_PERMITTED,
    2: Reason.UNAVAILABLE,
    _LATE: Reason.STALE_REQUEST,
    _BUSY: Reason.RATE_LIMITED,
    _LAZY: Reason.INSUFFICIENT_POW,
}


@dataclass(frozen=True, slots=True)
class EnrollOk:
    """The codes of the account, "" where the service gave none."""

    noffer: str
    ndebit: str
    nmanage: str


@dataclass(frozen=True, slots=True)
class EnrollRefusal:
    """The service refused. None and empty where it did not say, or not readably; times are Unix seconds.

    ``asked_bits`` is the proof of work that a new account costs there.
    """

    code: int | None
    text: str = ""
    asked_bits: int | None = None
    retry_at: int | None = None
    retry_in_s: int | None = None
    actual_delta_ms: int | None = None

    @property
    def mine_bits(self) -> int | None:
        """The bits to mine and then to ask again; None where that is not what is wanted, or too much."""
        return self.asked_bits if self.asked_bits is not None and self.asked_bits <= MAX_WORK_BITS else None

    @property
    def is_stale(self) -> bool:
        """Whether the request came too late, or is dated too far from the service's time."""
        return self.code == _LATE

    @property
    def refused(self) -> Refused:
        """The same as an outcome."""
        shown = {
            "code": self.code,
            "required_difficulty": self.asked_bits,
            "retry_at": self.retry_at,
            "retry_in_s": self.retry_in_s,
        }
        reason = _REASONS.get(self.code or 0, Reason.MALFORMED)
        return Refused(reason, self.text, {name: value for name, value in shown.items() if value is not None})


EnrollReply = EnrollOk | EnrollRefusal


def decode_reply(plaintext: str) -> EnrollReply:
    """A decrypted reply. Raises CodecError when it is none: such a one is ignored, and the wait goes on.

    Early services leave ``res`` out, and write ``pointer`` beside the codes.
    """
    members = loads_reply(plaintext, MAX_REPLY_BYTES)
    is_refusal = members.get("code") is not None or bool(members.get("error")) or members.get("res") == "GFY"
    codes = [_code(members, name, kind) for name, kind in _KINDS]
    if is_refusal:
        if members.get("res") == "ok" or any(codes):
            raise CodecError("the reply says yes and no at once")
        return _read_refusal(members)
    if not any(codes):
        raise CodecError("this is no reply to a request for an account")
    return EnrollOk(*codes)


def _code(members: Members, name: str, kind: type[Pointer]) -> str:
    """The code of that name as it is written, "" where there is none. Raises CodecError for another text."""
    text = _text_in(members, name, MAX_LENGTH + 1)
    if text and not isinstance(decode(text), kind):
        raise CodecError(f"what the reply calls {name} is another code")
    return text


def _read_refusal(members: Members) -> EnrollRefusal:
    delta = members.get("delta")
    deltas = delta if isinstance(delta, dict) else members
    retry_after, code = number_in(members, "retry_after"), number_in(members, "code")
    absolute = retry_after is not None and retry_after >= FIRST_ABSOLUTE_TIME
    bits = number_in(members, "required_difficulty", low=1)
    if bits is not None and code == _BUSY:  # how early services asked for work
        code = _LAZY
    return EnrollRefusal(
        code,
        _text_in(members, "error", MAX_PEER_MESSAGE),
        bits if code == _LAZY else None,
        retry_after if absolute else None,
        None if absolute else retry_after,
        number_in(deltas, "actual_delta_ms"),
    )
