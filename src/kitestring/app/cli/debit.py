"""``kitestring debit``: money that others may take by your word, beforehand or when they ask."""

from __future__ import annotations

from typing import Any, Final

import click

from kitestring.app.cli.approvals import budgets_text
from kitestring.app.cli.columns import Column, fitted
from kitestring.app.cli.qr import Qr, qr_options
from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import (
    BudgetType,
    Moment,
    MomentType,
    Sats,
    TypedBudget,
    amount,
    budget_params,
    facts,
    msat,
    short_key,
    when,
)

#: The last six characters of an id name a grant; before them stands what says that there are more.
GRANT_END: Final = 7


command: Final = click.Group("debit")


@command.command("grants")
@click.option("--pointer", default="", metavar="POINTER", help="Those of one pointer (default: all).")
@common
def grants(shell: Shell, pointer: str) -> None:
    """List who may take money without asking."""
    result = shell.read("debit_grants", {"pointer": pointer})
    rows = result["grants"]
    empty = "nobody may take anything without asking; `kitestring approve ID --budget 5000/week` grants such a right"
    shell.show(result, fitted(rows, _COLUMNS) if rows else empty)


_COLUMNS: Final = (
    Column("name", lambda found: found["name"], least=10),
    Column("may take", lambda found: budgets_text(found["budgets"]), least=14, most=80),
    Column("a payment", lambda found: amount(found["per_payment_msat"]), rank=5),
    Column("expires", lambda found: when(found["expires_at"]), rank=4),
    Column("last paid", lambda found: when(found["last_paid_at"]), rank=3),
    Column("at", lambda found: found["pointer"], rank=2, least=6, most=24),
    Column("key", lambda found: short_key(found["npub"]), rank=1),
    Column("id", lambda found: found["grant_id"], least=GRANT_END, keeps_end=True),
)


@command.command("show")
@click.argument("grant")
@common
def show(shell: Shell, grant: str) -> None:
    """Show one grant and what is left of it.

    GRANT is its id (the last six characters are enough), its name, or its key.
    """
    found = shell.read("debit_show", {"grant": grant})
    shell.show(found, _described(found))


@command.command("edit")
@click.argument("grant")
@click.option(
    "--budget", "limits", type=BudgetType(), multiple=True, metavar="AMOUNT/PERIOD",
    help="A budget in place of those it has, such as 500/day; may repeat, and each has to cover a payment.",
)  # fmt: skip
@click.option("--no-budget", is_flag=True, help="No budget at all: any amount.")
@click.option("--per-payment", type=Sats(), metavar="SAT", help="The most that one payment may cost with its fee.")
@click.option("--no-per-payment", is_flag=True, help="No limit of one payment.")
@click.option(
    "--expires", type=MomentType(), metavar="WHEN", help="When it ends: 30d, 12h, or a day such as 2027-01-31."
)
@click.option("--no-expiry", is_flag=True, help="No end.")
@click.option("--name", metavar="NAME", help="Another name in your lists.")
@key_option
@common
def edit(
    shell: Shell, grant: str, limits: tuple[TypedBudget, ...], no_budget: bool, per_payment: int | None,
    no_per_payment: bool, expires: Moment | None, no_expiry: bool, name: str | None, key: str,
) -> None:  # fmt: skip
    """Change budgets, limit, end or name of a grant.

    GRANT is its id (the last six characters are enough), its name, or its key. What is left out stays as it is, and
    what was used stays used.
    """
    params: dict[str, Any] = {"grant": grant}
    for name_, given, taken in (
        ("budget", bool(limits), no_budget),
        ("per-payment", per_payment is not None, no_per_payment),
        ("expires", expires is not None, no_expiry),
    ):
        if given and taken:
            raise click.UsageError(
                f"--{name_} and --no-{name_ if name_ != 'expires' else 'expiry'} say the opposite: choose one of them"
            )
    if limits or no_budget:
        params["budgets"] = [budget_params(one) for one in limits]
    if per_payment is not None or no_per_payment:
        params["per_payment_msat"] = None if per_payment is None else msat(per_payment)
    if no_expiry:
        params["expires_at"] = None
    if expires is not None:
        params |= {member: value for member, value in expires._asdict().items() if value is not None}
    if name is not None:
        params["name"] = name
    if len(params) == 1:
        raise click.UsageError("say what to change, such as --budget 500/day")
    result = shell.call("debit_edit", params, key)
    remark = "changed" if result["changed"] else "it is so already"
    shell.note(f"{remark}:")
    shell.show(result, _described(result))


@command.command("revoke")
@click.argument("grant")
@key_option
@common
def revoke(shell: Shell, grant: str, key: str) -> None:
    """End a grant forever.

    GRANT is its id (the last six characters are enough), its name, or its key. Payments that are under way still
    finish; the key may ask you again.
    """
    result = shell.call("debit_revoke", {"grant": grant}, key)
    shell.show(result, f"{short_key(result['npub'])} takes nothing any more without asking")


@command.command("session")
@click.argument("pointer")
@click.argument("amount_sat", type=Sats())
@click.option("--min", "least", type=Sats(), metavar="SAT", help="The least that may be taken (default: 1).")
@click.option("--expires", type=MomentType(), metavar="WHEN", help="How long it is good: 10min, 12h (default: 10min).")
@qr_options
@key_option
@common
def session(
    shell: Shell, pointer: str, amount_sat: int, least: int | None, expires: Moment | None, key: str, qr: Qr
) -> None:
    """Make a code that is good for one payment.

    Whoever shows it takes up to AMOUNT_SAT, once: show it to one person, and publish it never. The pointer POINTER must
    take such codes: kitestring debit pointer policy POINTER --sessions minted.
    """
    from kitestring.app.owner.debit_pointers import MAX_SESSION_S

    params: dict[str, Any] = {"pointer": pointer, "max_msat": msat(amount_sat)}
    if least is not None:
        params["min_msat"] = msat(least)
    if expires is not None:
        if expires.expires_in_s is None:
            raise click.UsageError("a session is good for a time from now on, such as 10min")
        if expires.expires_in_s > MAX_SESSION_S:
            raise click.UsageError(
                f"a session is good for {MAX_SESSION_S // 3_600}h at most: make it when it is needed"
            )
        params["expires_in_s"] = expires.expires_in_s
    made = shell.call("debit_session", params, key)
    bounds = f"from {amount(made['min_msat'])} to {amount(made['max_msat'])}"
    shell.note(f"whoever shows this code takes {bounds} once, until {when(made['expires_at'])}:")
    if made["ndebit"] is None:
        shell.show(made, "it was used, or has ended")
    else:
        qr.show(shell, made, made["ndebit"], is_secret=True)


def _described(found: dict[str, Any]) -> str:
    return facts(
        [
            ("name", found["name"]),
            ("may take", budgets_text(found["budgets"])),
            ("a payment", "" if found["per_payment_msat"] is None else f"at most {amount(found['per_payment_msat'])}"),
            ("expires", "never" if found["expires_at"] is None else when(found["expires_at"])),
            ("at", found["pointer"] or found["pointer_id"]),
            ("account", found["account"]),
            ("key", found["npub"]),
            ("made", when(found["created_at"])),
            ("last paid", when(found["last_paid_at"])),
            ("id", found["grant_id"]),
        ]
    )
