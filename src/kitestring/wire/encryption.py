"""The encryption of a NWC request, and whether its connection may use it (NIP-47, `encryption` tag)."""

from __future__ import annotations

from typing import Final

import msgspec

from kitestring.base import grants
from kitestring.nostr.event import Event, first_tag
from kitestring.wire.reply_to import Cipher

_TAGGED: Final[dict[str | None, Cipher]] = {None: "nip04", "nip04": "nip04", "nip44_v2": "nip44", "nip44": "nip44"}
_ALLOWED: Final[dict[str, tuple[Cipher, ...]]] = {
    "auto": ("nip44", "nip04"),
    "nip44": ("nip44",),
    "legacy": ("nip04",),
    "both": ("nip44", "nip04"),
}
#: Second base64 digits of a payload whose first byte is 2.
_VERSION_2_DIGITS: Final = frozenset("ghijklmnopqrstuv")


class Choice(msgspec.Struct, frozen=True, gc=False):
    """Decrypt and answer with ``cipher``. Not ``allowed`` means: refuse with UNSUPPORTED_ENCRYPTION, in ``cipher`` if
    the request could be read with it, else in NIP-44.

    ``preferred`` is the cipher of answers about texts that nobody can read: what their tags say proves nothing.
    ``raises``: such a request, once read, lifts its connection to NIP-44 for good.
    """

    cipher: Cipher
    allowed: bool
    preferred: Cipher = "nip44"
    raises: bool = False

    @property
    def unread(self) -> Cipher:
        """The cipher of an answer to a request that was not decrypted."""
        return self.cipher if self.allowed else "nip44"


def allowed_ciphers(setting: grants.CipherSetting, nip44_seen: bool) -> tuple[Cipher, ...]:
    """The ciphers of a connection, preferred first. ``auto`` never goes back to NIP-04 once NIP-44 was seen, ``both``
    does: it is the owner's word that an app mixes them."""
    return ("nip44",) if setting == "auto" and nip44_seen else _ALLOWED[setting]


def spoken_ciphers(setting: grants.CipherSetting, nip44_seen: bool, *, is_used: bool) -> tuple[Cipher, ...]:
    """The ciphers in which a connection is spoken to unasked. One whose app ``is_used`` and has never spoken NIP-44
    reads NIP-04. As long as nobody knows what it reads, and where the owner says that it mixes both, it is both."""
    return ("nip04",) if setting == "auto" and is_used and not nip44_seen else allowed_ciphers(setting, nip44_seen)


def choose_cipher(event: Event, setting: grants.CipherSetting, nip44_seen: bool) -> Choice:
    """The cipher of a request: its tag (absent = NIP-04), unless the text has another shape that is allowed."""
    allowed = allowed_ciphers(setting, nip44_seen)
    tagged = _TAGGED.get(first_tag(event, "encryption"))
    found = shape(event.content)
    if found in allowed:
        cipher, is_allowed = found, True
    elif tagged is not None:
        cipher, is_allowed = tagged, tagged in allowed
    else:
        cipher, is_allowed = found or "nip44", False
    raises = cipher == "nip44" and setting == "auto" and not nip44_seen
    return Choice(cipher, is_allowed, allowed[0] if is_allowed else "nip44", raises)


def shape(content: str) -> Cipher | None:
    """The cipher that a content looks like, None where that cannot be told."""
    if "?iv=" in content[-64:]:
        return "nip04"
    return "nip44" if content[:1] == "A" and content[1:2] in _VERSION_2_DIGITS else None
