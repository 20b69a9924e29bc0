"""The question before money moves: who is paid how much, from where, and yes or no."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import click

from kitestring.app.cli.shell import Function, Shell
from kitestring.app.cli.values import amount, facts, quoted
from kitestring.app.cli.wish import Wish, fulfil, need_yes, person_answers, worth
from kitestring.base.errors import KitestringError, Reason

#: What a payment costs may change while somebody thinks; with these as they were, no second question is asked.
_AGREED: Final = ("payee", "payee_key", "amount_msat", "fee_cap_msat", "description", "network")

#: Kinds of target that say no more of the payee than a key.
_OF_KEYS: Final = frozenset({"invoice", "keysend"})
_DRY: Final = "this was a dry run: nothing was paid"


def agree_options(function: Function) -> Function:
    """``--yes`` and ``--dry-run``."""
    yes = click.option("--yes", is_flag=True, help="Ask nothing; needed where nobody can answer, except in a sandbox.")
    dry = click.option("--dry-run", is_flag=True, help="Show what would be paid, and pay nothing.")
    return yes(dry(function))


class Payer(Protocol):
    """The place where the money comes from. All methods raise KitestringError."""

    def is_real(self) -> bool:
        """Whether a payment has to be agreed to: false in a sandbox alone."""
        ...

    def preview(self, wish: Wish) -> dict[str, Any]:
        """Show the payment that would be made. The service of an offer is asked for its invoice, as for paying."""
        ...

    def pay(self, wish: Wish, seen: dict[str, Any] | None) -> dict[str, Any]:
        """The end of the payment; of the very invoice that was ``seen``, if one was."""
        ...


def pay_if_agreed(
    shell: Shell, wish: Wish, payer: Payer, show: Callable[[Shell, dict[str, Any]], None], *, yes: bool, dry_run: bool
) -> None:
    """Pay after the question that the money demands, or show alone what would be paid. Raises KitestringError:
    MALFORMED where nobody can answer, NOT_PERMITTED for "no"."""
    if dry_run:
        found = fulfil(shell, wish, payer.preview)
        shell.show(found, f"{preview_text(shell, found)}\n\n{_DRY}")
        return
    if yes or not payer.is_real():
        show(shell, fulfil(shell, wish, lambda wanted: payer.pay(wanted, None), asks=not yes))
        return
    _need_person(shell)
    show(shell, fulfil(shell, wish, lambda wanted: _ask_and_pay(shell, wanted, payer)))


def agree_to(shell: Shell, found: dict[str, Any], *, is_real: bool, yes: bool, dry_run: bool) -> bool:
    """Whether to pay what is known without asking anybody, after the same question. Raises as :func:`pay_if_agreed`."""
    if dry_run:
        shell.show(found, f"{preview_text(shell, found)}\n\n{_DRY}")
    elif is_real and not yes:
        _need_person(shell)
        shell.note(preview_text(shell, found))
        need_yes("Pay?")
    return not dry_run


def _need_person(shell: Shell) -> None:
    """Raise KitestringError where nobody can answer."""
    if not person_answers(shell):
        raise KitestringError(
            Reason.MALFORMED,
            "nobody can be asked here: add --yes to pay without a question, or --dry-run to see what would be paid;"
            " nothing was paid",
        )


def _ask_and_pay(shell: Shell, wish: Wish, payer: Payer) -> dict[str, Any]:
    """Pay what was shown: an invoice that has expired while somebody thought is asked for again, and shown
    again if it is another one in anything that was agreed to."""
    agreed: dict[str, Any] | None = None
    while True:
        found = payer.preview(wish)
        if found.get("is_repeated"):
            return payer.pay(wish, None)
        if not found["already_paid"] and (agreed is None or any(found[name] != agreed[name] for name in _AGREED)):
            shell.note(preview_text(shell, found))
            need_yes("Pay?")
        agreed = found
        if found["already_paid"] or time.time() < found["expires_at"]:
            return payer.pay(wish, found)


def preview_text(shell: Shell, found: dict[str, Any]) -> str:
    """Tell people about the payment that would be made."""
    if found.get("is_repeated"):
        return "this idempotency key was used before: its payment would be carried on, and not made again"
    key, is_key, costs = found["payee_key"], found["kind"] in _OF_KEYS, int(found["amount_msat"])
    currency = str(found.get("currency") or "")
    fees = "none" if found["fee_cap_msat"] == 0 else f"at most {amount(found['fee_cap_msat'])}"
    lines = [
        ("to", f"node {key}" if is_key else found["payee"]),
        ("node", "" if is_key else key),
        ("for", quoted(found["description"]) if found["description"] else ""),
        ("amount", f"{amount(costs)}{worth(shell, costs, currency) if currency else ''}"),
        ("fee", fees if found["fee_cap_msat"] is not None else "as much as the settings of the payer allow"),
        ("from", _source(found)),
        ("money", _money(found)),
    ]
    return facts(lines) + ("\nthis was paid already" if found["already_paid"] else "")


def _source(found: dict[str, Any]) -> str:
    spendable = found.get("spendable_msat")
    return found["paid_from"] if spendable is None else f"{found['paid_from']}, which can spend {amount(spendable)}"


def _money(found: dict[str, Any]) -> str:
    if found["sandbox"]:
        return "none: a sandbox"
    if found["network"] == "bitcoin":
        return "real bitcoin"
    return f"test money ({found['network']})" if found["network"] else "real, as far as is known"
