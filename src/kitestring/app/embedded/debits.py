"""The debit pointers of a service, and codes that are good once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from kitestring.app.embedded import values
from kitestring.app.embedded.host import Host
from kitestring.app.embedded.results import (
    DebitCode,
    SessionCode,
    SessionEnd,
    debit_code,
    session_code,
    session_end,
)
from kitestring.app.owner.debit_pointers import DEFAULT_SESSION_S, MAX_SESSION_ROWS
from kitestring.base.budgets import Budget
from kitestring.base.events import EventKind
from kitestring.base.grants import Sessions, Strangers
from kitestring.base.money import Msat, sat

LEAST: Final = sat(1)
#: Seconds after the end of a session at which no claim from before it can be on its way to the ledger any more.
LATE_CLAIM_S: Final = 2.0
#: Seconds after which a session is looked at without news as well: a wall clock may have been put right.
LOOK_AGAIN_S: Final = 30.0
_PENDING: Final = frozenset({"waiting", "paying"})
_ENDS: Final = frozenset({EventKind.SETTLED, EventKind.FAILED, EventKind.RESOLVED})


class Debiting(Host):
    """Making pointers and sessions, waiting for the end of these."""

    def pointer(
        self, label: str, *, policy: Strangers = "ask", sessions: Sessions = "off", budget: Budget | None = None,
        per_payment: Msat | None = None, account: str = "owner",
    ) -> DebitCode:  # fmt: skip
        """Make a debit pointer, or return the one of that label.

        ``policy`` is what a key without a grant gets: ``ask`` the owner, ``deny``, or ``budget``, which all of them
        share. ``sessions`` are codes that are good once: ``off``, ``minted`` (those of :meth:`add_session`) or ``any``.
        Raises KitestringError for what cannot be, CONFLICT where the one of that label has other values.
        """
        params = _params(label, policy, sessions, budget, per_payment, account)
        return debit_code(self._alone("debit_pointer_create", params))

    async def add_pointer(
        self, label: str, *, policy: Strangers = "ask", sessions: Sessions = "off", budget: Budget | None = None,
        per_payment: Msat | None = None, account: str = "owner",
    ) -> DebitCode:  # fmt: skip
        """As :meth:`pointer`, also while the service runs."""
        params = _params(label, policy, sessions, budget, per_payment, account)
        return debit_code(await self._ask("debit_pointer_create", params))

    async def add_session(
        self, pointer: str | DebitCode, amount: Msat, *, least: Msat = LEAST, expires_in_s: int = DEFAULT_SESSION_S
    ) -> SessionCode:
        """Make a code by which whoever shows it takes ``least`` to ``amount`` (whole sats), once, without asking.

        ``pointer`` is what :meth:`pointer` returned, a label or a code; its rule for sessions must be ``minted``. Each
        call makes another one: wait with :meth:`session_used`. Raises KitestringError.
        """
        params = {
            "pointer": _pointer_id(pointer),
            "max_msat": values.amount(amount),
            "min_msat": values.amount(least),
            "expires_in_s": expires_in_s,
        }
        made = await self._ask("debit_session", params)
        return session_code(made["pointer_id"], made)

    async def sessions(self, pointer: str | DebitCode) -> list[SessionCode]:
        """The sessions of a pointer that may still be used or are being paid, the oldest first; without their codes,
        which are shown when they are made."""
        params = {"pointer": _pointer_id(pointer), "limit": MAX_SESSION_ROWS}
        made = await self._ask("debit_sessions", params)
        pending = [row for row in made["sessions"] if row["state"] in _PENDING]
        return [session_code(made["pointer_id"], row) for row in reversed(pending)]

    async def session_used(self, session: SessionCode) -> SessionEnd:
        """Wait for the end of a session. One whose payment is under way when its time is over has not ended before that
        payment has, and one whose payment has failed by the node's proof is good again.

        What is waited for is what the ledger says, so that nothing is missed between two calls, or two lives of the
        program. Raises KitestringError, UNKNOWN_TARGET when its pointer was deleted.
        """
        core = self._running
        with await core.feed.reader(kinds=_ENDS) as news:  # open before the first look: no end falls between the two
            while True:
                end = await self._end_of(session)
                over_in_s = session.expires_at + LATE_CLAIM_S - core.clock.now()
                if end is not None and (end.state != "expired" or over_in_s <= 0):
                    return end
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.read(), min(over_in_s, LOOK_AGAIN_S) if over_in_s > 0 else LOOK_AGAIN_S)

    async def _end_of(self, session: SessionCode) -> SessionEnd | None:
        """Tell what became of a session; None while it is pending. One that is forgotten was never used."""
        params: dict[str, object] = {"pointer": session.pointer_id, "session": session.session}
        found = (await self._ask("debit_sessions", params))["sessions"]
        if found and found[0]["state"] in _PENDING:
            return None
        return session_end(found[0]) if found else SessionEnd("expired")


def _pointer_id(pointer: str | DebitCode) -> str:
    return pointer if isinstance(pointer, str) else pointer.pointer_id


def _params(
    label: str, policy: Strangers, sessions: Sessions, budget: Budget | None, per_payment: Msat | None, account: str
) -> dict[str, object]:
    params: dict[str, object] = {"label": label, "policy": policy, "sessions": sessions, "account": account}
    if budget is not None:
        params["budgets"] = values.budgets(budget)
    if per_payment is not None:
        params["per_payment_msat"] = values.amount(per_payment)
    return params
