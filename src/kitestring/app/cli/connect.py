"""``kitestring connect``: a wallet connection for one app, and how its link is shown."""

from __future__ import annotations

from shlex import quote
from typing import Any, Final

import click

from kitestring.app.cli.qr import Qr, qr_options
from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import (
    BudgetType,
    Moment,
    MomentType,
    Sats,
    TypedBudget,
    amount,
    budgets_of,
    flat_budget_params,
    msat,
    when,
)
from kitestring.base.errors import KitestringError, Reason

#: The word for the methods of the preset full.
EVERYTHING: Final = "everything"
PRESETS: Final = ("read-only", "receive-only", "app", "pay", "full")
#: The word for all methods that are about money, and what it stands for.
ALL: Final = "all"
#: What can be named in ``--methods``.
METHODS: Final = (
    "pay_invoice", "pay_keysend", "make_invoice", "lookup_invoice", "get_balance", "get_budget", "sign_message",
    "create_connection", "get_info", "list_transactions", "make_hold_invoice", "settle_hold_invoice",
    "cancel_hold_invoice", "payment_received", "payment_sent", "hold_invoice_accepted",
)  # fmt: skip
methods_option: Final = click.option(
    "--methods", metavar="LIST|all",
    help="What it may do, separated by commas: " + ", ".join(METHODS) + "; all but create_connection: all.",
)  # fmt: skip
show_balance_option: Final = click.option(
    "--show-balance", type=click.Choice(["budget", "full"]),
    help="The balance its app sees: what its budget allows (new ones), or all that the account has.",
)  # fmt: skip

show_history_option: Final = click.option(
    "--show-history", type=click.Choice(["own", "account"]),
    help="The payments its app sees and hears of: its own, or every one of its account.",
)  # fmt: skip


def method_params(methods: str | None) -> dict[str, Any]:
    """The methods that were typed, as the service takes them; nothing where none were."""
    if methods is None:
        return {}
    return {"preset": "full"} if methods.strip() == ALL else {"methods": methods.replace(",", " ").split()}


@click.command("connect")
@click.argument("name")
@click.option(
    "--budget", "limits", type=BudgetType(), multiple=True, metavar="AMOUNT/PERIOD",
    help="Such as 5000/day (sat), 10EUR/day; or per week, month, year, total, 24h (default: 10000/day).",
)  # fmt: skip
@click.option("--no-budget", is_flag=True, help="No budget limit: it may spend all that its account has.")
@methods_option
@click.option(
    "--preset", type=click.Choice(PRESETS), help="A usual list of methods in one word (default: app).",
)  # fmt: skip
@show_balance_option
@show_history_option
@click.option(
    "--relay", "relays", multiple=True, metavar="URL", help="A relay of yours for its link, the preferred one first."
)
@click.option("--lud16", metavar="ADDRESS", help="The Lightning Address of its account, such as alice@example.com.")
@click.option(
    "--deep-link", metavar="LINK", help="The link nostrnwc://connect… by which an app asked; shows what to open then."
)
@click.option("--account", metavar="NAME", help="The account it uses (default: the node itself).")
@click.option("--per-payment", type=Sats(), metavar="SAT", help="The most that one payment may cost with its fee.")
@click.option(
    "--max-fee", type=Sats(), metavar="SAT", help="The most that routing one may cost (default: fees.cap_ppm)."
)
@click.option(
    "--expires", type=MomentType(), metavar="WHEN", help="When it ends: 30d, 12h, or a day such as 2027-01-31."
)
@click.option(
    "--encryption",
    type=click.Choice(["auto", "nip44", "legacy", "both"]),
    help="legacy is for apps that know NIP-04 only, both for apps that go back to it (default: auto).",
)
@qr_options
@key_option
@common
def command(
    shell: Shell,
    name: str,
    limits: tuple[TypedBudget, ...],
    no_budget: bool,
    methods: str | None,
    account: str | None,
    per_payment: int | None,
    max_fee: int | None,
    expires: Moment | None,
    encryption: str | None,
    preset: str | None,
    show_balance: str | None,
    show_history: str | None,
    relays: tuple[str, ...],
    lud16: str | None,
    deep_link: str | None,
    key: str,
    qr: Qr,
) -> None:
    """Make a wallet connection (NWC) and show its secret link.

    Without options it may pay, make invoices and look, and spend 10,000 sat a day with all fees.

    One that exists with the same values is left as it is, and its link is shown again until its first use; other values
    are refused.
    """
    if len(limits) > 1:
        raise click.UsageError("name one --budget; `kitestring connection edit NAME` gives a connection several")
    if limits and no_budget:
        raise click.UsageError("--budget and --no-budget say the opposite: choose one of them")
    typed = method_params(methods)
    if preset is not None and typed:
        raise click.UsageError("--methods and --preset both say what it may do: choose one of them")
    given = {
        "account": account,
        "cipher": encryption,
        "preset": preset,
        "show_balance": show_balance,
        "show_history": show_history,
        "relays": list(relays) or None,
        "lud16": lud16,
        "deep_link": deep_link,
    }
    params: dict[str, Any] = {"name": name, **{member: value for member, value in given.items() if value is not None}}
    if expires is not None:
        params |= expires._asdict()
    for limit in limits:
        params |= flat_budget_params(limit)
    if no_budget:
        params["budget_msat"] = None
    params |= typed
    if per_payment is not None:
        params["per_payment_msat"] = msat(per_payment)
    if max_fee is not None:
        params["fee_cap_msat"] = msat(max_fee)
    made = shell.call("connect", params, key)
    show_link(shell, made, qr, "" if made["created"] else "; it was there already")


def show_link(shell: Shell, made: dict[str, Any], qr: Qr, remark: str = "") -> None:
    """Show the link, then what relays have against it. Raises KitestringError where the link was used already.

    ``remark`` ends the line about the connection.
    """
    name = made["name"]
    if made["nwc_uri"] is None:
        sentence = f"{name!r} exists already, and its link was used, so it is kept no more"
        raise KitestringError(
            Reason.ALREADY_USED,
            f"{sentence}; for a new one, which ends the old one: kitestring connection rotate {quote(name)}",
            connection_id=made["connection_id"],
        )
    again = f"kitestring link {quote(name)}"
    shell.note(f"connection {describe(made)}{remark}")
    if made["open"] is not None:
        shell.note(f"keep this link secret, and open it on the device of the app; `{again}` shows what is in it:")
    else:
        shell.note(f"keep this link secret; until its first use `{again}` shows it again:")
    qr.show(shell, made, made["open"] or made["nwc_uri"], again=again, is_secret=True)
    missing = {row["relay"]: row["words"] or "" for row in made["relays"] if not row["carries"]}
    for line in missing_lines(missing, every=len(missing) == len(made["relays"])):
        shell.note(line)


def missing_lines(missing: dict[str, str], *, every: bool) -> list[str]:
    """Warnings about relays that do not carry a connection yet, each with its own words."""
    lines = [f"warning: {relay} does not carry it yet: {words}" for relay, words in missing.items()]
    if missing and every:
        lines.append("warning: no relay carries it, so apps may not find it yet")
    return [*lines, "the service goes on trying"] if missing else []


def describe(connection: dict[str, Any]) -> str:
    """One connection in one line."""
    parts = [
        f"{connection['name']}: account {connection['account']}",
        budgets_of(connection),
        "" if connection["per_payment_msat"] is None else f"at most {amount(connection['per_payment_msat'])} a payment",
        "" if connection["fee_cap_msat"] is None else f"fees of at most {amount(connection['fee_cap_msat'])} a payment",
        "" if connection["expires_at"] is None else f"until {when(connection['expires_at'])}",
        f"may {EVERYTHING if connection['preset'] == 'full' else ', '.join(connection['methods'])}",
        "sees the whole balance" if connection["show_balance"] == "full" else "",
        "sees every payment of its account" if connection["show_history"] == "account" else "",
        "" if connection["encryption"] == "auto" else f"encryption {connection['encryption']}",
        f"paid at {connection['lud16']}" if connection["lud16"] else "",
    ]
    return "; ".join(filter(None, parts))
