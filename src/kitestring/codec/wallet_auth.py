"""Requests of apps for a connection (draft 08 of NIP-47, and the older forms of wallet auth), as links.

Forms: ``nostr+walletauth://KEY?relay=…&state=…``; the same without ``state`` and with other names (2025); and that of
2024 with ``secret`` and ``required_commands``, which is answered by an ordinary connection link.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from kitestring.base.errors import CodecError
from kitestring.base.money import MAX_WHOLE, MSAT_PER_SAT, Msat
from kitestring.base.text import clean
from kitestring.codec.pasted import tidy
from kitestring.codec.relay_url import usable_relays
from kitestring.codec.uri import parameters
from kitestring.crypto import secp

#: A name, an icon, some relays and methods; more is no request.
MAX_LENGTH: Final = 4_096
#: An app waits at so many relays; more are left out.
MAX_RELAYS: Final = 4
MAX_NAME_CHARS: Final = 64
#: The methods of NIP-47 with all its extensions are some twenty.
MAX_METHODS: Final = 64
MAX_RETURN_CHARS: Final = 1_024
MAX_STATE_CHARS: Final = 128

Renewal = Literal["never", "daily", "weekly", "monthly", "yearly"]
_RENEWALS: Final[Mapping[str, Renewal]] = {
    "never": "never", "daily": "daily", "weekly": "weekly", "monthly": "monthly", "yearly": "yearly",
}  # fmt: skip
_SCHEME: Final = re.compile(r"nostr\+walletauth(?:\+[a-z0-9.-]{1,64})?", re.IGNORECASE | re.ASCII)
_KEY: Final = re.compile(r"[0-9a-f]{64}", re.IGNORECASE | re.ASCII)
_STATE: Final = re.compile(rf"[0-9a-f]{{32,{MAX_STATE_CHARS}}}", re.IGNORECASE | re.ASCII)
_METHOD: Final = re.compile(r"[a-z0-9_]{1,64}", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,16}", re.ASCII)
#: Older names of parameters.
_OLD_NAMES: Final = {
    "budget_renewal": "renewal_period",
    "required_commands": "request_methods",
    "optional_commands": "optional_request_methods",
}


@dataclass(frozen=True, slots=True)
class WalletAuth:
    """A request of the app with the public key ``client``, which waits on ``relays``.

    It needs ``methods``, all of them, and takes the ``optional`` ones. ``max_amount_msat`` includes fees, None = it
    asks for no limit; ``renewal`` is the period of that. ``state`` comes back in the answer, "" in older forms: then
    nobody can tell whether the answer is to this request. ``is_linked``: it waits for an ordinary connection link.
    ``name`` and ``return_to`` are a stranger's texts; the latter is never opened here.
    """

    client: str
    relays: tuple[str, ...]
    methods: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    notifications: tuple[str, ...] = ()
    max_amount_msat: Msat | None = None
    renewal: Renewal = "never"
    expires_at: int | None = None
    isolated: bool = False
    state: str = ""
    name: str = ""
    return_to: str = ""
    is_linked: bool = False


def is_wallet_auth(text: str) -> bool:
    """Whether this begins as such a request."""
    return _SCHEME.fullmatch(text.strip().partition(":")[0]) is not None


def decode_wallet_auth(text: str) -> WalletAuth:
    """Read a request. Unknown parameters are passed over.

    Raises CodecError without a valid key or a relay, with a ``state`` of less than 128 bits, without any method, for a
    parameter that is there twice, and for numbers, periods and methods that cannot be read.
    """
    if len(text) > MAX_LENGTH:
        raise CodecError(f"the request is longer than {MAX_LENGTH} characters")
    scheme, separator, rest = tidy(text).partition(":")
    if not separator or not _SCHEME.fullmatch(scheme):
        raise CodecError("this is no request for a connection: it must begin with nostr+walletauth://")
    base, _, query = rest.removeprefix("//").partition("?")
    client = base.rstrip("/").lower()
    if not _KEY.fullmatch(client) or not secp.is_valid_public(bytes.fromhex(client)):
        raise CodecError("the key of the app is 64 hex digits of a point on the curve")
    relays, said = _parameters(query)
    usable, _ = usable_relays(relays, MAX_RELAYS)
    if not usable:
        raise CodecError("the request names no relay at which the app waits")
    is_old = "secret" in said and "state" not in said
    amount, renewal = _old_budget(said) if is_old else _amount(said)
    found = WalletAuth(
        client=client,
        relays=usable,
        methods=_names(said, "request_methods"),
        optional=_names(said, "optional_request_methods"),
        notifications=_names(said, "notification_types"),
        max_amount_msat=amount,
        renewal=renewal,
        expires_at=_number(said, "expires_at"),
        isolated=said.get("isolated", "").lower() in {"true", "1"},
        state=_state(said),
        name=clean(said.get("name", ""), MAX_NAME_CHARS).strip(),
        return_to=clean(said.get("return_to", ""), MAX_RETURN_CHARS),
        is_linked=is_old,
    )
    if not (found.methods or found.optional):
        raise CodecError("the request names no method")
    return found


def _parameters(query: str) -> tuple[list[str], dict[str, str]]:
    """The relays, and all others under the names of today."""
    relays: list[str] = []
    said: dict[str, str] = {}
    for written, value in parameters(query):
        name = _OLD_NAMES.get(written, written)
        if name == "relay":
            relays.append(value)
        elif name in said:
            raise CodecError(f"the request has two values of {clean(name, MAX_NAME_CHARS)!r}")
        else:
            said[name] = value
    return relays, said


def _state(said: Mapping[str, str]) -> str:
    state = said.get("state", "")
    if state and not _STATE.fullmatch(state):
        raise CodecError(f"state is 32 to {MAX_STATE_CHARS} hex digits: a shorter one can be guessed")
    return state


def _names(said: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Each once, in their order."""
    names = tuple(dict.fromkeys(said.get(name, "").replace(",", " ").split()))
    if len(names) > MAX_METHODS or not all(map(_METHOD.fullmatch, names)):
        raise CodecError(f"{name} is a list of at most {MAX_METHODS} names")
    return names


def _number(said: Mapping[str, str], name: str) -> int | None:
    value = said.get(name, "")
    if value and not _NUMBER.fullmatch(value):
        raise CodecError(f"{name} is no whole number")
    return int(value) if value else None


def _amount(said: Mapping[str, str]) -> tuple[Msat | None, Renewal]:
    amount, word = _number(said, "max_amount"), said.get("renewal_period", "")
    if amount is None and word:
        raise CodecError("a renewal_period belongs to a max_amount")
    return _limit(amount), _renewal(word or "never")


def _old_budget(said: Mapping[str, str]) -> tuple[Msat | None, Renewal]:
    """``budget=10000/daily``: sats, and a period that may be left out."""
    text = said.get("budget", "")
    if not text:
        return None, "never"
    sats, _, word = text.partition("/")
    if not _NUMBER.fullmatch(sats):
        raise CodecError("budget is no number of sats with a period, such as 10000/daily")
    return _limit(int(sats) * MSAT_PER_SAT), _renewal(word or "never")


def _limit(amount: int | None) -> Msat | None:
    if amount is not None and not 0 < amount <= MAX_WHOLE:
        raise CodecError("the limit is no possible amount above zero")
    return None if amount is None else Msat(amount)


def _renewal(word: str) -> Renewal:
    if word not in _RENEWALS:
        raise CodecError(f"the period is one of {', '.join(_RENEWALS)}")
    return _RENEWALS[word]
