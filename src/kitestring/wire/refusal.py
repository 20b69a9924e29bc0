"""What a wire raises when a decrypted payload is not a request it can pass on."""

from __future__ import annotations

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.outcomes import Refused


class WireRefusalError(KitestringError):
    """The payload ends here, with an answer. ``method`` is what the caller asked for, as far as it could be read."""

    def __init__(self, reason: Reason, message: str = "", method: str = "", **details: object) -> None:
        super().__init__(reason, message, private="", **details)
        self.method = method

    @property
    def refused(self) -> Refused:
        """The same as an outcome, for the encoder."""
        return Refused(self.reason, self.message, dict(self.details))
