"""The offers of a service: codes that anybody can pay."""

from __future__ import annotations

from collections.abc import Iterable

from kitestring.app.embedded import values
from kitestring.app.embedded.host import Host
from kitestring.app.embedded.results import OfferCode, OfferInfo, offer_code, offer_info
from kitestring.app.embedded.values import KEEP, Keep
from kitestring.base.money import Msat


class Selling(Host):
    """Making offers, changing them, ending them."""

    def offer(
        self, label: str, *, price: Msat | str | None = None, min_amount: Msat | None = None,
        max_amount: Msat | None = None, payer_data: Iterable[str] = (), account: str = "owner",
        expires_at: int | None = None,
    ) -> OfferCode:  # fmt: skip
        """Make an offer, or return the one of that label.

        ``price`` is in sats, or in a currency as ``"3.50 EUR"``; None = the payer names the amount, from ``min_amount``
        to ``max_amount``. ``payer_data`` are the things that a payer is asked for, such as ``email``; ``email?`` may be
        left out. ``expires_at`` in Unix seconds. Amounts are whole sats.

        Raises KitestringError(CONFLICT) where the one of that label has other values: the detail ``differs`` says
        which, and :meth:`update_offer` changes them.
        """
        params = _params(label, price, min_amount, max_amount, payer_data, account, expires_at)
        return offer_code(self._alone("offer_create", params))

    async def add_offer(
        self, label: str, *, price: Msat | str | None = None, min_amount: Msat | None = None,
        max_amount: Msat | None = None, payer_data: Iterable[str] = (), account: str = "owner",
        expires_at: int | None = None,
    ) -> OfferCode:  # fmt: skip
        """As :meth:`offer`, also while the service runs."""
        params = _params(label, price, min_amount, max_amount, payer_data, account, expires_at)
        return offer_code(await self._ask("offer_create", params))

    async def update_offer(
        self, offer: str | OfferCode, *, price: Msat | str | Keep | None = KEEP, min_amount: Msat | Keep | None = KEEP,
        max_amount: Msat | Keep | None = KEEP, payer_data: Iterable[str] | Keep = KEEP,
        expires_at: int | Keep | None = KEEP, new_label: str | Keep = KEEP,
    ) -> OfferCode:  # fmt: skip
        """Change an offer (its label, id or code); what is left out stays as it is. A price in sats stands in the code:
        then there is a new one, and the old one leads to it. Raises KitestringError, UNKNOWN_TARGET when there is no
        such offer."""
        asked = payer_data if isinstance(payer_data, Keep) else values.words(payer_data, "payer_data")
        params = values.kept_out(
            offer=_name(offer), min_msat=values.amount(min_amount), max_msat=values.amount(max_amount),
            payer_data=asked, expires_at=expires_at, new_label=new_label,
        )  # fmt: skip
        return offer_code(await self._ask("offer_edit", params | values.price(price)))

    async def offers(self) -> list[OfferInfo]:
        """The offers of the owner, the oldest first, also those that are off or have expired."""
        return [offer_info(row) for row in (await self._ask("offer_list", {}))["offers"]]

    async def delete_offer(self, offer: str | OfferCode) -> None:
        """End an offer (its label, id or code); invoices that were given out can still be paid. Raises KitestringError,
        UNKNOWN_TARGET when there is no such offer."""
        await self._ask("offer_delete", {"offer": _name(offer)})


def _name(given: str | OfferCode) -> str:
    return given if isinstance(given, str) else given.offer_id


def _params(
    label: str, price: Msat | str | None, min_amount: Msat | None, max_amount: Msat | None,
    payer_data: Iterable[str], account: str, expires_at: int | None,
) -> dict[str, object]:  # fmt: skip
    return {
        "label": label,
        **values.price(price),
        "min_msat": values.amount(min_amount),
        "max_msat": values.amount(max_amount),
        "payer_data": values.words(payer_data, "payer_data"),
        "account": account,
        "expires_at": expires_at,
    }
