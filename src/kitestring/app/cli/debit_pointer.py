"""``kitestring debit pointer``: the codes by which others ask for money."""

from __future__ import annotations

from typing import Any, Final

import click

from kitestring.app.cli.approvals import budgets_text
from kitestring.app.cli.for_ever import agree_to_end, yes_option
from kitestring.app.cli.qr import Qr, qr_options
from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import BudgetType, Sats, TypedBudget, amount, budget_params, facts, msat

_Limits = tuple[TypedBudget, ...]

_POLICIES = click.Choice(["deny", "ask", "budget"])
_SESSIONS = click.Choice(["off", "minted", "any"])
#: What a key without a grant gets.
_WORDS = {
    "deny": "deny: the answer is no",
    "ask": "ask: you decide about each question",
    "budget": "budget: they take by themselves, all together",
}


command: Final = click.Group("pointer")


@command.command("create")
@click.argument("label")
@click.option(
    "--policy", type=_POLICIES, default="ask", help="What a key without a grant gets (default: you are asked)."
)
@click.option(
    "--budget", "limits", type=BudgetType(), multiple=True, metavar="AMOUNT/PERIOD",
    help="With --policy budget: what all such keys together may take; may repeat.",
)  # fmt: skip
@click.option("--per-payment", type=Sats(), metavar="SAT", help="The most that one payment may cost with its fee.")
@click.option("--account", default="owner", metavar="NAME", help="The account that pays (default: the node itself).")
@click.option(
    "--sessions", type=_SESSIONS, default="off",
    help="Codes that are good once: none, those that you make, or any (default: off).",
)  # fmt: skip
@qr_options
@key_option
@common
def create(
    shell: Shell, label: str, policy: str, limits: _Limits, per_payment: int | None, account: str, sessions: str,
    key: str, qr: Qr,
) -> None:  # fmt: skip
    """Make a pointer and show its code.

    LABEL is for you alone.
    """
    params: dict[str, Any] = {"label": label, "policy": policy, "account": account, "sessions": sessions}
    params |= _limits(limits, per_payment)
    result = shell.call("debit_pointer_create", params, key)
    qr.show(shell, result, result["ndebit"])


@command.command("list")
@common
def list_(shell: Shell) -> None:
    """List the debit pointers and their codes."""
    result = shell.read("debit_pointer_list")
    empty = "no debit pointers; make one with: kitestring debit pointer create LABEL"
    shell.show(result, "\n\n".join(map(_described, result["pointers"])) or empty)
    old = [found["label"] for found in result["pointers"] if found["old_relays"]]
    if old:
        shell.note(
            f"the codes of these name a relay that you have left, and that is served for them: {', '.join(old)}; "
            "`kitestring debit pointer relink POINTER` makes a new code"
        )


@command.command("policy")
@click.argument("pointer")
@click.argument("policy", type=_POLICIES, required=False)
@click.option(
    "--budget", "limits", type=BudgetType(), multiple=True, metavar="AMOUNT/PERIOD",
    help="With the policy budget: what all keys without a grant may take together; may repeat.",
)  # fmt: skip
@click.option("--per-payment", type=Sats(), metavar="SAT", help="The most that one payment may cost with its fee.")
@click.option("--no-per-payment", is_flag=True, help="No limit of one payment.")
@click.option("--sessions", type=_SESSIONS, help="Codes that are good once: none, those that you make, or any.")
@key_option
@common
def policy(
    shell: Shell, pointer: str, policy: str | None, limits: _Limits, per_payment: int | None, no_per_payment: bool,
    sessions: str | None, key: str,
) -> None:  # fmt: skip
    """Change what others may do by a pointer.

    POINTER is its label, its id or its code; POLICY says what a key without a grant gets: deny, ask or budget. Grants
    stay as they are.
    """
    if per_payment is not None and no_per_payment:
        raise click.UsageError("choose either --per-payment or --no-per-payment")
    params: dict[str, Any] = {"pointer": pointer, **_limits(limits, per_payment)}
    params |= {name: value for name, value in (("policy", policy), ("sessions", sessions)) if value is not None}
    if no_per_payment:
        params["per_payment_msat"] = None
    if len(params) == 1:
        raise click.UsageError("say what to change: deny, ask, budget, or an option such as --sessions minted")
    result = shell.call("debit_pointer_policy", params, key)
    shell.note("changed:" if result["changed"] else "it is so already:")
    shell.show(result, _described(result))


@command.command("relink")
@click.argument("pointer")
@qr_options
@key_option
@common
def relink(shell: Shell, pointer: str, key: str, qr: Qr) -> None:
    """Make a code anew, over the relays of today.

    POINTER is its label, its id or its code. The old code goes on working for as long as one of the relays in it is
    served: give out the new one.
    """
    result = shell.call("debit_pointer_relink", {"pointer": pointer}, key)
    if not result["changed"]:
        shell.note(f"the code of {result['label']} names the relays of today already")
    elif result["left_relays"]:
        shell.note(
            f"give out the new code of {result['label']}: the old one works as long as an old relay does, and "
            f"{', '.join(result['left_relays'])} is not served for it any more from the next start on"
        )
    qr.show(shell, result, result["ndebit"])


@command.command("delete")
@click.argument("pointer")
@yes_option
@key_option
@common
def delete(shell: Shell, pointer: str, yes: bool, key: str) -> None:
    """End a pointer and its grants forever.

    POINTER is its label, its id or its code. Payments that are under way still finish.
    """
    agree_to_end(shell, f"the debit pointer {pointer}", "its code can no longer be used, and its grants end", yes=yes)
    result = shell.call("debit_pointer_delete", {"pointer": pointer}, key)
    grants = {0: "it had no grants", 1: "its one grant has ended with it"}
    ended = grants.get(result["grants"], f"its {result['grants']} grants have ended with it")
    shell.show(result, f"the debit pointer {result['label']} is deleted: its code can no longer be used, and {ended}")


def _limits(limits: _Limits, per_payment: int | None) -> dict[str, object]:
    params: dict[str, object] = {"budgets": [budget_params(one) for one in limits]} if limits else {}
    return params if per_payment is None else {**params, "per_payment_msat": msat(per_payment)}


def _described(found: dict[str, Any]) -> str:
    sessions = {"off": "", "minted": "those that you make", "any": "any, each once"}[found["sessions"]]
    policy = _WORDS[found["policy"]]
    if found["policy"] == "budget":
        policy += f" {budgets_text(found['budgets'])}"
    return facts(
        [
            ("label", found["label"]),
            ("policy", policy),
            ("a payment", "" if found["per_payment_msat"] is None else f"at most {amount(found['per_payment_msat'])}"),
            ("sessions", sessions),
            ("grants", str(found["grants"])),
            ("account", found["account"]),
            ("old relay", ", ".join(found["old_relays"])),
            ("code", found["ndebit"]),
        ]
    )
