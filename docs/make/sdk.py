"""The page docs/reference/sdk.md: the public names with their signatures and docstrings."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

import msgspec

import kitestring
from kitestring import testing

_STARS: Mapping[object, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
_HEAD = """\
# Python

```python
from kitestring import Wallet, Service, Budget, sat
```

Everything below is public and typed. Amounts are `Msat`: write `sat(210)`. What is `async` is awaited.
A `Wallet` pays and is paid; a `Service` lets others do so.

A field has the name that it has in [`--json`](json.md). Where its type is `Msat`, which says the unit, `_msat` may be
missing at the end (`receipt.fee` is `fee_msat`), and `min_msat` and `max_msat` are `min_amount` and `max_amount`. A
`Transaction` has all names as they are there.

A program without asyncio writes `from kitestring.blocking import Wallet, Service`: the same names with the same
arguments, and nothing is awaited. What is an async iterator here is a plain one there. Several threads may use one
object. [How to use it](../how-to/use-it-from-python.md) goes through all of it.

Whole programs: [`examples/pay.py`](../../examples/pay.py), [`examples/serve.py`](../../examples/serve.py),
[`examples/shop.py`](../../examples/shop.py), [`examples/subscribe.py`](../../examples/subscribe.py),
[`examples/dispenser.py`](../../examples/dispenser.py), [`examples/marketplace.py`](../../examples/marketplace.py) and
[`examples/test_payout.py`](../../examples/test_payout.py), which tests itself.
"""
_TESTING = """\
## Tests

`kitestring.testing` has fixtures for pytest: [Test your payment code](../how-to/test-your-payment-code.md).
"""


#: The names in the order in which they are met. A name that stands nowhere comes last, under its own heading.
_SECTIONS: Mapping[str, tuple[str, ...]] = {
    "A wallet": ("Wallet", "Invoice", "PaymentLink", "Receipt", "Preview", "Transaction", "Direction",
                 "TransactionState", "WalletBudget", "Period", "Info", "Notifications", "Notification"),
    "A service": ("Service", "Connection", "ConnectionInfo", "BudgetUse", "OfferCode", "OfferInfo", "AccountInfo",
                  "DebitCode", "SessionCode", "SessionEnd", "ServiceEvents", "ServiceEvent", "KEEP", "Keep"),
    "A sandbox to test with": ("Sandbox", "SandboxInvoice", "SandboxReceipt", "SandboxBooks"),
    "Amounts and budgets": ("sat", "Msat", "Budget"),
    "Errors": ("KitestringError", "Reason", "Exit", "CodecError"),
    "Debits: asking others for money": ("DebitClient", "DebitPaid", "DebitBudget", "DebitCharge"),
    "Offers at somebody else's service": ("manage_offers", "OfferManager", "OfferTerms", "ManagedOffer"),
    "Beacons": ("find_beacon", "ServiceBeacon", "BeaconContent", "BeaconFees"),
    "Methods of your own": ("MethodPlugin", "Asker"),
    "Codes": ("decode_bolt11", "decode_pointer", "Pointer", "Noffer", "Ndebit", "Nmanage", "NwcUri"),
}  # fmt: skip
#: Values and kinds of values, which have no docstring of their own.
_SAID: Mapping[str, str] = {
    "KEEP": "In the place of a value that an update leaves as it is.",
    "Period": "The period of a budget: `rolling`, `day`, `week`, `month`, `year` or `never`.",
    "Pointer": "What `decode_pointer` reads: a `Noffer`, `Ndebit` or `Nmanage`.",
}


def sdk_page() -> str:
    known = [name for names in _SECTIONS.values() for name in names]
    others = tuple(name for name in kitestring.__all__ if name not in known)
    parts = [_HEAD]
    for heading, names in {**_SECTIONS, "Others": others}.items():
        present = [name for name in names if name in kitestring.__all__]
        if present:
            parts.append(f"## {heading}\n")
        for name in present:
            parts += _name(name, getattr(kitestring, name))
    parts += [_TESTING, *_name("RunningService", testing.RunningService)]
    return "\n".join(parts).rstrip() + "\n"


def _name(name: str, value: Any) -> Iterator[str]:
    yield f"### `{name}`\n"
    if name in _SAID:
        yield f"{_SAID[name]}\n"
        return
    if not inspect.isclass(value):
        yield from _signed(name, value)
        return
    if issubclass(value, Enum):
        members = ", ".join(f"`{member.name}`" for member in value)
        where = " The list: [reasons and codes](errors.md)." if name in {"Reason", "Exit"} else ""
        yield from (f"{_prose(value)}{where}\n", f"{members}.\n")
        return
    if "open" not in vars(value) and _is_made(value):
        yield f"```python\n{name}{_parameters(value)}\n```\n"
    yield f"{_prose(value)}\n"
    for member, found in _members(value).items():
        if not member.startswith("_") and not dataclasses.is_dataclass(found):
            yield from _member(name, member, found)


def _is_made(value: Any) -> bool:
    """Whether it has a signature of its own, or of a part of ours."""
    own = any("__init__" in vars(one) for one in value.__mro__ if one.__module__.startswith("kitestring"))
    return own or issubclass(value, msgspec.Struct)


def _members(value: Any) -> dict[str, Any]:
    """The members of a class, and of those of ours that it is made of, in the order in which these are named."""
    parts = [one for one in value.__bases__ if one.__module__.startswith("kitestring.app.embedded")]
    found = dict(vars(value))
    for part in parts:
        found |= {name: member for name, member in _members(part).items() if name not in found}
    return found


def _member(owner: str, name: str, found: Any) -> Iterator[str]:
    if isinstance(found, classmethod | staticmethod):
        yield from _signed(f"{owner}.{name}", found.__func__, skip_first=isinstance(found, classmethod))
    elif inspect.isfunction(found):
        yield from _signed(f"{owner}.{name}", found, skip_first=True)
    elif isinstance(found, property) and found.fget is not None and found.fget.__doc__:
        yield from (f"#### `{owner}.{name}`\n", f"{_prose(found.fget)}\n")


def _signed(name: str, function: Any, *, skip_first: bool = False) -> Iterator[str]:
    if "." in name:
        yield f"#### `{name}`\n"
    word = "async " if inspect.iscoroutinefunction(function) else ""
    yield f"```python\n{word}{name}{_parameters(function, skip_first=skip_first)}\n```\n"
    if inspect.getdoc(function):
        yield f"{_prose(function)}\n"


def _parameters(function: Any, *, skip_first: bool = False) -> str:
    signature = inspect.signature(function)
    parts: list[str] = []
    for parameter in list(signature.parameters.values())[1 if skip_first else 0 :]:
        if parameter.kind is parameter.KEYWORD_ONLY and not any(part.startswith("*") for part in parts):
            parts.append("*")
        parts.append(_parameter(parameter))
    returned = signature.return_annotation
    plain = returned in {inspect.Signature.empty, None, "None"} or inspect.isclass(function)
    return f"({', '.join(parts)})" + ("" if plain else f" -> {_type(returned)}")


def _parameter(parameter: inspect.Parameter) -> str:
    text = f"{_STARS.get(parameter.kind, '')}{parameter.name}: {_type(parameter.annotation)}"
    return text if parameter.default is parameter.empty else f"{text} = {_default(parameter.default)}"


def _type(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    return str(annotation.__name__) if inspect.isclass(annotation) else re.sub(r"\b\w+\.", "", str(annotation))


def _default(value: Any) -> str:
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if dataclasses.is_dataclass(value):
        return f"{type(value).__name__}()"
    return str(value.__name__) if callable(value) else repr(value)


def _prose(value: Any) -> str:
    """The docstring as Markdown."""
    text = inspect.getdoc(value) or ""
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text.replace("``", "`"))
