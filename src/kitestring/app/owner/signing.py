"""The owner's command to sign a text with the key of the node."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kitestring.app.owner.command import Call, Commands, Sign
from kitestring.app.owner.desk import Asking, expect
from kitestring.app.owner.results import money as results
from kitestring.app.service.execute import Result
from kitestring.base.commands import MAX_MESSAGE_BYTES, SignMessage
from kitestring.base.outcomes import Signed


class SignParams(msgspec.Struct, forbid_unknown_fields=True):
    """``message`` is signed as it stands."""

    message: Annotated[str, Meta(min_length=1, max_length=MAX_MESSAGE_BYTES)]


async def sign_message(desk: Asking, params: SignParams, call: Call) -> Result:
    """Sign a text with the key of the node; everybody can recover the key from both."""
    signed = expect(await desk.ask(call.caller.grant_id, SignMessage(message=params.message)), Signed)
    return {"message": signed.message, "signature": signed.signature}


COMMANDS: Final[Commands] = (Sign("sign_message", SignParams, sign_message, results.SignedJson),)
