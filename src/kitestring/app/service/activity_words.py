"""Everything that happens, in one line for people. The words of others are cleaned, and cut to one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kitestring.base.money import Msat
from kitestring.base.text import clean

#: Of a description, and of a reason, in a line; all of it is in the JSON form.
MAX_DESCRIPTION_CHARS: Final = 48
MAX_REASON_CHARS: Final = 200
#: Of a name.
MAX_NAME_CHARS: Final = 64

#: The word and the sign of what is about money.
_MONEY: Final = {
    "payment_received": ("received", "+"),
    "surplus_received": ("received", "+"),
    "payment_sent": ("paid", "-"),
    "payment_failed": ("failed", "-"),
    "payment_resolved": ("resolved", "-"),
    "hold_invoice_accepted": ("held", "+"),
    "hold_invoice_canceled": ("given back", ""),
    "invoice_canceled": ("cancelled", ""),
    "refused": ("refused", ""),
}
_CHANGES: Final = {"connection_made": "made", "connection_changed": "changed", "connection_ended": "ended"}


def sentence(told: Mapping[str, Any]) -> str:
    """One line without a time. ``told`` is what ``kitestring watch --json`` writes, of a wallet or of a service."""
    return _WORDS.get(told["event"], _money)(told).rstrip()


def _money(told: Mapping[str, Any]) -> str:
    word, sign = _MONEY.get(told["event"], (str(told["event"]), ""))
    amount_msat, fees_msat = told.get("amount_msat"), (told.get("fee_msat") or 0) + (told.get("service_fee_msat") or 0)
    amount = "" if amount_msat is None else f"{sign}{Msat(amount_msat)}"
    fee = f" and {Msat(fees_msat)} fee" if fees_msat else ""
    description, reason = told.get("description") or "", told.get("detail") or ""
    if description == told.get("offer"):  # it says nothing more
        description = ""
    parts = [
        f"{word:8}", amount + fee, _who(told),
        clean(description, MAX_DESCRIPTION_CHARS), clean(reason, MAX_REASON_CHARS),
    ]  # fmt: skip
    return "  ".join(filter(None, parts))


def _who(told: Mapping[str, Any]) -> str:
    if told.get("offer"):
        return f"offer {clean(told['offer'], MAX_NAME_CHARS)}"
    if told.get("connection"):
        return clean(told["connection"], MAX_NAME_CHARS)
    return "" if told.get("account") in {None, "owner"} else f"account {clean(told['account'], MAX_NAME_CHARS)}"


def _change(told: Mapping[str, Any]) -> str:
    what = _WHAT.get(told["wire"] or "", "connection")
    return f"{_CHANGES[told['event']]:8}  {what} {clean(told['connection'] or '', MAX_NAME_CHARS)}"


#: What a grant of a wire is called.
_WHAT: Final = {"nwc": "connection", "debits": "debit grant", "manage": "link for apps"}


def _more(told: Mapping[str, Any]) -> str:
    by = " of strangers" if told["by_strangers"] else ""
    return f"{'refused':8}  and {told['count']} more{by} were refused"


def _plain(word: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda told: f"{word:8}  {clean(told['detail'] or '', MAX_REASON_CHARS)}"


_WORDS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    **dict.fromkeys(_CHANGES, _change),
    "refused_more": _more,
    "asked": _plain("asked"),
    "decided": _plain("decided"),
    "command": _plain("owner"),
    "alarm": _plain("alarm"),
    "allowed": _plain("allowed"),
    "missed": lambda told: f"{'missed':8}  {told['count']} older events are not kept any more",
}
