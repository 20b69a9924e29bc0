"""One account as its owner sees it: whose it is, what it holds, and the codes by which it is paid and taken from."""

from __future__ import annotations

from typing import Final

import msgspec

from kitestring.app.owner.accounts import find_account, show_account
from kitestring.app.owner.command import Call, Commands, Read
from kitestring.app.owner.connections import NWC
from kitestring.app.owner.debit_pointers import living_pointers, ndebit_of
from kitestring.app.owner.desk import Reading
from kitestring.app.owner.offers import open_offers
from kitestring.app.owner.params import Name
from kitestring.app.owner.results import accounts as results
from kitestring.app.service.execute import Result
from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.records import AccountMove
from kitestring.wire.offer_code import noffer_of

#: The newest moves of the owner's that are shown: as many as a screen has room for beside the rest.
MOVES_SHOWN: Final = 10


class AccountParams(msgspec.Struct, forbid_unknown_fields=True):
    """``account`` is the name of an account, or the key (npub1…) that has enrolled itself."""

    account: Name


async def account_show(desk: Reading, params: AccountParams, _call: Call) -> Result:
    """Show one sub-account with its connections, open offers and debit pointers, and what the owner has moved."""
    account = await find_account(desk, params.account)
    if account.account_id == OWNER_ACCOUNT:
        raise KitestringError(Reason.MALFORMED, "the owner account is the node itself: see `kitestring balance`")
    offers = [offer for offer in await open_offers(desk) if offer.account_id == account.account_id]
    pointers = [pointer for pointer in await living_pointers(desk) if pointer.account_id == account.account_id]
    grants = await desk.store.account_grants(account.account_id)
    moves = await desk.store.account_moves(account.account_id, MOVES_SHOWN)
    return {
        **show_account(account),
        "connections": [grant.name for grant in grants if grant.wire == NWC],
        "offers": [{"offer_id": o.offer_id, "label": o.label, "noffer": noffer_of(o, desk.service_id)} for o in offers],
        "pointers": [{"pointer_id": p.grant_id, "label": p.name, "ndebit": ndebit_of(desk, p)} for p in pointers],
        "moves": [_show_move(move) for move in moves],
    }


def _show_move(move: AccountMove) -> Result:
    return {
        "from_account": move.from_account,
        "to_account": move.to_account,
        "amount_msat": int(move.amount_msat),
        "note": move.note or None,
        "created_at": move.at,
    }


COMMANDS: Final[Commands] = (Read("account_show", AccountParams, account_show, results.AccountShownJson),)
