"""Deep links (extension 07 of NIP-47): by one an app on the same device asks a wallet for a connection, by another it
is handed over."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from kitestring.base.errors import CodecError
from kitestring.base.text import clean
from kitestring.codec.pasted import tidy
from kitestring.codec.uri import parameters

#: With a name, an address of a picture and a callback; more is no request for a connection.
MAX_LENGTH: Final = 4_096
MAX_CALLBACK_CHARS: Final = 2_048
MAX_APP_NAME_CHARS: Final = 64
#: Links of these open a page, a file or a program of somebody's choice in place of the app that has asked.
REFUSED_SCHEMES: Final = frozenset({"http", "https", "javascript", "vbscript", "data", "file", "blob", "about"})

_REQUEST: Final = re.compile(r"nostrnwc(?:\+[a-z0-9.-]{1,64})?://connect/?", re.IGNORECASE | re.ASCII)
#: A scheme, and nothing that a browser or a shell takes for the end of a link.
_CALLBACK: Final = re.compile(r"([a-z][a-z0-9+.-]*):[!#-;=?-\[\]_a-z~]*", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class DeepLink:
    """A request of an app. ``name`` is what it calls itself, "" where it says nothing: a stranger's text."""

    callback: str
    name: str = ""


def decode_deep_link(text: str) -> DeepLink:
    """Read ``nostrnwc://connect?appname=…&callback=…``, also with the name of a wallet (``nostrnwc+kitestring://``).

    Raises CodecError if it is none, has no or two callbacks, or one that :func:`require_callback` refuses.
    """
    if len(text) > MAX_LENGTH:
        raise CodecError(f"the link is longer than {MAX_LENGTH} characters")
    base, _, query = tidy(text).partition("?")
    if not _REQUEST.fullmatch(base):
        raise CodecError("this is no request for a connection: it must begin with nostrnwc://connect")
    values = list(parameters(query))
    callbacks = [value for name, value in values if name == "callback"]
    if len(callbacks) != 1:
        raise CodecError("a request for a connection has exactly one callback")
    names = [value for name, value in values if name == "appname"]
    return DeepLink(require_callback(callbacks[0]), clean(next(iter(names), ""), MAX_APP_NAME_CHARS))


def require_callback(link: str) -> str:
    """``link`` unchanged, if it can lead to an app alone. Raises CodecError."""
    found = _CALLBACK.fullmatch(link) if len(link) <= MAX_CALLBACK_CHARS else None
    if found is None:
        raise CodecError("a callback is a link of an app, such as my-app://wallet")
    if found[1].lower() in REFUSED_SCHEMES:
        raise CodecError(f"a callback must lead to an app, and {found[1].lower()}: leads elsewhere")
    return link


def answer_link(callback: str, connection: str) -> str:
    """The link that hands the connection (``nostr+walletconnect://…``) over to the app behind ``callback``. It is as
    secret as the connection. Raises CodecError as :func:`require_callback`."""
    base, mark, fragment = require_callback(callback).partition("#")
    joint = "&" if "?" in base else "?"
    return f"{base}{joint}value={quote(connection, safe='')}{mark}{fragment}"
