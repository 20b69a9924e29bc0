"""The content of a CLINK beacon: what a service says about itself to everybody, as JSON.

Writing is strict, so that no reader drops anything of it. Reading is lenient: what is odd counts as absent, the rest is
kept. All of it is a stranger's word, and nothing of it is a proof. The text is that of CLINK as of September 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from kitestring.base.errors import CodecError
from kitestring.base.money import MAX_SATS, MAX_WHOLE
from kitestring.base.text import clean, is_safe
from kitestring.codec.json import dumps, loads_reply
from kitestring.codec.relay_url import is_relay_url, require_relay_url

#: Bytes of a content that is read; the fields below fill a third of it at most.
MAX_CONTENT_BYTES: Final = 32_768
MAX_NAME_CHARS: Final = 100
MAX_DESCRIPTION_CHARS: Final = 1_000
MAX_URL_CHARS: Final = 2_048
#: More than a pointer names; of the others nothing is known.
MAX_RELAYS: Final = 10
MAX_KINDS: Final = 32
MAX_KIND: Final = 65_535
#: Bits of proof of work: an event id has no more.
MAX_DIFFICULTY: Final = 256
#: A hundred times the amount: whoever asks for more has mistaken the unit.
MAX_BPS: Final = 1_000_000
BPS: Final = 10_000

_WEB: Final = frozenset({"https", "http"})
_SAFE_WEB: Final = frozenset({"https"})


@dataclass(frozen=True, slots=True)
class BeaconFees:
    """The fee of a service for a payment: at least ``floor_sats``, or ``bps`` hundredths of a percent of the amount."""

    floor_sats: int = 0
    bps: int = 0

    def fee_sats(self, amount_sats: int) -> int:
        """The fee for a payment of so many sats: the larger of both, a part of a sat counts as a whole one."""
        return max(self.floor_sats, -(-amount_sats * self.bps // BPS))


@dataclass(frozen=True, slots=True)
class BeaconContent:
    """Every field may be absent: "", (), None.

    ``enroll_difficulty`` is the proof of work, in bits, that a new account needs; ``supported_kinds`` are the kinds of
    events that the service answers, None where it does not say.
    """

    name: str = ""
    avatar_url: str = ""
    website: str = ""
    description: str = ""
    relays: tuple[str, ...] = ()
    fees: BeaconFees | None = None
    enroll_difficulty: int | None = None
    supported_kinds: tuple[int, ...] | None = None


def encode_content(content: BeaconContent) -> str:
    """The JSON of a content, without what is absent. Raises CodecError for what readers would drop or cut."""
    members: dict[str, object] = {
        "name": require_line("name", content.name, MAX_NAME_CHARS),
        "avatarUrl": require_avatar(content.avatar_url),
        "website": require_website(content.website),
        "description": require_line("description", content.description, MAX_DESCRIPTION_CHARS),
        "relays": [require_relay_url(relay) for relay in content.relays],
        "fees": None if content.fees is None else _written_fees(content.fees),
        "enroll_difficulty": _require_whole("enroll difficulty", content.enroll_difficulty, MAX_DIFFICULTY),
    }
    if len(content.relays) > MAX_RELAYS or len(content.supported_kinds or ()) > MAX_KINDS:
        raise CodecError(f"a beacon names at most {MAX_RELAYS} relays and {MAX_KINDS} kinds")
    written = {name: value for name, value in members.items() if value not in ("", [], None)}
    if content.supported_kinds is not None:
        written["supported_kinds"] = [_require_whole("kind", kind, MAX_KIND) for kind in content.supported_kinds]
    return dumps(written)


def decode_content(text: str) -> tuple[BeaconContent, Mapping[str, object]]:
    """Read a content field by field, and the members as they came. A field of a wrong type is absent; texts are cut and
    cleaned. Raises CodecError where it is no JSON object, or a larger one than :data:`MAX_CONTENT_BYTES`."""
    members = loads_reply(text, MAX_CONTENT_BYTES)
    content = BeaconContent(
        name=_line(members.get("name"), MAX_NAME_CHARS),
        avatar_url=_url(members.get("avatarUrl"), _SAFE_WEB),
        website=_url(members.get("website"), _WEB),
        description=_line(members.get("description"), MAX_DESCRIPTION_CHARS),
        relays=_relays(members.get("relays")),
        fees=_fees(members.get("fees")),
        enroll_difficulty=_whole(members.get("enroll_difficulty"), MAX_DIFFICULTY),
        supported_kinds=_kinds(members.get("supported_kinds")),
    )
    return content, members


# ------------------------------------------------------------ what may be written


def require_line(what: str, text: str, max_chars: int) -> str:
    """``text`` unchanged. Raises CodecError where a reader would cut or clean it; ``what`` is its name there."""
    if len(text) > max_chars:
        raise CodecError(f"the {what} has at most {max_chars} characters")
    if not is_safe(text):
        raise CodecError(f"the {what} stands on one line, without control characters")
    if text != text.strip():
        raise CodecError(f"the {what} begins or ends with a space, which readers cut off")
    return text


def require_avatar(url: str) -> str:
    """``url`` unchanged. Raises CodecError unless it is "" or an https address."""
    if url and not _is_url(url, _SAFE_WEB):
        raise CodecError("an avatar is an https:// address, without user name and blanks")
    return url


def require_website(url: str) -> str:
    """``url`` unchanged. Raises CodecError unless it is "" or an address of the web."""
    if url and not _is_url(url, _WEB):
        raise CodecError("a website is an https:// or http:// address, without user name and blanks")
    return url


def _written_fees(fees: BeaconFees) -> dict[str, object]:
    """Both members, because clients in the field pass over one that stands alone."""
    return {
        "serviceFeeFloor": _require_whole("fee floor", fees.floor_sats, MAX_SATS),
        "serviceFeeBps": _require_whole("fee in basis points", fees.bps, MAX_BPS),
    }


def _require_whole(what: str, value: int | None, most: int) -> int | None:
    if value is not None and not 0 <= value <= most:
        raise CodecError(f"the {what} is a whole number from 0 to {most}")
    return value


# ------------------------------------------------------------ what is read


def _line(value: object, max_chars: int) -> str:
    return clean(value, max_chars).strip() if isinstance(value, str) else ""


def _url(value: object, schemes: frozenset[str]) -> str:
    return value if isinstance(value, str) and _is_url(value, schemes) else ""


def _is_url(url: str, schemes: frozenset[str]) -> bool:
    if len(url) > MAX_URL_CHARS or not url.isprintable() or " " in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:  # a port beyond 65,535, brackets around no address
        return False


def _relays(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(url for url in value[:MAX_RELAYS] if isinstance(url, str) and is_relay_url(url))


def _whole(value: object, most: int = MAX_WHOLE) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most else None


def _fees(value: object) -> BeaconFees | None:
    """A member that is absent counts as 0. One that is odd makes all of it unknown: a fee that is told too low is worse
    than none."""
    if not isinstance(value, dict):
        return None
    floor, bps = (value.get(name, 0) for name in ("serviceFeeFloor", "serviceFeeBps"))
    floor_sats, points = _whole(floor, MAX_SATS), _whole(bps, MAX_BPS)
    if floor_sats is None or points is None or not value.keys() & {"serviceFeeFloor", "serviceFeeBps"}:
        return None
    return BeaconFees(floor_sats, points)


def _kinds(value: object) -> tuple[int, ...] | None:
    """A list in which any is odd says nothing for certain: a kind that is missing in it would count as switched off."""
    if not isinstance(value, list) or len(value) > MAX_KINDS:
        return None
    kinds = [_whole(kind, MAX_KIND) for kind in value]
    return None if None in kinds else tuple(kind for kind in dict.fromkeys(kinds) if kind is not None)
