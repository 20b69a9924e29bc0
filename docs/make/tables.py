"""Parts of pages that are tables of the code: states, reasons, invariants, rooms."""

from __future__ import annotations

import inspect
import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kitestring.app.owner.commands import all_commands
from kitestring.base import invoices, payments
from kitestring.base.errors import TABLE, Reason
from kitestring.base.payments import HOLDING, OPEN, TERMINAL, State
from kitestring.ledger.audit.checks import CHECKS
from kitestring.wire.grammar import Wire
from kitestring.wire.registry import WIRES

ROOT: Final = Path(__file__).parents[2]

ROOMS: Final[Mapping[str, str]] = {
    "app": "Puts everything together: the command line, the doors, the owner's commands, the service, its directory.",
    "sdk": "The wallet of a program: `Wallet`, over a connection or straight on a node.",
    "engine": "Decides about money: claim, reserve, ask the node, record, reply. Recovery. Consumers of the feed.",
    "ledger": "The durable books: requests, payments, double entry, budgets, outbox and feed in SQLite; `audit`.",
    "backend": "Nodes: a file or folder each (`lnd`, `sandbox`; wallets: `nostr`, `clink`); `http` under REST.",
    "relay": "The embedded Nostr relay.",
    "client": "The other side of the protocols: asks wallets, offers, exchanges; from what was pasted to an invoice.",
    "transport": "Relays: pool, reconnection, proxies, the check of foreign addresses. `fetch`: the way to the web.",
    "wire": "One protocol, one file: from a peer's text to a neutral command, from an outcome back to a text.",
    "policy": "The rules as functions of their arguments: may this grant do this now? Budgets, limits, prices, rights.",
    "nostr": "Events, filters, the conversation with a relay without a socket, which events are worked on.",
    "codec": "Text forms: bech32, TLV, NIP-19, BOLT11, offers, links, strict JSON.",
    "crypto": "Keys, Schnorr signatures, NIP-04 and NIP-44 encryption.",
    "base": "The words that all share: money, commands, outcomes, states, events, and what a node and a store must do.",
}

#: The floors inside ``app``: folders, and files that stand alone.
FLOORS: Final[Mapping[str, str]] = {
    "cli": "The command line: one file per command; a command without a file is built from its row.",
    "up": "`kitestring up`: one service on one data directory, with its door and, if asked for, its own relay.",
    "demo": "`kitestring demo`: the whole story on one machine, a crash included.",
    "demo_words": "What an event of the demonstration says, in one line.",
    "doctor": "`kitestring doctor`: each check is one line.",
    "bench": "`RunningService`: a service for the tests of other programs; `kitestring.testing` makes fixtures of it.",
    "blocking": "`kitestring.blocking`: `Wallet` and `Service` for programs without asyncio, in a thread.",
    "doors": "Ways to the owner's commands. Today there is one: HTTP on a Unix socket in the data directory.",
    "embedded": "`Service`: the same service inside a program of yours.",
    "card": "What `up` shows when it has started.",
    "relay_alone": "`kitestring relay`: the embedded relay without a service.",
    "owner": "The owner's commands: one table, one file per subject, rights in one place.",
    "service": "The running service: gateway, delivery of the outbox, connections, and `Core`, which wires all parts.",
    "home": "Settings, data directory, seed and keys.",
}

#: Files and folders that the picture names in each room; not all of them, those to begin with.
PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "app/cli": ("main", "shell", "from_row"),
    "app/doors": ("unix", "unix_client"),
    "app/owner": ("table", "commands", "desk", "money", "connections", "offers", "accounts", "events"),
    "app/service": ("core", "gateway", "wires", "delivery", "routes", "notices", "connections", "waiters"),
    "app/home": ("config", "datadir", "keyring"),
    "sdk": ("wallet", "nwc", "node"),
    "engine": ("engine", "payments", "pursuit", "invoices", "incoming", "feed"),
    "ledger": ("apply/", "sqlite/", "audit/"),
    "backend": ("registry", "lnd/", "nostr/", "sandbox/", "http"),
    "relay": ("server", "session", "hub", "store"),
    "client": ("payable", "nwc/", "offers/", "session"),
    "transport": ("relays", "link", "guard", "fetch", "proxies"),
    "wire": ("registry", "grammar", "serve/", "ask/"),
    "policy": ("rules", "budget", "prices", "rate_limits", "access"),
    "nostr": ("event", "filter", "inbox", "relay"),
    "codec": ("bolt11", "nip19", "pointers", "uri", "target", "json"),
    "crypto": ("keys", "secp", "nip44", "nip04"),
    "base": (
        "money",
        "commands",
        "outcomes",
        "payments",
        "events",
        "records",
        "transactions/",
        "node",
        "store",
        "ports",
    ),
}

INVARIANTS: Final[Mapping[str, tuple[str, str]]] = {
    "I1": (
        "One payment hash is held by at most one payment that has not failed.",
        "A unique index in the database over exactly the holding states.",
    ),
    "I2": (
        "Money is conserved: every transfer sums to zero, and balances follow from their entries.",
        "One row is a whole transfer; `audit --node` compares every payment and invoice with the node.",
    ),
    "I3": ("A reservation is released only with stored evidence that nothing was paid.", "A CHECK constraint."),
    "I4": (
        "No reservation goes beyond what is available or beyond a budget. Overdrafts by a late truth are marked.",
        "CHECK constraints; check and reservation are one transaction.",
    ),
    "I5": (
        "What is debited is at most amount, fee cap and the service fee that was decided with the claim.",
        "The cap is sent to the node in msat. A trigger keeps the service fee as it was claimed.",
    ),
    "I6": (
        "Every accepted request ends in exactly one stored reply, each sale with a webhook in one delivery.",
        "A unique key; recovery at every start. Settlement and delivery are one transaction.",
    ),
    "I7": (
        "A request, a settlement of the node, a word that is good once, a notification, and an enrolment, count once.",
        "Unique keys; pruned ids are refused by age. A word is free again in the commit in which what holds it fails.",
    ),
    "I8": ("Entries are only appended; a transfer is posted or voided, once.", "Triggers refuse everything else."),
    "I9": ("A settled payment has the preimage of its hash.", "Checked when the node answers, before it is believed."),
    "I10": ("Nothing is credited before the node has settled it.", "Credit and settlement are one transaction."),
    "I11": ("No rounding is in favour of the other side.", "Amounts are whole msat; sat are rounded in two functions."),
    "I12": (
        "When the node holds less than the sub-accounts are owed, spending stops.",
        "Compared once a minute; the audit judges by the last view of the node.",
    ),
    "I13": (
        "What has ended stays so: a payment, a closed account. What the owner is asked for is done after a yes alone.",
        "One table of transitions; a trigger keeps every step, another what was asked; yes and claim are one commit.",
    ),
    "I14": (
        "A result is shown only to the connection that paid; a payment only to those that see it or its account.",
        "Look-ups are scoped by connection or account, and so are the events that notifications follow from.",
    ),
    "I15": (
        "With an honest node and a relay, every payment ends.",
        "Unknown payments are looked up again forever. Open for over two weeks, the longest possible, is a finding.",
    ),
    "I16": (
        "No secret is stored or printed in clear.",
        "The audit scans the ledger. A test searches logs, files, arguments and answers of a whole life of a service.",
    ),
}


#: Where the code says it all by the name.
_MEANINGS: Final = {State.SETTLED: "paid; preimage and fee are stored", State.FAILED: "not paid, with evidence"}


def states() -> str:
    """The states with their meaning, which is the comment beside each in the code."""
    source = inspect.getsource(payments.State)
    rows = ["| state | meaning | owns the payment hash | holds money | final |", "|---|---|---|---|---|"]
    for state in State:
        found = re.search(rf"^    {state.name} = .*?(?:  # (.*))?$", source, re.MULTILINE)
        meaning = _MEANINGS.get(state) or (found and found[1]) or state.value
        marks = (_yes(state in group) for group in (HOLDING, OPEN, TERMINAL))
        rows.append(f"| `{state}` | {meaning} | {' | '.join(marks)} |")
    return "\n".join(rows)


def invoice_states() -> str:
    """The states of an incoming invoice, with the comment beside each in the code, and where each leads."""
    source = inspect.getsource(invoices.InvoiceState)
    rows = ["| state | meaning | leads to | has a place among the open ones |", "|---|---|---|---|"]
    for state, after in invoices.TRANSITIONS.items():
        found = re.search(rf"^    {state.name} = .*?(?:  # (.*))?$", source, re.MULTILINE)
        meaning = (found and found[1]) or "paid, and credited"
        leads = ", ".join(f"`{one}`" for one in invoices.InvoiceState if one in after)
        rows.append(f"| `{state}` | {meaning} | {leads} | {_yes(state in invoices.WAITING)} |")
    return "\n".join(rows)


def _yes(true: bool) -> str:
    return "yes" if true else ""


def errors_page() -> str:
    """docs/reference/errors.md."""
    rows = [
        "# Reasons and codes",
        "",
        "Every refusal has one reason. It is the `reason` in `--json` output and `KitestringError.reason` in Python.",
        "The table says what each wire makes of it.",
        "",
        "- **exit**: the exit code of the command line ([what it means](cli.md#exit-codes)).",
        "- The other columns are the error codes of the protocols. Where a second one is given, callers of an older",
        "  form of the protocol get that one, because they know fewer codes.",
        "- –: nothing is published.",
        "",
        f"| reason | meaning | exit | {' | '.join(wire.title for wire in WIRES)} |",
        f"|---|---|---|{'---|' * len(WIRES)}",
    ]
    for reason, meaning in TABLE.items():
        codes = " | ".join(_code(wire, reason) for wire in WIRES)
        rows.append(f"| `{reason.value}` | {meaning.sentence} | {meaning.exit.value} | {codes} |")
    return "\n".join([*rows, ""])


def _code(wire: Wire, reason: Reason) -> str:
    codes = (wire.codes[reason], wire.older_codes.get(reason))
    return " / ".join(f"`{code}`" if isinstance(code, str) else str(code) for code in codes if code is not None) or "–"


def invariants() -> str:
    """What holds, how many checks of ``kitestring audit`` look at it, and what else keeps it."""
    counted = Counter(name for name, _ in CHECKS)
    rows = ["| | what holds | audit | kept by |", "|---|---|---|---|"]
    for name, (rule, kept) in INVARIANTS.items():
        number = counted[name]
        checks = f"{number} check{'s' if number > 1 else ''}" if number else "not checked"
        rows.append(f"| {name} | {rule} | {checks} | {kept} |")
    return "\n".join(rows)


def owner_commands() -> str:
    """Every command of the owner with its right, in the order of the table."""
    rows = ["| command | right | without a service | what it does |", "|---|---|---|---|"]
    specs = all_commands().values()
    rows += [f"| `{spec.name}` | {spec.right.value} | {_yes(spec.offline)} | {spec.doc} |" for spec in specs]
    return "\n".join(rows)


def layers(inside: str = "kitestring") -> list[list[str]]:
    """The import contract of the rooms, or of the floors in ``kitestring.app``, the highest layer first."""
    found = next(one for one in _contracts() if one.get("containers") == [inside])
    return [line.split(" | ") for line in found["layers"]]


def floors() -> list[list[str]]:
    """The import contract inside ``app``, the highest floor first."""
    return layers("kitestring.app")


def pure_rooms() -> frozenset[str]:
    """The rooms that the contract keeps away from clock, socket, disk and chance."""
    found = next(found for found in _contracts() if "time" in found.get("forbidden_modules", ()))
    return frozenset(name.removeprefix("kitestring.") for name in found["source_modules"])


def rooms() -> str:
    """Every room with its purpose, the highest layer first."""
    return _purposes([(f"{name}/", ROOMS[name]) for layer in layers() for name in layer])


def rooms_of_app() -> str:
    """The same for the floors inside ``app``: a folder has a slash, a file has not."""
    source = ROOT / "src/kitestring/app"
    names = [name for floor in floors() for name in floor]
    return _purposes([(f"{name}/" if (source / name).is_dir() else name, FLOORS[name]) for name in names])


def _purposes(rows: list[tuple[str, str]]) -> str:
    return "\n".join(["| room | what it does |", "|---|---|", *(f"| `{name}` | {does} |" for name, does in rows)])


def _contracts() -> list[dict[str, Any]]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: list[dict[str, Any]] = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    return found
