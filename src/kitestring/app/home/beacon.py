"""The settings of the beacon: what the service says about itself to everybody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.setting import SWITCH, TEXT, ValueKind, setting
from kitestring.codec.beacon import (
    MAX_DESCRIPTION_CHARS,
    MAX_NAME_CHARS,
    require_avatar,
    require_line,
    require_website,
)


def _text(require: Callable[[str], str]) -> ValueKind[str]:
    """Texts that ``require`` gives back unchanged; "" is none."""

    def check(value: object) -> str | None:
        text = TEXT.check(value)
        try:
            return text and require(text)
        except CodecError as error:
            raise KitestringError(Reason.MALFORMED, str(error)) from error

    return ValueKind(TEXT.expected, check)


def _require_key(text: str) -> str:
    operator_key(text)
    return text


def operator_key(text: str) -> str:
    """The key in the setting as hex, "" for none. Raises CodecError."""
    from kitestring.codec.nip19 import read_public_key  # noqa: PLC0415 - loads the crypto library, and few need it

    return read_public_key(text) if text else ""


_NAME: Final = _text(lambda text: require_line("name", text, MAX_NAME_CHARS))
_DESCRIPTION: Final = _text(lambda text: require_line("description", text, MAX_DESCRIPTION_CHARS))
_AVATAR: Final = _text(require_avatar)
_WEBSITE: Final = _text(require_website)
_KEY: Final = _text(_require_key)


@dataclass(frozen=True, slots=True)
class BeaconSettings:
    """The beacon of the service."""

    publish: bool = setting(
        "beacon.publish",
        SWITCH,
        False,
        "Whether the service tells everybody that it works (CLINK Beacon): once a minute, as long as its node and a "
        "relay do, with what is set here, its relays and the kinds of requests that it answers.",
    )
    name: str = setting("beacon.name", _NAME, "", "The name of the service in its beacon. Empty: none.")
    avatar_url: str = setting(
        "beacon.avatar_url", _AVATAR, "", "The https address of a picture of the service. Empty: none."
    )
    website: str = setting("beacon.website", _WEBSITE, "", "The address of the website of the service. Empty: none.")
    description: str = setting("beacon.description", _DESCRIPTION, "", "A sentence about the service. Empty: none.")
    operator: str = setting(
        "beacon.operator",
        _KEY,
        "",
        "The public key (npub1… or 64 hex digits) of the person who runs the service. Others believe it once that key "
        "says so too: `kitestring beacon attest`. Empty: nobody is named.",
    )
