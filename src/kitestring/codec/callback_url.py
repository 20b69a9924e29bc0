"""The addresses at which apps are told what their offers were paid: templates (RFC 6570) that anybody may have written.

Only https to a public host is taken, and nothing of the address but its path and query is a template. What a name leads
to is looked at when it is asked.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from kitestring.base.errors import CodecError
from kitestring.codec import uri_template
from kitestring.codec.hosts import is_private_by_text

#: Characters of an address that anybody may have stored.
MAX_CHARS: Final = 2_048

_WRITABLE: Final = re.compile(r"[!#-;=?-\[\]_a-z{}~]+", re.ASCII)


def require_callback_url(text: str) -> str:
    """``text`` as it is, if it is such an address. Raises CodecError with what is wrong."""
    if len(text) > MAX_CHARS:
        raise CodecError(f"the address is longer than {MAX_CHARS} characters")
    if not _WRITABLE.fullmatch(text):
        raise CodecError("the address has a character that an address is not written with")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise CodecError("this is no address") from error
    if parts.scheme != "https" or not host or port == 0:
        raise CodecError("an address begins with https:// and a host")
    if parts.username is not None or parts.password is not None:
        raise CodecError("an address carries no name and password")
    if "{" in parts.netloc or "}" in parts.netloc:
        raise CodecError("the host of an address is no template")
    if "." not in host.strip(".") and ":" not in host:
        raise CodecError("the host of an address has a full name")
    if is_private_by_text(host):
        raise CodecError("the host of an address is public")
    uri_template.parse(text)
    return text
