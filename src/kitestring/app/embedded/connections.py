"""The wallet connections of a service."""

from __future__ import annotations

from collections.abc import Iterable

from kitestring.app.embedded import values
from kitestring.app.embedded.host import Host
from kitestring.app.embedded.results import (
    BudgetUse,
    Connection,
    ConnectionInfo,
    budget_use,
    connection_info,
    connection_of,
)
from kitestring.app.embedded.values import KEEP, Keep
from kitestring.base.budgets import Budget
from kitestring.base.grants import CipherSetting
from kitestring.base.money import Msat


class Granting(Host):
    """Making connections, changing them, ending them."""

    def grant(
        self, name: str, *, methods: Iterable[str] | None = None, budget: Budget | Keep | None = KEEP,
        per_payment: Msat | None = None, max_fee: Msat | None = None, account: str = "owner",
        expires_at: int | None = None, encryption: CipherSetting | None = None,
    ) -> Connection:  # fmt: skip
        """Make a connection, or return the one of that name. ``methods`` None = what most apps need (the preset app);
        without a word of a ``budget`` what may pay has 10,000 sat a day, None = no limit.

        ``per_payment`` bounds what one payment may cost with its routing fee, ``max_fee`` the fee (None = the limit of
        the settings). ``expires_at`` in Unix seconds. ``encryption`` is ``nip44`` for an app that must never talk in
        less, ``nip04`` for one that knows nothing else (None = any). Raises KitestringError for what cannot be granted,
        CONFLICT where the one of that name has other values than those that are named here: the detail ``differs`` says
        which, and :meth:`update_grant` changes them.
        """
        params = _params(name, methods, budget, per_payment, max_fee, account, expires_at, encryption)
        return connection_of(self._alone("connect", params))

    async def add_grant(
        self, name: str, *, methods: Iterable[str] | None = None, budget: Budget | Keep | None = KEEP,
        per_payment: Msat | None = None, max_fee: Msat | None = None, account: str = "owner",
        expires_at: int | None = None, encryption: CipherSetting | None = None,
    ) -> Connection:  # fmt: skip
        """As :meth:`grant`, also while the service runs: then it returns when the relays have said whether they carry
        it, after two seconds at the latest."""
        params = _params(name, methods, budget, per_payment, max_fee, account, expires_at, encryption)
        return connection_of(await self._ask("connect", params))

    async def update_grant(
        self, name: str | Connection, *, methods: Iterable[str] | Keep = KEEP, budget: Budget | Keep | None = KEEP,
        per_payment: Msat | Keep | None = KEEP, max_fee: Msat | Keep | None = KEEP,
        expires_at: int | Keep | None = KEEP, new_name: str | Keep = KEEP,
    ) -> ConnectionInfo:  # fmt: skip
        """Change a connection, whose app keeps its link; what is left out stays as it is, None takes a limit away. What
        is used of a budget stays used. Raises KitestringError, UNKNOWN_TARGET when there is none of that name."""
        params = values.kept_out(
            name=_name(name), methods=values.methods(methods), budgets=values.budgets(budget),
            per_payment_msat=values.amount(per_payment), fee_cap_msat=values.amount(max_fee), expires_at=expires_at,
            new_name=new_name,
        )  # fmt: skip
        return connection_info(await self._ask("connection_edit", params))

    async def grants(self) -> list[ConnectionInfo]:
        """The connections that were not revoked, the oldest first."""
        return [connection_info(row) for row in (await self._ask("connections", {}))["connections"]]

    async def budgets(self, name: str | Connection) -> list[BudgetUse]:
        """The budgets of a connection, and how they stand. Raises KitestringError, UNAVAILABLE while the service does
        not run."""
        return [budget_use(row) for row in (await self._ask("connection_show", {"name": _name(name)}))["budgets"]]

    async def pause(self, name: str | Connection) -> ConnectionInfo:
        """Refuse whatever the app of a connection asks, until :meth:`resume`; its open payments still finish. Twice is
        as once. Raises KitestringError, UNKNOWN_TARGET when there is none of that name."""
        return connection_info(await self._ask("connection_pause", {"name": _name(name)}))

    async def resume(self, name: str | Connection) -> ConnectionInfo:
        """Let the app of a paused connection go on, with what is left of its budget. Raises KitestringError,
        UNKNOWN_TARGET when there is none of that name."""
        return connection_info(await self._ask("connection_resume", {"name": _name(name)}))

    async def rotate(self, name: str | Connection) -> Connection:
        """Give a connection a new secret link; the app with the old one stops at once. What is used of its budget stays
        used. Each call makes another link. Raises KitestringError: UNKNOWN_TARGET when there is none of that name,
        CONNECTION_ENDED for one that has expired."""
        return connection_of(await self._ask("connection_rotate", {"name": _name(name)}))

    async def revoke(self, name: str | Connection) -> None:
        """End a connection forever; its open payments still finish. Raises KitestringError, UNKNOWN_TARGET when there
        is none of that name."""
        await self._ask("revoke", {"name": _name(name)})


def _name(given: str | Connection) -> str:
    return given if isinstance(given, str) else given.name


def _params(
    name: str, methods: Iterable[str] | None, budget: Budget | Keep | None, per_payment: Msat | None,
    max_fee: Msat | None, account: str, expires_at: int | None, encryption: CipherSetting | None,
) -> dict[str, object]:  # fmt: skip
    named = {
        "methods": values.methods(methods),
        "per_payment_msat": values.amount(per_payment),
        "fee_cap_msat": values.amount(max_fee),
        "cipher": encryption,
    }
    params: dict[str, object] = {"name": name, "account": account, "expires_at": expires_at}
    params |= {member: value for member, value in named.items() if value is not None}
    if budget is KEEP:
        return params
    return params | ({"budget_msat": None} if budget is None else values.budget(budget, "budget"))
