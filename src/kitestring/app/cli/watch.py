"""``kitestring watch``: what the service, or a wallet, pays and receives, as it happens."""

from __future__ import annotations

import select
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from kitestring.app.cli.at_wallet import refuse_encryption, wallet_options
from kitestring.app.cli.kept_position import KeptPosition
from kitestring.app.cli.on_paid import HELP, OnPaid
from kitestring.app.cli.shell import Shell, common, give_up_what_cannot_be_written
from kitestring.app.cli.values import columns, when
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.width import cut

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption

#: The event for which a program is run.
PAID: Final = "payment_received"


@click.command("watch")
@wallet_options("Watch this wallet")
@click.option(
    "--since", metavar="POSITION",
    help="Begin after this: the position in an earlier line with --json; of a wallet also Unix seconds (default: now).",
)  # fmt: skip
@click.option("--on-paid", metavar="CMD", default="", help=HELP)
@click.option(
    "--keep", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the position in FILE, and go on from it the next time. What CMD has failed at comes again then.",
)  # fmt: skip
@common
def command(
    shell: Shell, wallet: str | None, encryption: Encryption, since: str | None, on_paid: str, keep: Path | None
) -> int:
    """Show what happens as it happens, until Ctrl-C: payments in, out and refused, connections, questions, alarms.

    It is the running service that is watched, with --wallet what any wallet pays and receives. With --json each is one
    line, with the position to go on from: what came meanwhile comes first then, and nothing comes twice. It ends
    quietly when nobody reads it any more, and with exit code 1 where CMD has failed.
    """
    watching = _Watching(shell, on_paid, keep)
    with watching.kept.held(), suppress(KeyboardInterrupt, BrokenPipeError):
        begin = watching.begin(since)
        if wallet is None:
            refuse_encryption(encryption)
            shell.note_waiting("watching the service, until Ctrl-C …")
            for told in shell.activity(begin, reader_is_gone):
                watching.tell(told)
        else:
            from kitestring.app.cli.wallet import watch

            begin = watching.now() if begin is None else begin
            seconds = int(begin) if begin is not None and begin.isdecimal() else begin
            watch(shell, wallet, seconds, encryption, watching.tell, reader_is_gone)
    give_up_what_cannot_be_written()
    return watching.on_paid.exit_code


class _Watching:
    """Deals with each one that is told."""

    def __init__(self, shell: Shell, on_paid: str, keep: Path | None) -> None:
        self._shell = shell
        self._file = keep
        self.kept = KeptPosition(keep)
        self.on_paid = OnPaid(shell, on_paid)

    def begin(self, since: str | None) -> str | None:
        """The position to begin with."""
        if since is not None and self._file is not None:
            raise KitestringError(Reason.MALFORMED, "--since or --keep: the file says where to begin")
        return self.kept.load() if since is None else since

    def now(self) -> str | None:
        """The time to begin at, where it is kept from then on."""
        if self._file is not None:
            self.kept.move(str(int(time.time())))
        return self.kept.text

    def tell(self, told: dict[str, Any]) -> None:
        """Deal with it, then tell it: by then its position is one that may be kept."""
        is_dealt_with = self.on_paid.run(told) if told["event"] == PAID else True
        self.kept.move(told["position"], is_dealt_with=is_dealt_with)
        if told["event"] != "begins":
            from kitestring.app.service.activity_words import sentence

            at = told.get("happened_at") or told["settled_at"] or told["created_at"]
            line = f"{when(at)}  {sentence(told)}"
            self._shell.show({**told, "position": self.kept.text}, cut(line, columns()))


def reader_is_gone() -> bool:
    """Whether whoever read standard output has closed it, as ``head`` does."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError, AttributeError):  # it is no file
        return False
    return any(what & (select.POLLERR | select.POLLHUP) for _, what in poll.poll(0))
