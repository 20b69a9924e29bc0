"""``kitestring manage create|update|get|list|delete``: offers of yours at somebody else's service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from kitestring.app.cli.columns import Column, fitted
from kitestring.app.cli.debits import MAX_WAIT_S
from kitestring.app.cli.given import CodeType
from kitestring.app.cli.shell import Function, Shell, common
from kitestring.app.cli.values import MAX_TYPED_SATS, Whole, amount, facts, quoted

if TYPE_CHECKING:
    from kitestring.client.manage import OfferManager
    from kitestring.wire.ask.manage import ManagedOffer, OfferTerms

A = TypeVar("A")

#: Offers on one page.
MAX_ROWS: Final = 100
_wait: Final[Callable[[Any], Any]] = click.option(
    "--wait", "wait_s", type=Whole(1, MAX_WAIT_S), default=None, metavar="SECONDS",
    help="How long to wait for the answer (default: 120): the owner of the service may be asked.",
)  # fmt: skip
_price: Final = Whole(0, MAX_TYPED_SATS)


def _fields(function: Function) -> Function:
    for option in (
        click.option(
            "--ask", "payer_data", multiple=True, metavar="NAME",
            help="What a payer has to tell, such as email; may repeat.",
        ),
        click.option(
            "--callback", "callback_url", metavar="URL",
            help="The https address that is asked when somebody has paid, a template such as https://shop.example/paid{?invoice}.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


@click.command("create")
@click.argument("nmanage", type=CodeType())
@click.argument("label")
@click.argument("price_sat", type=_price)
@_fields
@click.option("--if-missing", is_flag=True, help="Show the offer of yours that is exactly so, if there is one.")
@_wait
@common
def create(
    shell: Shell, nmanage: str, label: str, price_sat: int, callback_url: str | None, payer_data: tuple[str, ...],
    if_missing: bool, wait_s: int | None,
) -> None:  # fmt: skip
    """Make an offer at the service of NMANAGE (nmanage1…).

    PRICE_SAT 0 lets the payer name the amount. Where the answer is lost (exit code 4), nobody knows whether it was
    made: ask again with --if-missing, which compares first and makes nothing twice.
    """
    terms = _terms(label, price_sat, callback_url or "", payer_data)

    def make(at: OfferManager, say: Callable[[float], None]) -> Awaitable[ManagedOffer]:
        return (at.create_if_missing if if_missing else at.create)(terms, wait_s=wait_s, waiting=say)

    _show(shell, _ask(shell, nmanage, make))


@click.command("update")
@click.argument("nmanage", type=CodeType())
@click.argument("offer")
@click.option("--label", metavar="TEXT", help="Another label.")
@click.option("--price", "price_sat", type=_price, metavar="SAT", help="Another price; 0 lets the payer name it.")
@_fields
@click.option("--no-callback", is_flag=True, help="Nobody is told of payments any more.")
@click.option("--ask-nothing", is_flag=True, help="Payers are asked for nothing any more.")
@_wait
@common
def update(
    shell: Shell, nmanage: str, offer: str, label: str | None, price_sat: int | None, callback_url: str | None,
    payer_data: tuple[str, ...], no_callback: bool, ask_nothing: bool, wait_s: int | None,
) -> None:  # fmt: skip
    """Change your offer with the id OFFER. What is left out stays as it is.

    The id stays. At most services the code is another one when the price is; the answer has the one of now.
    """
    if (callback_url is not None and no_callback) or (payer_data and ask_nothing):
        raise click.UsageError("an option and its opposite were named: choose one of them")
    if (label, price_sat, callback_url) == (None, None, None) and not (payer_data or no_callback or ask_nothing):
        raise click.UsageError("say what to change, such as --price 500")

    async def change(at: OfferManager, say: Callable[[float], None]) -> ManagedOffer:
        now = (await at.get(offer, wait_s=wait_s, waiting=say)).terms
        terms = _terms(
            now.label if label is None else label,
            now.price_sats if price_sat is None else price_sat,
            "" if no_callback else now.callback_url if callback_url is None else callback_url,
            () if ask_nothing else payer_data or now.payer_data,
        )
        return await at.update(offer, terms, wait_s=wait_s, waiting=say)

    _show(shell, _ask(shell, nmanage, change))


@click.command("get")
@click.argument("nmanage", type=CodeType())
@click.argument("offer")
@_wait
@common
def get(shell: Shell, nmanage: str, offer: str, wait_s: int | None) -> None:
    """Show your offer with the id OFFER."""
    _show(shell, _ask(shell, nmanage, lambda at, say: at.get(offer, wait_s=wait_s, waiting=say)))


_COLUMNS: Final = (
    Column("label", lambda one: quoted(one.terms.label), least=10),
    Column("price", lambda one: _price_words(one.terms.price_sats)),
    Column("asks for", lambda one: ", ".join(one.terms.payer_data), rank=1, least=8, is_always_there=True),
    Column("id", lambda one: one.id),
)


@click.command("list")
@click.argument("nmanage", type=CodeType())
@click.option(
    "--limit", type=Whole(1, MAX_ROWS), metavar="N", help=f"How many (at most {MAX_ROWS}, which is the default)."
)
@click.option(
    "--before", default="", metavar="OFFER", help="Those right behind this one: the `next` of the page before."
)
@_wait
@common
def list_(shell: Shell, nmanage: str, limit: int | None, before: str, wait_s: int | None) -> None:
    """List your offers there, the newest first."""
    page = _ask(shell, nmanage, lambda at, say: at.page(before, limit, wait_s=wait_s, waiting=say))
    result = {"offers": [_json(one) for one in page.offers], "next": page.next or None, "left_out": page.left_out}
    shell.show(result, fitted(page.offers, _COLUMNS) if page.offers else "you have no offers there")
    if page.left_out:
        shell.note(f"{page.left_out} offers could not be read")
    if page.next:
        shell.note(f"there are more: name --before {page.next}")


@click.command("delete")
@click.argument("nmanage", type=CodeType())
@click.argument("offer")
@_wait
@common
def delete(shell: Shell, nmanage: str, offer: str, wait_s: int | None) -> None:
    """End your offer with the id OFFER. One that is not there is no error."""
    _ask(shell, nmanage, lambda at, say: at.delete(offer, wait_s=wait_s, waiting=say))
    shell.show({"id": offer, "deleted": True}, f"deleted: {offer}")


COMMANDS: Final = (create, update, get, list_, delete)


def _ask(
    shell: Shell, nmanage: str, work: Callable[[OfferManager, Callable[[float], None]], Awaitable[A]]
) -> A:  # fmt: skip
    from kitestring.app.cli.debits import client_net, note_waiting_for_owner
    from kitestring.client.debits import requestor_key
    from kitestring.client.manage import OfferManager, read_nmanage
    from kitestring.client.requestor import requestor_seed

    link = read_nmanage(nmanage)
    shell.note_left_out(link.left_out)
    net = client_net(shell)
    key = requestor_key(requestor_seed(shell.config.data_dir, net.entropy), link.pubkey)

    async def run() -> A:
        return await work(OfferManager(nmanage, key, net), note_waiting_for_owner(shell))

    return asyncio.run(run())


def _terms(label: str, price_sats: int, callback_url: str, payer_data: tuple[str, ...]) -> OfferTerms:
    from kitestring.wire.ask.manage import OfferTerms

    return OfferTerms(label=label, price_sats=price_sats, callback_url=callback_url, payer_data=payer_data)


def _json(offer: ManagedOffer) -> dict[str, Any]:
    return {
        "id": offer.id,
        "label": offer.terms.label,
        "price_sats": offer.terms.price_sats,
        "callback_url": offer.terms.callback_url or None,
        "payer_data": list(offer.terms.payer_data),
        "noffer": offer.noffer or None,
    }


def _show(shell: Shell, offer: ManagedOffer) -> None:
    terms = offer.terms
    text = facts(
        [
            ("label", quoted(terms.label)),
            ("price", _price_words(terms.price_sats)),
            ("callback", quoted(terms.callback_url) if terms.callback_url else ""),
            ("asks for", ", ".join(terms.payer_data)),
            ("id", offer.id),
            ("code", offer.noffer),
        ]
    )
    shell.show(_json(offer), text)


def _price_words(price_sats: int) -> str:
    return amount(price_sats * 1_000) if price_sats else "whatever the payer names"
