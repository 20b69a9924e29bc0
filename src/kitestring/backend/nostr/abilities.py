"""The abilities of a wallet as it announces them, and what is relied upon of them."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from kitestring.base.node import Capabilities, Finding, FindingState
from kitestring.base.outcomes import Info
from kitestring.client.nwc import NwcClient

#: Payments under way at once. NIP-47 names no bound; wallets refuse what is too much for them, and a refusal ends a
#: payment, so rather few.
PAYMENT_SLOTS: Final = 50
#: What a link must allow → what does not work without it.
NEEDED: Final = {
    "pay_invoice": "nothing is paid",
    "make_invoice": "nothing is received",
    "lookup_invoice": "no payment of unclear end is ever resolved",
    "list_transactions": "what comes in is seen late, and `audit --node` sees nothing",
    "get_balance": "the owner cannot spend",
    "get_info": "the service does not start, because nobody says which network it is on",
}
#: What has to be announced, all of it, before a payment can be held: also the look-up that says whether it is.
HOLDING: Final = frozenset({"make_hold_invoice", "settle_hold_invoice", "cancel_hold_invoice", "lookup_invoice"})
KEYSEND: Final = frozenset({"pay_keysend", "lookup_invoice"})
#: Announced only where amounts can be left to the payer (NWC-321).
AMOUNTLESS: Final = "receive"
SIGNING: Final = "sign_message"
#: Of NIP-47 as its text stands. It has no way to announce that ``max_fee`` is honoured.
CAPABILITIES: Final = Capabilities(
    own_preimage=False,
    idempotent_by_hash=False,
    authoritative_lookup=False,
    fee_cap=False,
    amountless=False,
    description_hash=True,
    payment_slots=PAYMENT_SLOTS,
)


async def announced(client: NwcClient) -> frozenset[str]:
    """The methods that the wallet names anywhere. Raises as the client does."""
    await client.reach()
    named = client.service.methods if client.service else ()
    return frozenset((*named, *(await client.get_info()).methods))


def capabilities(told: Info, client: NwcClient) -> Capabilities:
    """The abilities of the wallet behind ``client``, which has ``told`` this about its link.

    More than NIP-47 without extensions is relied upon where its methods stand in each of the two lists that has any:
    get_info says what the link may do, and what the info event leaves out is not asked for. Nothing is held where the
    wallet does not tell the height of the chain, because nobody could give back in time.
    """
    lists = [frozenset(told.methods), frozenset(client.service.methods if client.service else ())]
    named = frozenset.intersection(*([some for some in lists if some] or [frozenset()]))
    return replace(
        CAPABILITIES,
        amountless=AMOUNTLESS in told.methods,
        keysend=named >= KEYSEND,
        sign_message=SIGNING in named,
        hold=named >= HOLDING and bool(told.block_height),
    )


def permissions(methods: frozenset[str] | None) -> Finding:
    """The line of the doctor about what the link allows; ``methods`` None where the wallet cannot be asked."""
    if methods is None:
        return Finding("permissions", FindingState.INFO, "the wallet cannot be asked now what its link allows")
    missing = [f"{method} ({loss})" for method, loss in NEEDED.items() if method not in methods]
    if missing:
        text = f"the wallet's link does not allow {'; '.join(missing)}: make one that does"
        return Finding("permissions", FindingState.WARN, text)
    return Finding("permissions", FindingState.OK, "the wallet's link allows all that is needed")
