"""``kitestring connection edit``: other limits, methods, end or name for a connection whose app keeps its link."""

from __future__ import annotations

from typing import Any, Final

import click

from kitestring.app.cli.connect import (
    PRESETS,
    describe,
    method_params,
    methods_option,
    show_balance_option,
    show_history_option,
)
from kitestring.app.cli.connection import stands
from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import (
    BudgetType,
    Moment,
    MomentType,
    Sats,
    TypedBudget,
    Whole,
    amount,
    budget,
    budget_params,
    label,
    msat,
    when,
)

_NONE: Final = "none"
_NEVER: Final = "never"
#: More changes than one connection will ever see; what JSON carries exactly.
MAX_VERSION: Final = 2**53 - 1


class _SatsOrNone(Sats):
    """As :class:`Sats`; 0 for the word that takes a limit away."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return 0 if value == _NONE else super().convert(value, param, ctx)


class _MomentOrNever(MomentType):
    """As :class:`MomentType`; neither a time nor a length for the word that takes an end away."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Moment:
        return Moment(None, None) if value == _NEVER else super().convert(value, param, ctx)


@click.command("edit")
@click.argument("name")
@click.option(
    "--budget", "limits", type=BudgetType(), multiple=True, metavar="AMOUNT/PERIOD",
    help="A budget in place of those it has, such as 5000/week; may repeat, and each has to cover a payment.",
)  # fmt: skip
@click.option("--no-budget", is_flag=True, help="No budget limit any more.")
@click.option(
    "--per-payment", type=_SatsOrNone(), metavar="SAT|none", help="The most that one payment may cost with its fee."
)
@click.option(
    "--max-fee", "--fee-cap", "max_fee", type=_SatsOrNone(), metavar="SAT|none",
    help="The most that routing one may cost (none: fees.cap_ppm).",
)  # fmt: skip
@click.option(
    "--expires", type=_MomentOrNever(), metavar="WHEN|never",
    help="When it ends: 30d or 12h from now, or a day such as 2027-01-31.",
)  # fmt: skip
@methods_option
@click.option("--preset", type=click.Choice(PRESETS), help="A usual list of methods in one word; pay needs a budget.")
@show_balance_option
@show_history_option
@click.option("--name", "new_name", metavar="NEW", help="Another name in your lists.")
@click.option(
    "--if-version", type=Whole(1, MAX_VERSION), metavar="N",
    help="Only if it has not changed since `connection show --json` told this version.",
)  # fmt: skip
@key_option
@common
def command(
    shell: Shell, name: str, limits: tuple[TypedBudget, ...], no_budget: bool, per_payment: int | None,
    max_fee: int | None, expires: Moment | None, methods: str | None, preset: str | None, show_balance: str | None,
    show_history: str | None, new_name: str | None, if_version: int | None, key: str,
) -> None:  # fmt: skip
    """Change limits, methods, end or name of the connection NAME.

    Its app keeps its link. What is left out stays as it is, and what was spent stays counted where the period of the
    budget is as long; another one begins with nothing spent. A payment that is under way is not touched; the next one
    is held against the new limits.
    """
    if limits and no_budget:
        raise click.UsageError("--budget and --no-budget say the opposite: choose one of them")
    params: dict[str, Any] = {"name": name}
    if limits or no_budget:
        params["budgets"] = [budget_params(one) for one in limits]
    for member, typed in (("per_payment_msat", per_payment), ("fee_cap_msat", max_fee)):
        if typed is not None:
            params[member] = msat(typed) or None
    if expires is not None:
        params |= {"expires_at": None} if expires.expires_in_s is None else {"expires_in_s": expires.expires_in_s}
        if expires.expires_at is not None:
            params["expires_at"] = expires.expires_at
    if preset is not None and methods is not None:
        raise click.UsageError("--methods and --preset both say what it may do: choose one of them")
    params |= method_params(methods)
    words = {"preset": preset, "new_name": new_name, "show_balance": show_balance, "show_history": show_history}
    params |= {member: value for member, value in words.items() if value is not None}
    if len(params) == 1:
        raise click.UsageError("say what to change, such as --budget 5000/week")
    if if_version is not None:
        params["version"] = if_version
    result = shell.call("connection_edit", params, key)
    changes = [_line(field, change["before"], change["after"]) for field, change in result["changed"].items()]
    left = [f"budget: {stands(row)}" for row in result["budgets"]]
    shell.show(result, "\n".join([*(changes or ["it is so already"]), f"connection {describe(result)}", *left]))


def _line(field: str, before: Any, after: Any) -> str:
    """One change: its value before, and after."""
    if field == "methods":
        parts = [f"{'+' if one in after else '-'}{one}" for one in sorted(set(before) ^ set(after))]
        return f"methods: {' '.join(parts)}"
    return f"{label(field)}: {_said(field, before)} → {_said(field, after)}"


def _said(field: str, value: Any) -> str:
    if field == "budgets":
        return " and ".join(budget(**one) for one in value) or "no budget limit"
    if field == "expires_at":
        return _NEVER if value is None else when(value)
    if field.endswith("_msat"):
        return _NONE if value is None else amount(value)
    return str(value)
