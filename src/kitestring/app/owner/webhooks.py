"""The owner's commands about webhooks: servers that are told what an offer was paid."""

from __future__ import annotations

from dataclasses import replace
from shlex import quote
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from kitestring.app.owner.command import Call, Change, Commands, Manage, Read, Sign
from kitestring.app.owner.desk import Asking, Managing, Reading
from kitestring.app.owner.near import none_named
from kitestring.app.owner.offers import OfferName, leading_to, need, written
from kitestring.app.owner.results import offers as results
from kitestring.app.service.execute import Result
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Offer, OfferState, Webhook
from kitestring.base.node import Finding, FindingState
from kitestring.base.transactions.owner import SendAgain
from kitestring.base.webhooks import MAX_SENT_AGAIN, MAX_WEBHOOK_CHARS, DeliveryState, WebhookDelivery
from kitestring.codec.nip19 import MAX_LENGTH

#: Deliveries that are listed, unless more are asked for.
DEFAULT_ROWS: Final = 50
MAX_ROWS: Final = 1_000
#: Seconds for which the doctor tells of a delivery that has failed, and of how many offers.
TOLD_S: Final = 7 * 86_400
MAX_TOLD: Final = 10

FAILED = DeliveryState.FAILED
Named = Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH)]


class WebhookParams(msgspec.Struct, forbid_unknown_fields=True):
    """Without ``url`` and ``off`` nothing is changed. With the form ``get``, ``url`` is a template (RFC 6570) of
    ``amount`` (sats), ``invoice`` and what the payer is asked for."""

    offer: Named
    url: Annotated[str, Meta(min_length=1, max_length=MAX_WEBHOOK_CHARS)] | None = None
    form: Literal["post", "get"] = "post"
    off: bool = False


class DeliveriesParams(msgspec.Struct, forbid_unknown_fields=True):
    """Of one ``offer`` (id, label or code) or of all."""

    offer: Named | None = None
    failed: bool = False
    limit: Annotated[int, Meta(ge=1, le=MAX_ROWS)] = DEFAULT_ROWS


class ResendParams(msgspec.Struct, forbid_unknown_fields=True):
    """One ``delivery``, or all that have ``failed``, of one ``offer`` or of all."""

    delivery: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    failed: bool = False
    offer: Named | None = None


async def offer_webhook(desk: Managing, params: WebhookParams, _call: Call) -> Change | Result:
    """Show the webhook of an offer with its secret, or set it: each payment of the offer is told there, signed.

    So are those of the codes that forward to it: their invoices may still be paid, and what waits to be told is told
    where the owner says now. One that has moved may be named as well, by its id or code.
    """
    known = await desk.store.offers()
    offer = need(desk, known, params.offer, moved=True)
    if params.url is None and not params.off:
        return await _shown(desk, offer)
    if params.url is not None and params.off:
        raise KitestringError(Reason.MALFORMED, "a webhook is either set or switched off: name a URL, or say --off")
    key = "" if offer.webhook is None else offer.webhook.key
    webhook = Webhook(params.url, params.form, key) if params.url is not None else None
    if webhook is not None:
        desk.check_webhook(webhook, offer.payer_data, own=not offer.creator)
    anew = replace(offer, webhook=webhook)
    old = None if webhook is None else Webhook(webhook.url, webhook.form, anew.webhook_key)
    found = {anew: offer, **{replace(one, webhook=old): one for one in leading_to(known, offer)}}
    changed = tuple(write for one, before in found.items() if one != before for write in written(before, one))
    result = await _shown(desk, anew)
    return Change(changed, result) if changed else result


async def with_secret(desk: Managing, result: Result, _call: Call) -> Result:
    """Add the secret, which is stored nowhere."""
    offer = await desk.store.offer(str(result["offer_id"])) if result["url"] else None
    return {**result, "secret": None if offer is None else desk.webhook_secret(offer.webhook_key)}


async def offer_webhook_test(desk: Asking, params: OfferName, _call: Call) -> Result:
    """Tell the webhook of an offer of nothing, once, signed as a payment would be, and say what it answers."""
    offer = need(desk, await desk.store.offers(), params.offer)
    webhook = _need_webhook(offer)
    attempt = await desk.test_webhook(offer, webhook)
    return {
        "offer_id": offer.offer_id,
        "taken": attempt.state is DeliveryState.DELIVERED,
        "status": attempt.status or None,
    }


async def offer_deliveries(desk: Reading, params: DeliveriesParams, _call: Call) -> Result:
    """List what webhooks were told, or are to be told, the newest first."""
    offers = {offer.offer_id: offer for offer in await desk.store.offers()}
    wanted = _any(offers, params.offer).offer_id if params.offer is not None else ""
    found = await desk.store.deliveries(limit=params.limit, offer_id=wanted, state=FAILED if params.failed else None)
    return {"deliveries": [await _row(desk, one, offers) for one in found]}


async def offer_resend(desk: Managing, params: ResendParams, _call: Call) -> Change | Result:
    """Tell a webhook once more, from the first attempt on: of one payment, or of all that it was not told of."""
    if (params.delivery is None) is not params.failed:
        raise KitestringError(Reason.MALFORMED, "name either one delivery, or all that have failed")
    offers = {offer.offer_id: offer for offer in await desk.store.offers()}
    if params.delivery is not None:
        delivery = await desk.store.delivery(params.delivery)
        if delivery is None:
            raise KitestringError(
                Reason.UNKNOWN_TARGET, f"there is no delivery {params.delivery!r}; see `kitestring offer deliveries`"
            )
        _need_webhook(offers[delivery.offer_id])
        return Change((SendAgain((delivery.invoice_id,)),), {"sent_again": 1, "left": 0})
    wanted = _any(offers, params.offer).offer_id if params.offer is not None else ""
    failed = await desk.store.deliveries(limit=MAX_SENT_AGAIN, offer_id=wanted, state=FAILED)
    again = [one.invoice_id for one in failed if offers[one.offer_id].webhook is not None]
    numbers = await desk.store.count_failed()
    left = sum(number for offer_id, number in numbers.items() if wanted in {"", offer_id}) - len(again)
    result: Result = {"sent_again": len(again), "left": left}
    return Change((SendAgain(tuple(again)),), result) if again else result


async def about_webhooks(desk: Reading) -> list[Finding]:
    """Lines of ``kitestring doctor``: offers whose webhooks were not told of payments, and those that are not told
    yet."""
    failed = await desk.store.count_failed(desk.clock.now() - TOLD_S)
    ailing = {offer_id for offer_id, lane in (await desk.store.lanes()).items() if lane.attempts}
    waiting = {offer_id: n for offer_id, n in (await desk.store.count_waiting()).items() if offer_id in ailing}
    offers = sorted(await desk.store.offers(), key=lambda offer: offer.creator) if failed or waiting else []
    labels = {offer.offer_id: offer.label for offer in offers}  # the owner's own first
    return [
        *(
            Finding(
                "webhook", FindingState.WARN,
                f"{labels[offer_id]!r} was not told of {_payments(number)}: see "
                "`kitestring offer deliveries --failed`, then `kitestring offer resend --failed`",
            )
            for offer_id, number in _first(failed, labels)
        ),
        *(
            Finding(
                "webhook", FindingState.INFO,
                f"{labels[offer_id]!r} does not answer, {_payments(number)} {_wait(number)} to be told; "
                "see `kitestring offer deliveries`",
            )
            for offer_id, number in _first(waiting, labels)
        ),
    ]  # fmt: skip


def _first(numbers: dict[str, int], labels: dict[str, str]) -> list[tuple[str, int]]:
    """As many as are told, in the order of ``labels``."""
    return [(offer_id, numbers[offer_id]) for offer_id in labels if offer_id in numbers][:MAX_TOLD]


def _payments(number: int) -> str:
    return "1 payment" if number == 1 else f"{number} payments"


def _wait(number: int) -> str:
    return "waits" if number == 1 else "wait"


def _need_webhook(offer: Offer) -> Webhook:
    if offer.webhook is None:
        raise KitestringError(
            Reason.UNKNOWN_TARGET,
            f"the offer {offer.label!r} has no webhook; set one with: "
            f"kitestring offer webhook {quote(offer.label)} https://…",
        )
    return offer.webhook


def _any(offers: dict[str, Offer], name: str) -> Offer:
    """The offer of this id or label: the owner's own before those of others, and one that can be paid first. Raises
    KitestringError(UNKNOWN_TARGET)."""
    found = [offer for offer in offers.values() if name in (offer.offer_id, offer.label)]
    if not found:
        raise none_named("offer", name, (offer.label for offer in offers.values()), "offer list")
    return min(
        found, key=lambda offer: (offer.offer_id != name, offer.creator != "", offer.state is not OfferState.OPEN)
    )


async def _shown(desk: Reading, offer: Offer) -> Result:
    webhook = offer.webhook
    return {
        "offer_id": offer.offer_id,
        "label": offer.label,
        "url": webhook.url if webhook else None,
        "form": webhook.form if webhook else None,
        "waiting": (await desk.store.count_waiting()).get(offer.offer_id, 0),
        "failed": (await desk.store.count_failed()).get(offer.offer_id, 0),
    }


async def _row(desk: Reading, delivery: WebhookDelivery, offers: dict[str, Offer]) -> Result:
    invoice, offer = await desk.store.invoice(delivery.invoice_id), offers.get(delivery.offer_id)
    amount = invoice.received_msat if invoice else None
    return {
        "delivery": delivery.invoice_id,
        "offer_id": delivery.offer_id,
        "label": offer.label if offer else None,
        "created_at": delivery.created_at,
        "amount_msat": None if amount is None else int(amount),
        "payment_hash": invoice.payment_hash if invoice else None,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "status": delivery.status or None,
        "next_at": delivery.next_at if delivery.state is DeliveryState.WAITING else None,
        "ended_at": delivery.ended_at,
    }


COMMANDS: Final[Commands] = (
    Manage("offer_webhook", WebhookParams, offer_webhook, results.WebhookShownJson, with_secret),
    Sign("offer_webhook_test", OfferName, offer_webhook_test, results.WebhookTestedJson),
    Read("offer_deliveries", DeliveriesParams, offer_deliveries, results.DeliveryListJson),
    Manage("offer_resend", ResendParams, offer_resend, results.SentAgainJson),
)
