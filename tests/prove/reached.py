"""What random transactions must come to often: states of keysends, of bundles, of what is held, and of invoices that
are taken back; and the transactions that are played."""

from __future__ import annotations

from typing import Final

from tests.prove.model import Model
from tests.prove.rows import Made, Paid

#: Transactions, and the writes inside of them. What is missing here says why in ``test_complete.py``.
PLAYED: Final = (
    "AlarmHold", "Answer", "AskOwner", "AwaitApproval", "CheckOffer", "ClaimBundle", "ClaimPayment", "CloseAccount",
    "Credit", "Decide", "DecideHold", "EndBundle", "EndHold", "EndOffers", "Execute", "ExpireInvoices", "HoldPayment",
    "LeaveInvoices", "ManageOffers", "NoteAttempt", "Prune", "RecordInvoice", "RecordPayment", "ResolvePayment",
    "SaveAccount", "SaveBlock", "SaveGrant", "SaveNode", "SaveOffer", "SaveSession", "SendAgain", "SetSpending",
    "Transfer", "WarnHold",
)  # fmt: skip
#: What the owner may change of a grant.
CHANGES: Final = ("paused", "resumed", "rotated", "renamed", "limited", "allowed otherwise", "told less")
_ENDS: Final = ("settled", "failed")
_MOVED: Final = ("a keysend", "a bundle", "a held payment", "a held payment inside")
#: Every state, with whatever happens in the middle of one.
STATES: Final = (
    *(f"keysend {state}" for state in ("dispatched", "unknown", "resolved", *_ENDS)),
    *(f"keysend inside {state}" for state in ("reserved", *_ENDS)),
    "keysend came in",
    *(f"bundle {what}" for what in ("claimed", "broken off", "carried on", "carried out")),
    *(f"part of a bundle: {said}" for said in ("Claimed", "Joined", "AlreadyPaid", "Running", "Finished")),
    *(f"hold {state}" for state in ("open", "open, to cancel", "settled", "canceled", "left", "expired")),
    *(f"hold accepted{where}{to}" for where in ("", " inside") for to in ("", ", to settle", ", to cancel")),
    *(f"hold {state} inside" for state in ("settled", "canceled")),
    "hold cancelled in time",
    *(f"taken back, {state}" for state in ("open", "canceled", "settled", "left")),
    *(f"sale {said}" for said in ("Claimed", "Stale")),
    *(f"offer {said}" for said in ("Claimed", "unknown_target")),
    *(f"managed {said}" for said in ("Claimed", "Finished", "Stale", "over_budget", "unknown_target")),
    *(f"grant {what}{when}" for what in CHANGES for when in ("", " while it pays")),
    "pointer edited while somebody asks",
    "claim decided anew",
    *(f"claim as the engine decides it: {said}" for said in ("Claimed", "Joined", "AlreadyPaid", "over_budget")),
    *(f"asked while paused: {said}" for said in ("Joined", "over_budget")),
    "account closed",
    "account closed, and paid late",
    *(f"account kept open by {keeps}" for keeps in ("money", "a grant", "an invoice")),
    *(f"played {name}" for name in PLAYED),
    *(f"{what} in the middle of {kind}" for what in ("node exchanged", "ledger restored") for kind in _MOVED),
)


def states(model: Model) -> dict[str, str]:
    """The state of every keysend, of every hold invoice, and of every other one that is taken back, by its id."""
    sent = {name: _of_keysend(paid) for name, paid in model.payments.items() if paid.key}
    held = {made.id: _of_hold(made) for made in model.invoices.values() if made.is_hold}
    back = {
        made.id: f"taken back, {made.state}"
        for made in model.invoices.values()
        if made.decision and not made.is_hold
    }  # fmt: skip
    return sent | held | back


def _of_keysend(paid: Paid) -> str:
    return f"keysend {'inside ' if paid.internal else ''}{paid.state}"


def _of_hold(made: Made) -> str:
    where = " inside" if made.held_by else ""
    to = f", to {made.decision}" if made.decision and made.waits else ""
    return f"hold {made.state}{where}{to}"
