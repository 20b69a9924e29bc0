"""Lines of the doctor about a CLINK wallet: it cannot be asked what it allows, so they say what it has said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kitestring.backend.clink.book import WalletBook
from kitestring.backend.clink.link import ClinkWalletLink
from kitestring.base.node import Finding, FindingState
from kitestring.base.text import clean
from kitestring.codec import pointers

#: Characters of the wallet's own words.
MAX_WORDS: Final = 200


def findings(link: ClinkWalletLink, key: str, book: WalletBook | None) -> tuple[Finding, ...]:
    """``key`` and ``book`` are "" and None before the first start."""
    return tuple(_findings(link, key, book))


def _findings(link: ClinkWalletLink, key: str, book: WalletBook | None) -> Iterator[Finding]:
    if book is None:
        yield Finding("allowance", FindingState.INFO, "the wallet is asked with a key that is made at the first start")
    else:
        yield _allowance(link, key, book)
        if doubted := book.false_receipts():
            yield Finding(
                "receipts", FindingState.WARN,
                f"the wallet calls open invoices paid ({doubted} so far) with preimages of others: they are not "
                "booked; ask its owner what came in",
            )  # fmt: skip
    if link.noffer.pubkey != link.ndebit.pubkey:
        yield Finding(
            "codes", FindingState.WARN,
            "the two codes are of two services: what one receives, the other may not be able to pay",
        )  # fmt: skip
    yield Finding(
        "reckoning", FindingState.INFO,
        "a CLINK wallet does not tell what it holds: it is reckoned from balance_sat in the setting node, and from "
        "what came and went since, with every fee as high as it may be",
    )  # fmt: skip


def _allowance(link: ClinkWalletLink, key: str, book: WalletBook) -> Finding:
    ask = f"kitestring debit budget {pointers.encode(link.ndebit)} SAT/month"
    way = f"its owner has to allow the key {key}" + ("" if link.secret else f", which asks by `{ask}`")
    if said := book.refusal:
        words = clean(said, MAX_WORDS)
        return Finding(
            "allowance", FindingState.WARN, f"the last order was not paid ({words}); if it is not allowed, {way}"
        )
    return Finding("allowance", FindingState.INFO, f"whether the wallet lets us pay is known by paying alone: {way}")
