"""The terms on which strangers may enroll: whether, with how much proof of work, and how many of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kitestring.base.enrolments import MAX_ACCOUNTS
from kitestring.base.errors import Reason
from kitestring.base.outcomes import Refused
from kitestring.base.setting import choice, setting, whole

#: More bits take a telephone minutes; clients mine 24 of them at most.
MAX_DIFFICULTY: Final = 22
#: Told to new keys where nobody, or nobody else, may enroll. Whoever has an account keeps it.
CLOSED: Final = Refused(Reason.NOT_PERMITTED, "no new accounts are opened here")


@dataclass(frozen=True, slots=True)
class EnrollTerms:
    """The settings of enrolment."""

    mode: str = setting(
        "enroll.mode",
        choice("off", "open"),
        "off",
        "Whether strangers may open an account of their own here by themselves (CLINK Enroll). off: no new accounts; "
        "those that there are stay.",
    )
    difficulty: int = setting(
        "enroll.difficulty",
        whole("bits", 0, MAX_DIFFICULTY),
        18,
        "Proof of work (NIP-13) that a new account costs. Each bit more doubles it: 18 are some tenths of a second on "
        "one core, 22 some seconds. 0: none.",
    )
    max_accounts: int = setting(
        "enroll.max_accounts",
        whole("accounts", 1, MAX_ACCOUNTS),
        1_000,
        "Accounts of strangers in all; beyond it no new ones are opened.",
    )
    accounts_per_min: int = setting(
        "enroll.accounts_per_min",
        whole("accounts per minute", 1, MAX_ACCOUNTS),
        30,
        "New accounts in a minute, whoever asks.",
    )

    @property
    def is_open(self) -> bool:
        """Whether new accounts are opened."""
        return self.mode == "open"


def refuse_enrolment(terms: EnrollTerms, work_bits: int) -> Refused | None:
    """The refusal of a key that has no account yet, and has proven so many bits of work; None where it may enroll."""
    if not terms.is_open:
        return CLOSED
    if work_bits < terms.difficulty:
        sentence = f"a new account costs {terms.difficulty} bits of work, committed to in the nonce tag"
        return Refused(Reason.INSUFFICIENT_POW, sentence, {"required_difficulty": terms.difficulty})
    return None
