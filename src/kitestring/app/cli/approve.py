"""``kitestring approve``: the owner's yes to a question, and what came of it."""

from __future__ import annotations

from shlex import quote
from typing import Any

import click

from kitestring.app.cli.approvals import budgets_text
from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import BudgetType, TypedBudget, Whole, amount, flat_budget_params, quoted, short_key
from kitestring.base.errors import Exit
from kitestring.base.money import MAX_WHOLE

_EXITS = {"paid": Exit.OK, "granted": Exit.OK, "not_paid": Exit.PAYMENT_FAILED, "open": Exit.PENDING}


@click.command("approve")
@click.argument("question", metavar="ID")
@click.option("--once", is_flag=True, help="This one payment, or this one request about offers, and nothing more.")
@click.option(
    "--budget", "limit", type=BudgetType(), metavar="AMOUNT/PERIOD",
    help="Let this key take so much without asking again, such as 5000/week; a payment it asks for is the first of it.",
)  # fmt: skip
@click.option(
    "--always", is_flag=True,
    help="Let this key take any amount at any time, or (if it asks for that) manage offers, without asking again.",
)  # fmt: skip
@click.option(
    "--version", type=Whole(1, MAX_WHOLE), metavar="N", help="Refuse if the question is another version by now."
)
@click.option("--name", metavar="NAME", help="The name of the connection that an app asks for (default: its own).")
@key_option
@common
def command(
    shell: Shell, question: str, once: bool, limit: TypedBudget | None, always: bool, version: int | None,
    name: str | None, key: str,
) -> int:  # fmt: skip
    """Say yes to the question ID, and wait for the end of the payment.

    Without an option it gives what is asked for: the payment once, or the budget. Full access is given by --always
    alone. Exit code 0: paid, or granted; 3: not paid, by the node's proof; 7: still under way.
    """
    from kitestring.app.owner.params import DEFAULT_WAIT_S

    if once + always + (limit is not None) > 1:
        raise click.UsageError("choose one of --once, --budget and --always")
    params: dict[str, Any] = {"id": question, "wait_s": DEFAULT_WAIT_S}
    if once or always:
        params["verdict"] = "once" if once else "always"
    if limit is not None:
        params |= {"verdict": "budget", **flat_budget_params(limit)}
    if name is not None:
        params["name"] = name
    if version is not None:
        params["version"] = version
    result = shell.call("approve", params, key, wait_s=DEFAULT_WAIT_S)
    shell.show(result, _text(result))
    return _EXITS.get(result["outcome"], Exit.OK)


def _connected(name: str, asked: dict[str, Any]) -> list[str]:
    """Say how the app gets its answer."""
    word = quote(name)
    lines = [f"the connection {name} was made; `kitestring connection show {word}` tells what it may do"]
    if asked["wants_link"]:
        lines.append(f"this app waits for its link: `kitestring link {word}` shows it")
    elif asked["return_to"]:
        lines.append(f"the app is told over its relays; it asks that this is opened then: {quoted(asked['return_to'])}")
    else:
        lines.append("the app is told over its relays")
    return lines


def _text(result: dict[str, Any]) -> str:
    who, outcome = short_key(result["npub"]), result["outcome"]
    lines = []
    if outcome == "paid":
        ours = f" and service fee {amount(result['service_fee_msat'])}" if result["service_fee_msat"] else ""
        fees = f"fee {amount(result['fee_msat'])}{ours}"
        lines.append(f"paid {amount(result['amount_msat'])}, {fees}, as {who} has asked")
    elif outcome == "not_paid":
        lines.append(f"not paid: {result['why'] or 'the payment failed'}; the node has proven that nothing left it")
    elif outcome == "open":
        lines.append("approved, and still under way; `kitestring transactions --unpaid` shows how it ends")
    if result["connected"]:
        lines += _connected(result["connected"], result["connection"])
    if result["manage"] is not None and outcome == "granted":
        lines.append(f"done, as {who} has asked")
        if result["decision"] == "always":
            lines.append("from now on it manages offers there without asking;")
            lines.append("`kitestring manage grants` lists such apps, `kitestring manage revoke` ends that")
    if result["grant"] is not None:
        lines.append(f"{who} may take {budgets_text(result['grant']['budgets'])} without asking;")
        lines.append("`kitestring debit grants` lists such rights, `kitestring debit revoke` ends one")
    return "\n".join(lines) or outcome
