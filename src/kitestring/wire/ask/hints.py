"""The offers that public documents name: ``nostr.json`` (NIP-05), the LNURL-pay reply, and a profile (kind 0).

Only who serves or signs the document says so. A value that is no offer counts as absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from kitestring.base.errors import CodecError
from kitestring.codec import pointers
from kitestring.codec.json import loads_reply
from kitestring.codec.pointers import Noffer
from kitestring.wire.ask.members import text_in

#: Bytes of one document.
MAX_DOCUMENT_BYTES: Final = 65_536

#: Members in which a document names an offer, the newest name first; the others are those of 2024, and of other
#: programs.
_NOSTR_JSON: Final = ("clink_offer", "nip69")
_LNURLP: Final = ("clink_offer", "nip69", "noffer")
_PROFILE: Final = ("clink_offer", "nip69", "noffer", "offer")


@dataclass(frozen=True, slots=True)
class Hints:
    """The offer that a document names, and where else it says that money can be sent: by LNURL-pay itself
    (``takes_lnurl``), or to an address (``lud16``, "" for none)."""

    offer: Noffer | None = None
    takes_lnurl: bool = False
    lud16: str = ""


def read_nostr_json(text: str, name: str) -> Hints:
    """The hints of NIP-05 about ``name``: a map by name, or one flat text. Raises CodecError for no JSON object."""
    document = loads_reply(text, MAX_DOCUMENT_BYTES)
    return Hints(_first(_of_name(document.get(member), name) for member in _NOSTR_JSON))


def read_lnurlp(text: str) -> Hints:
    """The hints of a LNURL-pay reply. Raises CodecError for no JSON object."""
    document = loads_reply(text, MAX_DOCUMENT_BYTES)
    return Hints(_first(map(document.get, _LNURLP)), document.get("tag") == "payRequest")


def read_profile(text: str) -> Hints:
    """The hints in the content of a profile. Raises CodecError for no JSON object."""
    document = loads_reply(text, MAX_DOCUMENT_BYTES)
    return Hints(_first(map(document.get, _PROFILE)), lud16=text_in(document, "lud16", 320))


def _of_name(value: object, name: str) -> object:
    """Names are compared without their case, as those in addresses are."""
    if not isinstance(value, Mapping):
        return value
    return value.get(name) or next((code for known, code in value.items() if known.lower() == name), None)


def _first(values: Iterator[object]) -> Noffer | None:
    for value in values:
        if isinstance(value, str):
            try:
                found = pointers.decode(value)
            except CodecError:
                continue
            if isinstance(found, Noffer):
                return found
    return None
