"""The transactions, file by file, and what their types promise."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from enum import Enum
from types import ModuleType
from typing import Any, get_args, get_origin

from kitestring.base import transactions
from kitestring.base.money import Msat
from kitestring.base.transactions.answers import Claimed, Denied, Finished, Tx
from tests.kit.values import is_frozen, is_value, parts


def files() -> Iterator[ModuleType]:
    """Every file of base/transactions."""
    for module in pkgutil.iter_modules(transactions.__path__, f"{transactions.__name__}."):
        yield importlib.import_module(module.name)


def values_of(file: ModuleType) -> list[Any]:
    """The values that a file makes."""
    return [one for one in vars(file).values() if is_value(one) and one.__module__ == file.__name__]


def transactions_of(file: ModuleType) -> list[Any]:
    """Those of them that a store applies."""
    return [one for one in values_of(file) if issubclass(one, Tx) and one is not Tx]


def answers(tx: Any) -> set[type]:
    """What a store may answer to it, as its type says."""
    (base,) = [one for one in tx.__orig_bases__ if get_origin(one) is Tx]
    (answer,) = get_args(base)
    return set(get_args(answer)) or {answer}


def never_changes_and_cannot_be_called(kind: type) -> bool:
    """Whether a store can apply it later, elsewhere, in a batch, and nobody can change it meanwhile."""
    plain = {one for one in parts(kind) if not is_value(one) and not issubclass(one, Enum)}
    return is_frozen(kind) and plain <= {int, str, bytes, bool, Msat, type(None), tuple, frozenset}


def claims(file: ModuleType) -> list[Any]:
    """Its transactions that claim a request. Each can also find it finished, or be denied."""
    found = [tx for tx in transactions_of(file) if Claimed in answers(tx)]
    assert [tx for tx in found if not {Finished, Denied} <= answers(tx)] == []
    return found
