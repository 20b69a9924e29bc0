"""The answers of ``kitestring decode --json``, by what the code is. Secrets are not in them."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from kitestring.app.owner.results.words import AnswerJson, ServicePubkey, says

_Relays = Annotated[list[str], says("Its relays.")]
_LeftOut = Annotated[list[str], says("Texts in place of a relay that are none.")]
_NotShown = Annotated[str, says("Says that there is one.")]


class DecodedInvoiceJson(AnswerJson):
    """A Lightning invoice."""

    type: Annotated[Literal["bolt11"], says("What it is.")]
    network: Annotated[str, says("The network.")]
    amount_msat: Annotated[int | None, says("The amount; null: the payer names it.")]
    description: Annotated[str | None, says("What it is for.")]
    description_hash: Annotated[str | None, says("The hash of a description that is told elsewhere.")]
    payment_hash: Annotated[str, says("The payment hash.")]
    payee: Annotated[str, says("The public key of the node that is paid.")]
    created_at: Annotated[int, says("When it was made.")]
    expires_at: Annotated[int, says("Until when it can be paid.")]
    min_final_cltv: Annotated[int, says("The blocks that the payee wants at the end.")]
    route_hints: Annotated[int, says("How many hints of routes it has.")]


class DecodedOfferJson(AnswerJson):
    """An offer."""

    type: Annotated[Literal["noffer"], says("What it is.")]
    service_pubkey: ServicePubkey
    relays: _Relays
    left_out: _LeftOut
    offer: Annotated[str, says("The id of the offer.")]
    price_type: Annotated[Literal["fixed", "variable", "spontaneous"], says("Who names the price, and where.")]
    price_msat: Annotated[int | None, says("The price; null: it does not stand in the code.")]
    currency: Annotated[str | None, says("The currency of the price.")]
    fiat_price: Annotated[str | int | float | None, says("The price in that currency.")]


class DecodedPointerJson(AnswerJson):
    """A debit code, or a link for apps that manage offers."""

    type: Annotated[Literal["ndebit", "nmanage"], says("What it is.")]
    service_pubkey: ServicePubkey
    relays: _Relays
    left_out: _LeftOut
    pointer: Annotated[str | None, says("The id of the pointer.")]
    session: Annotated[str | None, says("Says that it has the secret of a session; null: it has none.")]


class DecodedConnectionJson(AnswerJson):
    """A wallet connection."""

    type: Annotated[Literal["nwc"], says("What it is.")]
    service_pubkey: ServicePubkey
    client_pubkey: Annotated[str, says("The public key of the app.")]
    relays: _Relays
    left_out: _LeftOut
    secret: _NotShown
    lud16: Annotated[str | None, says("The Lightning Address in it.")]


class DecodedSecretJson(AnswerJson):
    """A secret key."""

    type: Annotated[Literal["nsec"], says("What it is.")]
    secret: _NotShown
    pubkey: Annotated[str, says("Its public key.")]


class DecodedHexJson(AnswerJson):
    """A public key in hex."""

    type: Annotated[Literal["pubkey"], says("What it is.")]
    pubkey: Annotated[str, says("The key.")]
    npub: Annotated[str, says("The same key as an npub.")]


class DecodedNpubJson(AnswerJson):
    """A public key."""

    type: Annotated[Literal["npub"], says("What it is.")]
    pubkey: Annotated[str, says("The key.")]


class DecodedProfileJson(AnswerJson):
    """A public key with relays."""

    type: Annotated[Literal["nprofile"], says("What it is.")]
    pubkey: Annotated[str, says("The key.")]
    relays: _Relays


class DecodedNoteJson(AnswerJson):
    """An event."""

    type: Annotated[Literal["note"], says("What it is.")]
    event_id: Annotated[str, says("Its id.")]


class DecodedEventJson(AnswerJson):
    """An event with hints."""

    type: Annotated[Literal["nevent"], says("What it is.")]
    event_id: Annotated[str, says("Its id.")]
    relays: _Relays
    author: Annotated[str | None, says("The key of its author.")]
    kind: Annotated[int | None, says("Its kind.")]


class DecodedAddressJson(AnswerJson):
    """A replaceable event."""

    type: Annotated[Literal["naddr"], says("What it is.")]
    identifier: Annotated[str, says("Its identifier.")]
    author: Annotated[str, says("The key of its author.")]
    kind: Annotated[int, says("Its kind.")]
    relays: _Relays


#: One for each kind of code.
DECODED: Final = (
    DecodedInvoiceJson, DecodedOfferJson, DecodedPointerJson, DecodedConnectionJson, DecodedSecretJson,
    DecodedHexJson, DecodedNpubJson, DecodedProfileJson, DecodedNoteJson, DecodedEventJson, DecodedAddressJson,
)  # fmt: skip
