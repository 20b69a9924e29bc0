"""Terms of connections for tests in which these do not matter."""

from __future__ import annotations

from typing import Any


def all_but(**params: Any) -> dict[str, Any]:
    """The parameters of ``connect`` for whoever may do everything, but what is said otherwise."""
    methods = {} if {"methods", "preset"} & params.keys() else {"preset": "full"}
    budget = {} if {"budget_msat", "budget_minor"} & params.keys() else {"budget_msat": None}
    return {**methods, **budget, **params}
