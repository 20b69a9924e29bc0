"""The error of a wire whose decrypted text is not a request that it can pass on."""

from __future__ import annotations

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.outcomes import Refused
from kitestring.wire.reply_to import ReplyTo


class WireRefusalError(Exception):
    """The request ends here: ``refused`` is told as ``to`` says, if the wire has a word for it.

    ``read`` is False where nobody could decrypt what was asked.
    """

    def __init__(self, to: ReplyTo, refused: Refused, *, read: bool = True) -> None:
        self.to = to
        self.refused = refused
        self.read = read
        super().__init__(refused.message)


def refusal(failure: CodecError | KitestringError) -> Refused:
    """The refusal of a request that could not be read for ``failure``."""
    return Refused.of(failure) if isinstance(failure, KitestringError) else Refused(Reason.MALFORMED, str(failure))
