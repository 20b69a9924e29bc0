"""The two places where a payment on the command line comes from: the running service, or a wallet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from kitestring.app.cli.shell import Shell
from kitestring.app.cli.values import MAX_TYPED_SATS
from kitestring.app.cli.wallet import is_sandbox, pay_from, preview_from
from kitestring.app.cli.wish import Wish
from kitestring.base.errors import KitestringError, Reason

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption

#: Said on a terminal when it takes long.
LONG_WAIT: Final = "still waiting for the payee's relays, or for the node to find a way …"


def call_to_pay(shell: Shell, name: str, params: dict[str, Any], key: str) -> dict[str, Any]:
    """The result of an owner's command that pays, waiting for its end. Raises KitestringError."""
    from kitestring.app.owner.params import DEFAULT_WAIT_S

    try:
        with shell.noting_wait(LONG_WAIT):
            return shell.call(name, {**params, "wait_s": DEFAULT_WAIT_S}, key, wait_s=DEFAULT_WAIT_S)
    except KitestringError as error:
        if error.reason is Reason.SPENDING_STOPPED:
            error.message += "; `kitestring doctor` says why and what to do"
        raise


class FromService:
    """The owner account of the running service."""

    def __init__(self, shell: Shell, key: str) -> None:
        self._shell, self._key = shell, key

    def is_real(self) -> bool:
        """The settings in the directory do not say it: a service may be started with another node."""
        return not self._shell.call("pay_preview", {})["sandbox"]

    def preview(self, wish: Wish) -> dict[str, Any]:
        with self._shell.noting_wait(LONG_WAIT):
            return self._shell.call("pay_preview", {**_to_see(wish).params(), "key": self._key})

    def pay(self, wish: Wish, seen: dict[str, Any] | None) -> dict[str, Any]:
        bolt11 = {} if seen is None or seen["kind"] == "invoice" else {"bolt11": seen["bolt11"]}
        return call_to_pay(self._shell, "pay", {**wish.params(), **bolt11}, self._key)


class FromWallet:
    """Any wallet that the SDK can open: ``uri`` is its link, and ``source`` what was typed for it."""

    def __init__(self, shell: Shell, source: str, uri: str, encryption: Encryption) -> None:
        self._shell, self._source, self._uri, self._encryption = shell, source, uri, encryption

    def is_real(self) -> bool:
        return not is_sandbox(self._uri)

    def preview(self, wish: Wish) -> dict[str, Any]:
        return preview_from(self._shell, self._source, self._uri, _to_see(wish), self._encryption)

    def pay(self, wish: Wish, seen: dict[str, Any] | None) -> dict[str, Any]:
        if seen is not None and seen["kind"] != "invoice":
            wish = Wish(seen["bolt11"], max_sat=wish.max_sat, max_fee_sat=wish.max_fee_sat)
        return pay_from(self._shell, self._source, self._uri, wish, self._encryption)


def _to_see(wish: Wish) -> Wish:
    """The wish to see also a price that only the payee knows: it is agreed to when it is seen."""
    has_limit = wish.amount_sat is not None or wish.max_sat is not None
    return wish if has_limit else replace(wish, max_sat=MAX_TYPED_SATS)
