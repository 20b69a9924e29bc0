"""The owner's command about apps that ask for a connection: what was pasted becomes a question to the owner."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kitestring.app.owner.approvals import show_question
from kitestring.app.owner.command import Call, Change, Commands, Operate
from kitestring.app.owner.connections import NWC, preset_methods
from kitestring.app.owner.desk import Managing, Operating
from kitestring.app.owner.results import questions as results
from kitestring.app.service.execute import Result
from kitestring.base.approvals import DECIDE_WITHIN_S, Approval, ApprovalKind
from kitestring.base.budgets import Budget, Period
from kitestring.base.commands import Connect, freeze
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.transactions.owner import SaveQuestion
from kitestring.codec.wallet_auth import MAX_LENGTH, Renewal, WalletAuth, decode_wallet_auth

#: As many random bytes as every question has.
QUESTION_BYTES: Final = 16
_ALLOWED: Final = "`connection_requests = true` in the section [nwc] of kitestring.toml, and start again"
_UNVERIFIED: Final = "`unverified_requests = true` in the section [nwc] of kitestring.toml, and start again"
_PERIODS: Final[dict[Renewal, Period]] = {
    "never": "never", "daily": "day", "weekly": "week", "monthly": "month", "yearly": "year",
}  # fmt: skip


class ConnectRequestParams(msgspec.Struct, forbid_unknown_fields=True):
    """``link`` is ``nostr+walletauth://…``, as the app shows it."""

    link: Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH)]


async def connect_request(desk: Operating, params: ConnectRequestParams, _call: Call) -> Change:
    """Look at an app's request for a connection. It is a question then: nothing is given before you approve it."""
    if not desk.config.connection_requests:
        raise KitestringError(Reason.NOT_PERMITTED, f"apps may not ask for connections here: set {_ALLOWED}")
    if params.link.strip().lower().startswith("nostrnwc"):
        sentence = "this app waits for a link: `kitestring connect NAME --deep-link LINK` makes the one that it opens"
        raise KitestringError(Reason.MALFORMED, sentence)
    asked, now = decode_wallet_auth(params.link), desk.clock.now()
    if not (asked.state or asked.is_linked or desk.config.unverified_requests):
        sentence = "the app sends no `state`, so it cannot tell our answer from that of somebody else"
        raise KitestringError(Reason.NOT_PERMITTED, f"{sentence}: to take such requests set {_UNVERIFIED}")
    if await desk.store.is_blocked(asked.client):
        raise KitestringError(Reason.NOT_PERMITTED, "the key of this app is blocked; see `kitestring blocked`")
    command = wish(asked)
    _check(command, now)
    question = Approval(
        approval_id=desk.entropy(QUESTION_BYTES).hex(),
        kind=ApprovalKind.CONNECTION,
        wire=NWC,
        caller=asked.client,
        target="",
        command=freeze(command),
        asked_at=now,
        expires_at=min(now + DECIDE_WITHIN_S, command.expires_at or now + DECIDE_WITHIN_S),
    )
    return Change((SaveQuestion(question),), {"id": question.approval_id})


def wish(asked: WalletAuth) -> Connect:
    """A request as the engine knows it."""
    amount = asked.max_amount_msat
    return Connect(
        client="" if asked.is_linked else asked.client,
        name=asked.name,
        methods=asked.methods,
        optional=(*asked.optional, *asked.notifications),
        budget=None if amount is None else Budget(amount, _PERIODS[asked.renewal]),
        expires_at=asked.expires_at,
        isolated=asked.isolated,
        relays=asked.relays,
        state=asked.state,
        return_to=asked.return_to,
    )


def _check(command: Connect, now: int) -> None:
    """Raise KitestringError for what is to be declined at once."""
    from kitestring.policy.connecting import granted_methods  # noqa: PLC0415 - needed by this command only

    if not granted_methods(command, preset_methods("full")):
        raise KitestringError(Reason.UNSUPPORTED, "nothing of what the app asks for is served here")
    if command.expires_at is not None and command.expires_at <= now:
        raise KitestringError(Reason.CONNECTION_ENDED, "the connection would have expired already: let it ask again")


async def with_question(desk: Managing, stored: Result, _call: Call) -> Result:
    """The question as it is now."""
    found = await desk.store.approval(stored["id"])
    return stored if found is None else await show_question(desk, found)


COMMANDS: Final[Commands] = (
    Operate("connect_request", ConnectRequestParams, connect_request, results.QuestionJson, with_question),
)
