"""Pay what was pasted: from a text to an invoice and the amount that is paid for it, one row per kind of target."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from kitestring.base.commands import PayInvoice
from kitestring.base.destinations import Bolt11
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import MSAT_PER_SAT, Msat, sat
from kitestring.codec import address, bolt11, nip19, pointers
from kitestring.codec.address import InternetAddress
from kitestring.codec.nip19 import Profile
from kitestring.codec.pointers import Noffer, PriceType
from kitestring.codec.target import Target, candidates, link_amount
from kitestring.wire.reply_to import Version
from kitestring.wire.text import clean_description

if TYPE_CHECKING:
    from kitestring.client.net import Net
    from kitestring.client.offers.asking import AskedOffer

T = TypeVar("T")

#: A pasted text, read: of the kinds that can be paid.
Source = bolt11.DecodedInvoice | Noffer | InternetAddress | Profile


@dataclass(frozen=True, slots=True)
class Terms:
    """The payer's words beside the target.

    ``amount_msat`` None = the amount that the target itself names. ``description`` goes to a payee that takes one.
    ``network`` is the one that the payer is on, "" where it does not know. ``max_msat`` is the most that may be asked
    for; with it a price is paid that only the payee names. To offers alone goes ``payer_data``, what the payer agrees
    to tell, and for them is the ``version`` in which they are asked.
    """

    amount_msat: Msat | None = None
    description: str = ""
    network: str = ""
    max_msat: Msat | None = None
    payer_data: Mapping[str, str] = field(default_factory=dict, repr=False)
    version: Version = "tagged"


@dataclass(frozen=True, slots=True)
class Payable:
    """An invoice, and the amount that is paid for it. Whether it has expired is not asked: it may be paid already.

    ``asked`` is the open line to the service of an offer, where its receipt comes; close it, or use this as an async
    context.
    """

    invoice: bolt11.DecodedInvoice
    amount_msat: Msat
    asked: AskedOffer | None = None

    def order(self, max_fee_msat: Msat | None = None, *, description: str = "", metadata: str = "") -> PayInvoice:
        """The command that pays it. ``description`` is for an invoice that has none."""
        invoice = self.invoice
        return PayInvoice(
            destination=Bolt11(invoice.text, invoice.amount_msat is None),
            payment_hash=invoice.payment_hash,
            amount_msat=self.amount_msat,
            max_fee_msat=max_fee_msat,
            network=invoice.network,
            expires_at=invoice.expires_at,
            description=clean_description(invoice.description or description),
            description_hash=invoice.description_hash or "",
            metadata=metadata,
        )

    async def close(self) -> None:
        if self.asked is not None:
            await self.asked.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


@dataclass(frozen=True, slots=True)
class TargetKind(Generic[T]):
    """One kind of target.

    ``read`` takes the bare text and asks nobody; it raises CodecError. ``ask`` may ask over the network for an invoice
    that is checked and agreed to; it raises KitestringError.
    """

    read: Callable[[str], T]
    ask: Callable[[T, Terms, Net], Awaitable[Payable]]


@dataclass(frozen=True, slots=True)
class Chosen(Generic[T]):
    """The one thing of a pasted text that is to be paid: its kind, its bare text, and what that says.

    ``amount_msat`` is the amount that a ``bitcoin:`` link around it names.
    """

    kind: TargetKind[T]
    text: str
    source: T
    amount_msat: Msat | None = None

    @property
    def identity(self) -> str:
        """The form in which two spellings of the same wish are equal."""
        return self.text if self.amount_msat is None else f"{self.text} {int(self.amount_msat)}"


def read(text: str) -> Source:
    """Read what ``text`` asks to be paid, without asking anybody.

    Takes it bare, inside ``lightning:``, ``nostr:`` and ``bitcoin:`` links, and as pasting leaves it. Whether somebody
    (an address, a profile) has an offer shows when they are looked up. Raises
    KitestringError: MALFORMED, UNSUPPORTED for something known that cannot be paid, AMOUNT_OUT_OF_RANGE where a link
    contradicts itself.
    """
    source: Source = choose(text).source
    return source


async def ask(text: str, terms: Terms, net: Net, kinds: Mapping[Target, TargetKind[Any]] | None = None) -> Payable:
    """Find the invoice that has to be paid for ``text``; the caller closes it.

    Raises KitestringError: as :func:`read`, for an amount that is missing or another one, WRONG_NETWORK, and whatever
    the payee refuses.
    """
    chosen = choose(text, terms.network, kinds)
    payable = await chosen.kind.ask(chosen.source, replace(terms, amount_msat=_amount(chosen, terms)), net)
    try:
        _need_terms(payable, terms)
    except BaseException:
        await payable.close()
        raise
    return payable


def _need_terms(payable: Payable, terms: Terms) -> None:
    """Refuse what the payer cannot or may not pay. Raises KitestringError."""
    network, amount = payable.invoice.network, payable.amount_msat
    if terms.network not in ("", network):
        raise KitestringError(
            Reason.WRONG_NETWORK, f"this invoice is for {network}, and the wallet is on {terms.network}"
        )
    if terms.max_msat is not None and amount > terms.max_msat:
        text = f"this costs {amount}, and at most {terms.max_msat} may be paid: nothing was paid"
        raise KitestringError(Reason.AMOUNT_OUT_OF_RANGE, text, amount_msat=int(amount))


def choose(text: str, network: str = "", kinds: Mapping[Target, TargetKind[Any]] | None = None) -> Chosen[Any]:
    """The first thing in ``text`` that can be paid, on ``network`` if there is one for it. Raises as :func:`read`."""
    try:
        amount, found = link_amount(text), candidates(text)
    except CodecError as error:
        raise _unreadable(error) from error
    readable: list[Chosen[Any]] = []
    first_error: KitestringError | None = None
    for target, bare in found:
        try:
            kind = _kind(target, kinds or KINDS)
            readable.append(Chosen(kind, bare, kind.read(bare), amount))
        except CodecError as error:
            first_error = first_error or _unreadable(error)
        except KitestringError as error:
            first_error = first_error or error
    if not readable:
        raise first_error or KitestringError(Reason.MALFORMED)
    readable.sort(
        key=lambda one: isinstance(one.source, InternetAddress | Profile)
    )  # what is there needs no looking up
    chosen = next((one for one in readable if _is_of(one.source, network)), readable[0])
    _need_agreement(chosen)
    return chosen


def _unreadable(error: CodecError) -> KitestringError:
    return KitestringError(Reason.MALFORMED, f"the target cannot be read: {error}")


def _kind(target: Target, kinds: Mapping[Target, TargetKind[Any]]) -> TargetKind[Any]:
    kind = kinds.get(target)
    if kind is None:
        sentence = (
            "kitestring pays Lightning invoices and offers (noffer1…), also those of an address (me@example.com) or a "
            f"profile (npub1…, nprofile1…), but not {_NAMES.get(target, f'this ({target.value})')}"
        )
        raise KitestringError(Reason.UNSUPPORTED, sentence)
    return kind


#: Kinds that are known and not paid, where the name of the kind says too little.
_NAMES: Final = {
    Target.BOLT12: "BOLT12 offers (lno1…): ask for a Lightning invoice",
    Target.LNURL: "LNURL codes: ask for a Lightning invoice",
}


def _is_of(source: object, network: str) -> bool:
    """Whether this can be paid on ``network``; of an offer only its service knows."""
    return not isinstance(source, bolt11.DecodedInvoice) or network in ("", source.network)


def _need_agreement(chosen: Chosen[Any]) -> None:
    """Refuse a link whose amount is not that of what it carries: nobody could tell which of them was meant."""
    source, asked = chosen.source, chosen.amount_msat
    named: Msat | None = None
    if isinstance(source, bolt11.DecodedInvoice):
        named = source.amount_msat
    elif isinstance(source, Noffer) and source.price_type is PriceType.FIXED and source.price_sats:
        named = sat(source.price_sats)
    if asked is not None and named is not None and asked != named:
        raise KitestringError(
            Reason.AMOUNT_OUT_OF_RANGE,
            f"this link asks for {asked}, and what it carries for {named}: nothing was paid, ask for a right one",
        )


def _amount(chosen: Chosen[Any], terms: Terms) -> Msat | None:
    """The amount to pay; None = the one that the source itself names."""
    asked, given = chosen.amount_msat, terms.amount_msat
    if asked is not None and given not in (None, asked):
        raise KitestringError(
            Reason.AMOUNT_OUT_OF_RANGE, f"this link asks for {asked}, not for {given}: leave the amount out"
        )
    return asked if given is None else given


# ---------------------------------------------------------------- invoices


async def _take_invoice(invoice: bolt11.DecodedInvoice, terms: Terms, _: Net) -> Payable:
    if terms.payer_data or terms.version != "tagged" or terms.description:
        raise KitestringError(
            Reason.MALFORMED,
            "an invoice takes no words of its payer: a description, payer data and NIP-69 are for offers, leave them"
            " out",
        )
    return Payable(invoice, bolt11.amount_to_pay(invoice, terms.amount_msat))


# ---------------------------------------------------------------- offers


def _read_offer(text: str) -> Noffer:
    pointer = pointers.decode(text)
    if not isinstance(pointer, Noffer):
        raise CodecError("this code is no offer")
    return pointer


async def _ask_offer(noffer: Noffer, terms: Terms, net: Net) -> Payable:
    from kitestring.client.offers.asking import OfferQuestion, ask_offer  # noqa: PLC0415 - who only reads needs no network

    sats = offer_sats(noffer, terms.amount_msat)
    question = OfferQuestion(sats, terms.description, terms.payer_data, terms.network, terms.version)
    asked = await ask_offer(noffer, question, net)
    try:
        return Payable(asked.invoice, agreed(asked.invoice, sats, terms.max_msat, asked.noffer.currency), asked)
    except BaseException:
        await asked.close()
        raise


def offer_sats(noffer: Noffer, amount: Msat | None) -> int | None:
    """The sats to ask an offer for; None where only its service knows the price.

    Raises KitestringError when the amount is missing, not whole sats, or not the price in the code.
    """
    if amount is not None and (amount <= 0 or amount % MSAT_PER_SAT):
        raise KitestringError(Reason.MALFORMED, "an offer is paid in whole sats, at least one")
    fixed = noffer.price_type is PriceType.FIXED and noffer.price_sats
    if fixed and amount not in (None, sat(fixed)):
        raise KitestringError(Reason.AMOUNT_OUT_OF_RANGE, f"this offer costs {sat(fixed)}: leave the amount out")
    if amount is None and noffer.price_type is PriceType.SPONTANEOUS:
        raise KitestringError(Reason.MALFORMED, "this offer has no price: say how much to pay")
    return noffer.price_sats if amount is None else amount.sats_down()


def agreed(
    invoice: bolt11.DecodedInvoice, asked_sats: int | None, max_msat: Msat | None = None, currency: str | None = None
) -> Msat:
    """The price of an offer's invoice. Never pays an unseen one: where the service alone has named it, and the payer
    has agreed to no most (``max_msat``), raises KitestringError with the details ``amount_msat``, ``bolt11``, the
    invoice that costs it, and ``currency``, in which the service thinks of the price, if its code says so."""
    if asked_sats is None and invoice.amount_msat is not None and max_msat is None:
        text = f"this offer costs {invoice.amount_msat} now: agree to that, or to a most that you pay; nothing was paid"
        known = {} if currency is None else {"currency": currency}
        amount = int(invoice.amount_msat)
        raise KitestringError(Reason.AMOUNT_OUT_OF_RANGE, text, amount_msat=amount, bolt11=invoice.text, **known)
    return bolt11.amount_to_pay(invoice, None if asked_sats is None else sat(asked_sats))


# ---------------------------------------------------------------- somebody who has an offer


async def _ask_address(named: InternetAddress, terms: Terms, net: Net) -> Payable:
    from kitestring.client.offers.discovery import find_at  # noqa: PLC0415 - who only reads needs no network

    return await _ask_offer(await find_at(named, net), terms, net)


def _read_person(text: str) -> Profile:
    entity = nip19.decode(text)
    if isinstance(entity, nip19.PublicKey):
        return Profile(entity.pubkey)
    if not isinstance(entity, Profile):
        raise CodecError("this names nobody")
    return entity


async def _ask_person(person: Profile, terms: Terms, net: Net) -> Payable:
    from kitestring.client.offers.discovery import find_of  # noqa: PLC0415 - who only reads needs no network

    return await _ask_offer(await find_of(person, net), terms, net)


#: Kinds that can be paid. One that is not here is refused by its name.
KINDS: Final[Mapping[Target, TargetKind[Any]]] = {
    Target.BOLT11: TargetKind(bolt11.decode, _take_invoice),
    Target.NOFFER: TargetKind(_read_offer, _ask_offer),
    Target.ADDRESS: TargetKind(address.decode, _ask_address),
    **dict.fromkeys((Target.NPUB, Target.NPROFILE), TargetKind(_read_person, _ask_person)),
}
