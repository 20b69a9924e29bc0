"""The address of a webhook, looked at before it is stored: what can never be told is refused while somebody looks."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from yarl import URL

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.grants import Webhook
from kitestring.base.webhooks import MAX_WEBHOOK_CHARS
from kitestring.codec import uri_template
from kitestring.transport.border import Border, parse_url
from kitestring.transport.proxies import Proxies

#: The names that every template may have.
NAMES: Final = ("amount", "invoice")
#: The name that is put behind the others.
CLOSING: Final = "ok"


def check_webhook(
    webhook: Webhook, payer_data: Collection[str], *, own: bool, private_hosts: Collection[str] = ()
) -> None:
    """Raise KitestringError for an address that cannot be told anything. ``own`` says that the owner has written it:
    then hosts of ``private_hosts`` are open to it; an app's must lead to a public host over https.

    The values of a template stand behind the host, and what a payer says (``payer_data``) only in the query.
    """
    if len(webhook.url) > MAX_WEBHOOK_CHARS:
        raise _wrong(f"the address of a webhook has at most {MAX_WEBHOOK_CHARS:,} characters")
    if "#" in webhook.url:
        raise _wrong("what follows # is sent to no server: leave it out of the address of a webhook")
    url = _plain(webhook.url) if webhook.form == "post" else _expanded(webhook.url, payer_data)
    try:
        Border(Proxies(), private_hosts if own else ()).check(url, own=own)
    except KitestringError as error:
        raise _wrong(error.message) from error


def _plain(text: str) -> URL:
    if "{" in text or "}" in text:
        raise _wrong("an address with {names} in it is a template: those are asked with GET (--get)")
    return parse_url(text)


def _expanded(text: str, payer_data: Collection[str]) -> URL:
    """The address as it looks with some values. Raises KitestringError."""
    try:
        template = uri_template.parse(text)
    except CodecError as error:
        raise _wrong(str(error)) from error
    known = [*NAMES, *(name for name in payer_data if name != CLOSING)]
    strange = [name for name in template.names if name not in known]
    if strange:
        raise _wrong(f"nothing is called {strange[0]!r} in the address of a webhook; there is {', '.join(known)}")
    one, other, paid = (parse_url(template.expand(_values(known, said, told))) for said, told in _SAMPLES)
    if one.origin() != paid.origin() or one.origin() != other.origin():
        raise _wrong("the host of a webhook is fixed: {names} stand behind it, in the path or the query")
    if one.raw_path != other.raw_path:
        raise _wrong("what a payer says stands in the query of an address alone, as in {?name}")
    return one


#: Values of a payer, and of ours, that differ: what differs in the address then follows from them.
_SAMPLES: Final = (("1", "1"), ("2", "1"), ("1", "2"))


def _values(known: Collection[str], said: str, told: str) -> dict[str, str]:
    return {name: told if name in NAMES else said for name in known}


def _wrong(sentence: str) -> KitestringError:
    return KitestringError(Reason.MALFORMED, sentence)
