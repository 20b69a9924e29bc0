"""The one failure of decryption. It says nothing about the cause, so that it cannot serve as an oracle."""

from __future__ import annotations

from typing import Final

from kitestring.base.errors import CodecError

#: Largest decrypted text in bytes, of every scheme.
MAX_TEXT_BYTES: Final = 65_536


class DecryptError(CodecError):
    """The content cannot be decrypted with this key: forged, damaged, too long, not text, or for somebody else."""

    def __init__(self) -> None:
        super().__init__("the content cannot be decrypted")
