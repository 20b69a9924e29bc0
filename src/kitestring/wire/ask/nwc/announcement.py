"""A wallet announces what it serves (kind 13194): that decides what it is asked, and in which cipher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kitestring.base import commands as c
from kitestring.base import outcomes as o
from kitestring.base.errors import Reason
from kitestring.base.text import clean
from kitestring.nostr.event import Event
from kitestring.wire.ask.members import MAX_NAMES, MAX_TEXT_CHARS
from kitestring.wire.ask.nwc.codes import MAX_CODE_CHARS
from kitestring.wire.ask.nwc.methods import form_of
from kitestring.wire.reply_to import Cipher


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """The contents of a wallet's info event (kind 13194). Empty ``extensions`` means that it does not say."""

    methods: tuple[str, ...]
    ciphers: tuple[Cipher, ...]
    notifications: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()


def announces_bundles(info: ServiceInfo | None) -> bool:
    """Whether a wallet says that it takes several payments in one request: no extension does, the name alone."""
    return info is not None and "multi_pay_invoice" in info.methods


def refuse_unannounced(command: c.AnyCommand, info: ServiceInfo | None) -> o.Refused | None:
    """The refusal of what a wallet does not announce, neither by the extension nor by name; to ask for it would be to
    wait for nothing. None where it does, and where it announces nothing at all."""
    form = form_of(command)
    if form.extension is None or info is None or not (info.methods or info.extensions):
        return None
    if form.extension in info.extensions or form.method in info.methods:
        return None
    return o.Refused(Reason.UNSUPPORTED, f"this wallet does not announce {form.method}, and was not asked")


def read_info_event(event: Event) -> ServiceInfo:
    """The methods and ciphers of an info event; without an ``encryption`` tag it is NIP-04 alone."""
    encryption = _listed_names(event, "encryption") or ("nip04",)
    ciphers: list[Cipher] = []
    if "nip44_v2" in encryption or "nip44" in encryption:
        ciphers.append("nip44")
    if "nip04" in encryption:
        ciphers.append("nip04")
    return ServiceInfo(
        _split([event.content]),
        tuple(ciphers),
        _listed_names(event, "notifications"),
        _listed_names(event, "extensions"),
    )


def client_cipher(info: ServiceInfo | None, *, legacy: bool, nip44_seen: bool) -> Cipher:
    """The cipher to ask in: NIP-44 where it is offered, and always once it was seen; NIP-04 only where nothing else is.

    Without an info event NIP-44 is tried, unless the connection is marked ``legacy``.
    """
    if nip44_seen:
        return "nip44"
    if info is None:
        return "nip04" if legacy else "nip44"
    return "nip04" if info.ciphers == ("nip04",) else "nip44"


def _listed_names(event: Event, tag: str) -> tuple[str, ...]:
    for found in event.tags:
        if found and found[0] == tag:
            return _split(found[1:])
    return ()


def _split(texts: Sequence[str]) -> tuple[str, ...]:
    """Names from one text or several, separated by blanks (some wallets use commas)."""
    found = " ".join(clean(each, MAX_TEXT_CHARS) for each in texts[:MAX_NAMES]).replace(",", " ").split()
    return tuple(clean(name, MAX_CODE_CHARS) for name in found[:MAX_NAMES])
