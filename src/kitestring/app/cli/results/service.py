"""The answers about a service and its directory: started, backed up, proven, looked at."""

from __future__ import annotations

from typing import Annotated

from kitestring.app.owner.results.node import FindingJson, SpendingStopJson
from kitestring.app.owner.results.words import AnswerJson, ServicePubkey, says


class UpJson(AnswerJson):
    """The card of a service that is ready, once."""

    relay: Annotated[str | None, says("The first of its relays.")]
    relays: Annotated[list[str], says("Its relays.")]
    service_pubkey: ServicePubkey
    noffer: Annotated[str | None, says("The code of its first offer.")]
    ndebit: Annotated[str | None, says("The code of its first debit pointer.")]
    network: Annotated[str | None, says("The network of a real node; null in a sandbox.")]
    node: Annotated[str | None, says("What a real node calls itself; null in a sandbox, or where it does not say.")]
    nwc_uri: Annotated[
        str | None, says("The secret link of the first connection: at the very first start, and on a terminal alone.")
    ]
    socket: Annotated[str, says("The socket of its owner.")]
    unused: Annotated[str | None, says("The name of the first connection, as long as nobody has used its link.")]
    missing_on: Annotated[dict[str, str], says("Relays that do not carry that connection yet, with their words.")]
    old_relays: Annotated[list[str], says("Relays that the settings do not name any more, and that it serves.")]
    spending_stopped: Annotated[list[SpendingStopJson], says("Why spending is stopped; empty: it is not.")]


class FileJson(AnswerJson):
    """A file that was written."""

    file: Annotated[str, says("Its path.")]


class DirectoryJson(AnswerJson):
    """A directory that was written."""

    directory: Annotated[str, says("Its path.")]


class ServiceFileJson(AnswerJson):
    """The unit by which systemd runs the service."""

    unit: Annotated[str, says("The text of the unit.")]
    path: Annotated[str, says("Where systemd looks for it.")]


class CompletionJson(AnswerJson):
    """The script by which a shell completes commands."""

    shell: Annotated[str, says("The shell.")]
    script: Annotated[str, says("The script.")]


class RestoredJson(AnswerJson):
    """A backup that was put back."""

    data_dir: Annotated[str, says("The data directory.")]
    kept: Annotated[list[str], says("Files of before that were put aside.")]


class RelayJson(AnswerJson):
    """A relay that runs, once."""

    relay: Annotated[str, says("Its address.")]


class ClockJson(AnswerJson):
    """A clock that ours was compared with."""

    whose: Annotated[str, says("Whose it is.")]
    ahead_s: Annotated[int, says("Ours is so far ahead of it; less than 0: behind.")]
    wrong: Annotated[str, says("Whose clock is the wrong one.")]


class DoctorJson(AnswerJson):
    """The findings of the doctor; the exit code is 1 when one is `fail`."""

    checks: Annotated[list[FindingJson], says("The findings, in the order in which one would mend things.")]
    clocks: Annotated[list[ClockJson], says("The clocks that were compared.")]


class ViolationJson(AnswerJson):
    """A rule that is broken."""

    invariant: Annotated[str, says("The rule: `I1` …, or `node`.")]
    sentence: Annotated[str, says("The sentence.")]


class ComparedJson(AnswerJson):
    """The comparison with the node's own lists."""

    payments: Annotated[int, says("How many payments were compared.")]
    invoices: Annotated[int, says("How many invoices were compared.")]
    stopped_by: Annotated[list[str], says("The causes for which spending was stopped.")]


class AuditJson(AnswerJson):
    """The proof that the books are right; the exit code is 1 when they are not."""

    violations: Annotated[list[ViolationJson], says("Broken rules; empty: the books are right.")]
    alarms: Annotated[list[str], says("Alarms that are kept.")]
    node: Annotated[ComparedJson | None, says("The comparison with the node; null without `--node`.")]
    allowed: Annotated[list[str], says("Causes that stop spending no more, because the books agree.")]
