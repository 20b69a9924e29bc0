"""``kitestring audit``: proof that the books are right."""

from __future__ import annotations

from typing import Any, Final

import click

from kitestring.app.cli.shell import Shell, common
from kitestring.base.errors import Exit

#: No payment on the Lightning network stays open longer than two weeks (2,016 blocks, the longest time lock).
STUCK_AFTER_S: Final = 14 * 86_400


@click.command("audit")
@click.option("--node", is_flag=True, help="Also compare with the node's own lists (needs the running service).")
@click.option("--whole-node", is_flag=True, help="Nobody else uses the node: what it did without us is wrong too.")
@common
def command(shell: Shell, node: bool, whole_node: bool) -> int:
    """Check every invariant of the ledger; the exit code is 1 when one is broken."""
    import secrets
    import time

    from kitestring.app.home.datadir import not_running
    from kitestring.app.home.keyring import Keyring
    from kitestring.ledger.audit.checks import alarms, audit

    home = shell.home
    service_id = Keyring(home.read_seed()).service_id
    home.check_owner(service_id)
    if not home.ledger.exists():
        raise not_running(home.path)
    result: dict[str, Any] = {
        "violations": [
            {"invariant": found.invariant, "sentence": found.sentence}
            for found in audit(home.ledger, service_id, stuck_before=int(time.time()) - STUCK_AFTER_S)
        ],
        "alarms": alarms(home.ledger, service_id),
        "node": None,
        "allowed": [],
    }
    if node or whole_node:
        seen = shell.call("audit_node", {"whole_node": whole_node}, wait_s=600)
        result["violations"] += [{"invariant": "node", "sentence": sentence} for sentence in seen.pop("violations")]
        result["node"] = seen
        if "ledger" in seen["stopped_by"] and not result["violations"]:
            result["allowed"] = shell.call("spending_allow", {}, secrets.token_hex(16), wait_s=600)["allowed"]
    shell.show(result, _text(result))
    return Exit.INTERNAL if result["violations"] else Exit.OK


def _text(result: dict[str, Any]) -> str:
    lines = [f"{found['invariant']}: {found['sentence']}" for found in result["violations"]]
    lines += [f"alarm: {sentence}" for sentence in result["alarms"]]
    seen = result["node"]
    if seen:
        lines.append(f"compared with the node; payments: {seen['payments']}, invoices: {seen['invoices']}")
    if result["allowed"]:
        lines.append("spending is allowed again")
    lines.append(f"{len(result['violations'])} violations" if result["violations"] else "the books are right")
    return "\n".join(lines)
