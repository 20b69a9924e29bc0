"""Type errors that must stay ones: each ignored line here is reported by mypy as soon as it is an error no more."""

from __future__ import annotations

from kitestring.app.owner.command import Call, Change, Manage, Read, Receive, Spend
from kitestring.app.owner.commands import OwnerCommands
from kitestring.app.owner.desk import Desk, Managing, Operating, Reading, Spending
from kitestring.app.owner.params import NameParams, NoParams
from kitestring.app.owner.results.money import BalanceJson
from kitestring.app.service.execute import Result


async def look(desk: Reading, _params: NoParams, _call: Call) -> Result:
    return {"write": desk.store.apply}  # type: ignore[attr-defined]  # a reader writes nothing


async def pay(_desk: Spending, _params: NoParams, _call: Call) -> Result:
    return {}


async def change(_desk: Managing, _params: NoParams, _call: Call) -> Change:
    return Change((), {})


async def operate(_desk: Operating, _params: NoParams, _call: Call) -> Change:
    return Change((), {})


ROWS = (
    Read("look", NoParams, look, BalanceJson),
    Spend("pay", NoParams, pay, BalanceJson),
    Manage("change", NoParams, change, BalanceJson),
    Read("pay", NoParams, pay, BalanceJson),  # type: ignore[arg-type]  # the right to read, and a handler that may pay
    Receive("pay", NoParams, pay, BalanceJson),  # type: ignore[arg-type]  # a receiver spends nothing
    Read("change", NoParams, change, BalanceJson),  # type: ignore[arg-type]  # a reader changes nothing
    Manage("operate", NoParams, operate, BalanceJson),  # type: ignore[arg-type]  # a manager does not operate the node
    Spend("pay", NameParams, pay, BalanceJson),  # type: ignore[arg-type]  # parameters of another command
)


async def door(commands: OwnerCommands[Desk]) -> None:
    await commands.run(await commands.owner(), "balance", {})
    await commands.run(name="balance", params={})  # type: ignore[call-arg]  # nobody calls
    await commands.run(None, "balance", {})  # type: ignore[arg-type]  # nobody is no caller
